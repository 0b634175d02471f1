//! A node's own place among the voters (KIP-853): a controller that is none asks to become one, takes
//! out its former self whose disk is lost, and says where it listens now.

use alloc::vec::Vec;

use strandline_types::Now;

use crate::role::{InFlight, Role};
use crate::{Effect, Join, KraftVersionRange, Peer, Quorum, Request, Timer, Voter, VoterChange};

impl Quorum {
    /// Asks the leader for what is due, once per state of the voters, and again after a while: others
    /// may have been before it, or the leader may have changed.
    ///
    /// Only who holds what is committed asks. To a node that lags, voters that were removed long ago
    /// are there still; and as long as a new voter catches up, no other change can be made.
    pub(crate) fn tend_own_voter(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.note_joined(effects);
        let at = self.log.membership_offset();
        let Role::Follower(following) = &self.role else { return };
        if !following.is_whole || following.asked_at == Some(at) {
            return;
        }
        let (Some(change), Some(leader)) = (self.due_change(), self.election.leader) else {
            return;
        };
        if let Role::Follower(following) = &mut self.role {
            following.asked_at = Some(at);
        }
        self.arm(now, Timer::OwnVoter, self.config.fetch_timeout, effects);
        let request = Request::ChangeVoter(change);
        self.send(Peer::Node(leader), self.promised(), InFlight::ChangeVoter, request, effects);
    }

    /// A node that joins once has done so; whoever takes it out later means it.
    pub(crate) fn note_joined(&mut self, effects: &mut Vec<Effect>) {
        if self.join == Join::OnceItHelps && self.is_voter() && self.membership_is_committed() {
            self.join = Join::Never;
            effects.push(Effect::Joined);
        }
    }

    pub(crate) fn on_own_voter_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if let Role::Follower(following) = &mut self.role {
            following.asked_at = None;
        }
        self.tend_own_voter(now, effects);
    }

    fn due_change(&self) -> Option<VoterChange> {
        let membership = self.log.membership();
        if membership.kraft_version == 0 || !self.membership_is_committed() {
            return None;
        }
        let voter = self.own_voter()?;
        let listed = membership.voters.get(voter.key.id);
        match listed.map(|listed| listed.key) {
            Some(key) if key == voter.key => {
                let epoch = self.election.epoch;
                let is_told = listed == Some(&voter);
                (!is_told).then_some(VoterChange::Update { epoch, voter })
            }
            // Its directory is lost, and this node's other one votes in its place.
            Some(key) => {
                let may_replace = self.join == Join::Always || self.config.replaces_former_self;
                (may_replace && self.owns_its_id()).then_some(VoterChange::Remove { key })
            }
            // The leader's answer waits for this node to catch up, not for the commit.
            None => {
                self.joins_now().then_some(VoterChange::Add { voter, ack_when_committed: false })
            }
        }
    }

    /// Whether this node's id is its own to vote with. A bare start may have been given that of a
    /// node that lives, which the controller finds out before it names this node.
    fn owns_its_id(&self) -> bool {
        match self.join {
            Join::Never => false,
            Join::Always => true,
            Join::OnceItHelps => self.controllers.contains(&self.config.me.id),
        }
    }

    fn joins_now(&self) -> bool {
        if !self.owns_its_id() {
            return false;
        }
        let voters = &self.log.membership().voters;
        let is_waiting = |id| id != self.config.me.id && voters.get(id).is_none();
        match self.join {
            Join::Never => false,
            Join::Always => true,
            Join::OnceItHelps => {
                let has_company = self.controllers.iter().copied().any(is_waiting);
                voters.len().is_multiple_of(2) || voters.len() == 1 && has_company
            }
        }
    }

    /// This node as a voter; `None` when it is not told where it listens.
    pub(crate) fn own_voter(&self) -> Option<Voter> {
        let endpoints = self.config.endpoints.clone();
        let voter = |endpoints| Voter {
            key: self.config.me,
            endpoints,
            kraft_versions: KraftVersionRange::OURS,
        };
        (!endpoints.is_empty()).then(|| voter(endpoints))
    }
}
