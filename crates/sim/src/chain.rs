//! Exactly once from topic to topic: members of a group read one topic, copy each record to another,
//! and commit what they have read in the same transaction, whatever becomes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use strandline_client::admin::{OffsetSpec, TransactionFilter};
use strandline_client::consumer::{
    Assignor, ConsumeError, Consumer, ConsumerConfig, ConsumerRecord, GroupConfig, Reset,
};
use strandline_client::producer::{
    AbortCause, ProduceError, ProducerConfig, ProducerRecord, TransactionError,
    TransactionalConfig, TransactionalProducer,
};
use strandline_client::{Admin, Client, ClientConfig, ClientError, ConnectionConfig};
use strandline_ports::World;
use strandline_types::{ErrorCode, PartitionId, TopicPartition};

use crate::crew::Crew;
use crate::members::refused;
use crate::node::{Node, NodeId};
use crate::oracle::{Copied, PartitionKey};
use crate::rng::Rng;
use crate::troupe::{Life, Process, Program, Regime, Troupe};
use crate::workload::{Field, topic_name};

/// What is copied.
pub(crate) const SOURCE: usize = 0;
/// Where it is copied to.
pub(crate) const COPIES: usize = 2;
const GROUP: &str = "chain";
/// States of a transactional id in which nothing is left to be done.
const ENDED: [&str; 3] = ["Empty", "CompleteCommit", "CompleteAbort"];
/// The machines of the members.
const FIRST_NODE: u32 = 100;

/// How the members work.
#[derive(Clone, Debug)]
struct Plan {
    assignor: Assignor,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    transaction_timeout: Duration,
    records_max: usize,
    aborts_one_in: u64,
    pause_max: Duration,
}

impl Plan {
    fn draw(rng: &mut Rng) -> Self {
        let choose = |rng: &mut Rng, millis: [u64; 3]| {
            Duration::from_millis(millis[rng.below(millis.len() as u64) as usize])
        };
        Self {
            assignor: Assignor::ALL[rng.below(Assignor::ALL.len() as u64) as usize],
            session_timeout: choose(rng, [1_500, 3_000, 6_000]),
            rebalance_timeout: choose(rng, [1_000, 3_000, 8_000]),
            transaction_timeout: choose(rng, [1_000, 3_000, 10_000]),
            records_max: [20, 100, 500][rng.below(3) as usize],
            aborts_one_in: [0, 3, 10][rng.below(3) as usize],
            pause_max: choose(rng, [1, 50, 300]),
        }
    }
}

fn client(world: &World, field: &Field) -> Client {
    let connection =
        ConnectionConfig { request_timeout: Duration::from_secs(5), ..Default::default() };
    let config = ClientConfig {
        connection,
        operation_timeout: Duration::from_secs(5),
        ..ClientConfig::new(&field.bootstrap())
    };
    Client::new(world.clone(), config)
}

/// A process of the chain.
struct Link {
    field: Arc<Field>,
    world: World,
    rng: Rng,
    plan: Plan,
    life: Arc<Life>,
    client: Client,
    consumer: Consumer,
    transactional_id: String,
}

/// What became of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Committed,
    Aborted,
    /// The producer can do no more.
    Over,
}

impl Link {
    fn program(plan: &Plan, field: &Arc<Field>) -> Program {
        let (plan, field) = (plan.clone(), Arc::clone(field));
        Box::new(move |process| {
            let Process { world, rng, place, life } = process;
            let client = client(&world, &field);
            let group = GroupConfig {
                session_timeout: plan.session_timeout,
                heartbeat_interval: Duration::from_millis(300),
                max_poll_interval: plan.rebalance_timeout,
                assignors: vec![plan.assignor],
                auto_commit: None,
                ..GroupConfig::new(GROUP)
            };
            let config = ConsumerConfig {
                group: Some(group),
                reset: Reset::Earliest,
                poll_records_max: plan.records_max,
                ..Default::default()
            };
            let link = Self {
                consumer: Consumer::new(client.clone(), config),
                field: Arc::clone(&field),
                plan: plan.clone(),
                transactional_id: format!("{GROUP}-{place}"),
                world,
                rng,
                life,
                client,
            };
            Box::pin(link.run())
        })
    }

    async fn run(mut self) {
        self.consumer.subscribe([topic_name(SOURCE)]);
        while !self.life.must_leave() {
            let producer = ProducerConfig {
                delivery_timeout: Duration::from_secs(8),
                block_max: Duration::from_secs(5),
                ..ProducerConfig::default()
            };
            let config = TransactionalConfig {
                timeout: self.plan.transaction_timeout,
                producer,
                ..TransactionalConfig::new(self.transactional_id.as_str())
            };
            match TransactionalProducer::open(self.client.clone(), config).await {
                Ok(producer) => self.work(producer).await,
                Err(error) => self.failed("open", &error),
            }
            self.pause().await;
        }
        if let Err(error) = self.consumer.close().await {
            refused(&self.field, GROUP, "close", &error);
        }
    }

    /// Whoever has fallen behind is to catch up in the end.
    async fn pause(&mut self) {
        if self.field.is_calm.load(Relaxed) {
            return;
        }
        let longest = self.plan.pause_max.as_micros() as u64;
        let micros = self.rng.between(1, longest);
        self.world.clock.sleep(Duration::from_micros(micros)).await;
    }

    async fn work(&mut self, mut producer: TransactionalProducer) {
        while !self.life.must_leave() {
            let wait = Duration::from_millis(self.rng.between(1, 300));
            let records = match self.consumer.poll(wait).await {
                Ok(records) => records,
                Err(error) => {
                    refused(&self.field, GROUP, "poll", &error);
                    Vec::new()
                }
            };
            if !records.is_empty() {
                let end = self.copy(&mut producer, &records).await;
                if end != End::Committed {
                    self.consumer.rewind();
                }
                if end == End::Over {
                    return;
                }
            }
            self.pause().await;
        }
    }

    async fn copy(
        &mut self,
        producer: &mut TransactionalProducer,
        records: &[ConsumerRecord],
    ) -> End {
        let Some(member) = self.consumer.group_member() else { return End::Aborted };
        let positions = self.consumer.positions();
        let transaction = match producer.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return self.over("begin", &error),
        };
        let number = self.field.oracle().transaction_begun();
        for record in records {
            let source = PartitionKey { topic: SOURCE, index: record.partition.get() };
            let offset = record.offset.get();
            self.field.oracle().group_read(GROUP, source, offset);
            let copy = Copied { transaction: number, source, offset };
            self.field.oracle().copied(copy);
            let record = ProducerRecord::new(topic_name(COPIES)).value(encode(copy));
            // What is wrong with it, the commit tells.
            let key = self.rng.next_u64().to_be_bytes().to_vec();
            if let Err(error) = transaction.send(record.key(key)).await {
                self.not_sent(&error);
                return self.aborted(number, transaction.abort().await);
            }
        }
        if let Err(error) = transaction.commit_offsets(&member, &positions).await {
            self.failed("commit offsets", &error);
            return self.aborted(number, transaction.abort().await);
        }
        if self.rng.one_in(self.plan.aborts_one_in) && !self.field.is_calm.load(Relaxed) {
            if self.rng.one_in(2) {
                return self.aborted(number, transaction.abort().await);
            }
            // It is aborted when the next one begins.
            drop(transaction);
            return self.aborted(number, Ok(()));
        }
        self.field.oracle().commit_asked(number);
        match transaction.commit().await {
            Ok(()) => {
                self.field.oracle().transaction_ended(number, true);
                End::Committed
            }
            Err(TransactionError::Aborted { cause }) => {
                if let AbortCause::Record(error) = &cause {
                    self.not_sent(error);
                }
                self.aborted(number, Ok(()))
            }
            Err(error) => self.over("commit", &error),
        }
    }

    fn aborted(&self, number: u32, told: Result<(), TransactionError>) -> End {
        self.field.oracle().transaction_ended(number, false);
        match told {
            Ok(()) => End::Aborted,
            Err(error) => self.over("abort", &error),
        }
    }

    fn over(&self, what: &str, error: &TransactionError) -> End {
        self.failed(what, error);
        End::Over
    }

    fn failed(&self, what: &str, error: &TransactionError) {
        let is_expected = match error {
            TransactionError::Fenced { .. } | TransactionError::InDoubt { .. } => true,
            TransactionError::Client(error) => is_expected(error),
            TransactionError::Aborted { .. } => false,
        };
        if !is_expected {
            self.wrong(&format!("{what}: {error}"));
        }
    }

    fn not_sent(&self, error: &ProduceError) {
        let is_expected = match error {
            ProduceError::TimedOut { .. } | ProduceError::GivenUp => true,
            ProduceError::Client(error) => is_expected(error),
            // Somebody else has the id by now, or the time was over.
            ProduceError::Refused { refusal, .. } => matches!(
                refusal.code,
                ErrorCode::INVALID_PRODUCER_EPOCH
                    | ErrorCode::PRODUCER_FENCED
                    | ErrorCode::INVALID_TXN_STATE
                    | ErrorCode::TRANSACTION_ABORTABLE
            ),
            _ => false,
        };
        if !is_expected {
            self.wrong(&format!("send: {error}"));
        }
    }

    fn wrong(&self, what: &str) {
        let detail = format!("{}: {what}", self.transactional_id);
        self.field.oracle().violate("WORLD-10", detail);
    }
}

/// What a member that was late, or a producer whose time was over, must expect.
fn is_expected(error: &ClientError) -> bool {
    let late = [
        ErrorCode::UNKNOWN_MEMBER_ID,
        ErrorCode::ILLEGAL_GENERATION,
        ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::PRODUCER_FENCED,
        ErrorCode::INVALID_TXN_STATE,
        ErrorCode::TRANSACTION_ABORTABLE,
    ];
    error.is_retriable() || error.code().is_some_and(|code| late.contains(&code))
}

fn encode(copy: Copied) -> Vec<u8> {
    let Copied { transaction, source, offset } = copy;
    let mut bytes = transaction.to_be_bytes().to_vec();
    bytes.extend(source.index.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Copied> {
    let (transaction, rest) = bytes.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let source = PartitionKey { topic: SOURCE, index: i32::from_be_bytes(*index) };
    rest.is_empty().then_some(Copied {
        transaction: u32::from_be_bytes(*transaction),
        source,
        offset: i64::from_be_bytes(*offset),
    })
}

/// A reader of committed records.
struct Witness {
    field: Arc<Field>,
    client: Client,
}

impl Witness {
    fn new(field: &Arc<Field>, world: &World) -> Self {
        Self { field: Arc::clone(field), client: client(world, field) }
    }

    /// Reads on and on, anew after each trouble.
    async fn run(self) {
        while !self.field.is_over() {
            let pause = Duration::from_millis(50);
            match self.consumer().await {
                Ok((mut consumer, _)) => {
                    while !self.field.is_over() {
                        match consumer.poll(Duration::from_millis(300)).await {
                            Ok(records) => self.take(&records).for_each(drop),
                            Err(error) => {
                                refused(&self.field, "witness", "poll", &error);
                                break;
                            }
                        }
                    }
                }
                Err(error) => refused(&self.field, "witness", "begin", &error),
            }
            self.client.clock().sleep(pause).await;
        }
    }

    /// Reads everything, up to where the partitions end for readers of all records: there must be no
    /// open transaction before that.
    async fn read_all(&self) -> Result<Vec<Copied>, ConsumeError> {
        let (mut consumer, partitions) = self.consumer().await?;
        let config = ConsumerConfig::default();
        let everybody = Consumer::new(self.client.clone(), config);
        let ends = everybody.offsets(&partitions, OffsetSpec::Latest).await?;
        let is_behind = |consumer: &Consumer| {
            ends.iter().any(|(partition, end)| {
                let position = consumer.position(partition).ok().flatten();
                end.is_some() && position < *end
            })
        };
        let mut copies = Vec::new();
        while is_behind(&consumer) {
            let records = consumer.poll(Duration::from_millis(100)).await?;
            copies.extend(self.take(&records));
        }
        Ok(copies)
    }

    async fn consumer(&self) -> Result<(Consumer, Vec<TopicPartition>), ConsumeError> {
        let topic = self.client.fresh_topic(&topic_name(COPIES), false).await?;
        let partitions: Vec<_> = (topic.partitions.iter())
            .map(|partition| TopicPartition {
                topic: topic.name.clone(),
                partition: PartitionId(partition.index.get()),
            })
            .collect();
        let config = ConsumerConfig {
            reset: Reset::Earliest,
            is_read_committed: true,
            ..ConsumerConfig::default()
        };
        let mut consumer = Consumer::new(self.client.clone(), config);
        consumer.assign(partitions.clone());
        Ok((consumer, partitions))
    }

    fn take(&self, records: &[ConsumerRecord]) -> impl Iterator<Item = Copied> {
        records.iter().filter_map(|record| {
            let copy = record.value.as_deref().and_then(decode);
            match copy {
                Some(copy) => self.field.oracle().copy_read(copy),
                None => {
                    let detail = format!("nobody wrote the copy at {}", record.offset);
                    self.field.oracle().violate("WORLD-6", detail);
                }
            }
            copy
        })
    }
}

impl Crew {
    /// Begins the chain on a handful of machines, and somebody who reads what it copies.
    pub(crate) fn chain(&mut self) {
        let plan = Plan::draw(&mut self.rng);
        self.has_chain = true;
        self.field.oracle().begin_group(GROUP, true);
        let last = FIRST_NODE + self.rng.between(1, 3) as u32;
        let nodes = (FIRST_NODE..=last).map(|id| Node::new(&self.sim, &self.network, NodeId(id)));
        let calm_max = Duration::from_millis([500, 2_000, 5_000][self.rng.below(3) as usize]);
        let regime = Regime { calm_max, may_pause: true };
        let players = (nodes.collect(), Link::program(&plan, &self.field));
        let rng = self.rng.split();
        let troupe = Troupe::new(&self.sim, &self.field, &self.world, rng, regime, players);
        self.members.push(troupe.living());
        self.sim.spawn(self.home, Box::pin(troupe.run()));
        let witness = Witness::new(&self.field, &self.world);
        self.sim.spawn(self.home, Box::pin(witness.run()));
    }

    /// The chain commits what was acked so far.
    pub(crate) async fn chain_moves_on(&self, keys: &[PartitionKey]) {
        let targets: BTreeMap<_, _> = self.field.oracle().acked_ends(keys);
        let targets = || targets.iter().filter(|(key, _)| key.topic == SOURCE);
        let reached = async {
            loop {
                let committed = self.auditor.committed(GROUP).await.unwrap_or_default();
                if targets().all(|(key, end)| committed.get(key).is_some_and(|it| it >= end)) {
                    return;
                }
                self.sleep(Duration::from_millis(200)).await;
            }
        };
        if self.within(reached).await.is_none() {
            let committed = self.auditor.committed(GROUP).await;
            let group = self.auditor.describe(GROUP).await;
            let open = Admin::new(client(&self.world, &self.field));
            let open = open.list_transactions(&TransactionFilter::default()).await;
            let targets: Vec<_> = targets().collect();
            let stays = format!("the chain stays at {committed:?}, not {targets:?}");
            let detail = format!("{stays}: {group}, transactions {open:?}");
            self.stuck(&detail);
        }
    }

    /// No transaction stays open, and what was read is what the oracle has heard of.
    pub(crate) async fn check_chain(&self) {
        let witness = Witness::new(&self.field, &self.world);
        let admin = Admin::new(witness.client.clone());
        let all_ended = async {
            loop {
                let listed = admin.list_transactions(&TransactionFilter::default()).await;
                let is_ended = |state: &String| ENDED.contains(&state.as_str());
                if listed.is_ok_and(|listed| listed.iter().all(|it| is_ended(&it.state))) {
                    return;
                }
                self.sleep(Duration::from_millis(200)).await;
            }
        };
        if self.within(all_ended).await.is_none() {
            let listed = admin.list_transactions(&TransactionFilter::default()).await;
            return self.stuck(&format!("a transaction does not end: {listed:?}"));
        }
        let reading = async {
            loop {
                let committed = self.auditor.committed(GROUP).await;
                if let (Ok(committed), Ok(copies)) = (committed, witness.read_all().await) {
                    return (committed, copies);
                }
                self.sleep(Duration::from_millis(50)).await;
            }
        };
        match self.within(reading).await {
            Some((committed, copies)) => self.field.oracle().check_copies(&copies, &committed),
            None => self.stuck("copies stay unread: the last stable offset stands still"),
        }
    }
}
