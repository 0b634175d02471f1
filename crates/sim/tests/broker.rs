//! A whole broker boots in the simulated world, and a client speaks to it by real frames.

use std::time::Duration;

use bytes::Bytes;
use strandline_sim::{
    BROKER_PORT, BrokerProcess, Client, Crash, NetFaults, Network, Node, NodeId, Sim, Status,
};
use strandline_types::ErrorCode;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use strandline_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use strandline_wire::messages::{
    CreateTopicsRequest, FetchRequest, ProduceRequest, Records as RecordBytes,
};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, NewRecord, Records, batches,
};

const MINUTE: Duration = Duration::from_secs(60);
const TOPIC: &str = "numbers";

fn create() -> CreateTopicsRequest {
    let topic = CreatableTopic {
        name: TOPIC.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 5_000, ..Default::default() }
}

fn produce(value: &str) -> ProduceRequest {
    let mut batch = BatchBuilder::new(BatchOptions::default());
    let record = NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() };
    batch.append(&record).expect("it is small");
    let data = PartitionProduceData {
        index: 0,
        records: RecordBytes::Bytes(batch.build()),
        ..Default::default()
    };
    let topic =
        TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
    ProduceRequest { acks: -1, timeout_ms: 5_000, topic_data: vec![topic], ..Default::default() }
}

fn fetch() -> FetchRequest {
    let partition = FetchPartition {
        partition: 0,
        current_leader_epoch: -1,
        fetch_offset: 0,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic =
        FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

fn values(records: RecordBytes) -> Vec<String> {
    let RecordBytes::Bytes(bytes) = records else { return Vec::new() };
    let mut values = Vec::new();
    for batch in batches(&bytes) {
        let batch: Bytes = batch.expect("a whole batch");
        let records = Records::open(&batch, &InspectLimits::default()).expect("readable");
        for record in &records {
            let value = record.expect("a whole record").value.expect("it has a value");
            values.push(String::from_utf8(value.to_vec()).expect("text"));
        }
    }
    values
}

async fn produced(client: &mut Client, value: &str) -> ErrorCode {
    let answer = client.ask(&produce(value), 11).await.expect("an answer");
    let code = answer.responses[0].partition_responses[0].error_code;
    assert!(code == ErrorCode::NONE || code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "{code}");
    code
}

/// Boots, creates a topic, writes and reads, crashes, reads again, stops.
fn life(seed: u64) -> (Vec<Vec<String>>, u64, String) {
    let sim = Sim::new(seed);
    sim.record_trace();
    let network = Network::new(NetFaults::CALM);
    let broker = BrokerProcess::new(&sim, Node::new(&sim, &network, NodeId(0)), &[]);
    let world = Node::new(&sim, &network, NodeId(1)).world();
    broker.start();
    let process = broker.clone();
    let seen = sim.run(10 * MINUTE, async move {
        let mut seen = Vec::new();
        assert!(matches!(broker.settled().await, Status::Serving(_)), "{:?}", broker.status());
        let mut client = Client::new(world, BROKER_PORT, "test");
        let created = client.ask(&create(), 7).await.expect("an answer");
        assert_eq!(created.topics[0].error_code, ErrorCode::NONE);
        for value in ["one", "two", "three"] {
            // A topic appears a little after its creation was answered, as in Kafka.
            while produced(&mut client, value).await.is_retriable() {}
        }
        for crashes in [true, false] {
            let mut answer = client.ask(&fetch(), 12).await.expect("an answer");
            seen.push(values(answer.responses.remove(0).partitions.remove(0).records));
            if crashes {
                broker.crash(Crash::Process);
                broker.start();
                let status = broker.settled().await;
                assert!(matches!(status, Status::Serving(_)), "{status:?}");
                client.hang_up();
            }
        }
        broker.stop();
        assert!(matches!(broker.ended().await, Status::Stopped), "{:?}", broker.status());
        seen
    });
    drop(process);
    (seen, sim.fingerprint(), sim.take_trace())
}

#[test]
fn a_broker_lives_in_the_simulator_and_a_seed_tells_its_whole_life() {
    let (seen, fingerprint, trace) = life(1);
    let all = ["one", "two", "three"].map(String::from).to_vec();
    assert_eq!(seen, [all.clone(), all]);
    let again = life(1);
    if let Some((first, second)) = trace.lines().zip(again.2.lines()).find(|(a, b)| a != b) {
        panic!("one seed, two traces:\n{first}\n{second}");
    }
    assert_eq!(fingerprint, again.1);
    assert_ne!(fingerprint, life(2).1);
}
