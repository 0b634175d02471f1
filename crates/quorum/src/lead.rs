//! Leading: the first record of an epoch, the high watermark, fetches with their long poll, and
//! stepping down without a majority (KIP-595, KIP-966).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use strandline_types::{Bug, Instant, LeaderEpoch, NodeId, Now, Offset, planted};

use crate::role::{
    Ballot, InFlight, Leading, MAX_REPLICAS, OBSERVER_SESSION, Parked, Replica, Role,
};
use crate::{
    BeginQuorumEpoch, ControlRecord, Effect, Election, EndQuorumEpoch, Fetch, FetchReply,
    LeaderChange, Membership, Peer, Quorum, Refusal, ReplicaKey, ReplyBody, Request, SnapshotId,
    Ticket, Timer,
};

impl Quorum {
    pub(crate) fn become_leader(
        &mut self,
        now: Now,
        epoch: LeaderEpoch,
        ballot: &Ballot,
        effects: &mut Vec<Effect>,
    ) {
        assert!(ballot.is_won() && !self.installing, "QUORUM-1: a majority elects the leader");
        self.leave_role(effects);
        // A known leader refuses all further votes of its epoch: the vote itself may be forgotten.
        self.elect(Election { epoch, leader: Some(self.config.me.id), voted: None }, effects);
        let epoch_start = self.log.end_offset();
        self.role = Role::Leader(Leading {
            epoch_start,
            is_ready: false,
            replicas: BTreeMap::new(),
            since: now,
            parked: BTreeMap::new(),
            change: None,
        });
        let keys = |chosen: &dyn Fn(NodeId) -> bool| {
            ballot.voters.iter().map(|v| v.key).filter(|key| chosen(key.id)).collect()
        };
        let mut records = alloc::vec![ControlRecord::LeaderChange(LeaderChange {
            leader: self.config.me.id,
            voters: keys(&|_| true),
            granting_voters: keys(&|id| ballot.granted.contains(&id)),
        })];
        let Membership { kraft_version, voters } = self.log.membership();
        // It listens elsewhere than the log says: the others must know before they look for it. The
        // voters stay the same, so this is no second change of them beside one that is open.
        let moved = self.own_voter().filter(|mine| voters.lists_otherwise(mine));
        if *kraft_version > 0 && (moved.is_some() || !self.log.membership_is_replicated()) {
            records.push(ControlRecord::KraftVersion(*kraft_version));
            let voters = voters.clone();
            records
                .push(ControlRecord::Voters(moved.into_iter().fold(voters, |it, me| it.with(me))));
        }
        self.append_control(records, effects);
        self.arm_leader_timers(now, effects);
        self.tell_voters(now, effects);
    }

    pub(crate) fn append_control(
        &mut self,
        records: Vec<ControlRecord>,
        effects: &mut Vec<Effect>,
    ) {
        let (base_offset, epoch) = (self.log.end_offset(), self.election.epoch);
        let write = self.next_write();
        let next_offset = base_offset + records.len() as i64;
        // About what such a batch weighs; only the snapshot policy reads it.
        let size_bytes = 64 * (1 + records.len() as u64);
        self.log.append(write, next_offset, epoch, size_bytes);
        for (index, record) in records.iter().enumerate() {
            self.log.note_control(base_offset + index as i64, record);
        }
        effects.push(Effect::AppendControl { write, base_offset, epoch, records });
    }

    pub(crate) fn on_append(
        &mut self,
        now: Now,
        ticket: Ticket,
        epoch: LeaderEpoch,
        records: u32,
        size_bytes: u64,
        effects: &mut Vec<Effect>,
    ) {
        let refusal = if !matches!(self.role, Role::Leader(_)) {
            Some(Refusal::NotLeaderOrFollower)
        } else if epoch != self.election.epoch {
            Some(Refusal::FencedLeaderEpoch)
        } else if records == 0 {
            Some(Refusal::InvalidRequest)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            effects.push(Effect::AppendRefused { ticket, refusal });
            return;
        }
        let base_offset = self.log.end_offset();
        let write = self.next_write();
        self.log.append(write, base_offset + i64::from(records), epoch, size_bytes);
        effects.push(Effect::Append { write, ticket, base_offset, epoch });
        self.answer_parked(now, effects);
    }

    /// Commits what a majority of voters holds durably, once that reaches into this epoch: a record
    /// of an earlier epoch on a majority may still be undone by a leader that lacks it (Raft, 5.4.2).
    pub(crate) fn advance_high_watermark(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &self.role else { return };
        let voters = &self.log.membership().voters;
        let own_end = match planted(Bug::MetadataLeaderUnsynced) {
            true => self.log.end_offset(),
            false => self.log.synced_end(),
        };
        let mut ends: Vec<Offset> = voters
            .iter()
            .map(|voter| {
                if voter.key.id == self.config.me.id {
                    own_end
                } else {
                    self.replica_of(leading, voter.key.id).map_or(Offset::ZERO, |r| r.end_offset)
                }
            })
            .collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let Some(end_offset) = ends.get(voters.majority() - 1).copied() else { return };
        if end_offset <= leading.epoch_start || end_offset <= self.high_watermark {
            return;
        }
        let (was_ready, epoch_start) = (leading.is_ready, leading.epoch_start);
        assert!(
            self.log.epoch_before(end_offset) == self.election.epoch,
            "QUORUM-6: a leader commits through a record of its own epoch"
        );
        self.commit(end_offset, effects);
        if let Role::Leader(leading) = &mut self.role
            && !was_ready
        {
            leading.is_ready = true;
            // It says nothing of a later leadership.
            let (epoch, last_heard) = (self.election.epoch, self.last_heard.take());
            effects.push(Effect::LeaderReady { epoch, epoch_start, last_heard });
        }
        self.answer_parked(now, effects);
        self.maybe_take_snapshot(now, effects);
        self.note_joined(effects);
        self.complete_change(now, effects);
    }

    /// What the leader knows of voter `id`: its newest fetch from a directory that counts.
    pub(crate) fn replica_of<'a>(&self, leading: &'a Leading, id: NodeId) -> Option<&'a Replica> {
        let voters = &self.log.membership().voters;
        leading
            .replicas
            .iter()
            .filter(|(key, _)| key.id == id && voters.contains(**key))
            .map(|(_, replica)| replica)
            .max_by_key(|replica| replica.last_fetch.instant)
    }

    pub(crate) fn on_fetch(
        &mut self,
        now: Now,
        ticket: Ticket,
        fetch: &Fetch,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.check_leads(fetch.epoch) {
            return self.refuse(ticket, refusal, effects);
        }
        if fetch.offset.0 < 0 || fetch.last_epoch.0 < 0 || fetch.last_epoch > self.election.epoch {
            return self.refuse(ticket, Refusal::InvalidRequest, effects);
        }
        if let Some(reply) = self.no_common_end(fetch) {
            self.note_fetch(now, fetch.replica, None);
            return self.reply(ticket, ReplyBody::Fetch(reply), effects);
        }
        self.note_fetch(now, fetch.replica, Some(fetch.offset));
        self.advance_high_watermark(now, effects);
        self.continue_catch_up(now, effects);
        let parked = Parked {
            offset: fetch.offset,
            high_watermark: fetch.high_watermark,
            max_bytes: fetch.max_bytes,
            deadline: now.instant + fetch.max_wait,
        };
        // Its own progress may have ended this leadership.
        let Role::Leader(leading) = &mut self.role else {
            return self.refuse(ticket, Refusal::NotLeaderOrFollower, effects);
        };
        leading.parked.insert(ticket, parked);
        self.answer_parked(now, effects);
    }

    pub(crate) fn check_leads(&self, epoch: LeaderEpoch) -> Result<(), Refusal> {
        if epoch < self.election.epoch {
            Err(Refusal::FencedLeaderEpoch)
        } else if epoch > self.election.epoch {
            Err(Refusal::UnknownLeaderEpoch)
        } else if matches!(self.role, Role::Leader(_)) {
            Ok(())
        } else {
            Err(Refusal::NotLeaderOrFollower)
        }
    }

    /// The answer to a fetch whose log does not end in a point of ours.
    fn no_common_end(&self, fetch: &Fetch) -> Option<FetchReply> {
        if planted(Bug::MetadataDivergenceUntold) {
            return None;
        }
        let (high_watermark, log_start) = (self.high_watermark, self.log.start_offset);
        if fetch.offset == Offset::ZERO && fetch.last_epoch.0 == 0 && log_start == Offset::ZERO {
            return None;
        }
        let first_epoch = self.log.epoch_before(log_start);
        let before_log = log_start > Offset::ZERO
            && (fetch.offset < log_start
                || (fetch.offset == log_start && fetch.last_epoch != first_epoch)
                || fetch.last_epoch < first_epoch);
        if before_log && let Some(snapshot) = self.log.latest_snapshot() {
            let id: SnapshotId = snapshot.id;
            return Some(FetchReply::Snapshot { id, high_watermark, log_start });
        }
        let end = self.log.end_of_epoch(fetch.last_epoch);
        (end.epoch != fetch.last_epoch || end.start_offset < fetch.offset)
            .then_some(FetchReply::Diverging { end, high_watermark, log_start })
    }

    /// Remembers that `key` fetched: that it lives, and with `end_offset` what it holds.
    pub(crate) fn note_fetch(&mut self, now: Now, key: ReplicaKey, end_offset: Option<Offset>) {
        let leader_end = self.log.end_offset();
        let is_voter = self.log.membership().voters.contains(key);
        let Role::Leader(leading) = &mut self.role else { return };
        if key.id.0 < 0 || key.id == self.config.me.id {
            return;
        }
        if !leading.replicas.contains_key(&key) {
            let session = now.instant - OBSERVER_SESSION;
            leading.replicas.retain(|_, replica| replica.last_fetch.instant >= session);
            if leading.replicas.len() >= MAX_REPLICAS && !is_voter {
                return;
            }
        }
        let replica = leading.replicas.entry(key).or_insert(Replica {
            end_offset: Offset::ZERO,
            last_fetch: now,
            leader_end_at_last_fetch: Offset(i64::MAX),
            last_caught_up: strandline_types::Timestamp::NONE,
        });
        if let Some(end_offset) = end_offset {
            if end_offset >= leader_end {
                replica.last_caught_up = now.timestamp;
            } else if end_offset >= replica.leader_end_at_last_fetch {
                replica.last_caught_up = replica.last_fetch.timestamp;
            }
            replica.end_offset = end_offset;
            replica.leader_end_at_last_fetch = leader_end;
        }
        replica.last_fetch = now;
    }

    /// Answers every waiting fetch that has something to hear, or has waited long enough.
    pub(crate) fn answer_parked(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &self.role else { return };
        let end_offset = self.log.end_offset();
        let due: Vec<(Ticket, Parked)> = leading
            .parked
            .iter()
            .filter(|(_, parked)| {
                parked.offset < end_offset
                    || parked.high_watermark.is_some_and(|known| known < self.high_watermark)
                    || parked.deadline <= now.instant
            })
            .map(|(ticket, parked)| (*ticket, *parked))
            .collect();
        for (ticket, parked) in &due {
            let read = FetchReply::Read {
                offset: parked.offset,
                end_offset,
                max_bytes: parked.max_bytes,
                high_watermark: self.high_watermark,
                log_start: self.log.start_offset,
            };
            self.reply(*ticket, ReplyBody::Fetch(read), effects);
        }
        let Role::Leader(leading) = &mut self.role else { return };
        for (ticket, _) in &due {
            leading.parked.remove(ticket);
        }
        let next = leading.parked.values().map(|parked| parked.deadline).min();
        match next {
            Some(at) if self.timers.get(&Timer::ParkedFetch) == Some(&at) => {}
            Some(at) => self.arm_at(Timer::ParkedFetch, at, effects),
            None => self.cancel(Timer::ParkedFetch, effects),
        }
    }

    pub(crate) fn arm_leader_timers(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.is_sole_voter() {
            self.cancel(Timer::CheckQuorum, effects);
            self.cancel(Timer::BeginQuorumEpoch, effects);
            return;
        }
        if !self.timers.contains_key(&Timer::CheckQuorum) {
            let wait = self.config.check_quorum_timeout();
            self.arm(now, Timer::CheckQuorum, wait, effects);
        }
        if !self.timers.contains_key(&Timer::BeginQuorumEpoch) {
            let wait = self.config.begin_quorum_epoch_interval();
            self.arm(now, Timer::BeginQuorumEpoch, wait, effects);
        }
    }

    pub(crate) fn on_check_quorum(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &self.role else { return };
        if self.is_sole_voter() {
            return;
        }
        let voters = &self.log.membership().voters;
        let mut heard: Vec<Instant> = voters
            .ids()
            .map(|id| {
                if id == self.config.me.id {
                    return now.instant;
                }
                let last = self.replica_of(leading, id).map(|replica| replica.last_fetch.instant);
                last.unwrap_or_default().max(leading.since.instant)
            })
            .collect();
        heard.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = heard.get(voters.majority() - 1).copied().unwrap_or_default();
        let deadline = oldest + self.config.check_quorum_timeout();
        if deadline <= now.instant {
            self.resign(now, effects);
        } else {
            self.arm_at(Timer::CheckQuorum, deadline, effects);
        }
    }

    pub(crate) fn on_begin_quorum_epoch_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.tell_voters(now, effects);
        self.arm_leader_timers(now, effects);
    }

    /// Tells voters that have not fetched lately who leads; fetching is their answer.
    fn tell_voters(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &self.role else { return };
        let silent_since = now.instant - self.config.begin_quorum_epoch_interval();
        let asked = |id: NodeId| {
            let question = InFlight::BeginQuorumEpoch { voter: id };
            self.in_flight.values().any(|request| *request == question)
        };
        let silent: Vec<ReplicaKey> = self
            .log
            .membership()
            .voters
            .iter()
            .map(|voter| voter.key)
            .filter(|key| key.id != self.config.me.id && !asked(key.id))
            .filter(|key| {
                let replica = self.replica_of(leading, key.id);
                replica.is_none_or(|replica| replica.last_fetch.instant <= silent_since)
            })
            .collect();
        for voter in silent {
            let begin = BeginQuorumEpoch {
                epoch: self.election.epoch,
                leader: self.config.me.id,
                leader_endpoints: self.config.endpoints.clone(),
                voter,
            };
            let after = self.promised();
            let in_flight = InFlight::BeginQuorumEpoch { voter: voter.id };
            let request = Request::BeginQuorumEpoch(begin);
            self.send(Peer::Node(voter.id), after, in_flight, request, effects);
        }
    }

    pub(crate) fn on_resign(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if matches!(self.role, Role::Leader(_)) {
            self.resign(now, effects);
        }
    }

    /// Stops leading and names the voters by the quality of their logs.
    pub(crate) fn resign(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &self.role else { return };
        let mut preferred: Vec<(Offset, ReplicaKey)> = self
            .log
            .membership()
            .voters
            .iter()
            .filter(|voter| voter.key.id != self.config.me.id)
            .map(|voter| {
                let replica = self.replica_of(leading, voter.key.id);
                (replica.map_or(Offset::ZERO, |replica| replica.end_offset), voter.key)
            })
            .collect();
        preferred.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let preferred: Vec<ReplicaKey> = preferred.into_iter().map(|(_, key)| key).collect();
        self.leave_role(effects);
        self.role = Role::Resigned;
        self.arm_election(now, effects);
        effects.push(Effect::LeaderChanged { epoch: self.election.epoch, leader: None });
        for voter in &preferred {
            let end = EndQuorumEpoch {
                epoch: self.election.epoch,
                leader: self.config.me.id,
                preferred: preferred.clone(),
            };
            let after = self.promised();
            let request = Request::EndQuorumEpoch(end);
            self.send(Peer::Node(voter.id), after, InFlight::EndQuorumEpoch, request, effects);
        }
    }

    /// Whoever waited for this leader is sent to look for the next one.
    pub(crate) fn dismiss(&mut self, leading: Leading, effects: &mut Vec<Effect>) {
        for ticket in leading.parked.into_keys() {
            self.refuse(ticket, Refusal::NotLeaderOrFollower, effects);
        }
        if let Some(ticket) = leading.change.and_then(|change| change.ticket()) {
            self.refuse(ticket, Refusal::NotLeaderOrFollower, effects);
        }
    }
}
