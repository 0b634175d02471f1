//! The requests of the load. Topics go by name: those versions both brokers serve.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use strandline_types::{ErrorCode, Timestamp};
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use strandline_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, IncrementalAlterConfigsRequest,
    ProduceRequest, ProduceResponse, Records,
};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};

use crate::conn::{Conn, encoded};

/// A new topic has its leaders by then.
const PATIENCE: Duration = Duration::from_secs(30);

const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;

pub(crate) fn create_topic(address: &str, name: &str, partitions: i32) -> Result<()> {
    create_topic_with(address, name, partitions, &[])
}

pub(crate) fn create_topic_with(
    address: &str,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<()> {
    let mut conn = Conn::open(address)?;
    let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..Default::default()
    });
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs.collect(),
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

/// A topic's, or for all brokers those that are of a broker.
pub(crate) fn set_config(address: &str, topic: Option<&str>, set: (&str, &str)) -> Result<()> {
    const TOPIC: i8 = 2;
    const BROKER: i8 = 4;
    let config =
        AlterableConfig { name: set.0.into(), value: Some(set.1.into()), ..Default::default() };
    let resource = AlterConfigsResource {
        resource_type: if topic.is_some() { TOPIC } else { BROKER },
        resource_name: topic.unwrap_or_default().into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = Conn::open(address)?.ask(&request, 1)?;
    let code = answer.responses[0].error_code;
    ensure!(code == ErrorCode::NONE, "set {} to {}: {code}", set.0, set.1);
    Ok(())
}

/// Bits that no compressor and no cache makes less of, the same in every run.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

/// One Produce with one batch of `records` values of `value_bytes` that do not repeat.
pub(crate) fn produce(
    topic: &str,
    index: i32,
    records: usize,
    value_bytes: usize,
) -> Result<Vec<u8>> {
    let mut noise = Noise::new();
    produce_all(topic, index, (0..records).map(|_| (None, noise.bytes(value_bytes))))
}

/// One Produce with one batch of these keys and values.
pub(crate) fn produce_all(
    topic: &str,
    index: i32,
    records: impl Iterator<Item = (Option<u64>, Vec<u8>)>,
) -> Result<Vec<u8>> {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    // Older records would fall to retention while they are read.
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    for (number, (key, value)) in (0..).zip(records) {
        let key = key.map(u64::to_be_bytes);
        batch.append(&NewRecord {
            timestamp: Timestamp(now + number),
            key: key.as_ref().map(<[u8; 8]>::as_slice),
            value: Some(&value),
            ..Default::default()
        })?;
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
