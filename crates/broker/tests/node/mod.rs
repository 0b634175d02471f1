//! A whole broker in this process, and a client of it that speaks in frames.

#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use strandline_broker::{Broker, StartError};
use strandline_ports::World;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget};
use strandline_types::ErrorCode;
use strandline_wire::frame;
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::produce_response::PartitionProduceResponse;
use strandline_wire::messages::{CreateTopicsRequest, ProduceRequest, Records, Request};
use strandline_wire::records::{BatchBuilder, BatchOptions, NewRecord};

pub(crate) fn world() -> World {
    let spawn = RealSpawn::new(tokio::runtime::Handle::current()).unwrap();
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(spawn),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::new(WriteBudget::default())),
    }
}

/// Starts a node with its data in `dir`, unless `set` says otherwise.
pub(crate) async fn start(dir: &Path, set: &[(&str, &str)]) -> Broker {
    try_start(dir, set).await.unwrap()
}

pub(crate) async fn try_start(dir: &Path, set: &[(&str, &str)]) -> Result<Broker, StartError> {
    let usual = [
        ("log.dirs", dir.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0"),
    ];
    let set = usual.iter().chain(set).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let set: Vec<_> = set.collect();
    let resolved = strandline_config::BrokerConfig::resolve(None, &set).unwrap();
    Broker::start(world(), resolved.config).await
}

pub(crate) fn connect(broker: &Broker) -> TcpStream {
    let listeners = &broker.ready().listeners;
    let kafka = listeners.iter().find(|it| !it.is_controller).unwrap();
    let conn = TcpStream::connect(kafka.address).unwrap();
    // A broker that does not answer fails the test instead of the run.
    conn.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    conn
}

pub(crate) fn ask<R: Request>(conn: &mut TcpStream, request: &R, version: i16) -> R::Response {
    ask_as(conn, "test", request, version)
}

pub(crate) fn ask_as<R: Request>(
    conn: &mut TcpStream,
    client_id: &str,
    request: &R,
    version: i16,
) -> R::Response {
    let frame = frame::request(request, version, 7, Some(client_id)).unwrap();
    for chunk in frame.chunks {
        match chunk {
            strandline_wire::Chunk::Bytes(bytes) => conn.write_all(&bytes).unwrap(),
            strandline_wire::Chunk::External { .. } => unreachable!("requests carry no files"),
        }
    }
    let mut size = [0; 4];
    conn.read_exact(&mut size).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    conn.read_exact(&mut answer).unwrap();
    frame::decode_response::<R>(&Bytes::from(answer), version).unwrap()
}

pub(crate) fn create_topic(
    conn: &mut TcpStream,
    name: &str,
    num_partitions: i32,
    configs: &[(&str, &str)],
) {
    let config = |&(name, value): &(&str, &str)| CreatableTopicConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: 1,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, ..Default::default() };
    let answer = ask(conn, &request, 7);
    assert_eq!(answer.topics[0].error_code, ErrorCode::NONE);
}

pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    for value in values {
        batch.append(&NewRecord { value: Some(value), ..Default::default() }).unwrap();
    }
    batch.build()
}

pub(crate) fn produce(
    conn: &mut TcpStream,
    topic: &str,
    index: i32,
    batch: Bytes,
) -> PartitionProduceResponse {
    let partition =
        PartitionProduceData { index, records: Records::Bytes(batch), ..Default::default() };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..Default::default()
    };
    ask(conn, &request, 11).responses.remove(0).partition_responses.remove(0)
}
