//! Producers that come, crash, linger and retry at random, coordinators that die at any point, and
//! markers that are written late. Whatever happens: no transaction is committed in one partition
//! and aborted in another, what a producer was told is what its partitions say, whoever was
//! replaced gets nowhere, and in the end nothing is open.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use strandline_coordinator::transactions::{
    Action, Event, Input, Issued, Markers, Record, Request, Response, Settings, Shard,
};
use strandline_coordinator::{Entry, Ticket};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};

type World = world::World<Shard>;
type Outcome = world::Outcome<Shard>;
type Producer = (ProducerId, ProducerEpoch);

/// xorshift: the seed is the whole history.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

const ID: &str = "tx";
const PARTITIONS: i32 = 4;

/// The number of one transaction of one producer.
type Serial = usize;

/// An instance of the application. They all want the same transactional id.
#[derive(Clone, Default)]
struct Instance {
    producer: Option<Producer>,
    /// Open, as it believes: with the partitions that it was let into.
    open: Option<(Serial, BTreeSet<i32>)>,
    asked: Option<(Ticket, Asked)>,
    /// What it has asked for once it asks for until it is told, or asks to be initialized.
    must: Option<Must>,
    /// Another has been told that it has the transactional id.
    is_replaced: bool,
    /// Of all instances that there ever were.
    number: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Must {
    Init,
    End(bool),
}

#[derive(Clone, Copy)]
enum Asked {
    Init,
    Add(i32),
    End(bool),
}

/// One partition: who has written what since the last marker, and which epochs it lets in.
#[derive(Default)]
struct Partition {
    epochs: BTreeMap<ProducerId, ProducerEpoch>,
    open: BTreeMap<ProducerId, BTreeSet<Serial>>,
}

struct Model {
    world: World,
    random: Random,
    version: i16,
    next_id: i64,
    instances: Vec<Instance>,
    /// How many instances there have been.
    started: usize,
    /// The number of the instance that was given an id and epoch.
    owners: BTreeMap<Producer, usize>,
    partitions: Vec<Partition>,
    /// How each transaction ended, in each partition that was written to.
    ends: BTreeMap<Serial, BTreeMap<i32, bool>>,
    /// What producers were told of their transactions, and where those had written.
    told: BTreeMap<Serial, (bool, BTreeSet<i32>)>,
    serials: Serial,
    /// Decided but not committed: how far the log goes with it, and what it brings.
    pending: Vec<(usize, Outcome)>,
    sending: Vec<Markers>,
    /// Written markers that the coordinator has not heard of.
    unheard: Vec<Event>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut world = World::new(Settings::default());
        let version = if seed.is_multiple_of(3) { 1 } else { 2 };
        world.transaction_version = version;
        Self {
            world,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            version,
            next_id: 0,
            instances: (0..3).map(|number| Instance { number, ..Instance::default() }).collect(),
            started: 3,
            owners: BTreeMap::new(),
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            ends: BTreeMap::new(),
            told: BTreeMap::new(),
            serials: 0,
            pending: Vec::new(),
            sending: Vec::new(),
            unheard: Vec::new(),
        }
    }

    fn client_version(&self) -> i16 {
        if self.version >= 2 { 2 } else { 0 }
    }

    fn fresh(&mut self) -> ProducerId {
        self.next_id += 1;
        ProducerId(self.next_id)
    }

    fn step(&mut self) {
        let index = self.random.below(self.instances.len() as u64) as usize;
        match self.random.below(100) {
            0..10 => self.init(index),
            10..40 => self.add(index),
            40..60 => self.end(index),
            60..75 => self.commit_some(),
            75..88 => self.write_markers(),
            88..92 => {
                if let Some(event) = self.unheard.pop() {
                    self.decide(Input::Event(event));
                }
            }
            92..94 => self.fail_over(),
            94..95 => {
                self.restart(index);
            }
            95..96 if self.random.one_in(4) => self.exhaust(),
            _ => {
                let ms = self.random.below(15_000);
                self.pass(ms);
            }
        }
        if self.random.one_in(20) {
            assert_eq!(self.world.shard.durable(), self.world.replayed().durable());
        }
    }

    fn decide(&mut self, input: Input) {
        let outcome = self.world.decide(input);
        self.pending.push((self.world.log.len(), outcome));
    }

    fn pass(&mut self, ms: u64) {
        let mut outcomes = Vec::new();
        self.world.pass(ms, |world, outcome| outcomes.push((world.log.len(), outcome)));
        self.pending.extend(outcomes);
    }

    fn ask(&mut self, index: usize, asked: Asked, request: Request) {
        let (ticket, outcome) = self.world.ask(5, "", request);
        self.instances[index].asked = Some((ticket, asked));
        self.pending.push((self.world.log.len(), outcome));
    }

    /// It crashes. Its successor knows nothing.
    fn restart(&mut self, index: usize) {
        self.started += 1;
        self.instances[index] = Instance { number: self.started, ..Instance::default() };
    }

    /// A producer gives up on an answer now and then, and asks anew.
    fn is_busy(&mut self, index: usize) -> bool {
        self.instances[index].asked.is_some() && !self.random.one_in(4)
    }

    fn init(&mut self, index: usize) {
        let has_producer = self.instances[index].producer.is_some();
        let is_patient = has_producer && self.instances[index].must != Some(Must::Init);
        if self.is_busy(index) || (is_patient && !self.random.one_in(20)) {
            return;
        }
        // Instances that come and go at the same time only fence each other.
        if !has_producer && !self.random.one_in(3) {
            return;
        }
        let goes_on = self.random.one_in(2);
        let expected = self.instances[index].producer.filter(|_| goes_on);
        if expected.is_none() {
            self.restart(index);
        }
        self.instances[index].must = Some(Must::Init);
        let fresh = Some(self.fresh());
        let (transactional_id, timeout_ms) = (ID.into(), 30_000);
        let request = Request::InitProducerId { transactional_id, timeout_ms, expected, fresh };
        self.ask(index, Asked::Init, request);
    }

    fn add(&mut self, index: usize) {
        let Some(producer) = self.instances[index].producer else { return };
        if self.instances[index].must.is_some() || self.is_busy(index) {
            return;
        }
        let partition = self.random.below(PARTITIONS as u64) as i32;
        let topics = vec![("t".into(), vec![partition])];
        let (transactional_id, client_version) = (ID.into(), self.client_version());
        let request = Request::AddPartitions { transactional_id, producer, topics, client_version };
        self.ask(index, Asked::Add(partition), request);
    }

    fn end(&mut self, index: usize) {
        let Some(producer) = self.instances[index].producer else { return };
        if self.is_busy(index) || self.instances[index].open.is_none() {
            return;
        }
        let is_commit = match self.instances[index].must {
            Some(Must::Init) => return,
            Some(Must::End(is_commit)) => is_commit,
            None => self.random.one_in(2),
        };
        self.instances[index].must = Some(Must::End(is_commit));
        let fresh = Some(self.fresh());
        let (transactional_id, client_version) = (ID.into(), self.client_version());
        let request =
            Request::EndTxn { transactional_id, producer, is_commit, client_version, fresh };
        self.ask(index, Asked::End(is_commit), request);
    }

    /// Followers have caught up with some of the log.
    fn commit_some(&mut self) {
        let count = match self.random.one_in(3) {
            true => self.random.below(self.pending.len() as u64 + 1) as usize,
            false => self.pending.len(),
        };
        let committed: Vec<_> = self.pending.drain(..count).collect();
        committed.into_iter().for_each(|(_, outcome)| self.see(outcome));
    }

    fn see(&mut self, outcome: Outcome) {
        for action in outcome.actions {
            match action {
                Action::SendMarkers(markers) => self.sending.push(markers),
                Action::FetchProducerId { transactional_id, started_at } => {
                    let fresh = self.fresh();
                    let event = Event::ProducerId { transactional_id, started_at, fresh };
                    self.unheard.push(event);
                }
            }
        }
        for (ticket, response) in outcome.replies {
            let asks = |it: &Instance| it.asked.as_ref().is_some_and(|(asked, _)| *asked == ticket);
            if let Some(index) = self.instances.iter().position(asks) {
                self.hear(index, response);
            }
        }
    }

    fn hear(&mut self, index: usize, response: Response) {
        let Some((_, asked)) = self.instances[index].asked.take() else { return };
        match (asked, response) {
            (Asked::Init, Response::Issued(Issued::To(id, epoch))) => {
                self.own(index, (id, epoch));
                let it = &mut self.instances[index];
                (it.open, it.must, it.is_replaced) = (None, None, false);
                for (other, it) in self.instances.iter_mut().enumerate() {
                    it.is_replaced |= other != index && it.producer.is_some();
                }
            }
            (Asked::Add(partition), Response::Partitions(topics)) => {
                let code = topics[0].results_by_partition[0].partition_error_code;
                match code {
                    ErrorCode::NONE => self.write(index, partition),
                    ErrorCode::CONCURRENT_TRANSACTIONS => {}
                    _ if self.random.one_in(2) => self.restart(index),
                    _ => {}
                }
            }
            (Asked::End(is_commit), Response::Issued(Issued::To(id, epoch))) => {
                let (serial, written) = self.instances[index].open.take().expect("it was open");
                self.told.insert(serial, (is_commit, written));
                self.own(index, (id, epoch));
                self.instances[index].must = None;
            }
            (_, Response::Issued(Issued::Refused(refusal))) => {
                if refusal.code() != ErrorCode::CONCURRENT_TRANSACTIONS {
                    self.restart(index);
                }
            }
            (_, other) => panic!("{other:?}"),
        }
    }

    /// From now on this is how it produces.
    fn own(&mut self, index: usize, producer: Producer) {
        let number = self.instances[index].number;
        let owner = *self.owners.entry(producer).or_insert(number);
        let (id, epoch) = producer;
        assert_eq!(owner, number, "{id}:{epoch} is given to two");
        self.instances[index].producer = Some(producer);
    }

    /// The producer is let in, and writes at once.
    fn write(&mut self, index: usize, partition: i32) {
        let (id, epoch) = self.instances[index].producer.expect("it is let in");
        assert!(!self.instances[index].is_replaced, "who was replaced is let in");
        let state = &mut self.partitions[partition as usize];
        if state.epochs.get(&id).is_some_and(|latest| *latest > epoch) {
            return;
        }
        state.epochs.insert(id, epoch);
        let serials = &mut self.serials;
        let (serial, written) = self.instances[index].open.get_or_insert_with(|| {
            *serials += 1;
            (*serials, BTreeSet::new())
        });
        written.insert(partition);
        state.open.entry(id).or_default().insert(*serial);
    }

    /// Some leader writes the marker of some order, and the answer may be late.
    fn write_markers(&mut self) {
        if self.sending.is_empty() {
            return;
        }
        let index = self.random.below(self.sending.len() as u64) as usize;
        let markers = self.sending[index].clone();
        if !self.world.shard.misses(&markers) {
            self.sending.remove(index);
            return;
        }
        let partitions = &markers.topics[0].1;
        let partition = partitions[self.random.below(partitions.len() as u64) as usize];
        self.mark(&markers, partition);
        let event = Event::Marked {
            transactional_id: ID.into(),
            sending: markers.sending,
            topics: vec![("t".into(), vec![partition])],
        };
        if self.random.one_in(3) {
            self.unheard.push(event.clone());
        }
        self.decide(Input::Event(event));
    }

    fn mark(&mut self, markers: &Markers, partition: i32) {
        let state = &mut self.partitions[partition as usize];
        let latest = state.epochs.insert(markers.producer_id, markers.producer_epoch);
        assert!(latest <= Some(markers.producer_epoch), "a marker of the past");
        for serial in state.open.remove(&markers.producer_id).unwrap_or_default() {
            let former = self.ends.entry(serial).or_default().insert(partition, markers.is_commit);
            assert_eq!(former, None, "a transaction ends once in each partition");
        }
    }

    /// The next leader has everything that has committed, and more of the rest than nothing, or
    /// nothing.
    fn fail_over(&mut self) {
        let ends: Vec<usize> = self.pending.iter().map(|(end, _)| *end).collect();
        if let Some(last) = ends.last().copied() {
            let first = self.pending[0].0 - self.pending[0].1.entries.len();
            let kept = first + self.random.below((last - first) as u64 + 1) as usize;
            self.world.log.truncate(kept);
        }
        self.pending.clear();
        // Their answers are lost.
        self.instances.iter_mut().for_each(|it| it.asked = None);
        let outcome = self.world.fail_over();
        self.pending.push((self.world.log.len(), outcome));
    }

    /// Many transactions later.
    fn exhaust(&mut self) {
        self.settle();
        let last = i16::MAX - 3;
        let mut last_record = self.world.log.last().cloned();
        if let Some(Entry::Record(Record::TransactionLog(_, Some(value)))) = &mut last_record {
            if value.producer_epoch >= last || value.transaction_status == 1 {
                return;
            }
            value.producer_epoch = last;
        }
        self.world.log.extend(last_record);
        (0..self.instances.len()).for_each(|index| self.restart(index));
        self.fail_over();
    }

    /// Everything commits, and all that is under way arrives.
    fn settle(&mut self) {
        while !self.pending.is_empty() || !self.sending.is_empty() {
            let committed = std::mem::take(&mut self.pending);
            committed.into_iter().for_each(|(_, outcome)| self.see(outcome));
            self.write_markers();
        }
    }

    /// Time passes until nothing happens any more.
    fn end_of_history(&mut self) {
        self.settle();
        self.pass(60_000);
        self.settle();
        self.pass(60_000);
        while let Some(event) = self.unheard.pop() {
            self.decide(Input::Event(event));
        }
        self.settle();
        for (id, transaction) in &self.world.shard.durable().transactions {
            let state = transaction.state.name();
            let is_over = ["Empty", "CompleteCommit", "CompleteAbort"].contains(&state);
            assert!(is_over, "{id} hangs in {state}");
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            assert!(partition.open.is_empty(), "partition {index} waits for {:?}", partition.open);
        }
        for (serial, ends) in &self.ends {
            let ways: BTreeSet<bool> = ends.values().copied().collect();
            assert_eq!(ways.len(), 1, "transaction {serial} ends in two ways: {ends:?}");
        }
        for (serial, (is_commit, written)) in &self.told {
            for partition in written {
                let end = self.ends.get(serial).and_then(|ends| ends.get(partition));
                assert_eq!(end, Some(is_commit), "transaction {serial} in partition {partition}");
            }
        }
    }
}

#[test]
fn whatever_happens_transactions_end_in_one_way() {
    let (mut committed, mut ended, mut ids) = (0, 0, 0);
    for seed in 1..=150 {
        let mut model = Model::new(seed);
        for _ in 0..1_000 {
            model.step();
        }
        model.end_of_history();
        committed += model.told.values().filter(|(is_commit, _)| *is_commit).count();
        ended += model.ends.len();
        let by_id: BTreeSet<ProducerId> = model.owners.keys().map(|(id, _)| *id).collect();
        ids += by_id.len();
    }
    let went = format!("{committed} committed of {ended}, under {ids} producer ids");
    println!("{went}");
    assert!(committed > 300 && ended > 2 * committed && ids > 200, "{went}");
}
