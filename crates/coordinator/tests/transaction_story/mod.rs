//! One transactional id and its coordinator, written down as it goes.

use std::fmt::Write as _;

use expect_test::Expect;
use strandline_coordinator::Entry;
use strandline_coordinator::transactions::{
    Action, Event, Input, Issued, Markers, Record, Request, Response, Settings, Shard,
};
use strandline_types::{ProducerEpoch, ProducerId};
use strandline_wire::messages::TransactionLogKey;

use crate::world;

type World = world::World<Shard>;
type Outcome = world::Outcome<Shard>;
type Producer = (ProducerId, ProducerEpoch);

pub(crate) const ID: &str = "tx";

pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) text: String,
    /// The next id that the controller would give.
    pub(crate) next_id: i64,
    /// Markers that have been ordered, oldest first.
    pub(crate) ordered: Vec<Markers>,
}

impl Story {
    pub(crate) fn new(transaction_version: i16) -> Self {
        let mut world = World::new(Settings::default());
        world.transaction_version = transaction_version;
        Self { world, text: String::new(), next_id: 7, ordered: Vec::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.text, "{:<6} {line}", self.world.now_ms).expect("strings grow");
    }

    pub(crate) fn ask(&mut self, what: &str, request: Request) -> Response {
        self.say(what);
        let (_, outcome) = self.world.ask(0, "", request);
        self.see(outcome).expect("answered at once")
    }

    pub(crate) fn see(&mut self, outcome: Outcome) -> Option<Response> {
        for entry in &outcome.entries {
            let Entry::Record(record) = entry else { panic!("no record: {entry:?}") };
            self.say(&format!("  log: {}", written(record)));
        }
        for action in outcome.actions {
            match action {
                Action::SendMarkers(markers) => {
                    let end = if markers.is_commit { "commit" } else { "abort" };
                    let Markers { producer_id, producer_epoch, topics, .. } = &markers;
                    self.say(&format!(
                        "  markers: {end} {producer_id}:{producer_epoch} v{} to {topics:?}",
                        markers.transaction_version
                    ));
                    self.ordered.push(markers);
                }
                Action::FetchProducerId { transactional_id, started_at } => {
                    self.say("  a fresh producer id is wanted");
                    let fresh = self.fresh();
                    let event = Event::ProducerId { transactional_id, started_at, fresh };
                    let outcome = self.world.decide(Input::Event(event));
                    self.see(outcome);
                }
            }
        }
        let response = outcome.replies.into_iter().next().map(|(_, response)| response);
        if let Some(response) = &response {
            self.say(&format!("  {}", answer(response)));
        }
        response
    }

    pub(crate) fn fresh(&mut self) -> ProducerId {
        self.next_id += 1;
        ProducerId(self.next_id - 1)
    }

    /// As a handler does it, with a fresh id when one is needed.
    pub(crate) fn issue(
        &mut self,
        what: &str,
        ask: impl Fn(Option<ProducerId>) -> Request,
    ) -> Option<Producer> {
        match self.ask(what, ask(None)) {
            Response::Issued(Issued::NeedsProducerId) => {
                let fresh = self.fresh();
                let (_, outcome) = self.world.ask(0, "", ask(Some(fresh)));
                issued(&self.see(outcome).expect("answered at once"))
            }
            response => issued(&response),
        }
    }

    pub(crate) fn init(&mut self, expected: Option<Producer>) -> Option<Producer> {
        let what = match expected {
            Some((id, epoch)) => format!("InitProducerId as {id}:{epoch}"),
            None => "InitProducerId".into(),
        };
        self.issue(&what, |fresh| Request::InitProducerId {
            transactional_id: ID.into(),
            timeout_ms: 60_000,
            expected,
            fresh,
        })
    }

    pub(crate) fn end(
        &mut self,
        producer: Producer,
        is_commit: bool,
        client_version: i16,
    ) -> Option<Producer> {
        let end = if is_commit { "commit" } else { "abort" };
        let what = format!("EndTxn v{client_version} {end} {}:{}", producer.0, producer.1);
        self.issue(&what, |fresh| Request::EndTxn {
            transactional_id: ID.into(),
            producer,
            is_commit,
            client_version,
            fresh,
        })
    }

    pub(crate) fn add(&mut self, producer: Producer, partitions: &[i32], client_version: i16) {
        let what = format!("AddPartitions {}:{} {partitions:?}", producer.0, producer.1);
        let topics = vec![("t".into(), partitions.to_vec())];
        let transactional_id = ID.into();
        self.ask(
            &what,
            Request::AddPartitions { transactional_id, producer, topics, client_version },
        );
    }

    pub(crate) fn verify(&mut self, producer: Producer, partitions: &[i32]) {
        let what = format!("VerifyPartitions {}:{} {partitions:?}", producer.0, producer.1);
        let topics = vec![("t".into(), partitions.to_vec())];
        let transactional_id = ID.into();
        self.ask(&what, Request::VerifyPartitions { transactional_id, producer, topics });
    }

    pub(crate) fn describe(&mut self) {
        self.ask("Describe", Request::Describe { transactional_id: ID.into() });
    }

    /// Tells that partitions of an order have their markers.
    pub(crate) fn marked(&mut self, markers: &Markers, partitions: &[i32]) {
        self.say(&format!("{partitions:?} are marked"));
        let event = Event::Marked {
            transactional_id: ID.into(),
            sending: markers.sending,
            topics: vec![("t".into(), partitions.to_vec())],
        };
        let outcome = self.world.decide(Input::Event(event));
        self.see(outcome);
    }

    pub(crate) fn mark_all(&mut self) {
        let markers = self.ordered.pop().expect("markers were ordered");
        let partitions: Vec<i32> = markers.topics.iter().flat_map(|(_, it)| it.clone()).collect();
        self.marked(&markers, &partitions);
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        let mut outcomes = Vec::new();
        self.world.pass(ms, |world, outcome| outcomes.push((world.now_ms, outcome)));
        let end = self.world.now_ms;
        for (at, outcome) in outcomes {
            self.world.now_ms = at;
            if !outcome.entries.is_empty() || !outcome.actions.is_empty() {
                self.say("time passes");
            }
            self.see(outcome);
        }
        self.world.now_ms = end;
    }

    pub(crate) fn fail_over(&mut self) {
        self.say("another broker takes over");
        let outcome = self.world.fail_over();
        self.see(outcome);
    }

    pub(crate) fn end_of_story(self, expected: &Expect) {
        assert_eq!(self.world.shard.durable(), self.world.replayed().durable());
        expected.assert_eq(&self.text);
    }

    /// A producer that has just been given its id and has begun a transaction.
    pub(crate) fn begun(transaction_version: i16) -> (Self, Producer) {
        let mut story = Self::new(transaction_version);
        let producer = story.init(None).expect("the first");
        story.add(producer, &[0, 1], transaction_version);
        story.text.clear();
        (story, producer)
    }

    /// A producer under its last epoch.
    pub(crate) fn at_last_epoch(transaction_version: i16) -> (Self, Producer) {
        let (mut story, producer) = Self::begun(transaction_version);
        let last = (producer.0, ProducerEpoch(i16::MAX - 1));
        for entry in &mut story.world.log {
            if let Entry::Record(Record::TransactionLog(_, Some(value))) = entry {
                value.producer_epoch = last.1.get();
            }
        }
        story.world.fail_over();
        (story, last)
    }
}

fn issued(response: &Response) -> Option<Producer> {
    match response {
        Response::Issued(Issued::To(id, epoch)) => Some((*id, *epoch)),
        _ => None,
    }
}

fn answer(response: &Response) -> String {
    match response {
        Response::Issued(Issued::To(id, epoch)) => format!("goes on as {id}:{epoch}"),
        Response::Issued(Issued::NeedsProducerId) => "needs a producer id".into(),
        Response::Issued(Issued::Refused(refusal)) => refusal.code().to_string(),
        Response::Partitions(topics) => {
            let partitions = topics.iter().flat_map(|topic| &topic.results_by_partition);
            let codes = partitions.map(|it| (it.partition_index, it.partition_error_code));
            codes.map(|(index, code)| format!("{index}: {code} ")).collect::<String>()
        }
        Response::Describe(it) => {
            let open: Vec<_> = it.topics.iter().flat_map(|topic| &topic.partitions).collect();
            let (id, epoch) = (it.producer_id, it.producer_epoch);
            format!("{} {} {id}:{epoch} {open:?}", it.error_code, it.transaction_state)
        }
        Response::List(list) => {
            let ids: Vec<_> = list.iter().map(|it| it.transactional_id.as_str()).collect();
            format!("{ids:?}")
        }
    }
}

fn written(record: &Record) -> String {
    match record {
        Record::TransactionLog(TransactionLogKey { transactional_id }, Some(it)) => {
            let states = [
                "Empty",
                "Ongoing",
                "PrepareCommit",
                "PrepareAbort",
                "CompleteCommit",
                "CompleteAbort",
            ];
            let state = states[it.transaction_status as usize];
            let open = it.transaction_partitions.iter().flatten().flat_map(|it| &it.partition_ids);
            let open: Vec<_> = open.collect();
            let (id, epoch) = (it.producer_id, it.producer_epoch);
            let (previous, next) = (it.previous_producer_id, it.next_producer_id);
            format!("{transactional_id} {state} {id}:{epoch} ({previous}, {next}) {open:?}")
        }
        Record::TransactionLog(TransactionLogKey { transactional_id }, None) => {
            format!("{transactional_id} is forgotten")
        }
        other => panic!("{other:?}"),
    }
}
