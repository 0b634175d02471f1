//! The requests of the load. Topics go by name: those versions both brokers serve.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use strandline_types::{ErrorCode, Timestamp};
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, Records,
};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};

use crate::conn::{Conn, encoded};

/// A new topic has its leaders by then.
const PATIENCE: Duration = Duration::from_secs(30);

const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;

pub(crate) fn create_topic(address: &str, name: &str, partitions: i32) -> Result<()> {
    let mut conn = Conn::open(address)?;
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let answer = conn.ask(&request, 5)?;
    let code = answer.topics[0].error_code;
    ensure!(code == ErrorCode::NONE, "create {name}: {code}");
    // The controller answers before the broker has acted on the new topic.
    for partition in 0..partitions {
        let probe = fetch(name, partition, 0, 0)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            conn.send(&probe)?;
            match fetched(&conn.receive()?) {
                Ok(_) => break,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => {}
            }
        }
    }
    Ok(())
}

/// One Produce with one batch of `records` values of `value_bytes` that do not repeat.
pub(crate) fn produce(
    topic: &str,
    index: i32,
    records: usize,
    value_bytes: usize,
) -> Result<Vec<u8>> {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    // Older records would fall to retention while they are read.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for record in 0..records {
        let mut value = Vec::with_capacity(value_bytes + 8);
        while value.len() < value_bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            value.extend_from_slice(&state.to_le_bytes());
        }
        value.truncate(value_bytes);
        let timestamp = Timestamp(now + record as i64);
        batch.append(&NewRecord { timestamp, value: Some(&value), ..Default::default() })?;
    }
    let records = Records::Bytes(batch.build());
    let partition = PartitionProduceData { index, records, ..Default::default() };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic],
        ..Default::default()
    };
    encoded(&request, PRODUCE_VERSION)
}

pub(crate) fn check_produced(answer: &bytes::Bytes) -> Result<()> {
    let answer: ProduceResponse =
        strandline_wire::frame::decode_response::<ProduceRequest>(answer, PRODUCE_VERSION)?;
    let code = answer.responses[0].partition_responses[0].error_code;
    ensure!(code == ErrorCode::NONE, "produce: {code}");
    Ok(())
}

pub(crate) fn fetch(topic: &str, partition: i32, offset: i64, wait_ms: i32) -> Result<Vec<u8>> {
    let partition = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        ..Default::default()
    };
    let topic =
        FetchTopic { topic: topic.into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    encoded(&request, FETCH_VERSION)
}

/// What a fetch brought: bytes, and the offset behind them.
pub(crate) fn fetched(answer: &bytes::Bytes) -> Result<(usize, Option<i64>)> {
    let answer: FetchResponse =
        strandline_wire::frame::decode_response::<FetchRequest>(answer, FETCH_VERSION)?;
    ensure!(answer.error_code == ErrorCode::NONE, "fetch: {}", answer.error_code);
    let partition = &answer.responses[0].partitions[0];
    ensure!(partition.error_code == ErrorCode::NONE, "fetch: {}", partition.error_code);
    let Records::Bytes(bytes) = &partition.records else { return Ok((0, None)) };
    // The last whole batch says where to go on; only headers are looked at.
    let (mut at, mut next) = (0, None);
    while let Some(header) = strandline_wire::records::BatchHeader::parse(&bytes[at..]) {
        let size = 12 + header.length() as usize;
        if at + size > bytes.len() {
            break;
        }
        next = Some(header.last_offset().get() + 1);
        at += size;
    }
    Ok((at, next))
}
