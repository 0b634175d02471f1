//! The machine: one node's state, the dispatch of events, and the changes of role.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use strandline_types::{Bug, Instant, LeaderEpoch, NodeId, Now, Offset, planted};

use crate::log_view::LogView;
use crate::role::{Following, InFlight, Role};
use crate::{
    Config, Effect, Election, Event, Join, Membership, Peer, Random, Recovered, Refusal,
    ReplicaKey, Reply, ReplyBody, Request, RequestId, Response, RoleName, Ticket, Timer, WriteId,
};

/// One node of the quorum.
#[derive(Clone, Debug)]
pub struct Quorum {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) election: Election,
    /// The write that made `election` durable.
    pub(crate) election_write: WriteId,
    pub(crate) role: Role,
    pub(crate) log: LogView,
    pub(crate) high_watermark: Offset,
    pub(crate) timers: BTreeMap<Timer, Instant>,
    pub(crate) in_flight: BTreeMap<RequestId, InFlight>,
    /// Who led when this node last followed, and when it was last heard.
    pub(crate) last_heard: Option<(NodeId, Instant)>,
    /// Retries since something last went well.
    pub(crate) retries: u32,
    /// It lost its disk, and votes given before may be counted until then.
    pub(crate) forgotten_until: Option<Instant>,
    /// Whether it still has to become a voter by itself, and when.
    pub(crate) join: Join,
    /// Controllers that the metadata name, voters or not.
    pub(crate) controllers: BTreeSet<NodeId>,
    /// A copied snapshot is being made this node's log: nothing may be appended or led meanwhile.
    pub(crate) installing: bool,
    /// New record bytes when a snapshot was last asked for; `None` when the newest answer is taken.
    pub(crate) snapshot_asked_at_bytes: Option<u64>,
    pub(crate) last_write: WriteId,
    durable_write: WriteId,
    last_request: RequestId,
}

impl Quorum {
    /// Starts a node on what its disk holds. A sole voter leads when this returns.
    pub fn open(
        now: Now,
        config: Config,
        recovered: Recovered,
        seed: u64,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let high_watermark =
            recovered.snapshots.last().map_or(Offset::ZERO, |snapshot| snapshot.id.end_offset);
        let log = LogView::new(recovered.clone());
        let unknown = Election { epoch: log.last_epoch(), leader: None, voted: None };
        let election = match recovered.election {
            // A log that knows a later epoch means that the file was lost: its promises are too.
            Some(election) if election.epoch >= unknown.epoch => election,
            _ => unknown,
        };
        let forgotten_until = config.has_forgotten.then(|| now.instant + config.vote_lifetime());
        let mut quorum = Self {
            forgotten_until,
            join: config.join,
            controllers: BTreeSet::new(),
            last_heard: None,
            config,
            random: Random::new(seed),
            election,
            election_write: WriteId(0),
            role: Role::Unattached,
            log,
            high_watermark: high_watermark.min(recovered.end_offset),
            timers: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            retries: 0,
            installing: false,
            snapshot_asked_at_bytes: None,
            last_write: WriteId(0),
            durable_write: WriteId(0),
            last_request: RequestId(0),
        };
        quorum.begin(now, effects);
        quorum.check();
        quorum
    }

    fn begin(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.arm_snapshot_timer(now, effects);
        if self.is_sole_voter() && self.may_stand() {
            // Nobody else could lead or object: waiting for a time-out would only cost time.
            self.become_candidate(now, effects);
            return;
        }
        match self.election.leader {
            // Voting for somebody else in an epoch that it led would make a second leader.
            Some(leader) if leader == self.config.me.id && !self.may_stand() => {
                self.role = Role::Resigned;
                self.arm_turn(now, Timer::Election, effects);
            }
            // A voter goes on to the next epoch, and stands at once. If somebody leads by now, the
            // answers to its pre-vote name the leader, which may be a second away from its next try
            // to reach a node that was down.
            Some(leader) if leader == self.config.me.id => {
                let next = LeaderEpoch(self.election.epoch.0 + 1);
                self.become_unattached(now, next, effects);
                self.arm_turn(now, Timer::Election, effects);
            }
            Some(_) => self.start_following(now, effects),
            None => {
                self.start_unattached(now, effects);
                if self.may_stand() {
                    self.arm_turn(now, Timer::Election, effects);
                }
            }
        }
    }

    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        let epoch_before = self.election.clone();
        let high_watermark_before = self.high_watermark;
        match event {
            Event::Timer(timer) => self.on_timer(now, timer, effects),
            Event::Durable(write) => {
                self.durable_write = self.durable_write.max(write);
                self.log.durable(write);
                self.advance_high_watermark(now, effects);
                self.maybe_take_snapshot(now, effects);
            }
            Event::Append { ticket, epoch, records, size_bytes } => {
                self.on_append(now, ticket, epoch, records, size_bytes, effects);
            }
            Event::Request { ticket, request } => self.on_request(now, ticket, request, effects),
            Event::Response { id, response } => self.on_response(now, id, response, effects),
            Event::Unanswered { id } => self.on_unanswered(now, id, effects),
            Event::Gone { id } => self.on_gone(now, id, effects),
            Event::SnapshotTaken(snapshot) => self.on_snapshot_taken(now, snapshot, effects),
            Event::SnapshotInstalled { snapshot, membership } => {
                self.on_snapshot_installed(now, snapshot, membership, effects);
            }
            Event::SnapshotRefused => self.on_snapshot_refused(now, effects),
            Event::Controllers(ids) => {
                self.controllers = ids;
                self.tend_own_voter(now, effects);
            }
            Event::Resign => self.on_resign(now, effects),
        }
        self.check_step(&epoch_before, high_watermark_before);
        self.check();
    }

    fn on_timer(&mut self, now: Now, timer: Timer, effects: &mut Vec<Effect>) {
        // A timer that was moved or cancelled may still arrive.
        if self.timers.get(&timer).is_none_or(|deadline| now.instant < *deadline) {
            return;
        }
        self.timers.remove(&timer);
        match timer {
            Timer::Election => self.on_election_timeout(now, effects),
            Timer::FetchTimeout => self.on_fetch_timeout(now, effects),
            Timer::Retry => self.on_retry(now, effects),
            Timer::CheckQuorum => self.on_check_quorum(now, effects),
            Timer::BeginQuorumEpoch => self.on_begin_quorum_epoch_due(now, effects),
            Timer::ParkedFetch => self.answer_parked(now, effects),
            Timer::AddVoter => self.on_add_voter_timeout(effects),
            Timer::OwnVoter => self.on_own_voter_due(now, effects),
            Timer::Snapshot => self.on_snapshot_due(now, effects),
        }
    }

    fn on_request(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        match request {
            Request::Vote(vote) => self.on_vote(now, ticket, &vote, effects),
            Request::BeginQuorumEpoch(begin) => {
                self.on_begin_quorum_epoch(now, ticket, &begin, effects);
            }
            Request::EndQuorumEpoch(end) => self.on_end_quorum_epoch(now, ticket, &end, effects),
            Request::Fetch(fetch) => self.on_fetch(now, ticket, &fetch, effects),
            Request::FetchSnapshot(fetch) => self.on_fetch_snapshot(now, ticket, &fetch, effects),
            Request::ChangeVoter(change) => self.on_change_voter(now, ticket, change, effects),
        }
    }

    fn on_response(
        &mut self,
        now: Now,
        id: RequestId,
        response: Response,
        effects: &mut Vec<Effect>,
    ) {
        // Answers to questions of an earlier role say nothing any more.
        let Some(request) = self.in_flight.remove(&id) else { return };
        // That this node leads is what a peer remembers of a disk that is lost.
        let tells_leader = response.leader.is_some_and(|leader| leader != self.config.me.id);
        if response.epoch > self.election.epoch
            || (response.epoch == self.election.epoch
                && self.election.leader.is_none()
                && tells_leader)
        {
            self.learn(now, response.epoch, response.leader, effects);
            return;
        }
        if response.epoch < self.election.epoch && response.refusal.is_none() {
            self.on_unanswered_request(now, &request, effects);
            return;
        }
        match request {
            InFlight::Vote { voter } => self.on_vote_response(now, voter, &response, effects),
            InFlight::Fetch => self.on_fetch_response(now, id, response, effects),
            InFlight::FetchSnapshot { id: snapshot, position } => {
                self.on_fetch_snapshot_response(now, id, snapshot, position, response, effects);
            }
            InFlight::FindLeader => self.retry_later(now, effects),
            InFlight::BeginQuorumEpoch { .. }
            | InFlight::EndQuorumEpoch
            // What came of it stands in the log.
            | InFlight::ChangeVoter => {}
        }
    }

    fn on_unanswered(&mut self, now: Now, id: RequestId, effects: &mut Vec<Effect>) {
        if let Some(request) = self.in_flight.remove(&id) {
            self.on_unanswered_request(now, &request, effects);
        }
    }

    fn on_gone(&mut self, now: Now, id: RequestId, effects: &mut Vec<Effect>) {
        let Some(request) = self.in_flight.remove(&id) else { return };
        self.on_unanswered_request(now, &request, effects);
        if matches!(request, InFlight::Fetch | InFlight::FetchSnapshot { .. }) {
            self.on_leader_gone(now, effects);
        }
    }

    fn on_unanswered_request(&mut self, now: Now, request: &InFlight, effects: &mut Vec<Effect>) {
        match request {
            InFlight::Vote { .. }
            | InFlight::Fetch
            | InFlight::FetchSnapshot { .. }
            | InFlight::FindLeader => self.retry_later(now, effects),
            // Its own timer repeats it; a resigned leader asks once.
            InFlight::BeginQuorumEpoch { .. }
            | InFlight::EndQuorumEpoch
            | InFlight::ChangeVoter => {}
        }
    }

    fn on_retry(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &self.role {
            Role::Prospective(_) | Role::Candidate { .. } => self.ask_for_votes(effects),
            // Who cannot stand depends on others to find a leader that is elsewhere by now: every
            // other question goes to any peer.
            Role::Follower(following)
                if !following.has_fetched
                    && self.retries.is_multiple_of(2)
                    && !self.may_stand() =>
            {
                self.find_leader(now, effects);
            }
            Role::Follower(_) => self.fetch_next(effects),
            Role::Unattached => self.find_leader(now, effects),
            Role::Leader(_) | Role::Resigned => {}
        }
    }

    /// Takes over what a peer says about the present: an epoch above ours, or ours with a leader.
    pub(crate) fn learn(
        &mut self,
        now: Now,
        epoch: LeaderEpoch,
        leader: Option<NodeId>,
        effects: &mut Vec<Effect>,
    ) {
        match leader {
            Some(leader) if leader != self.config.me.id && leader != NodeId::NONE => {
                self.become_follower(now, epoch, leader, effects);
            }
            _ if epoch > self.election.epoch => {
                // A peer that calls this node the leader remembers a promise that this node's disk
                // has lost: to vote for another in that epoch would break it.
                let me = self.config.me;
                let voted = (leader == Some(me.id)).then_some(me);
                let election = Election { epoch, leader: None, voted };
                self.become_unattached_with(now, election, effects);
            }
            _ => {}
        }
    }

    pub(crate) fn become_unattached(
        &mut self,
        now: Now,
        epoch: LeaderEpoch,
        effects: &mut Vec<Effect>,
    ) {
        let election = if epoch > self.election.epoch {
            Election { epoch, leader: None, voted: None }
        } else {
            self.election.clone()
        };
        self.become_unattached_with(now, election, effects);
    }

    pub(crate) fn become_unattached_with(
        &mut self,
        now: Now,
        election: Election,
        effects: &mut Vec<Effect>,
    ) {
        self.leave_role(effects);
        self.elect(election, effects);
        self.start_unattached(now, effects);
    }

    fn start_unattached(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.role = Role::Unattached;
        if self.may_stand() {
            self.arm_election(now, effects);
        } else {
            self.find_leader(now, effects);
        }
    }

    pub(crate) fn become_follower(
        &mut self,
        now: Now,
        epoch: LeaderEpoch,
        leader: NodeId,
        effects: &mut Vec<Effect>,
    ) {
        self.leave_role(effects);
        let voted = if epoch > self.election.epoch { None } else { self.election.voted };
        self.elect(Election { epoch, leader: Some(leader), voted }, effects);
        self.start_following(now, effects);
    }

    fn start_following(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.role = Role::Follower(Following::default());
        self.arm_fetch_timeout(now, effects);
        self.fetch_next(effects);
    }

    /// Ends what only the present role does. Waiting askers get an answer.
    pub(crate) fn leave_role(&mut self, effects: &mut Vec<Effect>) {
        self.in_flight.clear();
        self.retries = 0;
        for timer in [
            Timer::Election,
            Timer::FetchTimeout,
            Timer::Retry,
            Timer::CheckQuorum,
            Timer::BeginQuorumEpoch,
            Timer::ParkedFetch,
            Timer::AddVoter,
            Timer::OwnVoter,
        ] {
            self.cancel(timer, effects);
        }
        if let Role::Leader(leading) = core::mem::replace(&mut self.role, Role::Unattached) {
            self.dismiss(leading, effects);
        }
    }

    /// Makes a promise. Whatever depends on it says `after: self.promised()`.
    pub(crate) fn elect(&mut self, election: Election, effects: &mut Vec<Effect>) {
        if election == self.election {
            return;
        }
        let told = (self.election.epoch, self.election.leader);
        self.election = election;
        let write = self.next_write();
        self.log.wrote(write);
        self.election_write = write;
        effects.push(Effect::Persist { write, election: self.election.clone() });
        if told != (self.election.epoch, self.election.leader) {
            effects.push(Effect::LeaderChanged {
                epoch: self.election.epoch,
                leader: self.election.leader,
            });
        }
    }

    pub(crate) fn promised(&self) -> Option<WriteId> {
        self.unless_durable(self.election_write)
    }

    pub(crate) fn unless_durable(&self, write: WriteId) -> Option<WriteId> {
        (write > self.durable_write).then_some(write)
    }

    pub(crate) fn next_write(&mut self) -> WriteId {
        self.last_write.0 += 1;
        self.last_write
    }

    pub(crate) fn send(
        &mut self,
        to: Peer,
        after: Option<WriteId>,
        in_flight: InFlight,
        request: Request,
        effects: &mut Vec<Effect>,
    ) {
        self.last_request.0 += 1;
        let id = self.last_request;
        self.in_flight.insert(id, in_flight);
        effects.push(Effect::Send { after, to, id, request });
    }

    pub(crate) fn reply(&self, ticket: Ticket, body: ReplyBody, effects: &mut Vec<Effect>) {
        self.answer(ticket, None, body, effects);
    }

    pub(crate) fn refuse(&self, ticket: Ticket, refusal: Refusal, effects: &mut Vec<Effect>) {
        self.answer(ticket, Some(refusal), ReplyBody::Empty, effects);
    }

    fn answer(
        &self,
        ticket: Ticket,
        refusal: Option<Refusal>,
        body: ReplyBody,
        effects: &mut Vec<Effect>,
    ) {
        let leader = self.leader();
        let reply = Reply { refusal, epoch: self.election.epoch, leader, body };
        effects.push(Effect::Reply { after: self.promised(), ticket, reply });
    }

    pub(crate) fn arm(
        &mut self,
        now: Now,
        timer: Timer,
        wait: Duration,
        effects: &mut Vec<Effect>,
    ) {
        self.arm_at(timer, now.instant + wait, effects);
    }

    pub(crate) fn arm_at(&mut self, timer: Timer, at: Instant, effects: &mut Vec<Effect>) {
        self.timers.insert(timer, at);
        effects.push(Effect::Arm { timer, at });
    }

    pub(crate) fn cancel(&mut self, timer: Timer, effects: &mut Vec<Effect>) {
        if self.timers.remove(&timer).is_some() {
            effects.push(Effect::Cancel { timer });
        }
    }

    pub(crate) fn arm_election(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let wait = self.random.jittered(self.config.election_timeout);
        self.arm(now, Timer::Election, wait, effects);
    }

    /// Voters that notice at the same moment that nobody leads stand one after the other. If one
    /// does so for nothing, no pre-vote is granted to it.
    pub(crate) fn arm_turn(&mut self, now: Now, timer: Timer, effects: &mut Vec<Effect>) {
        let me = self.config.me.id;
        let voters = self.log.membership().voters.ids();
        let before = voters.filter(|id| *id < me && Some(*id) != self.election.leader).count();
        let turn = u32::try_from(before).unwrap_or(u32::MAX);
        let wait = self.config.succession_delay.saturating_mul(turn);
        self.arm(now, timer, wait, effects);
    }

    /// A dead leader's followers have all heard it last at the same moment: a little spread keeps
    /// them from standing against each other.
    pub(crate) fn arm_fetch_timeout(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let spread = u64::try_from(self.config.election_timeout.as_nanos() / 4);
        let spread = Duration::from_nanos(self.random.below(spread.unwrap_or(u64::MAX)));
        self.arm(now, Timer::FetchTimeout, self.config.fetch_timeout + spread, effects);
    }

    pub(crate) fn retry_later(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.timers.contains_key(&Timer::Retry) {
            let wait = self.config.retry_backoff.saturating_mul(1 << self.retries.min(10));
            self.retries += 1;
            self.arm(now, Timer::Retry, wait.min(self.config.retry_backoff_max), effects);
        }
    }

    /// Whether it may have given votes that it does not know of (QUORUM-10).
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten_until.is_some() && !planted(Bug::ForgottenVotes)
    }

    pub(crate) fn is_voter(&self) -> bool {
        self.log.membership().voters.contains(self.config.me)
    }

    /// Whether this node may become leader: a voter, or one whose removal is not known to be
    /// committed. It may hold the only complete log, and the removal itself waits for a leader with
    /// that log (Ongaro's thesis, 4.2.2). Its own vote counts only if it is a voter.
    pub(crate) fn may_stand(&self) -> bool {
        let me = self.config.me;
        if self.has_forgotten() {
            return false;
        }
        let removed_me = |(at, before): (Offset, &Membership)| {
            at >= self.high_watermark && before.voters.contains(me)
        };
        self.is_voter() || self.log.last_change_of_voters().is_some_and(removed_me)
    }

    pub(crate) fn is_sole_voter(&self) -> bool {
        self.is_voter() && self.log.membership().voters.len() == 1
    }

    /// Raises the high watermark to `end_offset` if that is higher.
    pub(crate) fn commit(&mut self, end_offset: Offset, effects: &mut Vec<Effect>) {
        if end_offset > self.high_watermark {
            self.high_watermark = end_offset;
            self.log.committed(end_offset);
            effects.push(Effect::Committed { end_offset });
        }
    }

    pub fn role(&self) -> RoleName {
        self.role.name()
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.election.epoch
    }

    /// Who leads the epoch, as far as known and still willing.
    pub fn leader(&self) -> Option<NodeId> {
        let leads = matches!(self.role, Role::Leader(_));
        self.election.leader.filter(|leader| leads || *leader != self.config.me.id)
    }

    pub fn me(&self) -> ReplicaKey {
        self.config.me
    }

    /// Everything below is committed as far as this node knows.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn log_start(&self) -> Offset {
        self.log.start_offset
    }

    pub fn log_end(&self) -> Offset {
        self.log.end_offset()
    }

    /// Who votes behind the records below `end_offset`, which lies within the log.
    pub fn membership_before(&self, end_offset: Offset) -> &Membership {
        self.log.membership_before(end_offset)
    }

    /// The voters as the latest record says, committed or not.
    pub fn membership(&self) -> &Membership {
        self.log.membership()
    }

    fn check_step(&self, before: &Election, high_watermark_before: Offset) {
        let after = &self.election;
        assert!(after.epoch >= before.epoch, "QUORUM-2: the epoch never goes back");
        if after.epoch == before.epoch {
            assert!(
                before.leader.is_none() || after.leader == before.leader,
                "QUORUM-1: an epoch has one leader"
            );
            assert!(
                before.voted.is_none() || after.voted == before.voted || after.leader.is_some(),
                "QUORUM-1: a vote stands for its whole epoch"
            );
        }
        assert!(
            self.high_watermark >= high_watermark_before,
            "QUORUM-3: the high watermark never goes back"
        );
    }

    fn check(&self) {
        assert!(
            self.installing || self.high_watermark <= self.log.end_offset(),
            "QUORUM-3: the high watermark stays within the log"
        );
        assert!(
            self.log.last_epoch() <= self.election.epoch,
            "QUORUM-5: no record of an epoch that this node has not reached"
        );
        assert!(
            self.log.start_offset <= self.log.synced_end()
                && self.log.synced_end() <= self.log.end_offset(),
            "QUORUM-3: start, synced end and end are in order"
        );
        if let Role::Leader(leading) = &self.role {
            assert!(
                self.election.leader == Some(self.config.me.id),
                "QUORUM-1: it leads its epoch"
            );
            assert!(leading.epoch_start < self.log.end_offset(), "QUORUM-6: LeaderChange is first");
        }
        let stands =
            matches!(self.role, Role::Prospective(_) | Role::Candidate { .. } | Role::Leader(_));
        assert!(
            !stands || !self.has_forgotten(),
            "QUORUM-10: who has forgotten its votes does not stand"
        );
        if let Role::Candidate { .. } = &self.role {
            assert!(self.election.voted == Some(self.config.me), "QUORUM-1: it votes for itself");
        }
    }
}
