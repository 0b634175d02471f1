//! What the generated code promises beyond the golden vectors.

mod common;

use bytes::Bytes;
use common::{decode, encode};
use strandline_types::Uuid;
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{ApiKey, ProduceRequest, Records, VersionRange};

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

#[test]
fn api_keys_know_their_rows() {
    assert_eq!(ApiKey::from_code(0), Some(ApiKey::Produce));
    assert_eq!(ApiKey::Produce.facts().advertised, VersionRange { min: 0, max: 13 });
    assert_eq!(ApiKey::InitProducerId.facts().advertised, VersionRange { min: 0, max: 5 });
    assert_eq!(ApiKey::from_code(4), None);
    assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
    assert_eq!(ApiKey::ApiVersions.response_header_version(3), 0);
    assert_eq!(ApiKey::Fetch.response_header_version(12), 1);
    assert_eq!(ApiKey::ALL.len(), 89);
}
