//! One partition of `__consumer_offsets` and the groups that it coordinates.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use bytes::Bytes;
use strandline_types::{Bug, LeaderEpoch, planted};
use strandline_wire::messages::{GroupMetadataValue, OffsetCommitKey, OffsetCommitValue};
use strandline_wire::{DecodeError, EncodeError};

use crate::contract::{Caller, Core, Fault, Moment, Ticket};
use crate::groups::api::{
    Effect, Entry, Event, Input, Request, Response, Settings, Timer, TransactionEnded,
};
use crate::groups::classic::context::Context;
use crate::groups::classic::{
    Groups, delete_group, describe_group, expire_offsets, heartbeat, join_group, leave_group,
    list_groups, offset_commit, offset_delete, offset_fetch, rebalance, sync_group, timers,
    topics_deleted, txn_offset_commit,
};
use crate::groups::group::Group;
use crate::groups::invariants;
use crate::groups::offsets::Offsets;
use crate::groups::pending::Pending;
use crate::groups::records::{self, Record};

/// What the log says. Only [`Durable::apply`] changes it.
///
/// Records of other kinds of groups stay in the log as they are; nothing of them is kept here.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Durable {
    /// Groups that have been persisted, with their members.
    pub groups: BTreeMap<String, GroupMetadataValue>,
    pub offsets: Offsets,
    /// Offsets of transactions that have not ended.
    pub pending: Pending,
    /// Offsets that the log has had so far.
    written: u64,
}

impl Durable {
    /// The one way in which durable state changes, on a leader and on replay alike.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Record(record) => self.apply_record(record),
            Entry::InTransaction { producer_id, record, .. } => {
                // Nothing else is ever written in one.
                if let Some((key, Some(value))) = offset_commit(record) {
                    self.written += 1;
                    if planted(Bug::OffsetsCountAtOnce) {
                        self.offsets.commit(key, self.written, value);
                        return;
                    }
                    self.pending.add(producer_id, key, self.written, value);
                }
            }
            Entry::Marker { producer_id, is_commit, .. } => {
                let written = self.pending.take(producer_id).into_iter();
                for (key, at, value) in written.filter(|_| is_commit) {
                    self.offsets.commit(key, at, value);
                }
            }
        }
    }

    fn apply_record(&mut self, record: Record) {
        match record {
            Record::OffsetCommit(..) | Record::LegacyOffsetCommit(..) => {
                match offset_commit(record) {
                    Some((key, Some(value))) => {
                        self.written += 1;
                        self.offsets.commit(key, self.written, value);
                    }
                    Some((key, None)) => {
                        self.offsets.remove(&key);
                        self.pending.forget(&key);
                    }
                    None => {}
                }
            }
            Record::GroupMetadata(key, Some(value)) => drop(self.groups.insert(key.group, value)),
            Record::GroupMetadata(key, None) => drop(self.groups.remove(&key.group)),
            _ => {}
        }
    }
}

/// An offset as it is committed or, without a value, deleted.
fn offset_commit(record: Record) -> Option<(OffsetCommitKey, Option<OffsetCommitValue>)> {
    match record {
        Record::OffsetCommit(key, value) => Some((key, value)),
        Record::LegacyOffsetCommit(key, value) => {
            let key =
                OffsetCommitKey { group: key.group, topic: key.topic, partition: key.partition };
            let value = value.map(|value| OffsetCommitValue {
                offset: value.offset,
                metadata: value.metadata,
                commit_timestamp: value.commit_timestamp,
                ..Default::default()
            });
            Some((key, value))
        }
        _ => None,
    }
}

fn check(record: &Record) -> Result<(), Fault> {
    match record {
        Record::Unknown { key, value: Some(_) } => match key[..] {
            [high, low @ 0..=2, ..] => {
                Err(Fault::UnknownValue { key_type: i16::from_be_bytes([high, low]) })
            }
            _ => Ok(()),
        },
        Record::GroupMetadata(key, Some(value)) if !has_unique_members(value) => {
            Err(Fault::AmbiguousMembers { group: key.group.clone() })
        }
        _ => Ok(()),
    }
}

/// One partition of `__consumer_offsets` and the groups that it coordinates.
#[derive(Clone, Debug)]
pub struct Shard {
    settings: Settings,
    durable: Durable,
    groups: Groups,
}

impl Shard {
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    fn context<'a>(&'a mut self, moment: Moment, effects: &'a mut Vec<Effect>) -> Context<'a> {
        let (settings, durable) = (&self.settings, &mut self.durable);
        Context { settings, moment, durable, effects, entries: Vec::new() }
    }
}

impl Core for Shard {
    type Settings = Settings;
    type Record = Record;
    type Request = Request;
    type Response = Response;
    type Timer = Timer;
    type Event = Event;
    type Action = Infallible;

    fn new(settings: Settings) -> Self {
        Self { settings, durable: Durable::default(), groups: Groups::new() }
    }

    fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Record, DecodeError> {
        Record::decode(key, value)
    }

    fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
        records::encode(record)
    }

    fn replay(&mut self, entry: Entry) -> Result<(), Fault> {
        if let Entry::Record(record) | Entry::InTransaction { record, .. } = &entry {
            check(record)?;
        }
        if planted(Bug::ReplayKeepsOldest)
            && let Entry::Record(Record::OffsetCommit(key, Some(_))) = &entry
            && self.durable.offsets.get(&key.group, &key.topic, key.partition).is_some()
        {
            return Ok(());
        }
        self.durable.apply(entry);
        Ok(())
    }

    /// Members' sessions begin.
    fn lead(&mut self, moment: Moment, _: LeaderEpoch, effects: &mut Vec<Effect>) -> Vec<Entry> {
        let with_offsets = self.durable.offsets.groups().chain(self.durable.pending.groups());
        let ids: BTreeSet<String> =
            self.durable.groups.keys().chain(with_offsets).cloned().collect();
        let load = |id: String| {
            let group = match self.durable.groups.get(&id) {
                Some(persisted) => Group::loaded(id.clone(), persisted, moment.now.instant),
                None => Group::new(id.clone()),
            };
            (id, group)
        };
        let mut groups: Groups = ids.into_iter().map(load).collect();
        let mut ctx = self.context(moment, effects);
        for group in groups.values_mut() {
            if group.members.len() > ctx.settings.group_size_max {
                rebalance::rebalance(&mut ctx, group);
            }
            timers::arm(&mut ctx, group);
            invariants::check(group, ctx.durable);
        }
        expire_offsets::arm(&mut ctx);
        let entries = ctx.entries;
        self.groups = groups;
        entries
    }

    fn decide(&mut self, moment: Moment, input: Input, effects: &mut Vec<Effect>) -> Vec<Entry> {
        let mut groups = core::mem::take(&mut self.groups);
        let mut ctx = self.context(moment, effects);
        let touched = match input {
            Input::Request(ticket, caller, request) => {
                route(&mut ctx, &mut groups, ticket, &caller, request)
            }
            Input::Timer(Timer::Group(id)) => {
                timers::fire(&mut ctx, &mut groups, &id);
                Some(id)
            }
            Input::Timer(Timer::ExpireOffsets) => {
                expire_offsets::fire(&mut ctx, &mut groups);
                None
            }
            Input::Event(Event::TopicsDeleted(topics)) => {
                topics_deleted::decide(&mut ctx, &topics);
                None
            }
        };
        if let Some(group) = touched.and_then(|id| groups.get_mut(&id)) {
            timers::arm(&mut ctx, group);
            invariants::check(group, ctx.durable);
        }
        let entries = ctx.entries;
        self.groups = groups;
        entries
    }
}

fn has_unique_members(value: &GroupMetadataValue) -> bool {
    let ids: BTreeSet<_> = value.members.iter().map(|it| &it.member_id).collect();
    let instances = value.members.iter().filter_map(|it| it.group_instance_id.as_ref());
    let owners: BTreeSet<_> = instances.clone().collect();
    ids.len() == value.members.len() && owners.len() == instances.count()
}

/// Hands a request to its operation. The group whose members, state or deadlines may have changed
/// comes back.
fn route(
    ctx: &mut Context<'_>,
    groups: &mut Groups,
    ticket: Ticket,
    caller: &Caller,
    request: Request,
) -> Option<String> {
    match request {
        Request::JoinGroup(request) => {
            let id = request.group_id.clone();
            join_group::decide(ctx, groups, ticket, caller, request);
            Some(id)
        }
        Request::SyncGroup(request) => {
            let id = request.group_id.clone();
            sync_group::decide(ctx, groups, ticket, caller, request);
            Some(id)
        }
        Request::LeaveGroup(request) => {
            let id = request.group_id.clone();
            leave_group::decide(ctx, groups, ticket, request);
            Some(id)
        }
        // These only put deadlines off.
        Request::Heartbeat(request) => {
            heartbeat::decide(ctx, groups, ticket, &request);
            None
        }
        Request::OffsetCommit(request) => {
            offset_commit::decide(ctx, groups, ticket, caller, request);
            None
        }
        Request::TxnOffsetCommit(request) => {
            txn_offset_commit::decide(ctx, groups, ticket, request);
            None
        }
        Request::EndTransaction(marker) => {
            ctx.enter(marker.entry());
            ctx.reply(ticket, Response::EndTransaction(TransactionEnded));
            None
        }
        Request::OffsetFetch(request) => {
            offset_fetch::decide(ctx, ticket, request);
            None
        }
        Request::OffsetDelete(request) => {
            offset_delete::decide(ctx, groups, ticket, request);
            None
        }
        Request::DescribeGroup { group_id } => {
            describe_group::decide(ctx, groups, ticket, caller, group_id);
            None
        }
        Request::DeleteGroup { group_id } => {
            delete_group::decide(ctx, groups, ticket, &group_id);
            None
        }
        Request::ListGroups(request) => {
            list_groups::decide(ctx, groups, ticket, &request);
            None
        }
    }
}
