//! Snapshots: when one is worth taking, what may be forgotten afterwards, and serving them to
//! followers (KIP-630).

use alloc::vec::Vec;

use strandline_types::{Now, Offset};

use crate::{
    Effect, FetchSnapshot, FetchSnapshotReply, Quorum, Refusal, ReplyBody, SnapshotFacts,
    SnapshotId, Ticket, Timer,
};

impl Quorum {
    pub(crate) fn arm_snapshot_timer(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.config.snapshot_max_interval.is_zero() {
            self.arm(now, Timer::Snapshot, self.config.snapshot_max_interval, effects);
        }
    }

    pub(crate) fn on_snapshot_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.log.new_record_bytes == 0 {
            self.arm_snapshot_timer(now, effects);
        } else if !self.may_take_snapshot() {
            self.arm(now, Timer::Snapshot, self.config.retry_backoff_max, effects);
        } else {
            self.take_snapshot(now, effects);
        }
    }

    pub(crate) fn maybe_take_snapshot(&mut self, now: Now, effects: &mut Vec<Effect>) {
        // Whoever was asked may have had reasons not to answer: it is asked again, but not often.
        let asked_at = self.snapshot_asked_at_bytes.unwrap_or(0);
        let due_at = asked_at.saturating_add(self.config.snapshot_max_new_record_bytes);
        if self.log.new_record_bytes >= due_at && self.may_take_snapshot() {
            self.take_snapshot(now, effects);
        }
    }

    /// A start takes everything below the newest snapshot for durable. What has committed is so on
    /// a majority, which this node need not be part of yet.
    fn may_take_snapshot(&self) -> bool {
        self.high_watermark <= self.log.synced_end()
    }

    fn take_snapshot(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let end_offset = self.high_watermark;
        let taken = self.log.latest_snapshot().map_or(Offset::ZERO, |last| last.id.end_offset);
        self.arm_snapshot_timer(now, effects);
        if self.installing || end_offset <= taken {
            return;
        }
        self.snapshot_asked_at_bytes = Some(self.log.new_record_bytes);
        let id = SnapshotId { end_offset, epoch: self.log.epoch_before(end_offset) };
        effects.push(Effect::TakeSnapshot { id });
    }

    pub(crate) fn on_snapshot_taken(
        &mut self,
        now: Now,
        snapshot: SnapshotFacts,
        effects: &mut Vec<Effect>,
    ) {
        self.snapshot_asked_at_bytes = None;
        let id = snapshot.id;
        if self.installing || self.log.latest_snapshot().is_some_and(|last| last.id >= id) {
            // One from the leader overtook it.
            return;
        }
        assert!(
            id.end_offset <= self.high_watermark
                && id.end_offset >= self.log.start_offset
                && id.epoch == self.log.epoch_before(id.end_offset),
            "QUORUM-9: a snapshot holds exactly a committed prefix"
        );
        assert!(
            id.end_offset <= self.log.synced_end(),
            "QUORUM-9: what a snapshot holds is durable in the log below it"
        );
        self.log.snapshots.push(snapshot);
        self.log.new_record_bytes = 0;
        self.delete_old_prefix(now, effects);
    }

    /// Forgets, a snapshot at a time, what is too much or too old. The log always begins at or
    /// below the newest snapshot, so nothing that a snapshot does not hold is ever lost.
    fn delete_old_prefix(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let start = self.log.start_offset;
        let Some(next) = self.log.snapshots.iter().find(|s| s.id.end_offset > start) else {
            return;
        };
        let next_start = next.id.end_offset;
        let oldest = self.log.snapshots.iter().find(|s| s.id.end_offset <= start);
        let snapshot_bytes: u64 = self.log.snapshots.iter().map(|s| s.size_bytes).sum();
        let too_much =
            self.log.size_bytes.saturating_add(snapshot_bytes) > self.config.retention_max_bytes;
        let max_age = i64::try_from(self.config.retention_max_age.as_millis()).unwrap_or(i64::MAX);
        // Without a snapshot at its start, all that would go is older than the end of the next one.
        let last_timestamp = oldest.unwrap_or(next).last_timestamp;
        let too_old = now.timestamp.millis_since(last_timestamp) > max_age;
        if !too_much && !too_old {
            return;
        }
        assert!(
            next_start <= self.high_watermark
                && self.log.latest_snapshot().is_some_and(|s| s.id.end_offset >= next_start),
            "QUORUM-9: only what a snapshot holds is deleted from the log"
        );
        self.log.size_bytes = remaining(self.log.size_bytes, start, next_start, self.log_end());
        self.log.delete_prefix(next_start);
        effects.push(Effect::DeletePrefix { start_offset: next_start });
    }

    pub(crate) fn on_fetch_snapshot(
        &mut self,
        now: Now,
        ticket: Ticket,
        fetch: &FetchSnapshot,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.check_leads(fetch.epoch) {
            return self.refuse(ticket, refusal, effects);
        }
        let Some(snapshot) = self.log.snapshots.iter().find(|s| s.id == fetch.id) else {
            return self.refuse(ticket, Refusal::SnapshotNotFound, effects);
        };
        if fetch.position >= snapshot.size_bytes {
            return self.refuse(ticket, Refusal::PositionOutOfRange, effects);
        }
        let reply = FetchSnapshotReply {
            id: fetch.id,
            size_bytes: snapshot.size_bytes,
            position: fetch.position,
            max_bytes: fetch.max_bytes,
        };
        // Copying a snapshot is following, too: it keeps the leader in office.
        self.note_fetch(now, fetch.replica, None);
        self.reply(ticket, ReplyBody::FetchSnapshot(reply), effects);
    }
}

/// About how many of `size` bytes lie behind `new_start`, if records weigh alike.
fn remaining(size: u64, start: Offset, new_start: Offset, end: Offset) -> u64 {
    let all = u128::try_from(end.since(start)).unwrap_or(0).max(1);
    let rest = u128::try_from(end.since(new_start)).unwrap_or(0);
    u64::try_from(u128::from(size) * rest / all).unwrap_or(u64::MAX)
}
