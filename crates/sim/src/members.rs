//! Members of a scenario's groups: the real consumer, each on a machine of its own that crashes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strandline_client::admin::CommittedOffset;
use strandline_client::consumer::{
    Assignor, ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig,
    RebalanceListener, Reset,
};
use strandline_client::{Client, ClientConfig, ConnectionConfig};
use strandline_ports::World;
use strandline_types::{ErrorCode, PartitionId, TopicPartition};

use crate::oracle::PartitionKey;
use crate::rng::Rng;
use crate::troupe::{Life, Process, Program, Regime};
use crate::workload::{Field, decode, topic_name, topic_of};

/// What a member may be subscribed to.
const TOPICS: [&[usize]; 3] = [&[0], &[1], &[0, 1]];
/// In so many polls a member subscribes to something else.
const RESUBSCRIBES_ONE_IN: u64 = 60;

/// How the members of a group work.
#[derive(Clone, Debug)]
pub(crate) struct GroupPlan {
    pub(crate) name: String,
    pub(crate) topics: Vec<usize>,
    assignor: Assignor,
    /// Members keep their places over a restart.
    is_static: bool,
    session_timeout: Duration,
    heartbeat_interval: Duration,
    rebalance_timeout: Duration,
    auto_commit: Option<Duration>,
    commit_one_in: u64,
    pause_max: Duration,
    calm_max: Duration,
}

impl GroupPlan {
    pub(crate) fn draw(rng: &mut Rng, index: usize) -> Self {
        let choose = |rng: &mut Rng, millis: [u64; 3]| {
            Duration::from_millis(millis[rng.below(millis.len() as u64) as usize])
        };
        let topics = if rng.one_in(2) { vec![0] } else { vec![0, 1] };
        let assignor = Assignor::ALL[rng.below(Assignor::ALL.len() as u64) as usize];
        Self {
            name: format!("group-{index}"),
            topics,
            assignor,
            // A static member that has given up a partition for another one and dies before it joins
            // again comes back without a rebalance, in Kafka too: nobody hands that partition out.
            is_static: rng.one_in(4) && assignor != Assignor::CooperativeSticky,
            session_timeout: choose(rng, [1_500, 3_000, 6_000]),
            heartbeat_interval: choose(rng, [100, 300, 500]),
            rebalance_timeout: choose(rng, [1_000, 3_000, 8_000]),
            auto_commit: rng.one_in(4).then_some(Duration::from_millis(300)),
            commit_one_in: rng.between(1, 4),
            pause_max: choose(rng, [1, 100, 400]),
            calm_max: choose(rng, [500, 2_000, 5_000]),
        }
    }

    /// What a member does on its machine.
    pub(crate) fn program(&self, field: &Arc<Field>) -> Program {
        let (plan, field) = (self.clone(), Arc::clone(field));
        Box::new(move |process| {
            let Process { world, rng, place, life } = process;
            let member = Member {
                consumer: plan.consumer(&world, &field.bootstrap(), place),
                reading: Reading::new(&field),
                instance_id: plan.instance_id(place),
                topics: plan.topics.clone(),
                field: Arc::clone(&field),
                plan: plan.clone(),
                world,
                rng,
                life,
            };
            Box::pin(member.run())
        })
    }

    /// How long its members are left alone.
    pub(crate) fn regime(&self) -> Regime {
        Regime { calm_max: self.calm_max, may_pause: false }
    }

    fn instance_id(&self, place: usize) -> Option<String> {
        self.is_static.then(|| format!("instance-{place}"))
    }

    fn consumer(&self, world: &World, bootstrap: &str, place: usize) -> Consumer {
        let connection =
            ConnectionConfig { request_timeout: Duration::from_secs(5), ..Default::default() };
        let config = ClientConfig {
            connection,
            operation_timeout: Duration::from_secs(5),
            ..ClientConfig::new(bootstrap)
        };
        let group = GroupConfig {
            instance_id: self.instance_id(place),
            session_timeout: self.session_timeout,
            heartbeat_interval: self.heartbeat_interval,
            max_poll_interval: self.rebalance_timeout,
            assignors: vec![self.assignor],
            auto_commit: self.auto_commit,
            ..GroupConfig::new(self.name.as_str())
        };
        let config_of_consumer =
            ConsumerConfig { group: Some(group), reset: Reset::Earliest, ..Default::default() };
        Consumer::new(Client::new(world.clone(), config), config_of_consumer)
    }
}

/// What a member and its listener both keep.
#[derive(Clone)]
struct Reading {
    field: Arc<Field>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// What each owned partition must bring next.
    next: BTreeMap<PartitionKey, i64>,
    /// The power losses there had been when the member last owned nothing.
    losses: u64,
}

impl Reading {
    fn new(field: &Arc<Field>) -> Self {
        let losses = field.oracle().power_losses;
        let state = State { next: BTreeMap::new(), losses };
        Self { field: Arc::clone(field), state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gave_up(&self, partitions: &[TopicPartition]) {
        let losses = self.field.oracle().power_losses;
        let mut state = self.lock();
        for key in partitions.iter().filter_map(key_of) {
            state.next.remove(&key);
        }
        state.losses = losses;
    }
}

impl RebalanceListener for Reading {
    fn revoked(
        &mut self,
        given_up: &[TopicPartition],
    ) -> BTreeMap<TopicPartition, CommittedOffset> {
        self.gave_up(given_up);
        BTreeMap::new()
    }

    fn lost(&mut self, lost: &[TopicPartition]) {
        self.gave_up(lost);
    }
}

struct Member {
    field: Arc<Field>,
    world: World,
    rng: Rng,
    plan: GroupPlan,
    life: Arc<Life>,
    /// What it is subscribed to.
    topics: Vec<usize>,
    consumer: Consumer,
    reading: Reading,
    /// Whoever runs under it owns what its last life did.
    instance_id: Option<String>,
}

impl Member {
    async fn run(mut self) {
        self.consumer.on_rebalance(self.reading.clone());
        self.subscribe();
        while !self.life.must_leave() {
            self.perhaps_change_mind();
            let wait = Duration::from_millis(self.rng.between(1, 300));
            match self.consumer.poll(wait).await {
                Ok(records) => {
                    records.iter().for_each(|record| self.take(record));
                    self.claim();
                    if self.rng.one_in(self.plan.commit_one_in) {
                        self.commit().await;
                    }
                }
                Err(error) if self.is_fenced(&error) => return,
                Err(error) => self.refused("poll", &error),
            }
            let longest = self.plan.pause_max.as_micros() as u64;
            let micros = self.rng.between(1, longest);
            self.world.clock.sleep(Duration::from_micros(micros)).await;
        }
        if let Err(error) = self.consumer.close().await {
            refused(&self.field, &self.plan.name, "close", &error);
        }
    }

    /// Gives up everything, of which the consumer tells nobody, and joins anew.
    fn subscribe(&mut self) {
        self.reading.gave_up(&self.consumer.assignment());
        self.consumer.subscribe(self.topics.iter().map(|topic| topic_name(*topic)));
    }

    /// Subscribes to other topics now and then, and in the end to those that the group is to read.
    /// Static members do not: the next life of one is given what the last one had, without a
    /// rebalance, whatever it subscribes to (KIP-345).
    fn perhaps_change_mind(&mut self) {
        if self.instance_id.is_some() {
            return;
        }
        let wanted = match self.field.is_calm.load(Relaxed) {
            true => self.plan.topics.clone(),
            false if self.rng.one_in(RESUBSCRIBES_ONE_IN) => {
                TOPICS[self.rng.below(TOPICS.len() as u64) as usize].to_vec()
            }
            false => return,
        };
        if wanted != self.topics {
            self.topics = wanted;
            self.subscribe();
        }
    }

    /// A coordinator that has just been loaded knows the member's last life, when that was all that
    /// was in its log: the member has to begin anew.
    fn is_fenced(&self, error: &ConsumeError) -> bool {
        let ConsumeError::Group { refusal, .. } = error else { return false };
        self.instance_id.is_some() && refusal.code == ErrorCode::FENCED_INSTANCE_ID
    }

    fn refused(&self, what: &str, error: &ConsumeError) {
        refused(&self.field, &self.plan.name, what, error);
    }

    fn take(&mut self, record: &ConsumerRecord) {
        let partition =
            TopicPartition { topic: record.topic.to_string(), partition: record.partition };
        let Some(key) = key_of(&partition) else { return };
        let (offset, group) = (record.offset.get(), &self.plan.name);
        let now = self.world.clock.now().instant;
        let mut oracle = self.field.oracle();
        oracle.group_read(group, key, offset);
        if !oracle.is_judged(key) {
            return;
        }
        let expected = self.reading.lock().next.insert(key, offset + 1);
        if let Some(expected) = expected.filter(|expected| *expected != offset) {
            let detail = format!("{group}: {key:?}: {offset} was handed out, not {expected}");
            oracle.violate("WORLD-13", detail);
        }
        match record.value.as_deref().and_then(decode) {
            Some(value) => oracle.read(key, (now, record.leader_epoch.get()), offset, value),
            None => oracle.violate("WORLD-6", format!("{key:?}: nobody wrote what {offset} is")),
        }
    }

    /// Tells the oracle what this member believes to own, of the generation that gave it that: one
    /// that was only joined is in no log yet, and comes again with other members when the coordinator
    /// fails over.
    fn claim(&self) {
        let Some((member, _)) = self.consumer.member() else { return };
        let Some(generation) = self.consumer.assigned_generation() else { return };
        let keys: Vec<_> = self.consumer.assignment().iter().filter_map(key_of).collect();
        let mut oracle = self.field.oracle();
        let group = &self.plan.name;
        // Generations that the power took with it come again, and this one may be such a one.
        if oracle.is_durable(group) || self.reading.lock().losses == oracle.power_losses {
            let owner = self.instance_id.as_ref().unwrap_or(&member);
            oracle.owns(group, generation, owner, &keys);
        }
    }

    async fn commit(&self) {
        let Some((_, joined)) = self.consumer.member() else { return };
        let is_assigned = self.consumer.assigned_generation() == Some(joined);
        let group = &self.plan.name;
        let mut offsets = BTreeMap::new();
        for partition in self.consumer.assignment() {
            if let (Some(key), Ok(Some(offset))) =
                (key_of(&partition), self.consumer.position(&partition))
            {
                offsets.insert(key, offset.get());
            }
        }
        if offsets.is_empty() {
            return;
        }
        let (newest, losses, is_durable) = {
            let oracle = self.field.oracle();
            (oracle.committer(group), oracle.power_losses, oracle.is_durable(group))
        };
        // As in `claim`: one that may come again is no reason to refuse those before it.
        let generation = if is_assigned { joined } else { newest };
        match self.consumer.commit().await {
            Ok(()) => {
                let mut oracle = self.field.oracle();
                if is_durable || losses == oracle.power_losses {
                    oracle.committed(group, generation, newest, &offsets);
                }
            }
            Err(error) => self.refused("commit", &error),
        }
    }
}

/// Only some refusals are what a member must expect.
pub(crate) fn refused(field: &Field, group: &str, what: &str, error: &ConsumeError) {
    let is_expected = match error {
        ConsumeError::Client(error) => error.is_retriable(),
        ConsumeError::Group { refusal, .. } | ConsumeError::Refused { refusal, .. } => {
            // The member was late, and the group has moved on without it.
            let late = [
                ErrorCode::UNKNOWN_MEMBER_ID,
                ErrorCode::ILLEGAL_GENERATION,
                ErrorCode::REBALANCE_IN_PROGRESS,
                ErrorCode::FENCED_INSTANCE_ID,
            ];
            let is_forgotten =
                refusal.code == ErrorCode::GROUP_ID_NOT_FOUND && !field.oracle().is_durable(group);
            refusal.code.is_retriable() || late.contains(&refusal.code) || is_forgotten
        }
        _ => false,
    };
    if !is_expected {
        field.oracle().violate("WORLD-10", format!("{group}: {what}: {error}"));
    }
}

pub(crate) fn key_of(partition: &TopicPartition) -> Option<PartitionKey> {
    let PartitionId(index) = partition.partition;
    Some(PartitionKey { topic: topic_of(&partition.topic)?, index })
}
