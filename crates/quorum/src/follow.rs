//! Following: one fetch at a time, truncation where the logs part, snapshots where the leader's
//! log begins too late (KIP-595, KIP-630).

use alloc::vec::Vec;

use strandline_types::{Bug, Now, Offset, planted};

use crate::role::{Download, InFlight, Role};
use crate::{
    Effect, EpochStart, Fetch, FetchResponse, FetchSnapshot, FetchedBatch, Membership, Peer,
    Quorum, Refusal, Request, RequestId, Response, ResponseBody, SnapshotFacts, SnapshotId, Timer,
};

impl Quorum {
    /// Questions about this node's own place among the voters go beside the others.
    fn awaits_answer(&self) -> bool {
        self.in_flight.values().any(|request| *request != InFlight::ChangeVoter)
    }

    /// The next request to the leader, unless one is under way.
    pub(crate) fn fetch_next(&mut self, effects: &mut Vec<Effect>) {
        let (Role::Follower(following), Some(leader)) = (&self.role, self.election.leader) else {
            return;
        };
        if self.installing || self.awaits_answer() {
            return;
        }
        let replica = self.config.me;
        let epoch = self.election.epoch;
        let to = Peer::Node(leader);
        if let Some(Download { id, position }) = following.snapshot {
            let max_bytes = self.config.fetch_max_bytes;
            let request = FetchSnapshot { replica, epoch, id, position, max_bytes };
            let after = self.promised();
            let in_flight = InFlight::FetchSnapshot { id, position };
            self.send(to, after, in_flight, Request::FetchSnapshot(request), effects);
        } else {
            // A fetch says "all below is durable here": it waits for this node's own sync.
            let after = match planted(Bug::MetadataFetchUnsynced) {
                true => None,
                false => self.unless_durable(self.last_write),
            };
            let request = Request::Fetch(self.fetch_request());
            self.send(to, after, InFlight::Fetch, request, effects);
        }
    }

    fn fetch_request(&self) -> Fetch {
        Fetch {
            replica: self.config.me,
            epoch: self.election.epoch,
            offset: self.log.end_offset(),
            last_epoch: self.log.last_epoch(),
            high_watermark: Some(self.high_watermark),
            max_bytes: self.config.fetch_max_bytes,
            max_wait: self.config.fetch_max_wait,
        }
    }

    /// A node without a leader asks any peer: the refusal tells who leads.
    pub(crate) fn find_leader(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.awaits_answer() {
            return;
        }
        let mut peers: Vec<Peer> = self
            .log
            .membership()
            .voters
            .ids()
            .filter(|id| *id != self.config.me.id)
            .map(Peer::Node)
            .collect();
        peers.extend((0..self.config.bootstrap_servers).map(Peer::Bootstrap));
        if peers.is_empty() {
            self.retry_later(now, effects);
            return;
        }
        let index = self.random.below(peers.len() as u64) as usize;
        let after = self.unless_durable(self.last_write);
        let request = Request::Fetch(self.fetch_request());
        self.send(peers[index], after, InFlight::FindLeader, request, effects);
    }

    pub(crate) fn on_fetch_timeout(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.installing {
            self.arm_fetch_timeout(now, effects);
        } else if self.may_stand() {
            self.become_prospective(now, effects);
        } else {
            // The leader may be gone for good: somebody else will know the next one.
            self.in_flight.clear();
            self.arm_fetch_timeout(now, effects);
            self.find_leader(now, effects);
        }
    }

    /// The leader's process has ended: no use waiting for the time-out. All followers notice at the
    /// same moment, so they stand one after the other; whoever was wrong about the leader finds
    /// nobody to grant its pre-vote.
    pub(crate) fn on_leader_gone(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Follower(following) = &mut self.role else { return };
        if !following.has_fetched || self.installing {
            // Of a leader that this node never heard, a refused connection says nothing new.
            return;
        }
        following.has_fetched = false;
        if self.may_stand() {
            self.arm_turn(now, Timer::FetchTimeout, effects);
        }
    }

    fn heard_leader(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.arm_fetch_timeout(now, effects);
        if let Role::Follower(following) = &mut self.role {
            following.has_fetched = true;
        }
        self.last_heard = self.election.leader.map(|leader| (leader, now.instant));
        self.retries = 0;
    }

    pub(crate) fn on_fetch_response(
        &mut self,
        now: Now,
        id: RequestId,
        response: Response,
        effects: &mut Vec<Effect>,
    ) {
        if !matches!(self.role, Role::Follower(_)) {
            return;
        }
        let body = match (response.refusal, response.body) {
            (None, ResponseBody::Fetch(body)) => body,
            _ => return self.retry_later(now, effects),
        };
        match body {
            FetchResponse::Batches { batches, high_watermark } => {
                self.on_batches(now, id, &batches, high_watermark, effects);
            }
            FetchResponse::Diverging { end } => self.on_diverging(now, end, effects),
            FetchResponse::Snapshot { id } => self.on_snapshot_needed(now, id, effects),
        }
    }

    fn on_batches(
        &mut self,
        now: Now,
        request: RequestId,
        batches: &[FetchedBatch],
        high_watermark: Offset,
        effects: &mut Vec<Effect>,
    ) {
        self.heard_leader(now, effects);
        let usable = self.usable(batches);
        if usable < batches.len() && usable == 0 {
            return self.retry_later(now, effects);
        }
        let mut write = None;
        for batch in &batches[..usable] {
            let id = *write.get_or_insert_with(|| self.next_write());
            self.log.append_fetched(id, batch);
        }
        if let Some(write) = write {
            effects.push(Effect::AppendFetched { write, request, batches: usable });
        }
        self.commit(high_watermark.min(self.log.end_offset()), effects);
        let is_whole = self.is_whole(high_watermark);
        if let Role::Follower(following) = &mut self.role {
            following.is_whole = is_whole;
        }
        if is_whole {
            self.remember(now, effects);
        }
        self.tend_own_voter(now, effects);
        self.maybe_take_snapshot(now, effects);
        self.fetch_next(effects);
    }

    /// Whether this node holds all that is committed, given what the leader says of that. Before it
    /// has committed in its own epoch, a leader does not know either.
    fn is_whole(&self, high_watermark: Offset) -> bool {
        self.log.end_offset() >= high_watermark
            && self.log.epoch_before(high_watermark) == self.election.epoch
    }

    /// A node that lost its disk counts again once it holds what is committed, and no vote that it
    /// may have given before is counted any more.
    fn remember(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.forgotten_until.is_some_and(|until| now.instant >= until) {
            self.forgotten_until = None;
            let after = self.unless_durable(self.last_write);
            effects.push(Effect::Remembered { after });
        }
    }

    /// How many batches continue this log: dense offsets, epochs that never go back and are not
    /// above the one that was asked.
    fn usable(&self, batches: &[FetchedBatch]) -> usize {
        let mut end = self.log.end_offset();
        let mut epoch = self.log.last_epoch();
        batches
            .iter()
            .take_while(|batch| {
                let fits = batch.base_offset == end
                    && batch.next_offset > end
                    && batch.epoch >= epoch
                    && batch.epoch <= self.election.epoch;
                end = batch.next_offset;
                epoch = batch.epoch;
                fits
            })
            .count()
    }

    fn on_diverging(&mut self, now: Now, leader: EpochStart, effects: &mut Vec<Effect>) {
        self.heard_leader(now, effects);
        let mine = self.log.end_of_epoch(leader.epoch);
        // Where the two logs agree for certain: the shorter end of the newest common epoch.
        let end_offset = if mine.epoch == leader.epoch {
            mine.start_offset.min(leader.start_offset)
        } else {
            mine.start_offset
        };
        if end_offset < self.high_watermark || end_offset >= self.log.end_offset() {
            // A leader that would undo what is committed, or parts from us nowhere, is none to
            // obey: the log stays, and the time-out finds another leader.
            return self.retry_later(now, effects);
        }
        self.truncate(end_offset, effects);
        self.fetch_next(effects);
    }

    fn truncate(&mut self, end_offset: Offset, effects: &mut Vec<Effect>) {
        assert!(
            end_offset >= self.high_watermark,
            "QUORUM-4: what is committed is never truncated"
        );
        let write = self.next_write();
        self.log.truncate(write, end_offset);
        effects.push(Effect::Truncate { write, end_offset });
    }

    fn on_snapshot_needed(&mut self, now: Now, id: SnapshotId, effects: &mut Vec<Effect>) {
        self.heard_leader(now, effects);
        // Less than what is committed here would be a step back.
        if id.end_offset <= self.high_watermark || id.epoch > self.election.epoch {
            return self.retry_later(now, effects);
        }
        if let Role::Follower(following) = &mut self.role {
            following.snapshot = Some(Download { id, position: 0 });
        }
        self.fetch_next(effects);
    }

    pub(crate) fn on_fetch_snapshot_response(
        &mut self,
        now: Now,
        request: RequestId,
        id: SnapshotId,
        position: u64,
        response: Response,
        effects: &mut Vec<Effect>,
    ) {
        let Role::Follower(following) = &mut self.role else { return };
        let chunk = match (response.refusal, response.body) {
            (None, ResponseBody::FetchSnapshot(chunk)) => chunk,
            (Some(Refusal::SnapshotNotFound | Refusal::PositionOutOfRange), _) => {
                // The leader has a newer one: ask again from the log.
                following.snapshot = None;
                return self.retry_later(now, effects);
            }
            _ => return self.retry_later(now, effects),
        };
        let end = position.saturating_add(chunk.len);
        if chunk.id != id || chunk.position != position || chunk.len == 0 || end > chunk.size_bytes
        {
            return self.retry_later(now, effects);
        }
        effects.push(Effect::KeepSnapshotChunk { id, position, request });
        if end == chunk.size_bytes {
            following.snapshot = None;
            self.installing = true;
            effects.push(Effect::InstallSnapshot { id });
        } else {
            following.snapshot = Some(Download { id, position: end });
        }
        self.heard_leader(now, effects);
        self.fetch_next(effects);
    }

    pub(crate) fn on_snapshot_refused(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.installing = false;
        self.retry_later(now, effects);
    }

    pub(crate) fn on_snapshot_installed(
        &mut self,
        now: Now,
        snapshot: SnapshotFacts,
        membership: Membership,
        effects: &mut Vec<Effect>,
    ) {
        assert!(
            self.installing && snapshot.id.end_offset > self.high_watermark,
            "QUORUM-9: only a snapshot that was asked for replaces the log"
        );
        self.installing = false;
        self.log.install(snapshot, membership);
        self.commit(snapshot.id.end_offset, effects);
        self.fetch_next(effects);
        // Standing aside while it was installed, it may have missed its turn.
        if matches!(self.role, Role::Unattached) && !self.timers.contains_key(&Timer::Election) {
            self.arm_election(now, effects);
        }
    }
}
