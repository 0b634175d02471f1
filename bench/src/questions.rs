//! What the measurement asks a cluster, over connections of its own, again and again until the
//! answer is the one that is waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use strandline_types::ErrorCode;
use strandline_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use strandline_wire::messages::metadata_request::MetadataRequestTopic;
use strandline_wire::messages::metadata_response::MetadataResponseTopic;
use strandline_wire::messages::{
    CreateTopicsRequest, DescribeQuorumRequest, ElectLeadersRequest, MetadataRequest,
    describe_quorum_request,
};

use crate::conn::Conn;
use crate::requests::{check_produced, produce};

/// Of one question. A node that is stopped answers nothing.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Of a change that may be a large one.
const CHANGE_PATIENCE: Duration = Duration::from_secs(30);
/// Of all.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(2);

/// Asks until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > deadline => return Err(error.context(what.to_owned())),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// A majority of the replicas must have what is acknowledged.
pub(crate) fn create_topic(
    address: &str,
    name: &str,
    partitions: i32,
    replicas: i16,
) -> Result<()> {
    let in_sync = CreatableTopicConfig {
        name: "min.insync.replicas".into(),
        value: Some((replicas / 2 + 1).to_string()),
        ..Default::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: replicas,
        configs: vec![in_sync],
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let answer = Conn::open_within(address, CHANGE_PATIENCE)?.ask(&request, 5)?;
    let code = answer.topics[0].error_code;
    ensure!(
        code == ErrorCode::NONE || code == ErrorCode::TOPIC_ALREADY_EXISTS,
        "create {name}: {code}"
    );
    Ok(())
}

/// A topic as one node sees it.
pub(crate) fn topic(address: &str, name: &str) -> Result<MetadataResponseTopic> {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    let request = MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let mut answer = Conn::open_within(address, ANSWER_PATIENCE)?.ask(&request, 9)?;
    let topic = answer.topics.pop().context("a topic that was asked for")?;
    ensure!(topic.error_code == ErrorCode::NONE, "metadata of {name}: {}", topic.error_code);
    Ok(topic)
}

/// How many replicas of all partitions are in their ISR, and how many there are.
pub(crate) fn in_sync(address: &str, name: &str) -> Result<(usize, usize)> {
    let partitions = topic(address, name)?.partitions;
    let in_sync = partitions.iter().map(|it| it.isr_nodes.len()).sum();
    Ok((in_sync, partitions.iter().map(|it| it.replica_nodes.len()).sum()))
}

pub(crate) fn led_by(address: &str, name: &str, id: i32) -> Result<Vec<i32>> {
    let topic = topic(address, name)?;
    let led = topic.partitions.iter().filter(|it| it.leader_id == id);
    Ok(led.map(|it| it.partition_index).collect())
}

pub(crate) fn quorum_leader(address: &str) -> Result<i32> {
    let partition = describe_quorum_request::PartitionData::default();
    let topic = describe_quorum_request::TopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    let answer = Conn::open_within(address, ANSWER_PATIENCE)?.ask(&request, 1)?;
    let leader = answer.topics.first().and_then(|it| it.partitions.first());
    match leader.map(|it| it.leader_id) {
        Some(id) if id > 0 => Ok(id),
        _ => bail!("the quorum has no leader: {}", answer.error_code),
    }
}

/// Gives every partition of a topic back to its first replica.
pub(crate) fn elect_preferred(address: &str, name: &str) -> Result<()> {
    let request =
        ElectLeadersRequest { topic_partitions: None, timeout_ms: 10_000, ..Default::default() };
    let answer = Conn::open_within(address, PATIENCE)?.ask(&request, 2)?;
    ensure!(answer.error_code == ErrorCode::NONE, "elect leaders: {}", answer.error_code);
    let topic = topic(address, name)?;
    let elsewhere =
        topic.partitions.iter().find(|it| Some(&it.leader_id) != it.replica_nodes.first());
    match elsewhere {
        None => Ok(()),
        Some(it) => bail!("{} leads {name}-{}", it.leader_id, it.partition_index),
    }
}

/// Asks all of `addresses` at once, again and again, to take one record for all replicas of the
/// partition, until one has; the time since `began`.
pub(crate) fn probe(
    addresses: &[&str],
    topic: &str,
    partition: i32,
    began: Instant,
) -> Result<Duration> {
    let frame = produce(topic, partition, 1, 100)?;
    let is_over = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        let asking: Vec<_> = addresses
            .iter()
            .map(|address| {
                let (frame, is_over) = (&frame, &is_over);
                scope.spawn(move || ask_one(address, frame, is_over, began))
            })
            .collect();
        asking.into_iter().filter_map(|it| it.join().ok().flatten()).min()
    });
    took.context("no node has taken the probe's record")
}

fn ask_one(address: &str, frame: &[u8], is_over: &AtomicBool, began: Instant) -> Option<Duration> {
    let ask = |open: &mut Option<Conn>| {
        let conn = match open {
            Some(conn) => conn,
            None => open.insert(Conn::open_within(address, ANSWER_PATIENCE)?),
        };
        conn.send(frame)?;
        conn.receive()
    };
    let mut open = None;
    while !is_over.load(Ordering::Relaxed) && began.elapsed() < PATIENCE {
        match ask(&mut open) {
            Ok(answer) if check_produced(&answer).is_ok() => {
                is_over.store(true, Ordering::Relaxed);
                return Some(began.elapsed());
            }
            Ok(_) => {}
            Err(_) => open = None,
        }
        thread::sleep(PAUSE);
    }
    None
}
