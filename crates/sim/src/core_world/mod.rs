//! The core world: one partition's log and its files on the simulated disk, without a broker, its
//! sockets and frames, so that a thousand short lives take seconds.
//!
//! A life opens the log, appends, syncs, truncates, deletes, and ends: cleanly, or with a crash at any
//! step of it. Every other world compacts its log, and in every other one some producers write
//! transactions. What the next life finds is compared with a list of batches: WORLD-26.

mod cleaning;
mod model;
mod transactions;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use strandline_log::{Admitted, Log, LogConfig, Origin};
use strandline_ports::World;
use strandline_store::{
    Append, Checkpoint, Io, LoadOptions, LogDir, LogDirOptions, OpenFiles, PartitionStore,
    ReadRequest, Records, StoreFault, TailCache,
};
use strandline_types::{
    BatchFacts, BrokerEpoch, ControlType, LeaderEpoch, Now, Offset, PartitionId, ProducerEpoch,
    TopicPartition, Uuid,
};
use strandline_wire::records::{
    BatchBuilder, BatchHeader, BatchOptions, InspectLimits, NewRecord, ProducerFields, batches,
    inspect,
};
use tokio::sync::oneshot;

use crate::disk::DiskFaults;
use crate::executor::Sim;
use crate::net::{NetFaults, Network};
use crate::node::{Crash, Node, NodeId};
use crate::oracle::Violation;
use crate::outcome::Outcome;
use crate::rng::Rng;
use crate::rounds::Rounds;
use model::{Batch, Model, PRODUCERS, Part};
use transactions::Transactions;

const DIR: &str = "core";
/// So many different keys there are.
const KEYS: u64 = 12;
const LIFE_MAX: Duration = Duration::from_secs(3600);

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Stop,
    ProcessCrash,
    PowerLoss,
}

impl Ending {
    fn draw(rng: &mut Rng) -> Self {
        match rng.below(5) {
            0 => Self::Stop,
            1 | 2 => Self::ProcessCrash,
            _ => Self::PowerLoss,
        }
    }

    fn crash(self) -> Option<Crash> {
        match self {
            Self::Stop => None,
            Self::ProcessCrash => Some(Crash::Process),
            Self::PowerLoss => Some(Crash::Power),
        }
    }
}

/// Lives some of one seed's lives, which are its rounds.
pub fn run(seed: u64, rounds: Rounds) -> Outcome<Ending> {
    let sim = Sim::new(seed);
    let mut draws = sim.draw(Rng::split);
    let network = Network::new(NetFaults::CALM);
    let node = Arc::new(Node::new(&sim, &network, NodeId(0)));
    let model = Arc::new(Mutex::new(Model::default()));
    let config = Arc::new(LogConfig {
        segment_bytes: draws.between(3_000, 8_000) as u32,
        index_interval_bytes: draws.between(0, 500) as u32,
        flush_messages: if draws.one_in(2) { 1 } else { i64::MAX },
        retention_ms: -1,
        compacts: draws.one_in(2),
        verifies_transactions: false,
        ..LogConfig::default()
    });
    let transactions = Transactions::draw(&mut draws);
    let mut endings = Vec::new();
    for number in 0..draws.between(2, 6) {
        let mut rng = draws.split();
        if !rounds.has(number) {
            continue;
        }
        node.disk.set_faults(DiskFaults {
            late_one_in: [0, 3][rng.below(2) as usize],
            sync_max: Duration::from_micros([1, 2_000][rng.below(2) as usize]),
            cold_one_in: [0, 5][rng.below(2) as usize],
            error_one_in: [0, 0, 0, 200][rng.below(4) as usize],
            ..DiskFaults::default()
        });
        let ending = Ending::draw(&mut rng);
        endings.push(ending);
        live(&sim, &node, &model, (&config, transactions), ending, &mut rng);
        // Whatever ended the process, the disk's lock is free again.
        node.crash(Crash::Process);
        if lock(&model).complaint.is_some() {
            break;
        }
    }
    let model = lock(&model);
    let violation = |detail: &String| Violation { invariant: "WORLD-26", detail: detail.clone() };
    Outcome {
        seed,
        violations: model.complaint.iter().map(violation).collect(),
        fingerprint: sim.fingerprint(),
        faults: endings,
        acked: model.appended(),
        refused: 0,
        read: model.read,
        lag_max: Duration::ZERO,
        committed_transactions: 0,
        unclean_elections: 0,
        losses: 0,
        steps: sim.steps(),
        virtual_time: Duration::from_nanos(sim.now().as_nanos()),
    }
}

/// One process, until it stops, fails or is taken down.
fn live(
    sim: &Sim,
    node: &Arc<Node>,
    model: &Arc<Mutex<Model>>,
    (config, transactions): (&Arc<LogConfig>, Transactions),
    ending: Ending,
    rng: &mut Rng,
) {
    let (ended_in, ended) = oneshot::channel();
    let (world, config, split) = (node.world(), Arc::clone(config), rng.split());
    let shared = Arc::clone(model);
    let life = async move {
        let lived = async {
            let mut life = Life::open(world, config, transactions, shared, split).await?;
            life.work().await?;
            life.close().await
        };
        let ended: Result<(), StoreFault> = lived.await;
        // Nobody waits after the crash.
        let _ = ended_in.send(ended);
    };
    sim.spawn(node.id, Box::pin(life));
    let Some(crash) = ending.crash() else {
        let _: Result<_, _> = sim.run(LIFE_MAX, ended);
        return;
    };
    let (victim, shared) = (Arc::clone(node), Arc::clone(model));
    let (crashed_in, crashed) = oneshot::channel();
    sim.after_steps(rng.between(1, 400), move || {
        lock(&shared).has_lost_power |= crash == Crash::Power;
        victim.crash(crash);
        let _ = crashed_in.send(());
    });
    let clock = node.world().clock;
    // A process that is through before it is taken down waits for it.
    let _: Result<(), _> = sim.run(LIFE_MAX, async move {
        let idle = async {
            loop {
                clock.sleep(Duration::from_millis(1)).await
            }
        };
        let mut idle = std::pin::pin!(idle);
        let mut crashed = std::pin::pin!(crashed);
        std::future::poll_fn(|cx| {
            let _: std::task::Poll<()> = idle.as_mut().poll(cx);
            crashed.as_mut().poll(cx)
        })
        .await
    });
}

struct Life {
    world: World,
    model: Arc<Mutex<Model>>,
    rng: Rng,
    dir: LogDir,
    store: Arc<PartitionStore>,
    log: Log,
    epoch: LeaderEpoch,
    transactions: Transactions,
    /// Where the last pass of this life ended.
    cleaned_upto: Option<Offset>,
}

fn partition() -> TopicPartition {
    TopicPartition { topic: "log".into(), partition: PartitionId(0) }
}

impl Life {
    async fn open(
        world: World,
        config: Arc<LogConfig>,
        transactions: Transactions,
        model: Arc<Mutex<Model>>,
        mut rng: Rng,
    ) -> Result<Self, StoreFault> {
        let options = LogDirOptions {
            open_files: Arc::new(OpenFiles::new(8)),
            tail_cache: Arc::new(TailCache::new([0, 1_000, 1 << 20][rng.below(3) as usize])),
        };
        let io = Io { disk: Arc::clone(&world.disk), spawn: Arc::clone(&world.spawn) };
        let mut dir = LogDir::open(io, Path::new(DIR), options).await?;
        let now = world.clock.now().timestamp;
        let name = partition().to_string();
        let found = dir.partitions().await?.into_iter().find(|found| found.name == name);
        let (store, log) = match found {
            None => {
                let store = dir.create_partition(&partition(), Uuid::ONE, Offset::ZERO).await?;
                (store, Log::create(Arc::clone(&config), 0, Offset::ZERO, now))
            }
            Some(found) => match found.remembered {
                Some(image) => {
                    let log = Log::restore(Arc::clone(&config), 0, image.clone(), now);
                    (dir.resume_partition(&name, &image), log)
                }
                None => {
                    let options = load_options(&dir, &config, now).await?;
                    let (store, recovered) = dir.load_partition(&name, options).await?;
                    (store, recovered.log)
                }
            },
        };
        dir.begin().await?;
        let epoch = lock(&model).next_epoch();
        let cleaned_upto = None;
        let mut life =
            Self { world, model, rng, dir, store, log, epoch, transactions, cleaned_upto };
        let found = life.read_all().await?;
        let (start, end) = (life.log.log_start().get(), life.log.log_end().get());
        match config.compacts {
            true => lock(&life.model).reopened_compacted(start, end, found),
            false => {
                let found = found.into_iter().map(|(batch, _)| batch).collect();
                lock(&life.model).reopened(start, end, found);
            }
        }
        life.log.begin_epoch(epoch);
        life.log.committed(life.log.written_end());
        life.end_lost_transactions().await?;
        life.check().await?;
        Ok(life)
    }

    fn now(&self) -> Now {
        self.world.clock.now()
    }

    async fn work(&mut self) -> Result<(), StoreFault> {
        for _ in 0..self.rng.between(1, 40) {
            if lock(&self.model).complaint.is_some() {
                break;
            }
            match self.rng.below(if self.log.config().compacts { 18 } else { 16 }) {
                0..=6 => self.append().await?,
                7 | 8 => self.sync().await?,
                9 => self.checkpoint(Checkpoint::RecoveryPoint, self.log.recovery_point()).await?,
                10 => self.store.rest().await?,
                11 => self.truncate().await?,
                12 => self.delete().await?,
                13 | 14 => self.end_transaction().await?,
                15 => self.wait().await,
                16 | 17 => self.clean().await?,
                _ => self.repeat(),
            }
        }
        Ok(())
    }

    async fn wait(&mut self) {
        let ms = self.rng.between(1, 1_500);
        self.world.clock.sleep(Duration::from_millis(ms)).await;
    }

    /// Admits some batches and writes them at once.
    async fn append(&mut self) -> Result<(), StoreFault> {
        let mut appends = Vec::new();
        for _ in 0..self.rng.between(1, 3) {
            let slot = self.rng.below(PRODUCERS as u64) as usize;
            let id = lock(&self.model).producer_of(slot);
            let standing = lock(&self.model).standing(id);
            let producer = ProducerFields {
                id,
                epoch: standing.map_or(ProducerEpoch(0), |it| it.epoch),
                base_sequence: standing.map_or(0, |it| it.last_sequence + 1),
            };
            let bytes = self.batch(producer, self.transactions.has(slot));
            appends.extend(self.admit(bytes, Origin::Leader));
        }
        self.write(appends).await
    }

    fn admit(&mut self, bytes: Bytes, origin: Origin) -> Option<Append> {
        let batch = inspect(bytes.clone(), &InspectLimits::default()).expect("well made");
        let facts = [batch.facts.clone()];
        match self.log.admit(self.now(), &facts, origin, self.epoch) {
            Ok(Admitted::Append(plan)) => {
                let stamp = plan.stamps[0];
                let stamped =
                    batch.stamp(stamp.base_offset, stamp.leader_epoch, stamp.log_append_time);
                let [mut facts] = facts;
                facts.base_offset = stamp.base_offset;
                lock(&self.model).admit(known(&facts, &bytes), bytes);
                Some(Append { plan, batches: vec![stamped] })
            }
            other => {
                let id = facts[0].producer_id;
                lock(&self.model).complain(format!("{id} next: {other:?}"));
                None
            }
        }
    }

    /// What is written is committed: nobody else has a copy.
    async fn write(&mut self, appends: Vec<Append>) -> Result<(), StoreFault> {
        self.store.append(appends).await?;
        self.log.written(self.log.log_end());
        self.log.committed(self.log.log_end());
        lock(&self.model).written = self.log.log_end().get();
        Ok(())
    }

    fn batch(&mut self, producer: ProducerFields, is_transactional: bool) -> Bytes {
        let options = BatchOptions { producer, is_transactional, ..BatchOptions::default() };
        let mut batch = BatchBuilder::new(options);
        let timestamp = self.now().timestamp;
        for _ in 0..self.rng.between(1, 5) {
            let mut value = self.rng.next_u64().to_be_bytes().to_vec();
            value.resize(8 + self.rng.below(400) as usize, 7);
            let key = [self.rng.below(KEYS) as u8];
            let (key, value) = match self.log.config().compacts {
                true => (Some(&key[..]), Some(&value[..]).filter(|_| !self.rng.one_in(5))),
                false => (None, Some(&value[..])),
            };
            let record = NewRecord { timestamp, key, value, ..NewRecord::default() };
            batch.append(&record).expect("it is small");
        }
        batch.build()
    }

    /// A producer that sends its last batch again hears where it stands.
    fn repeat(&mut self) {
        let slot = self.rng.below(PRODUCERS as u64) as usize;
        let producer = lock(&self.model).producer_of(slot);
        let Some((last, bytes)) = lock(&self.model).last_of(producer) else { return };
        let batch = inspect(bytes, &InspectLimits::default()).expect("well made");
        let mut log = self.log.clone();
        let admitted = log.admit(self.now(), &[batch.facts], Origin::Leader, LeaderEpoch(0));
        let is_known = matches!(
            &admitted,
            Ok(Admitted::Duplicate(appended)) if appended.base_offset.get() == last.base
        );
        if !is_known {
            lock(&self.model).complain(format!("{last:?} again: {admitted:?}"));
        }
    }

    async fn sync(&mut self) -> Result<(), StoreFault> {
        let Some(plan) = self.log.plan_sync(self.log.written_end()) else { return Ok(()) };
        self.store.sync(&plan).await?;
        self.log.synced(self.now().timestamp, plan.upto);
        lock(&self.model).synced = plan.upto.get();
        Ok(())
    }

    /// As after a full disk: never into what is durable.
    async fn truncate(&mut self) -> Result<(), StoreFault> {
        let (mut least, end) = (self.log.recovery_point(), self.log.written_end());
        if self.transactions != Transactions::None {
            least = least.max(Offset(lock(&self.model).end_at_deletion));
        }
        let target = self.rng.between(least.get() as u64, end.get() as u64) as i64;
        let allowed = lock(&self.model).cut(target.max(self.log.log_start().get()));
        let snapshots = self.store.snapshots().await?;
        let recovery = self.log.truncate_to(Offset(target), snapshots, self.now().timestamp);
        self.log = self.store.truncate(recovery).await?.log;
        self.cleaned_upto = self.cleaned_upto.map(|upto| upto.min(self.log.log_end()));
        lock(&self.model).is_cut(&allowed, self.log.log_end().get());
        self.log.committed(self.log.log_end());
        self.end_lost_transactions().await
    }

    /// Raises the log start, then removes what lies below it: nothing of a transaction that is open, or
    /// whose marker could get lost.
    async fn delete(&mut self) -> Result<(), StoreFault> {
        if self.transactions != Transactions::None {
            self.sync().await?;
            lock(&self.model).end_at_deletion = self.log.written_end().get();
        }
        let start = self.log.log_start();
        let end = self.log.first_unstable().unwrap_or(self.log.written_end());
        let target = Offset(self.rng.between(start.get() as u64, end.get() as u64) as i64);
        let Ok(raised) = self.log.delete_records(target, end) else { return Ok(()) };
        lock(&self.model).start = target.get();
        if let Some(epochs) = &raised.epochs {
            self.store.write_epochs(epochs).await?;
        }
        self.checkpoint(Checkpoint::LogStart, target).await?;
        lock(&self.model).durable_start = target.get();
        if let Some(plan) = self.log.retain(self.now().timestamp, end) {
            self.store.delete(plan).await?.unlink(self.dir.io()).await?;
        }
        Ok(())
    }

    async fn checkpoint(&self, checkpoint: Checkpoint, at: Offset) -> Result<(), StoreFault> {
        self.dir.write_checkpoint(checkpoint, &BTreeMap::from([(partition(), at)])).await
    }

    async fn close(mut self) -> Result<(), StoreFault> {
        let plan = self.log.plan_close();
        let sync = plan.sync.clone();
        self.store.close(plan).await?;
        if let Some(sync) = sync {
            self.log.synced(self.now().timestamp, sync.upto);
        }
        self.checkpoint(Checkpoint::RecoveryPoint, self.log.recovery_point()).await?;
        self.checkpoint(Checkpoint::LogStart, self.log.log_start()).await?;
        let images = BTreeMap::from([(partition().to_string(), self.log.image())]);
        self.dir.finish(BrokerEpoch(0), &images).await?;
        lock(&self.model).closed();
        Ok(())
    }

    async fn read_all(&self) -> Result<Vec<(Batch, Bytes)>, StoreFault> {
        let (mut from, upto) = (self.log.log_start(), self.log.written_end());
        let mut found = Vec::new();
        while from < upto {
            let request = ReadRequest { from, upto, max_bytes: 3_000, at_least_one_batch: true };
            let answer = self.store.read(request).await?;
            let bytes = match answer.as_ref().map(|answer| &answer.records) {
                Some(Records::Memory(pieces)) => Ok(Bytes::from(pieces.concat())),
                Some(Records::File(range)) => range.read(self.dir.io()).await,
                // A loss of power took what nobody was promised, and holes are normal here.
                Some(Records::Empty) if self.log.config().compacts => break,
                Some(Records::Empty) | None => Err(std::io::ErrorKind::NotFound.into()),
            };
            let (Some(answer), Ok(bytes)) = (answer, bytes) else {
                lock(&self.model).complain(format!("{from} to {upto} cannot be read"));
                break;
            };
            for batch in batches(&bytes).map_while(Result::ok) {
                match inspect(batch.clone(), &InspectLimits::default()) {
                    Ok(it) => found.push((known(&it.facts, &it.bytes), it.bytes)),
                    Err(refusal) => {
                        lock(&self.model).complain(format!("served at {from}: {refusal}"));
                    }
                }
            }
            from = answer.next_offset;
        }
        Ok(found)
    }
}

fn known(facts: &BatchFacts, bytes: &Bytes) -> Batch {
    Batch {
        base: facts.base_offset.get(),
        count: facts.next_offset().since(facts.base_offset),
        checksum: BatchHeader::parse(bytes).map_or(0, |header| header.checksum()),
        producer: facts.producer_id,
        epoch: facts.producer_epoch,
        base_sequence: facts.base_sequence,
        part: match facts.control {
            None if facts.is_transactional => Part::Data,
            None => Part::None,
            Some(ControlType::Commit { .. }) => Part::Commit,
            Some(ControlType::Abort { .. }) => Part::Abort,
            Some(_) => Part::Emptied,
        },
    }
}

async fn load_options(
    dir: &LogDir,
    config: &Arc<LogConfig>,
    now: strandline_types::Timestamp,
) -> Result<LoadOptions, StoreFault> {
    let recovery_points = dir.read_checkpoint(Checkpoint::RecoveryPoint).await?;
    let log_starts = dir.read_checkpoint(Checkpoint::LogStart).await?;
    let at = |offsets: &BTreeMap<_, _>| offsets.get(&partition()).copied().unwrap_or(Offset::ZERO);
    Ok(LoadOptions {
        config: Arc::clone(config),
        jitter_seed: 0,
        now,
        recovery_point: at(&recovery_points),
        log_start: at(&log_starts),
        is_clean: dir.condition().is_clean(),
        preallocate_bytes: 0,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
