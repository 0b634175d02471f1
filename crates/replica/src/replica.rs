//! The machine.

use alloc::vec::Vec;

use strandline_log::clean::Cleaned;
use strandline_log::{
    Admission, Admitted, ClosePlan, EpochEnd, Log, LogStart, Origin, TransactionStart,
    VerificationGuard,
};
use strandline_types::{
    BatchFacts, Bug, LeaderEpoch, NodeId, Now, Offset, ProducerId, Timestamp, planted,
};

use crate::following::{Cutting, Following};
use crate::leader::Leader;
use crate::tickets::Waiting;
use crate::{
    DeleteRefusal, Effect, Event, IsrAnswer, Leadership, ProduceAnswer, ProduceRefusal,
    ReadRefusal, ReplicaConfig, RequiredAcks, Ticket, View,
};

/// One partition on this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replica {
    node: NodeId,
    config: ReplicaConfig,
    pub(crate) log: Log,
    /// Set while this node leads.
    pub(crate) leader: Option<Leader>,
    /// Set while it follows.
    pub(crate) following: Option<Following>,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: i32,
    pub(crate) high_watermark: Offset,
    /// The disk is full: nothing is appended until the log is replaced.
    pub(crate) suspended: bool,
    pub(crate) cutting: Option<Cutting>,
    pub(crate) is_syncing: bool,
    /// A roll wants everything before this to be durable, in its own time.
    sync_upto: Offset,
}

impl Replica {
    /// `high_watermark` is what was checkpointed; a log that was cut shorter bounds it.
    pub fn new(node: NodeId, config: ReplicaConfig, mut log: Log, high_watermark: Offset) -> Self {
        let high_watermark = high_watermark.clamp(log.log_start(), log.written_end());
        log.committed(high_watermark);
        Self {
            node,
            config,
            leader: None,
            following: None,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: -1,
            high_watermark,
            suspended: false,
            cutting: None,
            is_syncing: false,
            sync_upto: log.recovery_point(),
            log,
        }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn view(&self) -> View {
        View {
            is_leader: self.leader.is_some(),
            is_offline: self.log.is_faulted(),
            leader_epoch: self.leader_epoch,
            log_start: self.log.log_start(),
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable_offset(),
            log_end: self.log.written_end(),
            admitted_end: self.log.log_end(),
            epoch_start: self.leader.as_ref().map_or(Offset(-1), |leader| leader.epoch_start),
            partition_epoch: self.partition_epoch,
        }
    }

    fn last_stable_offset(&self) -> Offset {
        let unstable = self.log.first_unstable().unwrap_or(self.high_watermark);
        // Records that are deleted keep nobody waiting.
        unstable.clamp(self.log.log_start().min(self.high_watermark), self.high_watermark)
    }

    /// The replicas that hold everything committed, as the controller knows them.
    pub fn in_sync(&self) -> &[NodeId] {
        self.leader.as_ref().map_or(&[], |leader| &leader.isr.committed)
    }

    /// Whether this node leads and `node` is one of the other replicas.
    pub fn has_follower(&self, node: NodeId) -> bool {
        let leader = self.leader.as_ref();
        leader.is_some_and(|leader| leader.followers.iter().any(|it| it.node == node))
    }

    /// Who serves a consumer that is to go on at `from` better than this leader (KIP-392): the
    /// replica near it that lags least. `None` where this one is near as well, or no other is. One
    /// out of sync is nobody's: who reads from it would fall behind with it.
    pub fn preferred_read_replica(
        &self,
        from: Offset,
        is_near: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let leader = self.leader.as_ref().filter(|_| !is_near(self.node))?;
        leader.near_follower(from, is_near)
    }

    /// Where a reader's copy of the log, which ends at `from` with a record of `last_epoch`, parts
    /// from ours: it must truncate before it may have records (KIP-595). −1 asks for no check.
    pub fn diverging_epoch(
        &self,
        last_epoch: LeaderEpoch,
        from: Offset,
    ) -> Result<Option<EpochEnd>, ReadRefusal> {
        if last_epoch < LeaderEpoch(0) || planted(Bug::DivergenceUntold) {
            return Ok(None);
        }
        let (log_start, log_end) = (self.log.log_start(), self.log.written_end());
        let ours = self.log.end_of_epoch(last_epoch);
        if ours == EpochEnd::UNKNOWN || from < log_start {
            return Err(ReadRefusal::OffsetOutOfRange { asked: from, log_start, log_end });
        }
        Ok((ours.epoch < last_epoch || ours.end < from).then_some(ours))
    }

    /// See [`Log::begin_verification`]. Nobody but a leader need ask.
    pub fn begin_verification(
        &mut self,
        now: Timestamp,
        start: TransactionStart,
        bumps_epoch: bool,
    ) -> Option<VerificationGuard> {
        self.leader.as_ref()?;
        self.log.begin_verification(now, start, bumps_epoch)
    }

    /// See [`Log::verification_refused`].
    pub fn verification_refused(&mut self, producer: ProducerId, guard: VerificationGuard) {
        self.log.verification_refused(producer, guard);
    }

    /// A clean stop: see [`Log::plan_close`]. No step may follow but [`Event::Synced`].
    pub fn plan_close(&mut self) -> ClosePlan {
        self.log.plan_close()
    }

    /// The disk was full and refused what was admitted: those who wait for it hear so, nothing more
    /// is taken, and readers go on. Cut the log to its written end ([`Log::truncate_to`]) and hand it
    /// to [`Replica::replace_log`]; once there is room, [`Replica::resume`].
    pub fn suspend(&mut self, effects: &mut Vec<Effect>) {
        self.suspended = true;
        let written = self.log.written_end();
        let Some(leader) = &mut self.leader else { return };
        let counted = leader.until_counted.take_beyond(written);
        let committed = leader.until_committed.take_beyond(written);
        let log_start = self.log.log_start();
        for waiting in counted.chain(committed) {
            if planted(Bug::FullDiskAcks) {
                effects.push(Effect::Answer {
                    ticket: waiting.ticket,
                    answer: Ok(ProduceAnswer { appended: waiting.appended, log_start }),
                });
                continue;
            }
            effects.push(refuse(waiting.ticket, ProduceRefusal::Offline));
        }
    }

    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Takes appends again.
    ///
    /// # Panics
    /// When what the disk refused is still in the log.
    pub fn resume(&mut self) {
        assert_eq!(self.log.written_end(), self.log.log_end(), "cut the log before going on");
        self.suspended = false;
    }

    /// Goes on with a log whose end was cut off. What happened to the old one meanwhile is not lost:
    /// a raised start, new settings, an epoch that has no records yet.
    ///
    /// # Panics
    /// When committed records are gone.
    pub fn replace_log(&mut self, log: Log) {
        assert!(
            self.high_watermark <= log.written_end(),
            "REPL-2: the high watermark {} lies in the log, which ends at {}",
            self.high_watermark,
            log.written_end()
        );
        self.adopt(log);
    }

    /// The files of a cleaned segment have taken the place of those it was made from.
    pub fn segments_cleaned(&mut self, cleaned: &Cleaned) {
        self.log.replace(cleaned);
    }

    pub(crate) fn adopt(&mut self, mut log: Log) {
        if self.log.log_start() <= log.log_end() {
            log.raise_log_start(self.log.log_start());
        }
        log.reconfigure(self.log.config().clone());
        log.committed(self.high_watermark);
        if let Some(leader) = &mut self.leader {
            log.begin_epoch(self.leader_epoch);
            leader.epoch_start = leader.epoch_start.min(log.log_end());
        }
        self.sync_upto = self.sync_upto.min(log.log_end());
        self.log = log;
    }

    pub fn step(&mut self, now: Now, event: Event<'_>, effects: &mut Vec<Effect>) {
        let before = self.high_watermark;
        let stable_before = self.last_stable_offset();
        let may_fall = matches!(event, Event::Cut(_));
        match event {
            Event::Append { ticket, batches, required_acks, origin } => {
                if let Err(refusal) =
                    self.append(now, ticket, batches, required_acks, origin, effects)
                {
                    effects.push(refuse(ticket, refusal));
                }
            }
            Event::Written { upto } => {
                self.log.written(upto);
                self.progress(now, effects);
            }
            Event::Synced { upto } => {
                self.is_syncing = false;
                self.log.synced(now.timestamp, upto);
                self.progress(now, effects);
            }
            Event::Faulted => self.fault(effects),
            Event::BecomeLeader(leadership) => self.become_leader(now, &leadership, effects),
            Event::BecomeFollower(followership) => {
                self.become_follower(now, &followership, effects);
            }
            Event::Fetched(fetched) => self.fetched(now, fetched, effects),
            Event::Cut(log) => self.was_cut(now, *log, effects),
            Event::Configured { replica, log } => {
                self.config = replica;
                self.log.reconfigure(log);
                self.progress(now, effects);
            }
            Event::Expired(ticket) => self.forget(ticket),
            Event::FollowerFetched { follower, broker_epoch, log_start, log_end } => {
                let leader_end = self.log.written_end();
                if let Some(known) = self.follower_mut(follower) {
                    known.fetched(now.instant, broker_epoch, log_start, log_end, leader_end);
                    self.offer_membership(follower, effects);
                    self.progress(now, effects);
                }
            }
            Event::FollowerChanged(change) => self.follower_changed(now, change, effects),
            Event::IsrAnswered(answer) => self.isr_answered(now, answer, effects),
            Event::CheckIsr => self.check_isr(now, effects),
            Event::DeleteRecords { ticket, upto } => self.delete_records(ticket, upto, effects),
            Event::Retain => {
                effects.extend(self.retain(now));
            }
            Event::CheckFlush => self.start_sync(self.log.flush_is_due(now.timestamp), effects),
            Event::ExpireProducers => self.log.expire_producers(now.timestamp),
        }
        if before != self.high_watermark {
            self.log.committed(self.high_watermark);
        }
        assert!(
            before <= self.high_watermark || may_fall,
            "REPL-1: the high watermark falls only where the log is cut"
        );
        assert!(
            stable_before <= self.last_stable_offset() || may_fall,
            "REPL-7: what was stable stays so"
        );
        assert!(
            self.high_watermark <= self.log.written_end(),
            "REPL-2: what is committed is written"
        );
    }

    fn append(
        &mut self,
        now: Now,
        ticket: Ticket,
        batches: &[BatchFacts],
        required_acks: RequiredAcks,
        origin: Origin,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ProduceRefusal> {
        assert!(origin != Origin::Follower, "REPL-3: who leads copies from nobody");
        let Some(leader) = &mut self.leader else { return Err(ProduceRefusal::NotLeader) };
        if self.suspended || self.log.is_faulted() {
            return Err(ProduceRefusal::Offline);
        }
        let (in_sync, required) =
            (leader.isr.committed.len(), leader.required_in_sync(&self.config));
        if required_acks == RequiredAcks::All && in_sync < required {
            return Err(ProduceRefusal::NotEnoughReplicas { in_sync, required });
        }
        match self.log.admit(now, batches, origin, self.leader_epoch)? {
            Admitted::Append(admission) => {
                leader.park(required_acks, Waiting { ticket, appended: admission.appended });
                self.appending(&admission);
                effects.push(Effect::Append(admission));
            }
            // Its records may not even be written yet.
            Admitted::Duplicate(appended) => {
                leader.park(required_acks, Waiting { ticket, appended });
                self.release(effects);
            }
        }
        Ok(())
    }

    /// A segment that is full is synced in its own time.
    pub(crate) fn appending(&mut self, admission: &Admission) {
        if let Some(roll) = &admission.roll {
            self.sync_upto = roll.base_offset;
        }
    }

    /// Something was written, synced or replicated: whom does it satisfy?
    pub(crate) fn progress(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.start_sync(false, effects);
        if let Some(leader) = &self.leader {
            let has_quorum = leader.isr.committed.len() >= leader.required_in_sync(&self.config);
            if has_quorum && !self.log.is_faulted() {
                let (own_end, leader_end) = (self.log.counted_end(), self.log.written_end());
                let end = leader.replicated_end(own_end, leader_end, now.instant, &self.config);
                self.high_watermark = self.high_watermark.max(end);
            }
        }
        self.follow_up(effects);
        self.release(effects);
    }

    fn release(&mut self, effects: &mut Vec<Effect>) {
        let (log_start, counted_end) = (self.log.log_start(), self.log.counted_end());
        let Some(leader) = &mut self.leader else { return };
        let answer = |waiting: Waiting| Effect::Answer {
            ticket: waiting.ticket,
            answer: Ok(ProduceAnswer { appended: waiting.appended, log_start }),
        };
        effects.extend(leader.until_counted.release(counted_end).map(answer));
        effects.extend(leader.until_committed.release(self.high_watermark).map(answer));
        let low_watermark = leader.low_watermark(log_start);
        for (ticket, _) in
            leader.until_deleted.extract_if(.., |&mut (_, upto)| upto <= low_watermark)
        {
            effects.push(Effect::AnswerDelete { ticket, answer: Ok(low_watermark) });
        }
    }

    /// One sync at a time: whoever comes meanwhile shares the next one.
    fn start_sync(&mut self, flush_is_due: bool, effects: &mut Vec<Effect>) {
        if self.is_syncing || self.cutting.is_some() || self.log.is_faulted() {
            return;
        }
        let written = self.log.written_end();
        let upto = if flush_is_due || self.log.wants_sync() {
            written
        } else if self.sync_upto <= written {
            self.sync_upto
        } else {
            return;
        };
        if let Some(plan) = self.log.plan_sync(upto) {
            self.is_syncing = true;
            effects.push(Effect::Sync(plan));
        }
    }

    fn fault(&mut self, effects: &mut Vec<Effect>) {
        self.log.fail();
        self.refuse_all(ProduceRefusal::Offline, DeleteRefusal::Offline, effects);
    }

    pub(crate) fn refuse_all(
        &mut self,
        produce: ProduceRefusal,
        delete: DeleteRefusal,
        effects: &mut Vec<Effect>,
    ) {
        let Some(leader) = &mut self.leader else { return };
        for waiting in leader.until_counted.release_all() {
            effects.push(refuse(waiting.ticket, produce));
        }
        for waiting in leader.until_committed.release_all() {
            effects.push(refuse(waiting.ticket, produce));
        }
        for (ticket, _) in leader.until_deleted.drain(..) {
            effects.push(Effect::AnswerDelete { ticket, answer: Err(delete) });
        }
    }

    pub(crate) fn become_leader(
        &mut self,
        now: Now,
        leadership: &Leadership,
        effects: &mut Vec<Effect>,
    ) {
        if leadership.leader_epoch < self.leader_epoch
            || leadership.partition_epoch < self.partition_epoch
            || self.defers(leadership)
        {
            return;
        }
        self.following = None;
        let is_new = leadership.leader_epoch > self.leader_epoch || self.leader.is_none();
        self.leader_epoch = leadership.leader_epoch;
        self.partition_epoch = leadership.partition_epoch;
        if is_new {
            self.log.begin_epoch(leadership.leader_epoch);
            let start = self.log.log_end();
            let mut leader = Leader::new(self.node, leadership, start, now.instant);
            if let Some(former) = self.leader.take() {
                leader.until_counted = former.until_counted;
                leader.until_committed = former.until_committed;
                leader.until_deleted = former.until_deleted;
            }
            self.leader = Some(leader);
        } else if let Some(leader) = &mut self.leader {
            leader.set_replicas(leadership, now.instant);
        }
        self.progress(now, effects);
    }

    pub(crate) fn follower_mut(&mut self, node: NodeId) -> Option<&mut crate::FollowerProgress> {
        self.leader.as_mut()?.follower_mut(node)
    }

    fn forget(&mut self, ticket: Ticket) {
        let Some(leader) = &mut self.leader else { return };
        leader.until_counted.forget(ticket);
        leader.until_committed.forget(ticket);
        leader.until_deleted.retain(|&(known, _)| known != ticket);
    }

    fn offer_membership(&mut self, follower: NodeId, effects: &mut Vec<Effect>) {
        let high_watermark = self.high_watermark;
        let expanded =
            self.leader.as_ref().and_then(|leader| leader.expanded(follower, high_watermark));
        self.propose(expanded, effects);
    }

    fn check_isr(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let leader_end = self.log.written_end();
        let shrunk = self
            .leader
            .as_ref()
            .and_then(|leader| leader.shrunk(leader_end, now.instant, &self.config));
        self.propose(shrunk, effects);
    }

    fn propose(&mut self, in_sync: Option<Vec<NodeId>>, effects: &mut Vec<Effect>) {
        let (Some(leader), Some(in_sync)) = (&mut self.leader, in_sync) else { return };
        effects.push(Effect::AlterIsr {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            in_sync: leader.members(&in_sync),
        });
        leader.isr.proposed = Some(in_sync);
    }

    fn isr_answered(&mut self, now: Now, answer: IsrAnswer, effects: &mut Vec<Effect>) {
        let Some(leader) = &mut self.leader else { return };
        match answer {
            IsrAnswer::Committed { leader_epoch, partition_epoch, in_sync }
                if leader_epoch == self.leader_epoch && partition_epoch >= self.partition_epoch =>
            {
                self.partition_epoch = partition_epoch;
                leader.isr = crate::isr::Isr::new(in_sync);
            }
            // The metadata overtook the answer, or will tell.
            IsrAnswer::Committed { .. } | IsrAnswer::Outdated => {}
            IsrAnswer::Refused => leader.isr.proposed = None,
        }
        self.progress(now, effects);
    }

    fn delete_records(&mut self, ticket: Ticket, upto: Offset, effects: &mut Vec<Effect>) {
        let refusal = if self.log.is_faulted() {
            Some(DeleteRefusal::Offline)
        } else if self.leader.is_none() {
            Some(DeleteRefusal::NotLeader)
        } else {
            None
        };
        let raised = match refusal {
            Some(refusal) => Err(refusal),
            None => self.log.delete_records(upto, self.high_watermark).map_err(DeleteRefusal::from),
        };
        match raised {
            Err(refusal) => {
                effects.push(Effect::AnswerDelete { ticket, answer: Err(refusal) });
            }
            Ok(LogStart { log_start, epochs }) => {
                effects.push(Effect::LogStartRaised(LogStart { log_start, epochs }));
                let asked = if upto == Offset(-1) { log_start } else { upto };
                if let Some(leader) = &mut self.leader {
                    leader.until_deleted.push((ticket, asked));
                }
                self.release(effects);
            }
        }
    }

    fn retain(&mut self, now: Now) -> Option<Effect> {
        if self.cutting.is_some() {
            // What is left of the log would know nothing of a deletion.
            return None;
        }
        let written = self.log.written_end();
        let mut upto = self.high_watermark;
        if self.suspended && written < self.log.log_end() {
            // Its end could not be cut off yet: the segment that will be the last one stays.
            upto = upto.min(self.log.segment_of(written - 1).base_offset);
        }
        self.log.retain(now.timestamp, upto).map(Effect::Delete)
    }
}

fn refuse(ticket: Ticket, refusal: ProduceRefusal) -> Effect {
    Effect::Answer { ticket, answer: Err(refusal) }
}
