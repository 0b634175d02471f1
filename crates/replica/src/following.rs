//! A replica while it follows: what it asks its leader for, and what it makes of the answers.
//!
//! It truncates by leader epochs alone, never by a high watermark (KIP-101, KIP-279): the leader
//! looks up where the epoch of the follower's last record ends in its own log, and says so when the
//! follower's log cannot be a prefix of it (KIP-595).

use alloc::vec::Vec;

use strandline_log::{Admitted, EpochEnd, Log, LogStart, Origin};
use strandline_types::{BatchFacts, Bug, LeaderEpoch, NodeId, Now, Offset, planted};

use crate::{
    Cut, DeleteRefusal, Effect, FetchAnswer, FetchPosition, Fetched, FollowRefusal, FollowerChange,
    Followership, Leadership, NextFetch, ProduceRefusal, Replica,
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Following {
    leader: NodeId,
    is_in_sync: bool,
    /// `None` until this leader has told it.
    leader_high_watermark: Option<Offset>,
    leader_log_start: Offset,
}

/// A cut that is decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cutting {
    cut: Cut,
    /// The files are being cut: there is no way back.
    has_begun: bool,
    /// A leadership that came meanwhile begins with what is left.
    leadership: Option<Leadership>,
    /// What was said of its followers since.
    follower_changes: Vec<FollowerChange>,
}

impl Replica {
    /// What to ask the leader for. Only what is written, and synced where an answer to a producer
    /// would wait for that, is behind the offset (REPL-6): by asking on from there a follower
    /// acknowledges it.
    pub fn next_fetch(&self) -> NextFetch {
        let Some(following) = &self.following else { return NextFetch::Stopped };
        if following.leader == NodeId::NONE || self.suspended || self.log.is_faulted() {
            return NextFetch::Stopped;
        }
        let log_end = self.log.log_end();
        if self.cutting.is_some() || self.log.written_end() < log_end || self.log.wants_sync() {
            return NextFetch::Busy;
        }
        // A log without records takes up the leader's where that begins, be it within a batch.
        let offset = match self.log.is_empty() {
            true => log_end.max(following.leader_log_start),
            false => log_end,
        };
        NextFetch::From(FetchPosition {
            leader: following.leader,
            leader_epoch: self.leader_epoch,
            offset,
            last_epoch: self.log.latest_epoch().unwrap_or(LeaderEpoch::NONE),
            log_start: self.log.log_start(),
        })
    }

    /// How many offsets a follower lacks of what its leader said is committed; `None` while it has
    /// not said so, or nobody is followed.
    pub fn lag(&self) -> Option<u64> {
        let committed = self.following.as_ref()?.leader_high_watermark?;
        Some((committed.get() - self.log.log_end().get()).max(0) as u64)
    }

    /// The cut that is being carried out, for whoever has to try again.
    pub fn cut(&self) -> Option<Cut> {
        self.cutting.as_ref().filter(|cutting| cutting.has_begun).map(|cutting| cutting.cut)
    }

    pub(crate) fn become_follower(
        &mut self,
        now: Now,
        followership: &Followership,
        effects: &mut Vec<Effect>,
    ) {
        let Followership { leader, leader_epoch, partition_epoch, is_in_sync } = *followership;
        if leader_epoch < self.leader_epoch || partition_epoch < self.partition_epoch {
            return;
        }
        let is_new = leader_epoch > self.leader_epoch || self.following.is_none();
        self.leader_epoch = leader_epoch;
        self.partition_epoch = partition_epoch;
        self.refuse_all(ProduceRefusal::NotLeader, DeleteRefusal::NotLeader, effects);
        self.leader = None;
        self.call_off_cut();
        if let Some(cutting) = &mut self.cutting {
            cutting.leadership = None;
            cutting.follower_changes.clear();
        }
        if is_new {
            self.log.forget_unused_epochs();
        }
        let known = self.following.take().filter(|_| !is_new);
        let (leader_high_watermark, leader_log_start) = known
            .map_or((None, Offset::ZERO), |it| (it.leader_high_watermark, it.leader_log_start));
        self.following =
            Some(Following { leader, is_in_sync, leader_high_watermark, leader_log_start });
        if is_new && self.high_watermark < self.log.log_end() && planted(Bug::CutsAtWatermark) {
            self.begin_cut(Cut::Truncate { to: self.high_watermark });
        }
        self.progress(now, effects);
    }

    /// A leadership begins, unless it has to wait for a cut that cannot be called off.
    pub(crate) fn defers(&mut self, leadership: &Leadership) -> bool {
        self.call_off_cut();
        let Some(cutting) = &mut self.cutting else { return false };
        cutting.leadership = Some(leadership.clone());
        true
    }

    /// What the metadata say of a follower, for the leader that this is or is about to be.
    pub(crate) fn follower_changed(
        &mut self,
        now: Now,
        change: FollowerChange,
        effects: &mut Vec<Effect>,
    ) {
        let waiting = self.cutting.as_mut().filter(|cutting| cutting.leadership.is_some());
        if let Some(cutting) = waiting {
            cutting.follower_changes.push(change);
        } else if let Some(known) = self.follower_mut(change.follower) {
            (known.is_alive, known.may_join_isr) = (change.is_alive, change.may_join_isr);
            self.progress(now, effects);
        }
    }

    /// Another leader may see it otherwise.
    fn call_off_cut(&mut self) {
        self.cutting.take_if(|cutting| !cutting.has_begun);
    }

    pub(crate) fn fetched(&mut self, now: Now, fetched: Fetched<'_>, effects: &mut Vec<Effect>) {
        let NextFetch::From(asked) = self.next_fetch() else { return };
        if (asked.leader_epoch, asked.offset) != (fetched.leader_epoch, fetched.offset) {
            // The answer to a question that is no longer asked.
            return;
        }
        let taken = match fetched.answer {
            FetchAnswer::Records { batches, high_watermark, log_start } => {
                if let Some(following) = &mut self.following {
                    following.leader_high_watermark = Some(high_watermark);
                    following.leader_log_start = log_start;
                }
                self.copy(now, asked, batches, effects)
            }
            FetchAnswer::Diverging(theirs) => self.diverge(theirs),
            FetchAnswer::OutOfRange { log_start, log_end } => {
                let own_end = self.log.log_end();
                if log_end < own_end {
                    self.cut_to(log_end)
                } else if log_start > own_end {
                    self.begin_cut(Cut::StartOver { at: log_start });
                    Ok(())
                } else {
                    // The leader's log has moved since.
                    Ok(())
                }
            }
        };
        if let Err(refusal) = taken {
            effects.push(Effect::RefuseFetched(refusal));
        }
        self.progress(now, effects);
    }

    fn copy(
        &mut self,
        now: Now,
        asked: FetchPosition,
        batches: &[BatchFacts],
        effects: &mut Vec<Effect>,
    ) -> Result<(), FollowRefusal> {
        let batches = usable(batches, asked.leader_epoch);
        let Some(first) = batches.first() else { return Ok(()) };
        if self.log.is_empty()
            && first.base_offset != self.log.log_end()
            && covers(first, asked.offset)
        {
            // The leader's log begins within this batch, and ours must have all of it.
            self.begin_cut(Cut::StartOver { at: first.base_offset });
            return Ok(());
        }
        match self.log.admit(now, batches, Origin::Follower, asked.leader_epoch)? {
            Admitted::Append(admission) => {
                self.appending(&admission);
                effects.push(Effect::Append(admission));
            }
            Admitted::Duplicate(_) => unreachable!("REPL-5: what is copied is not compared"),
        }
        Ok(())
    }

    /// The leader's log ends an epoch, the last one that both may know, at `theirs.end`.
    fn diverge(&mut self, theirs: EpochEnd) -> Result<(), FollowRefusal> {
        let ours = self.log.end_of_epoch(theirs.epoch);
        let to = if ours == EpochEnd::UNKNOWN { theirs.end } else { theirs.end.min(ours.end) };
        self.cut_to(to)
    }

    fn cut_to(&mut self, to: Offset) -> Result<(), FollowRefusal> {
        let (log_start, log_end) = (self.log.log_start(), self.log.log_end());
        if to >= log_end || to < Offset::ZERO {
            return Err(FollowRefusal::NothingToCut(to));
        }
        let high_watermark = self.high_watermark;
        let in_sync = self.following.as_ref().is_some_and(|following| following.is_in_sync);
        if in_sync && to < high_watermark {
            return Err(FollowRefusal::CutsCommitted { to, high_watermark });
        }
        self.begin_cut(match to < log_start {
            true => Cut::StartOver { at: to },
            false => Cut::Truncate { to },
        });
        Ok(())
    }

    fn begin_cut(&mut self, cut: Cut) {
        let follower_changes = Vec::new();
        self.cutting = Some(Cutting { cut, has_begun: false, leadership: None, follower_changes });
    }

    /// What comes of something having been written, synced or told.
    pub(crate) fn follow_up(&mut self, effects: &mut Vec<Effect>) {
        if self.log.is_faulted() {
            return;
        }
        // A sync that is under way would vouch for what comes in the place of what is cut.
        let is_idle = !self.is_syncing && self.log.written_end() == self.log.log_end();
        if let Some(cutting) = &mut self.cutting {
            if is_idle && !cutting.has_begun {
                cutting.has_begun = true;
                effects.push(Effect::Cut(cutting.cut));
            }
            return;
        }
        let Some(following) = &self.following else { return };
        let told = following.leader_high_watermark.unwrap_or(Offset::ZERO);
        self.high_watermark = self.high_watermark.max(told.min(self.log.written_end()));
        let log_start = following.leader_log_start.min(self.high_watermark);
        if log_start > self.log.log_start() {
            let epochs_changed = self.log.raise_log_start(log_start);
            let epochs = epochs_changed.then(|| self.log.epochs().entries().to_vec());
            effects.push(Effect::LogStartRaised(LogStart { log_start, epochs }));
        }
    }

    /// The log goes on with what is left. Below the high watermark only a log is cut whose replica
    /// is not in the ISR (REPL-4): its leader was elected uncleanly, and what it does not have is
    /// no longer committed.
    pub(crate) fn was_cut(&mut self, now: Now, log: Log, effects: &mut Vec<Effect>) {
        let Some(cutting) = self.cutting.take() else { return };
        self.adopt(log);
        let (log_start, written_end) = (self.log.log_start(), self.log.written_end());
        self.high_watermark = self.high_watermark.clamp(log_start, written_end);
        match cutting.leadership {
            Some(leadership) => {
                self.become_leader(now, &leadership, effects);
                for change in cutting.follower_changes {
                    self.follower_changed(now, change, effects);
                }
            }
            None => self.progress(now, effects),
        }
    }
}

/// As many of the batches as one append may hold.
///
/// The leader may have been elected anew since it took the question: who follows in an older epoch
/// must not know the later one's records before it knows of the election. And what follows a hole
/// of two thousand million offsets, where a log was compacted, belongs in another segment.
fn usable(batches: &[BatchFacts], leader_epoch: LeaderEpoch) -> &[BatchFacts] {
    let Some(first) = batches.first() else { return batches };
    let fits = |batch: &&BatchFacts| {
        let last = batch.base_offset.checked_add(batch.last_offset_delta.into());
        let span = last.and_then(|last| last.0.checked_sub(first.base_offset.0));
        let is_near = span.is_some_and(|span| span <= i32::MAX.into());
        batch.leader_epoch <= leader_epoch && is_near
    };
    let count = batches.iter().take_while(fits).count();
    &batches[..count]
}

fn covers(batch: &BatchFacts, offset: Offset) -> bool {
    let last = batch.base_offset.checked_add(batch.last_offset_delta.into());
    (Offset::ZERO..=offset).contains(&batch.base_offset) && last.is_some_and(|last| last >= offset)
}
