//! What the codec promises beyond the golden vectors: no copies, refusals, unknown tags, gathering,
//! frames, and round trips of values that no vector has.

mod common;

use bytes::Bytes;
use common::{decode, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use strandline_types::{ErrorCode, Offset, Timestamp, Uuid};
use strandline_wire::frame::{self, FrameError, Incoming};
use strandline_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use strandline_wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use strandline_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{
    ApiKey, ApiVersionsRequest, ConsumerProtocolSubscription, DescribeLogDirsRequest,
    DescribeLogDirsResponse, FetchResponse, HeartbeatRequest, MetadataRequest, MetadataResponse,
    ProduceRequest, Records, ReplicaCleaning, SaslHandshakeRequest, decode_forward,
    decode_prefixed, encode_prefixed,
};
use strandline_wire::{Chunk, DecodeError, EncodeError, Gathered};

fn produce() -> ProduceRequest {
    ProduceRequest {
        transactional_id: Some("tx".into()),
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            topic_id: Uuid::ONE,
            partition_data: vec![PartitionProduceData {
                index: 7,
                records: Bytes::from_static(b"batch").into(),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn record_bytes_are_slices_of_the_frame() {
    let frame = encode(&produce(), 13).unwrap();
    let decoded: ProduceRequest = decode(&frame, 13).unwrap();
    assert_eq!(decoded, produce());
    let Records::Bytes(records) = &decoded.topic_data[0].partition_data[0].records else {
        panic!("{decoded:?}");
    };
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));
}

fn fetch(records: Records) -> FetchResponse {
    let partition = PartitionData { records, ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

#[test]
fn an_answer_gathers_memory_and_files_in_order() {
    let tail = Bytes::from_static(b"tail");
    let file = Chunk::External { id: 3, len: 1_000 };
    let records = Records::Chunks(vec![file.clone(), Chunk::Bytes(tail.clone())]);
    let Gathered { chunks, len } = frame::response(ApiKey::Fetch, 12, 77, &fetch(records)).unwrap();
    let [Chunk::Bytes(head), second, Chunk::Bytes(third), Chunk::Bytes(rest)] = &chunks[..] else {
        panic!("{chunks:?}");
    };
    assert_eq!((second, third.as_ptr()), (&file, tail.as_ptr()), "named, not copied");
    assert_eq!(head[..8], [0, 0, ((len - 4) >> 8) as u8, (len - 4) as u8, 0, 0, 0, 77]);
    assert_eq!(len, chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>());
    // The compact length of 1004 bytes ends the head; the tags of three structures the answer.
    assert_eq!((head.as_ref().last_chunk::<2>(), &rest[..]), (Some(&[0xed, 0x07]), &[0, 0, 0][..]));
}

#[test]
fn what_a_version_cannot_say_is_refused() {
    let by_id = produce();
    let refusal = |field, version| EncodeError::FieldNotInVersion {
        message: "HeartbeatRequest",
        field,
        version,
    };
    // Kafka drops a topic id that an old version lacks, and a heartbeat's instance id it does not.
    assert!(encode(&by_id, 12).is_ok());
    let heartbeat =
        HeartbeatRequest { group_instance_id: Some("static".into()), ..Default::default() };
    assert_eq!(encode(&heartbeat, 2), Err(refusal("group_instance_id", 2)));
    let version = EncodeError::UnsupportedVersion { message: "HeartbeatRequest", version: 9 };
    assert_eq!(encode(&heartbeat, 9), Err(version));
    let all_topics = MetadataRequest { topics: None, ..Default::default() };
    let null =
        EncodeError::UnexpectedNull { message: "MetadataRequest", field: "topics", version: 0 };
    assert_eq!(encode(&all_topics, 0), Err(null));
    let long = SaslHandshakeRequest { mechanism: "x".repeat(32_768) };
    assert_eq!(encode(&long, 0), Err(EncodeError::StringTooLong(32_768)));
}

#[test]
fn malformed_fields_are_refused() {
    use DecodeError::*;
    let metadata = |version, bytes: &'static [u8]| {
        decode::<MetadataRequest>(&Bytes::from_static(bytes), version).map(|_| ())
    };
    assert_eq!(metadata(0, b"\0\0\0\x01"), Err(ArrayTooLong(1)));
    assert_eq!(metadata(0, b"\xff\xff\xff\xfe"), Err(NegativeLength(-2)));
    assert_eq!(metadata(0, b"\xff\xff\xff\xff"), Err(UnexpectedNull));
    assert_eq!(metadata(1, b"\xff\xff\xff\xff"), Ok(()));
    assert_eq!(metadata(0, b"\x7f\xff\xff\xff\0\0"), Err(ArrayTooLong(0x7fff_ffff)));
    assert_eq!(metadata(0, b"\0\0\0\x01\0\x05ab"), Err(Truncated));
    assert_eq!(metadata(0, b"\0\0\0\x01\0\x02\xc3\x28"), Err(BadUtf8));
    assert_eq!(metadata(0, b"\0\0\0\0!"), Err(TrailingBytes(1)));
    assert_eq!(metadata(9, b"\xff\xff\xff\xff\x1f"), Err(VarintOverflow));
    assert_eq!(metadata(9, b"\x80\x80\x80\x80\x80\x01"), Err(VarintOverflow));
    assert_eq!(
        metadata(14, b""),
        Err(UnsupportedVersion { message: "MetadataRequest", version: 14 })
    );
}

/// An ApiVersions request of version 3: two empty strings, then tags.
fn tagged(tags: &[u8]) -> Result<ApiVersionsRequest, DecodeError> {
    decode(&[b"\x01\x01", tags].concat().into(), 3)
}

#[test]
fn unknown_tags_go_back_as_they_came() {
    let tags = b"\x02\x07\x02ab\x89\x01\0";
    let request = tagged(tags).unwrap();
    assert_eq!(request.unknown_tags.as_slice().len(), 2);
    assert_eq!(encode(&request, 3).unwrap()[2..], tags[..]);
    assert_eq!(encode(&request, 2), Err(EncodeError::TagsNotInVersion));
    assert_eq!(size_of_val(&request.unknown_tags), size_of::<usize>());
}

#[test]
fn how_far_a_replica_is_cleaned_is_told_in_a_tag() {
    let mut request = DescribeLogDirsRequest::default();
    ReplicaCleaning::ask(&mut request, 1);
    assert!(!ReplicaCleaning::is_asked_for(&request), "version 1 has no tags");
    ReplicaCleaning::ask(&mut request, 2);
    let asked: DescribeLogDirsRequest = decode(&encode(&request, 2).unwrap(), 2).unwrap();
    assert!(ReplicaCleaning::is_asked_for(&asked));
    let nothing = ReplicaCleaning::default();
    let all = ReplicaCleaning {
        dirty_ratio: Some(0.25),
        cleaned_upto: Some(Offset(7)),
        cleaned_at: Some(Timestamp(1_700_000_000_000)),
        fault: Some("no room".into()),
        is_tried_again: true,
    };
    for cleaning in [nothing, all] {
        let mut replica = DescribeLogDirsPartition { partition_size: 9, ..Default::default() };
        assert_eq!(ReplicaCleaning::told(&replica).unwrap(), None);
        cleaning.tell(&mut replica).unwrap();
        let topic = DescribeLogDirsTopic { partitions: vec![replica], ..Default::default() };
        let dir = DescribeLogDirsResult { topics: vec![topic], ..Default::default() };
        let response = DescribeLogDirsResponse { results: vec![dir], ..Default::default() };
        let heard: DescribeLogDirsResponse = decode(&encode(&response, 5).unwrap(), 5).unwrap();
        assert_eq!(heard, response);
        let replica = &heard.results[0].topics[0].partitions[0];
        assert_eq!(ReplicaCleaning::told(replica).unwrap(), Some(cleaning));
    }
}

#[test]
fn tags_out_of_order_repeated_or_cut_are_refused() {
    assert_eq!(tagged(b"\x02\x07\0\x07\0"), Err(DecodeError::TagOutOfOrder(7)));
    assert_eq!(tagged(b"\x02\x07\0\x06\0"), Err(DecodeError::TagOutOfOrder(6)));
    assert_eq!(tagged(b"\x01\x07\x05abc"), Err(DecodeError::Truncated));
    assert_eq!(tagged(b"\xff\xff\xff\xff\x0f"), Err(DecodeError::Truncated));
    // Cluster id, tag 0 of Fetch 12, in a tag one byte longer than the string.
    let mut fetch = vec![0u8; 25];
    fetch.extend_from_slice(b"\x01\x01\x01");
    fetch.extend_from_slice(b"\x01\0\x03\x02a!");
    let error = decode::<strandline_wire::messages::FetchRequest>(&fetch.into(), 12);
    assert_eq!(error, Err(DecodeError::TagTooLong));
}

#[test]
fn a_request_frame_is_parsed_as_it_was_made() {
    let request = produce();
    let made = frame::request(&request, 13, 5, Some("me")).unwrap().contiguous().unwrap();
    let size = frame::size(*made.first_chunk().unwrap(), 1_000).unwrap();
    assert_eq!(size as usize + frame::SIZE_BYTES, made.len());
    let incoming = Incoming::parse(&made.slice(frame::SIZE_BYTES..)).unwrap();
    let head = (incoming.api, incoming.version, incoming.correlation_id, &*incoming.client_id);
    assert_eq!(head, (ApiKey::Produce, 13, 5, "me"));
    assert_eq!(incoming.decode(), Ok(request));
}

#[test]
fn frames_that_close_the_connection() {
    assert_eq!(frame::size([0xff; 4], 10), Err(FrameError::BadSize { size: -1, max: 10 }));
    assert_eq!(frame::size([0, 0, 0, 11], 10), Err(FrameError::BadSize { size: 11, max: 10 }));
    let parse = |bytes: &'static [u8]| Incoming::parse(&Bytes::from_static(bytes));
    assert_eq!(parse(b"\0"), Err(FrameError::BadHeader(DecodeError::Truncated)));
    assert_eq!(parse(b"\0\x04\0\0\0\0\0\0\xff\xff"), Err(FrameError::UnknownApi(4)));
    let produce = FrameError::UnsupportedVersion { api: ApiKey::Produce, version: 2 };
    assert_eq!(parse(b"\0\0\0\x02\0\0\0\0\xff\xff"), Err(produce));
}

#[test]
fn api_versions_of_any_version_is_answered() {
    let frame = Bytes::from_static(b"\0\x12\0\x63\0\0\0\x09\xff\xff\0");
    let incoming = Incoming::parse(&frame).unwrap();
    assert!(!incoming.is_supported());
    assert_eq!((incoming.version, incoming.correlation_id), (99, 9));
}

#[test]
fn subscriptions_of_newer_members_are_read_as_far_as_we_know_them() {
    let ours = ConsumerProtocolSubscription { topics: vec!["orders".into()], ..Default::default() };
    let bytes = encode_prefixed(&ours, 3).unwrap();
    assert_eq!(decode_prefixed(&bytes), Ok(ours.clone()));
    let newer = [&b"\0\x09"[..], &bytes[2..], b"more"].concat();
    assert_eq!(decode_forward(&newer.into()), Ok(ours));
}

prop_compose! {
    fn partition()(
        error_code in any::<i16>(),
        partition_index: i32,
        high_watermark: i64,
        aborted in proptest::option::of(vec(any::<(i64, i64)>(), 0..4)),
        diverging in proptest::option::of(any::<(i32, i64)>()),
        records in proptest::option::of(vec(any::<u8>(), 0..300)),
    ) -> PartitionData {
        let mut partition = PartitionData {
            error_code: ErrorCode(error_code),
            partition_index,
            high_watermark,
            aborted_transactions: aborted.map(|list| {
                let row = |(producer_id, first_offset)| AbortedTransaction {
                    producer_id,
                    first_offset,
                    ..Default::default()
                };
                list.into_iter().map(row).collect()
            }),
            records: records.map_or(Records::Null, |bytes| Bytes::from(bytes).into()),
            ..Default::default()
        };
        if let Some((epoch, end_offset)) = diverging {
            partition.diverging_epoch = EpochEndOffset { epoch, end_offset, ..Default::default() };
        }
        partition
    }
}

prop_compose! {
    fn metadata()(
        brokers in vec((any::<i32>(), ".{0,20}", proptest::option::of(".{0,5}")), 0..5),
        topics in vec((".{0,249}", vec((any::<i32>(), vec(any::<i32>(), 0..5)), 0..20)), 0..5),
        cluster_id in proptest::option::of(".{0,300}"),
    ) -> MetadataResponse {
        let broker = |(node_id, host, rack)| MetadataResponseBroker {
            node_id, host, rack, ..Default::default()
        };
        let partition = |(leader_id, replica_nodes)| MetadataResponsePartition {
            leader_id, replica_nodes, ..Default::default()
        };
        let topic = |(name, partitions): (String, Vec<_>)| MetadataResponseTopic {
            name: Some(name),
            partitions: partitions.into_iter().map(partition).collect(),
            ..Default::default()
        };
        MetadataResponse {
            brokers: brokers.into_iter().map(broker).collect(),
            topics: topics.into_iter().map(topic).collect(),
            cluster_id,
            ..Default::default()
        }
    }
}

proptest! {
    #[test]
    fn fetch_answers_round_trip(partitions in vec(partition(), 0..6), version in 12i16..=18) {
        let topic = FetchableTopicResponse { partitions, ..Default::default() };
        let answer = FetchResponse { responses: vec![topic], ..Default::default() };
        prop_assert_eq!(decode(&encode(&answer, version).unwrap(), version), Ok(answer));
    }

    #[test]
    fn metadata_round_trips(answer in metadata(), version in 2i16..=13) {
        prop_assert_eq!(decode(&encode(&answer, version).unwrap(), version), Ok(answer));
    }
}
