//! One partition of `__transaction_state` and the transactional ids that it coordinates.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use strandline_types::{Bug, LeaderEpoch, planted};
use strandline_wire::{DecodeError, EncodeError};

use super::api::{
    Action, Effect, Entry, Event, Input, Markers, Request, Response, Settings, Timer,
};
use super::context::{self, Context, Durable, Record, Volatile};
use super::end_txn::{self, End};
use super::init_producer_id::{self, Newcomer};
use super::transaction::State;
use super::{add_partitions, describe, expire_ids, invariants, list, markers, time_out};
use crate::contract::{Core, Fault, Moment, Ticket};

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Shard {
    settings: Settings,
    leader_epoch: LeaderEpoch,
    durable: Durable,
    volatile: Volatile,
}

impl Shard {
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// Whether these markers are the ones that are missing: the sender stops when they are not.
    pub fn misses(&self, markers: &Markers) -> bool {
        let marking = self.volatile.markings.get(&markers.transactional_id);
        marking.is_some_and(|marking| marking.sending == markers.sending)
    }

    fn context<'a>(&'a mut self, moment: Moment, effects: &'a mut Vec<Effect>) -> Context<'a> {
        Context {
            settings: &self.settings,
            moment,
            coordinator_epoch: self.leader_epoch,
            durable: &mut self.durable,
            volatile: &mut self.volatile,
            effects,
            entries: Vec::new(),
        }
    }
}

impl Core for Shard {
    type Settings = Settings;
    type Record = Record;
    type Request = Request;
    type Response = Response;
    type Timer = Timer;
    type Event = Event;
    type Action = Action;

    fn new(settings: Settings) -> Self {
        Self {
            settings,
            leader_epoch: LeaderEpoch::NONE,
            durable: Durable::default(),
            volatile: Volatile::default(),
        }
    }

    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Record, DecodeError> {
        Record::decode(key, value)
    }

    fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        context::encode(record)
    }

    fn replay(&mut self, entry: Entry) -> Result<(), Fault> {
        match entry {
            Entry::Record(record) => self.durable.apply(record),
            // Nobody takes part in a transaction here.
            Entry::InTransaction { .. } | Entry::Marker { .. } => Ok(()),
        }
    }

    /// Open transactions are watched, and ends that are decided written again.
    fn lead(
        &mut self,
        moment: Moment,
        leader_epoch: LeaderEpoch,
        effects: &mut Vec<Effect>,
    ) -> Vec<Entry> {
        self.leader_epoch = leader_epoch;
        let ids: Vec<String> = self.durable.transactions.keys().cloned().collect();
        let mut ctx = self.context(moment, effects);
        for id in ids {
            let found = ctx.durable.transactions.get(&id).cloned();
            match found.as_ref().map(|transaction| transaction.state) {
                Some(State::Ongoing) => time_out::watch(&mut ctx, &id),
                Some(_) if planted(Bug::DecidedEndsLeft) => {}
                Some(State::PrepareCommit | State::PrepareAbort) => {
                    ctx.append(&id, found.as_ref());
                    markers::send(&mut ctx, &id);
                }
                _ => {}
            }
            invariants::check(&id, ctx.durable, ctx.volatile);
        }
        expire_ids::arm(&mut ctx);
        ctx.entries
    }

    fn decide(&mut self, moment: Moment, input: Input, effects: &mut Vec<Effect>) -> Vec<Entry> {
        let mut ctx = self.context(moment, effects);
        let touched = match &input {
            Input::Request(_, _, request) => request.transactional_id().map(String::from),
            Input::Timer(timer) => timer.transactional_id().map(String::from),
            Input::Event(
                Event::Marked { transactional_id, .. } | Event::ProducerId { transactional_id, .. },
            ) => Some(transactional_id.clone()),
        };
        match input {
            Input::Request(ticket, _, request) => route(&mut ctx, ticket, request),
            Input::Timer(Timer::TimeOut(id)) => time_out::fire(&mut ctx, &id),
            Input::Timer(Timer::ExpireIds) => expire_ids::fire(&mut ctx),
            Input::Event(Event::Marked { transactional_id, sending, topics }) => {
                markers::marked(&mut ctx, &transactional_id, sending, &topics);
            }
            Input::Event(Event::ProducerId { transactional_id, started_at, fresh }) => {
                time_out::go_on(&mut ctx, &transactional_id, started_at, fresh);
            }
        }
        if let Some(id) = touched {
            invariants::check(&id, ctx.durable, ctx.volatile);
        }
        ctx.entries
    }
}

/// Hands a request to its operation.
fn route(ctx: &mut Context<'_>, ticket: Ticket, request: Request) {
    match request {
        Request::InitProducerId { transactional_id, timeout_ms, expected, fresh } => {
            let newcomer = Newcomer { timeout_ms, expected, fresh };
            init_producer_id::decide(ctx, ticket, &transactional_id, &newcomer);
        }
        Request::AddPartitions { transactional_id, producer, topics, client_version } => {
            add_partitions::decide(
                ctx,
                ticket,
                &transactional_id,
                producer,
                topics,
                client_version,
            );
        }
        Request::VerifyPartitions { transactional_id, producer, topics } => {
            add_partitions::verify(ctx, ticket, &transactional_id, producer, topics);
        }
        Request::EndTxn { transactional_id, producer, is_commit, client_version, fresh } => {
            let end = End { producer, is_commit, client_version, fresh };
            end_txn::decide(ctx, ticket, &transactional_id, &end);
        }
        Request::Describe { transactional_id } => describe::decide(ctx, ticket, transactional_id),
        Request::List(listing) => list::decide(ctx, ticket, &listing),
    }
}
