//! Consuming from a real broker: codecs, seeks, resets, groups of every kind.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{client, eventually, new_topic, unique, with_broker};
use strandline_client::admin::{CommittedOffset, OffsetSpec};
use strandline_client::consumer::{
    Assignor, ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig,
    RebalanceListener, Reset,
};
use strandline_client::producer::{Producer, ProducerConfig, ProducerRecord};
use strandline_client::{Admin, Client, ClientConfig};
use strandline_types::{Compression, ErrorCode, Offset, PartitionId, Timestamp, TopicPartition};

const SOON: Duration = Duration::from_millis(100);

fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionId(index) }
}

async fn produce(client: &Client, topic: &str, values: impl IntoIterator<Item = String>) {
    let producer = Producer::new(client.clone(), ProducerConfig::default());
    for (index, value) in values.into_iter().enumerate() {
        let partitions = client.topic(topic, false).await.unwrap().partitions.len();
        let to = PartitionId((index % partitions) as i32);
        drop(producer.send(ProducerRecord::new(topic).value(value).partition(to)).await.unwrap());
    }
    producer.flush().await;
}

async fn read(consumer: &mut Consumer, count: usize) -> Vec<ConsumerRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(consumer.poll(SOON).await.unwrap());
    }
    records
}

fn values(records: &[ConsumerRecord]) -> Vec<String> {
    let text = |record: &ConsumerRecord| String::from_utf8(record.value.clone().unwrap().into());
    records.iter().map(|record| text(record).unwrap()).collect()
}

fn from_start() -> ConsumerConfig {
    ConsumerConfig { reset: Reset::Earliest, ..ConsumerConfig::default() }
}

fn in_group(id: &str, assignor: Assignor) -> ConsumerConfig {
    let group = GroupConfig {
        assignors: vec![assignor],
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_millis(100),
        ..GroupConfig::new(id)
    };
    ConsumerConfig { group: Some(group), ..from_start() }
}

#[test]
fn every_codec_comes_back_as_it_went() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "codecs", 1).await;
        let mut sent = Vec::new();
        for codec in Compression::ALL {
            let config = ProducerConfig { compression: codec.into(), ..ProducerConfig::default() };
            let producer = Producer::new(client.clone(), config);
            for number in 0..300 {
                let value = format!("{} {number} {}", codec.name(), "again and ".repeat(9));
                let record = ProducerRecord::new(&topic)
                    .key(format!("key {number}"))
                    .value(value.clone())
                    .header("codec", codec.name())
                    .timestamp(Timestamp(1_700_000_000_000 + number));
                drop(producer.send(record).await.unwrap());
                sent.push(value);
            }
            producer.flush().await;
        }
        let mut consumer = Consumer::new(client, from_start());
        consumer.assign([partition(&topic, 0)]);
        let records = read(&mut consumer, sent.len()).await;
        assert_eq!(values(&records), sent);
        for (index, record) in records.iter().enumerate() {
            assert_eq!(record.offset, Offset(index as i64));
            let number = index as i64 % 300;
            assert_eq!(record.timestamp, Timestamp(1_700_000_000_000 + number));
            assert_eq!(record.key.as_deref(), Some(format!("key {number}").as_bytes()));
            let codec = Compression::ALL[index / 300].name();
            assert_eq!(record.headers, [("codec".into(), Some(codec.into()))]);
        }
    });
}

#[test]
fn seeks_by_offset_and_by_time() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "seeks", 1).await;
        let producer = Producer::new(client.clone(), ProducerConfig::default());
        for number in 0..100 {
            let time = Timestamp(1_700_000_000_000 + number * 10);
            let record = ProducerRecord::new(&topic).value(number.to_string()).timestamp(time);
            drop(producer.send(record).await.unwrap());
        }
        producer.flush().await;
        let mut consumer = Consumer::new(client, from_start());
        let only = partition(&topic, 0);
        consumer.assign([only.clone()]);
        assert_eq!(values(&read(&mut consumer, 100).await).last().unwrap(), "99");
        consumer.seek(&only, Offset(40)).unwrap();
        assert_eq!(values(&read(&mut consumer, 60).await)[0], "40");
        assert_eq!(consumer.position(&only).unwrap(), Some(Offset(100)));
        let at = OffsetSpec::At(Timestamp(1_700_000_000_000 + 695));
        consumer.seek_to(std::slice::from_ref(&only), at).await.unwrap();
        assert_eq!(values(&read(&mut consumer, 30).await)[0], "70");
        let late = Timestamp(1_800_000_000_000);
        let found = consumer.offsets_for_time(std::slice::from_ref(&only), late).await.unwrap();
        assert_eq!(found, BTreeMap::from([(only.clone(), None)]));
        consumer.pause(&only).unwrap();
        consumer.seek(&only, Offset(5)).unwrap();
        assert_eq!(consumer.poll(SOON).await.unwrap(), []);
        consumer.resume(&only).unwrap();
        assert_eq!(values(&read(&mut consumer, 1).await)[0], "5");
        let stranger = partition(&topic, 1);
        let error = ConsumeError::NotAssigned { partition: stranger.clone() };
        assert_eq!(consumer.seek(&stranger, Offset(0)), Err(error));
    });
}

#[test]
fn out_of_range_is_reset_as_asked() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "reset", 1).await;
        produce(&client, &topic, (0..10).map(|n| n.to_string())).await;
        let only = partition(&topic, 0);
        let before = BTreeMap::from([(only.clone(), Offset(4))]);
        Admin::new(client.clone()).delete_records(&before).await.unwrap();
        let mut consumer = Consumer::new(client.clone(), from_start());
        consumer.assign([only.clone()]);
        consumer.seek(&only, Offset(1)).unwrap();
        assert_eq!(values(&read(&mut consumer, 6).await)[0], "4");
        let config = ConsumerConfig { reset: Reset::None, ..ConsumerConfig::default() };
        let mut strict = Consumer::new(client, config);
        strict.assign([only.clone()]);
        let error = strict.poll(SOON).await.unwrap_err();
        assert_eq!(error, ConsumeError::NoOffset { partition: only.clone() });
        strict.seek(&only, Offset(99)).unwrap();
        let error = loop {
            match strict.poll(SOON).await {
                Ok(records) => assert_eq!(records, []),
                Err(error) => break error,
            }
        };
        let offset = Offset(99);
        assert_eq!(error, ConsumeError::OutOfRange { partition: only, offset });
    });
}

/// Polls in the background, as a member of a group, until stopped.
struct Reader {
    seen: Arc<Mutex<Vec<ConsumerRecord>>>,
    owned: Arc<Mutex<Vec<TopicPartition>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Reader {
    #[expect(clippy::disallowed_methods, reason = "a test runs on the real world")]
    fn start(mut consumer: Consumer, topic: &str) -> Self {
        consumer.subscribe([topic]);
        let (seen, owned): (Arc<Mutex<Vec<_>>>, Arc<Mutex<Vec<_>>>) = Default::default();
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let (seen_there, owned_there) = (Arc::clone(&seen), Arc::clone(&owned));
        let task = tokio::spawn(async move {
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let records = consumer.poll(Duration::from_millis(50)).await.unwrap();
                seen_there.lock().unwrap().extend(records);
                *owned_there.lock().unwrap() = consumer.assignment();
            }
            consumer.close().await.unwrap();
        });
        Self { seen, owned, stop: Some(stop), task }
    }

    fn owned(&self) -> Vec<TopicPartition> {
        self.owned.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap();
    }
}

async fn until_shared(readers: &[&Reader], shares: &[usize]) {
    eventually(async || {
        let mut sizes: Vec<_> = readers.iter().map(|reader| reader.owned().len()).collect();
        sizes.sort_unstable();
        let all: BTreeSet<_> = readers.iter().flat_map(|reader| reader.owned()).collect();
        sizes == shares && all.len() == shares.iter().sum::<usize>()
    })
    .await;
}

#[test]
fn three_members_share_and_a_dead_one_is_replaced() {
    with_broker(async |bootstrap| {
        let direct = client(&bootstrap);
        let topic = new_topic(&direct, "members", 6).await;
        let group = unique("members");
        let config = || in_group(&group, Assignor::Range);
        let first = Reader::start(Consumer::new(direct.clone(), config()), &topic);
        until_shared(&[&first], &[6]).await;
        let second = Reader::start(Consumer::new(client(&bootstrap), config()), &topic);
        until_shared(&[&first, &second], &[3, 3]).await;
        let proxy = common::proxy::Proxy::start(&bootstrap).await;
        let through = Client::new(proxy.world(), ClientConfig::new(&bootstrap));
        let third = Reader::start(Consumer::new(through, config()), &topic);
        until_shared(&[&first, &second, &third], &[2, 2, 2]).await;
        produce(&direct, &topic, (0..600).map(|n| n.to_string())).await;
        eventually(async || first.count() + second.count() + third.count() == 600).await;

        let described =
            Admin::new(direct.clone()).describe_groups(std::slice::from_ref(&group)).await.unwrap();
        let described = described[0].1.clone().unwrap();
        assert_eq!((described.state.as_str(), described.protocol.as_str()), ("Stable", "range"));
        assert_eq!(described.members.len(), 3);

        // The broker hears nothing of the third any more, not even that it leaves.
        proxy.mute();
        third.task.abort();
        until_shared(&[&first, &second], &[3, 3]).await;
        produce(&direct, &topic, (0..60).map(|n| n.to_string())).await;
        eventually(async || {
            let seen: BTreeSet<_> = [&first, &second, &third]
                .iter()
                .flat_map(|r| r.seen.lock().unwrap().clone())
                .map(|record| (record.partition, record.offset))
                .collect();
            seen.len() == 660
        })
        .await;
        second.stop().await;
        until_shared(&[&first], &[6]).await;
        first.stop().await;
        let offsets = Admin::new(direct.clone()).group_offsets(&group, None).await.unwrap();
        let sum: i64 = offsets.into_iter().map(|(_, c)| c.unwrap().offset.get()).sum();
        assert_eq!(sum, 660, "closing committed everything");
    });
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        let indexes: Vec<_> = partitions.iter().map(|p| p.partition).collect();
        self.0.lock().unwrap().push(format!("{what} {indexes:?}"));
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl RebalanceListener for Log {
    fn revoked(
        &mut self,
        partitions: &[TopicPartition],
    ) -> BTreeMap<TopicPartition, CommittedOffset> {
        self.note("revoked", partitions);
        BTreeMap::new()
    }

    fn assigned(&mut self, partitions: &[TopicPartition]) {
        self.note("assigned", partitions);
    }

    fn lost(&mut self, partitions: &[TopicPartition]) {
        self.note("lost", partitions);
    }
}

#[test]
fn a_cooperative_member_keeps_what_it_keeps() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "cooperative", 4).await;
        let group = unique("cooperative");
        let config = || in_group(&group, Assignor::CooperativeSticky);
        let log = Log::default();
        let mut consumer = Consumer::new(client.clone(), config());
        consumer.on_rebalance(log.clone());
        let first = Reader::start(consumer, &topic);
        until_shared(&[&first], &[4]).await;
        let second = Reader::start(Consumer::new(client.clone(), config()), &topic);
        until_shared(&[&first, &second], &[2, 2]).await;
        let lines = log.lines();
        assert_eq!(lines[0], "assigned [0, 1, 2, 3]");
        let revoked: Vec<_> = lines.iter().filter(|line| line.starts_with("revoked")).collect();
        assert_eq!(revoked, ["revoked [2, 3]"], "only what moves is given up: {lines:?}");
        second.stop().await;
        until_shared(&[&first], &[4]).await;
        first.stop().await;
    });
}

#[test]
fn a_static_member_comes_back_to_its_partitions() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "static", 2).await;
        let group = unique("static");
        let config = |instance: &str| {
            let mut config = in_group(&group, Assignor::Range);
            let group = config.group.as_mut().unwrap();
            group.instance_id = Some(instance.into());
            config
        };
        let one = Reader::start(Consumer::new(client.clone(), config("one")), &topic);
        let two = Reader::start(Consumer::new(client.clone(), config("two")), &topic);
        until_shared(&[&one, &two], &[1, 1]).await;
        let (of_one, of_two) = (one.owned(), two.owned());
        two.stop().await;
        let again = Reader::start(Consumer::new(client.clone(), config("two")), &topic);
        until_shared(&[&one, &again], &[1, 1]).await;
        assert_eq!((one.owned(), again.owned()), (of_one, of_two));
        // A second holder of the name fences the first.
        let mut usurper = Consumer::new(client.clone(), config("one"));
        usurper.subscribe([topic.as_str()]);
        eventually(async || {
            usurper.poll(SOON).await.unwrap();
            one.task.is_finished()
        })
        .await;
        assert!(one.task.await.unwrap_err().is_panic(), "the elder's poll failed");
        again.stop().await;
    });
}

#[test]
fn commits_are_resumed_and_moved() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "commits", 1).await;
        produce(&client, &topic, (0..50).map(|n| n.to_string())).await;
        let (group, only) = (unique("commits"), partition(&topic, 0));
        let config = || {
            let mut config = in_group(&group, Assignor::Range);
            config.group.as_mut().unwrap().auto_commit = None;
            ConsumerConfig { poll_records_max: 10, ..config }
        };
        let mut consumer = Consumer::new(client.clone(), config());
        consumer.subscribe([topic.as_str()]);
        assert_eq!(values(&read(&mut consumer, 20).await)[0], "0");
        consumer.commit().await.unwrap();
        read(&mut consumer, 10).await;
        consumer.close().await.unwrap();

        let mut consumer = Consumer::new(client.clone(), config());
        consumer.subscribe([topic.as_str()]);
        assert_eq!(values(&read(&mut consumer, 10).await)[0], "20", "what was not committed");
        let admin = Admin::new(client.clone());
        let moved = BTreeMap::from([(only.clone(), CommittedOffset::new(Offset(45)))]);
        let refused = admin.alter_group_offsets(&group, &moved).await.unwrap();
        let code = refused[0].1.clone().unwrap_err().code;
        assert_eq!(code, ErrorCode::UNKNOWN_MEMBER_ID, "a group with members is not moved");
        consumer.close().await.unwrap();
        let results = admin.alter_group_offsets(&group, &moved).await.unwrap();
        assert_eq!(results[0].1, Ok(()));
        let mut consumer = Consumer::new(client.clone(), config());
        consumer.subscribe([topic.as_str()]);
        assert_eq!(values(&read(&mut consumer, 5).await)[0], "45");
        consumer.close().await.unwrap();
    });
}

/// A member that Kafka's own client library provides, ended when dropped.
struct JavaMember(std::process::Child);

impl JavaMember {
    fn start(libs: &str, bootstrap: &str, group: &str, topic: &str, strategy: &str) -> Self {
        let strategy =
            format!("partition.assignment.strategy=org.apache.kafka.clients.consumer.{strategy}");
        let child = std::process::Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{libs}/*")])
            .arg("org.apache.kafka.tools.consumer.ConsoleConsumer")
            .args(["--bootstrap-server", bootstrap, "--group", group, "--topic", topic])
            .args(["--command-property", &strategy])
            .args(["--command-property", "heartbeat.interval.ms=100"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for JavaMember {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Partitions by client id, once the group is settled.
async fn shares(admin: &Admin, group: &str) -> BTreeMap<String, usize> {
    let described = admin.describe_groups(&[group.to_owned()]).await.unwrap();
    let Ok(described) = described[0].1.clone() else { return BTreeMap::new() };
    let members = described.members.into_iter().filter(|_| described.state == "Stable");
    members.map(|member| (member.client_id, member.assignment.len())).collect()
}

#[test]
fn members_of_java_and_ours_share_whoever_leads() {
    let Ok(libs) = std::env::var("STRANDLINE_TEST_KAFKA_LIBS") else { return common::skip() };
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let admin = Admin::new(client.clone());
        for (assignor, strategy) in [
            (Assignor::Range, "RangeAssignor"),
            (Assignor::CooperativeSticky, "CooperativeStickyAssignor"),
        ] {
            let topic = new_topic(&client, "mixed", 4).await;
            let group = unique("mixed");
            let both = BTreeMap::from([("console-consumer".into(), 2), ("strandline".into(), 2)]);
            // Whoever is there first leads, also when others join.
            let ours = || {
                let consumer = Consumer::new(client.clone(), in_group(&group, assignor));
                Reader::start(consumer, &topic)
            };
            let first = ours();
            until_shared(&[&first], &[4]).await;
            let java = JavaMember::start(&libs, &bootstrap, &group, &topic, strategy);
            eventually(async || shares(&admin, &group).await == both).await;
            until_shared(&[&first], &[2]).await;
            first.stop().await;
            let alone = BTreeMap::from([("console-consumer".into(), 4)]);
            eventually(async || shares(&admin, &group).await == alone).await;
            let second = ours();
            until_shared(&[&second], &[2]).await;
            eventually(async || shares(&admin, &group).await == both).await;
            drop(java);
            second.stop().await;
        }
    });
}

#[test]
fn a_member_that_waits_for_others_can_leave() {
    with_broker(async |bootstrap| {
        let client = client(&bootstrap);
        let topic = new_topic(&client, "leaving", 1).await;
        produce(&client, &topic, ["one".to_owned()]).await;
        let group = unique("leaving");
        // It does not poll again, which it may for five minutes: so long would the other wait.
        let mut first = Consumer::new(client.clone(), in_group(&group, Assignor::Range));
        first.subscribe([&topic]);
        read(&mut first, 1).await;
        let mut second = Consumer::new(client.clone(), in_group(&group, Assignor::Range));
        second.subscribe([&topic]);
        let admin = Admin::new(client.clone());
        let members = async || {
            let described = admin.describe_groups(std::slice::from_ref(&group)).await.unwrap();
            described[0].1.as_ref().map_or(0, |group| group.members.len())
        };
        eventually(async || {
            assert!(second.poll(SOON).await.unwrap().is_empty());
            members().await == 2
        })
        .await;
        second.close().await.unwrap();
        assert_eq!(members().await, 1);
        first.close().await.unwrap();
    });
}
