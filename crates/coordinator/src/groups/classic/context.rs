//! What every decision works with.

use alloc::vec::Vec;

use strandline_types::{ErrorCode, Instant, Timestamp};
use strandline_wire::messages::{JoinGroupResponse, SyncGroupResponse};

use crate::contract::{Moment, Ticket};
use crate::groups::api::{Effect, Entry, Response, Settings};
use crate::groups::members::Member;
use crate::groups::records::Record;
use crate::groups::refusal::Refusal;
use crate::groups::shard::Durable;

pub(crate) struct Context<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) moment: Moment,
    pub(crate) durable: &'a mut Durable,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) entries: Vec<Entry>,
}

impl Context<'_> {
    pub(crate) fn instant(&self) -> Instant {
        self.moment.now.instant
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        self.moment.now.timestamp
    }

    /// Decides a record: it counts from now on, and will be appended in this order.
    pub(crate) fn write(&mut self, record: Record) {
        if let Record::GroupMetadata(key, Some(value)) = &record
            && let Some(former) = self.durable.groups.get(&key.group)
        {
            let grows = value.generation >= former.generation || value.generation == 1;
            assert!(grows, "GROUP-2: the generation of {} goes back", key.group);
        }
        self.enter(Entry::Record(record));
    }

    /// The same for what belongs to a transaction, or ends one.
    pub(crate) fn enter(&mut self, entry: Entry) {
        self.durable.apply(entry.clone());
        self.entries.push(entry);
    }

    pub(crate) fn fits(&self, record: &Record) -> bool {
        crate::groups::records::fits(record, self.moment.record_bytes_max)
    }

    pub(crate) fn reply(&mut self, ticket: Ticket, response: Response) {
        self.effects.push(Effect::Reply(ticket, response));
    }

    pub(crate) fn reply_join(&mut self, ticket: Ticket, response: JoinGroupResponse) {
        self.reply(ticket, Response::JoinGroup(response));
    }

    pub(crate) fn refuse_join(&mut self, ticket: Ticket, member_id: &str, refusal: Refusal) {
        let response = JoinGroupResponse {
            error_code: refusal.code(),
            member_id: member_id.into(),
            protocol_name: None,
            ..Default::default()
        };
        self.reply_join(ticket, response);
    }

    pub(crate) fn refuse_sync(&mut self, ticket: Ticket, error_code: ErrorCode) {
        let response = SyncGroupResponse { error_code, ..Default::default() };
        self.reply(ticket, Response::SyncGroup(response));
    }

    /// Answers whatever the member is parked with, before it goes.
    pub(crate) fn dismiss(&mut self, member: &mut Member, member_id: &str, refusal: Refusal) {
        if let Some(ticket) = member.parked_join.take() {
            self.refuse_join(ticket, member_id, refusal);
        }
        if let Some(ticket) = member.parked_sync.take() {
            self.refuse_sync(ticket, refusal.code());
        }
    }
}
