//! Elections: pre-votes, votes, and the handover when a leader says goodbye (KIP-595, KIP-996).

use alloc::vec::Vec;

use strandline_types::{Bug, LeaderEpoch, NodeId, Now, Offset, planted};

use crate::role::{Ballot, InFlight, Role};
use crate::{
    BeginQuorumEpoch, Effect, Election, EndQuorumEpoch, Peer, Quorum, Refusal, ReplyBody, Request,
    Response, Ticket, Timer, Vote,
};

impl Quorum {
    pub(crate) fn on_election_timeout(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.may_stand() {
            if matches!(self.role, Role::Resigned) {
                // The quorum let it go: it looks for the next leader as an observer.
                self.become_unattached(now, self.election.epoch, effects);
            }
            return;
        }
        if self.installing {
            self.arm_election(now, effects);
            return;
        }
        match self.role {
            Role::Unattached | Role::Candidate { .. } => self.become_prospective(now, effects),
            Role::Prospective(_) => self.stand_back(now, effects),
            // The epoch it led is over for it; a new one forgets that it must not vote.
            Role::Resigned => {
                self.become_unattached(now, LeaderEpoch(self.election.epoch.0 + 1), effects);
            }
            Role::Leader(_) | Role::Follower(_) => {}
        }
    }

    pub(crate) fn become_prospective(&mut self, now: Now, effects: &mut Vec<Effect>) {
        assert!(self.may_stand(), "QUORUM-1: only voters stand for election");
        self.leave_role(effects);
        let ballot = Ballot::new(self.log.membership().voters.clone(), self.config.me);
        self.role = Role::Prospective(ballot);
        self.arm_election(now, effects);
        self.count(now, effects);
        self.ask_for_votes(effects);
    }

    pub(crate) fn become_candidate(&mut self, now: Now, effects: &mut Vec<Effect>) {
        assert!(self.may_stand(), "QUORUM-1: only voters stand for election");
        self.leave_role(effects);
        let epoch = LeaderEpoch(self.election.epoch.0 + 1);
        let ballot = Ballot::new(self.log.membership().voters.clone(), self.config.me);
        if ballot.is_won() {
            // Alone: the vote and the leadership are one promise, and one write.
            self.become_leader(now, epoch, &ballot, effects);
            return;
        }
        self.elect(Election { epoch, leader: None, voted: Some(self.config.me) }, effects);
        self.role = Role::Candidate { ballot, lost: false };
        self.arm_election(now, effects);
        self.ask_for_votes(effects);
    }

    /// No majority would have this node: back to where it came from.
    fn stand_back(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match self.election.leader {
            Some(leader) => self.become_follower(now, self.election.epoch, leader, effects),
            None => self.become_unattached(now, self.election.epoch, effects),
        }
    }

    /// Sends the question to every voter that has neither answered nor been asked.
    pub(crate) fn ask_for_votes(&mut self, effects: &mut Vec<Effect>) {
        let (ballot, pre_vote) = match &self.role {
            Role::Prospective(ballot) => (ballot, true),
            Role::Candidate { ballot, lost: false } => (ballot, false),
            _ => return,
        };
        let asked: Vec<NodeId> = self
            .in_flight
            .values()
            .filter_map(|request| match request {
                InFlight::Vote { voter } => Some(*voter),
                _ => None,
            })
            .collect();
        let missing: Vec<_> = ballot
            .unanswered()
            .map(|voter| voter.key)
            .filter(|key| !asked.contains(&key.id))
            .collect();
        for voter in missing {
            let vote = Vote {
                epoch: self.election.epoch,
                candidate: self.config.me,
                voter,
                last_epoch: self.log.last_epoch(),
                end_offset: self.log.end_offset(),
                pre_vote,
            };
            let after = self.promised();
            self.send(
                Peer::Node(voter.id),
                after,
                InFlight::Vote { voter: voter.id },
                Request::Vote(vote),
                effects,
            );
        }
    }

    pub(crate) fn on_vote_response(
        &mut self,
        now: Now,
        voter: NodeId,
        response: &Response,
        effects: &mut Vec<Effect>,
    ) {
        let granted = response.granted();
        match &mut self.role {
            Role::Prospective(ballot) | Role::Candidate { ballot, .. } => {
                ballot.record(voter, granted);
            }
            _ => return,
        }
        self.count(now, effects);
    }

    fn count(&mut self, now: Now, effects: &mut Vec<Effect>) {
        match &mut self.role {
            Role::Prospective(ballot) if ballot.is_won() => self.become_candidate(now, effects),
            // The leader known may just have been slow; without one, wait for others to try.
            Role::Prospective(ballot) if ballot.is_lost() && self.election.leader.is_some() => {
                self.stand_back(now, effects);
            }
            Role::Candidate { ballot, .. } if ballot.is_won() => {
                let ballot = ballot.clone();
                self.become_leader(now, self.election.epoch, &ballot, effects);
            }
            Role::Candidate { ballot, lost: lost @ false } if ballot.is_lost() => {
                *lost = true;
                let max = u64::try_from(self.config.election_backoff_max.as_nanos());
                let wait = self.random.below(max.unwrap_or(u64::MAX));
                let wait = self.config.retry_backoff + core::time::Duration::from_nanos(wait);
                self.arm(now, Timer::Election, wait, effects);
            }
            _ => {}
        }
    }

    /// Whether a log that ends so holds everything that this node's log could have committed.
    fn is_up_to_date(&self, last_epoch: LeaderEpoch, end_offset: Offset) -> bool {
        (last_epoch, end_offset) >= (self.log.last_epoch(), self.log.end_offset())
            || planted(Bug::VoteIgnoresLog)
    }

    pub(crate) fn on_vote(
        &mut self,
        now: Now,
        ticket: Ticket,
        vote: &Vote,
        effects: &mut Vec<Effect>,
    ) {
        let log_is_possible = vote.end_offset.0 >= 0
            && vote.last_epoch.0 >= 0
            && vote.candidate.id.0 >= 0
            && if vote.pre_vote {
                vote.last_epoch <= vote.epoch
            } else {
                vote.last_epoch < vote.epoch
            };
        if !log_is_possible {
            return self.refuse(ticket, Refusal::InvalidRequest, effects);
        }
        if vote.epoch < self.election.epoch {
            return self.refuse(ticket, Refusal::FencedLeaderEpoch, effects);
        }
        if !self.is_meant(vote.voter) {
            return self.refuse(ticket, Refusal::InvalidVoterKey, effects);
        }
        let mut promise = self.election.clone();
        if vote.epoch > promise.epoch {
            promise = Election { epoch: vote.epoch, leader: None, voted: None };
        }
        let granted = self.grants(&promise, vote);
        let votes = granted && !vote.pre_vote;
        if votes {
            promise.voted.get_or_insert(vote.candidate);
        }
        // A new epoch and the vote in it are one promise, and one write.
        if promise.epoch > self.election.epoch
            || (votes && matches!(self.role, Role::Prospective(_)))
        {
            self.become_unattached_with(now, promise, effects);
        } else if votes {
            self.elect(promise, effects);
            // Whoever just got this vote deserves the time to use it.
            self.arm_election(now, effects);
        }
        self.reply(ticket, ReplyBody::Vote { granted }, effects);
    }

    /// `promise` is what this node has promised in the epoch of `vote`.
    fn grants(&self, promise: &Election, vote: &Vote) -> bool {
        if self.has_forgotten() {
            // It may have voted for another already.
            return false;
        }
        let up_to_date = self.is_up_to_date(vote.last_epoch, vote.end_offset);
        if vote.pre_vote {
            // Who hears a living leader must not help a node that does not to depose it.
            let hears_leader = promise.epoch == self.election.epoch
                && match &self.role {
                    Role::Leader(_) => true,
                    Role::Follower(following) => following.has_fetched,
                    _ => false,
                };
            return up_to_date && !hears_leader;
        }
        match (promise.leader, promise.voted) {
            (Some(_), _) => false,
            (None, Some(voted)) if !planted(Bug::VoteGrantedTwice) => voted == vote.candidate,
            (None, _) => up_to_date,
        }
    }

    /// Whether a request that names a voter names this node.
    pub(crate) fn is_meant(&self, voter: crate::ReplicaKey) -> bool {
        voter.id == self.config.me.id
            && (voter.directory_id.is_zero() || voter.directory_id == self.config.me.directory_id)
    }

    pub(crate) fn on_begin_quorum_epoch(
        &mut self,
        now: Now,
        ticket: Ticket,
        begin: &BeginQuorumEpoch,
        effects: &mut Vec<Effect>,
    ) {
        if begin.epoch < self.election.epoch {
            return self.refuse(ticket, Refusal::FencedLeaderEpoch, effects);
        }
        if !self.is_meant(begin.voter) {
            return self.refuse(ticket, Refusal::InvalidVoterKey, effects);
        }
        let known = (begin.epoch == self.election.epoch).then_some(self.election.leader).flatten();
        if begin.leader == self.config.me.id
            || begin.leader.0 < 0
            || known.is_some_and(|known| known != begin.leader)
        {
            return self.refuse(ticket, Refusal::InvalidRequest, effects);
        }
        let follows = matches!(self.role, Role::Follower(_));
        if known.is_none() || !follows {
            self.become_follower(now, begin.epoch, begin.leader, effects);
        }
        self.reply(ticket, ReplyBody::Empty, effects);
    }

    pub(crate) fn on_end_quorum_epoch(
        &mut self,
        now: Now,
        ticket: Ticket,
        end: &EndQuorumEpoch,
        effects: &mut Vec<Effect>,
    ) {
        if end.epoch < self.election.epoch {
            return self.refuse(ticket, Refusal::FencedLeaderEpoch, effects);
        }
        let known = (end.epoch == self.election.epoch).then_some(self.election.leader).flatten();
        if end.leader == self.config.me.id
            || end.leader.0 < 0
            || known.is_some_and(|known| known != end.leader)
        {
            return self.refuse(ticket, Refusal::InvalidRequest, effects);
        }
        if known.is_none() {
            self.become_follower(now, end.epoch, end.leader, effects);
        }
        if matches!(self.role, Role::Follower(_)) && self.may_stand() && !self.installing {
            let place = end.preferred.iter().position(|key| self.is_meant(*key));
            match place {
                Some(0) => self.become_prospective(now, effects),
                // The better the log, the shorter the wait; the base keeps the places apart.
                place => {
                    let place = u32::try_from(place.unwrap_or(end.preferred.len())).unwrap_or(10);
                    let wait = self.config.retry_backoff.saturating_mul(1 << place.min(10));
                    let wait = self.random.jittered(wait.min(self.config.election_backoff_max));
                    self.arm(now, Timer::FetchTimeout, wait, effects);
                    if let Role::Follower(following) = &mut self.role {
                        // The leader is gone by its own word: others may try before this node.
                        following.has_fetched = false;
                    }
                }
            }
        }
        self.reply(ticket, ReplyBody::Empty, effects);
    }
}
