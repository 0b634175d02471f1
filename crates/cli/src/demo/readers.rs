//! A consumer group that computes its answers from the topic, with any number of members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_client::consumer::{
    ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, Reset,
};
use strandline_client::{Client, ClientConfig};
use strandline_ports::World;
use strandline_ports::watch;
use strandline_types::{Instant, Offset};

use super::PARTITIONS;
use super::answers::{Answers, Subject};
use super::flights::Flight;
use crate::failure::Failure;
use crate::tasks::task;

/// The end of each partition, once nothing more will come.
pub(super) type Ends = watch::Receiver<Option<[Offset; PARTITIONS]>>;

/// How soon a member notices that all is done.
const POLL_WAIT: Duration = Duration::from_millis(50);
const POLL_RECORDS_MAX: usize = 2_000;

/// What the members of one group have in common.
pub(super) struct Readers {
    pub(super) group: String,
    pub(super) members: usize,
    pub(super) subject: Subject,
    topic: String,
    pub(super) records: AtomicU64,
    partitions: [Mutex<Reading>; PARTITIONS],
    /// What each member owns now.
    owned: watch::Sender<Vec<BTreeSet<usize>>>,
    /// Members that have nothing more to read or commit.
    finished: watch::Sender<usize>,
    failed: watch::Sender<Option<ConsumeError>>,
}

/// One partition as the group has read it.
struct Reading {
    next: Offset,
    answers: Answers,
    /// By the members that read them.
    flights: BTreeMap<usize, u64>,
    redelivered: u64,
    problems: Vec<String>,
}

/// A group's work when it is done.
pub(super) struct Read {
    pub(super) group: String,
    pub(super) answers: Answers,
    pub(super) members: Vec<Member>,
    /// Records that came a second time, after a rebalance, and were left out.
    pub(super) redelivered: u64,
    pub(super) problems: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// From which it has read.
    pub(super) partitions: Vec<usize>,
    pub(super) flights: u64,
}

impl Readers {
    pub(super) fn new(topic: &str, group: &str, members: usize, subject: Subject) -> Arc<Self> {
        let reading = || {
            Mutex::new(Reading {
                next: Offset::ZERO,
                answers: Answers::new(subject),
                flights: BTreeMap::new(),
                redelivered: 0,
                problems: Vec::new(),
            })
        };
        Arc::new(Self {
            group: group.to_owned(),
            members,
            subject,
            topic: topic.to_owned(),
            records: AtomicU64::new(0),
            partitions: std::array::from_fn(|_| reading()),
            owned: watch::Sender::new(vec![BTreeSet::new(); members]),
            finished: watch::Sender::new(0),
            failed: watch::Sender::new(None),
        })
    }

    /// Starts the members; the future ends with the last of them, and gives the time of that.
    pub(super) fn start(
        self: &Arc<Self>,
        world: &World,
        bootstrap: &str,
        ends: &Ends,
    ) -> impl Future<Output = Instant> + Send + 'static {
        let members: Vec<_> = (0..self.members)
            .map(|member| {
                let client = Client::new(world.clone(), ClientConfig::new(bootstrap));
                task(world, Arc::clone(self).take_part(member, client, ends.clone()))
            })
            .collect();
        let clock = Arc::clone(&world.clock);
        async move {
            for member in members {
                member.await;
            }
            clock.now().instant
        }
    }

    /// Resolves when a member could not go on, and never else.
    pub(super) async fn failed(&self) -> Failure {
        let mut failed = self.failed.subscribe();
        match failed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(error)) => {
                Failure::new(format!("group {} could not read", self.group)).because(error)
            }
            _ => std::future::pending().await,
        }
    }

    /// Waits until every partition has one owner and every member a share.
    pub(super) async fn shared_out(&self) {
        let mut owned = self.owned.subscribe();
        let is_shared_out = |owned: &Vec<BTreeSet<usize>>| {
            let all: BTreeSet<_> = owned.iter().flatten().collect();
            let count: usize = owned.iter().map(BTreeSet::len).sum();
            all.len() == PARTITIONS && count == PARTITIONS && !owned.iter().any(BTreeSet::is_empty)
        };
        // The sender is in `self`.
        let _ = owned.wait_for(is_shared_out).await;
    }

    /// Who owns what now, for people.
    pub(super) fn ownership(&self) -> String {
        let owned = self.owned.borrow();
        let shares = owned.iter().enumerate().map(|(member, partitions)| {
            format!("{} owns {}", self.name(member), numbers(partitions))
        });
        shares.collect::<Vec<_>>().join(", ")
    }

    fn name(&self, member: usize) -> String {
        format!("{}-{}", self.group, member + 1)
    }

    async fn take_part(self: Arc<Self>, member: usize, client: Client, ends: Ends) {
        let group = GroupConfig { auto_commit: None, ..GroupConfig::new(&self.group) };
        let config = ConsumerConfig {
            group: Some(group),
            reset: Reset::Earliest,
            poll_records_max: POLL_RECORDS_MAX,
            ..ConsumerConfig::default()
        };
        let mut consumer = Consumer::new(client, config);
        let read = self.read(member, &mut consumer, ends).await;
        if let Err(error) = read {
            self.failed.send_replace(Some(error));
        }
        // Whoever leaves makes the others rebalance, which no commit should have to meet: so all
        // wait for the last.
        self.finished.send_modify(|finished| *finished += 1);
        let _ = self.finished.subscribe().wait_for(|finished| *finished == self.members).await;
        if let Err(error) = consumer.close().await {
            self.failed.send_replace(Some(error));
        }
    }

    async fn read(
        &self,
        member: usize,
        consumer: &mut Consumer,
        ends: Ends,
    ) -> Result<(), ConsumeError> {
        consumer.subscribe([self.topic.as_str()]);
        loop {
            let records = consumer.poll(POLL_WAIT).await?;
            let owned = consumer.assignment().into_iter();
            let owned = owned.map(|partition| partition.partition.get() as usize).collect();
            self.owned
                .send_if_modified(|all| std::mem::replace(&mut all[member], owned) != all[member]);
            for record in &records {
                self.take(member, record);
            }
            let ends = *ends.borrow();
            if ends.is_some_and(|ends| self.has_reached(&ends)) {
                return consumer.commit().await;
            }
        }
    }

    fn take(&self, member: usize, record: &ConsumerRecord) {
        let Some(partition) = self.partitions.get(record.partition.get() as usize) else { return };
        if lock(partition).take(member, record) {
            self.records.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn has_reached(&self, ends: &[Offset; PARTITIONS]) -> bool {
        self.partitions.iter().zip(ends).all(|(partition, end)| lock(partition).next >= *end)
    }

    /// The answers of the whole group.
    pub(super) fn result(&self) -> Read {
        let mut answers = Answers::new(self.subject);
        let mut problems = Vec::new();
        let mut redelivered = 0;
        let mut members: Vec<_> = (0..self.members)
            .map(|member| Member { name: self.name(member), partitions: Vec::new(), flights: 0 })
            .collect();
        for (index, partition) in self.partitions.iter().enumerate() {
            let reading = lock(partition);
            problems.extend(
                reading.problems.iter().map(|problem| format!("partition {index}: {problem}")),
            );
            problems.extend(answers.merge(reading.answers.clone()));
            redelivered += reading.redelivered;
            for (member, flights) in &reading.flights {
                members[*member].partitions.push(index);
                members[*member].flights += flights;
            }
        }
        Read { group: self.group.clone(), answers, members, redelivered, problems }
    }
}

impl Reading {
    /// Whether the record was the next one.
    fn take(&mut self, member: usize, record: &ConsumerRecord) -> bool {
        if record.offset < self.next {
            self.redelivered += 1;
            return false;
        }
        if record.offset > self.next {
            self.problems.push(format!("offset {} follows {}", record.offset, self.next));
        }
        self.next = record.offset + 1;
        *self.flights.entry(member).or_default() += 1;
        let value = record.value.as_deref().unwrap_or_default();
        match serde_json::from_slice::<Flight<'_>>(value) {
            Ok(flight) if record.key.as_deref() == Some(flight.route().as_bytes()) => {
                self.answers.add(&flight);
            }
            Ok(flight) => {
                let (offset, route) = (record.offset, flight.route());
                self.problems.push(format!("offset {offset}: another key than {route}"));
            }
            Err(error) => {
                self.problems.push(format!("offset {}: no flight: {error}", record.offset));
            }
        }
        true
    }
}

/// What one panicked over stays readable: the panic itself is told elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `0 2 5`
pub(super) fn numbers<'a>(numbers: impl IntoIterator<Item = &'a usize>) -> String {
    numbers.into_iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}
