//! Who reads what the load writes, whatever fails: one by hand, and a group of which one member comes
//! and goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use strandline_client::Client;
use strandline_client::admin::{Admin, CommittedOffset, OffsetSpec};
use strandline_client::consumer::{
    Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, RebalanceListener, Reset,
};
use strandline_types::{Offset, TopicPartition};
use tokio::task::JoinHandle;

use crate::local::curious_client;

use super::{Acked, Cluster, PARTITIONS, TOPIC, partitions};

const GROUP: &str = "readers";
const POLL: Duration = Duration::from_millis(100);
/// So long stays the member that comes and goes.
const STAY: Duration = Duration::from_secs(2);

/// Of each partition the next offset.
type Ends = [i64; PARTITIONS as usize];

#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    by_hand: Ends,
    by_group: Ends,
    /// What the group's members were told is committed.
    committed: Ends,
}

/// See the module text.
pub struct Readers {
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Readers {
    pub fn begin(cluster: &Cluster) -> Self {
        let mut readers = Self { seen: Arc::default(), is_over: Arc::default(), tasks: Vec::new() };
        let (seen, is_over) = (&readers.seen, &readers.is_over);
        let by_hand =
            follow(curious_client(&cluster.bootstrap), Arc::clone(seen), Arc::clone(is_over));
        let member = |stay| Member {
            client: curious_client(&cluster.bootstrap),
            seen: Arc::clone(seen),
            is_over: Arc::clone(is_over),
            stay,
        };
        let members = [member(Duration::MAX), member(STAY)];
        readers.tasks.push(tokio::spawn(by_hand));
        readers.tasks.extend(members.map(|member| tokio::spawn(member.run())));
        readers
    }

    /// Waits until all that is acknowledged by now is read, and the group has committed that.
    pub async fn catch_up(&self, acked: &Acked) {
        self.reach(acked.ends()).await;
    }

    async fn reach(&self, ends: Ends) {
        let is_past = |seen: &Ends| seen.iter().zip(&ends).all(|(seen, end)| seen >= end);
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a reader has ended");
            // One that has failed is noticed by its end.
            let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if is_past(&seen.by_hand) && is_past(&seen.committed) {
                return;
            }
            assert!(Instant::now() < deadline, "readers do not reach {ends:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads to the end, and looks whether the group still has all that it was told is committed.
    pub async fn end(self, admin: &Admin) {
        let specs = partitions().map(|it| (it, OffsetSpec::Latest)).collect();
        let listed = admin.list_offsets(&specs, false).await.unwrap();
        let mut ends = Ends::default();
        for (partition, end) in listed {
            ends[partition.partition.get() as usize] = end.unwrap().offset.get();
        }
        self.reach(ends).await;
        self.is_over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        for (partition, committed) in admin.group_offsets(GROUP, None).await.unwrap() {
            let end = ends[partition.partition.get() as usize];
            assert_eq!(committed.unwrap().offset.get(), end, "{partition}");
        }
    }
}

/// Reads every partition by hand, each record once and in turn.
async fn follow(client: Client, seen: Arc<Mutex<Seen>>, is_over: Arc<AtomicBool>) {
    let mut consumer = Consumer::new(client, ConsumerConfig::default());
    consumer.assign(partitions());
    for partition in partitions() {
        consumer.seek(&partition, Offset::ZERO).unwrap();
    }
    while !is_over.load(Ordering::Relaxed) {
        let records = consumer.poll(POLL).await.unwrap();
        let mut seen = seen.lock().unwrap();
        for record in records {
            let next = &mut seen.by_hand[record.partition.get() as usize];
            assert_eq!(record.offset.get(), *next, "partition {}", record.partition);
            *next += 1;
        }
    }
}

/// Partitions that came or went.
#[derive(Clone, Default)]
struct Changed(Arc<Mutex<BTreeSet<i32>>>);

impl Changed {
    fn note(&self, partitions: &[TopicPartition]) {
        self.0.lock().unwrap().extend(partitions.iter().map(|it| it.partition.get()));
    }
}

impl RebalanceListener for Changed {
    fn revoked(&mut self, left: &[TopicPartition]) -> BTreeMap<TopicPartition, CommittedOffset> {
        self.note(left);
        BTreeMap::new()
    }

    fn assigned(&mut self, come: &[TopicPartition]) {
        self.note(come);
    }

    fn lost(&mut self, left: &[TopicPartition]) {
        self.note(left);
    }
}

struct Member {
    client: Client,
    seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    stay: Duration,
}

impl Member {
    async fn run(self) {
        let group = GroupConfig {
            heartbeat_interval: Duration::from_millis(200),
            // A join that stays with a coordinator that stands still is given up after that.
            max_poll_interval: Duration::from_secs(10),
            auto_commit: None,
            ..GroupConfig::new(GROUP)
        };
        while !self.is_over.load(Ordering::Relaxed) {
            let config = ConsumerConfig {
                group: Some(group.clone()),
                reset: Reset::Earliest,
                // All that has come, or a partition that lags keeps the others of its owner waiting.
                poll_records_max: usize::MAX,
                ..ConsumerConfig::default()
            };
            self.take_part(Consumer::new(self.client.clone(), config)).await;
        }
    }

    /// From joining to leaving.
    async fn take_part(&self, mut consumer: Consumer) {
        let changed = Changed::default();
        consumer.on_rebalance(changed.clone());
        consumer.subscribe([TOPIC]);
        let began = Instant::now();
        // Of what it owns and has read.
        let mut own: BTreeMap<i32, i64> = BTreeMap::new();
        while began.elapsed() < self.stay && !self.is_over.load(Ordering::Relaxed) {
            let records = consumer.poll(POLL).await.unwrap();
            let changed = std::mem::take(&mut *changed.0.lock().unwrap());
            own.retain(|index, _| !changed.contains(index));
            self.check(&records, &mut own);
            // One that is not answered counts for nothing.
            if consumer.commit().await.is_ok() {
                let mut seen = self.seen.lock().unwrap();
                for (index, next) in &own {
                    let committed = &mut seen.committed[*index as usize];
                    *committed = (*committed).max(*next);
                }
            }
        }
        // Leaving may fail with the coordinator: then its session ends.
        let _ = consumer.close().await;
    }

    /// An owner goes on where it was; a new one begins where another has committed, or after that
    /// with what another has read.
    fn check(&self, records: &[ConsumerRecord], own: &mut BTreeMap<i32, i64>) {
        let mut seen = self.seen.lock().unwrap();
        for record in records {
            let (index, offset) = (record.partition.get(), record.offset.get());
            let (read, committed) = (seen.by_group[index as usize], seen.committed[index as usize]);
            match own.insert(index, offset + 1) {
                Some(next) => assert_eq!(offset, next, "partition {index}"),
                None => assert!(
                    (committed..=read).contains(&offset),
                    "partition {index}: {offset} after {committed} committed and {read} read"
                ),
            }
            seen.by_group[index as usize] = read.max(offset + 1);
        }
    }
}
