//! Changing the voters, one at a time (KIP-853): two changes in flight could leave two majorities
//! that share nobody.

use alloc::vec::Vec;

use strandline_types::{Now, Offset};

use crate::role::{PendingChange, Role};
use crate::{
    ControlRecord, Effect, Quorum, Refusal, ReplyBody, Ticket, Timer, Voter, VoterChange, VoterSet,
};

impl PendingChange {
    pub(crate) fn ticket(self) -> Option<Ticket> {
        match self {
            Self::CatchingUp { ticket, .. } => Some(ticket),
            Self::Appended { ticket, .. } => ticket,
        }
    }
}

impl Quorum {
    pub(crate) fn on_change_voter(
        &mut self,
        now: Now,
        ticket: Ticket,
        change: VoterChange,
        effects: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.check_change(&change) {
            return self.refuse(ticket, refusal, effects);
        }
        let voters = self.log.membership().voters.clone();
        match change {
            VoterChange::Add { voter, ack_when_committed } => {
                let change = PendingChange::CatchingUp { ticket, voter, ack_when_committed };
                if let Role::Leader(leading) = &mut self.role {
                    leading.change = Some(change);
                }
                self.arm(now, Timer::AddVoter, self.config.add_voter_timeout, effects);
                self.continue_catch_up(now, effects);
            }
            VoterChange::Remove { key } => {
                self.append_voters(now, voters.without(key.id), Some(ticket), effects);
            }
            VoterChange::Update { voter, .. } => {
                // Nothing depends on it: who asked need not wait for it to commit.
                if voters.lists_otherwise(&voter) {
                    self.append_voters(now, voters.with(voter), None, effects);
                }
                self.reply(ticket, ReplyBody::Empty, effects);
            }
        }
    }

    fn check_change(&self, change: &VoterChange) -> Result<(), Refusal> {
        if let VoterChange::Update { epoch, .. } = change {
            self.check_leads(*epoch)?;
        }
        let Role::Leader(leading) = &self.role else {
            return Err(Refusal::NotLeaderOrFollower);
        };
        // Until its first commit a leader cannot know whether an older change is still open.
        if !leading.is_ready || leading.change.is_some() {
            return Err(Refusal::RequestTimedOut);
        }
        let membership = self.log.membership();
        if membership.kraft_version == 0 {
            return Err(Refusal::UnsupportedVersion);
        }
        let voters = &membership.voters;
        match change {
            VoterChange::Add { voter, .. } => {
                if voters.get(voter.key.id).is_some() {
                    return Err(Refusal::DuplicateVoter);
                }
                self.check_voter(voter)
            }
            VoterChange::Remove { key } => {
                // The last voter is none that can be removed.
                let may_go = voters.lists(*key) && voters.len() > 1;
                if may_go { Ok(()) } else { Err(Refusal::VoterNotFound) }
            }
            VoterChange::Update { voter, .. } => {
                self.check_voter(voter)?;
                if voters.lists(voter.key) { Ok(()) } else { Err(Refusal::VoterNotFound) }
            }
        }
    }

    /// Whether this could be a voter: the others must be able to reach it, and it must understand
    /// what the quorum writes.
    fn check_voter(&self, voter: &Voter) -> Result<(), Refusal> {
        let Voter { key, endpoints, kraft_versions } = voter;
        let listener = self.config.endpoints.first().map(|it| &it.listener);
        let is_reachable =
            endpoints.iter().any(|it| listener.is_none_or(|one| *one == it.listener));
        let level = self.log.membership().kraft_version;
        if is_reachable
            && kraft_versions.contains(level)
            && key.id.0 >= 0
            && !key.directory_id.is_zero()
        {
            Ok(())
        } else {
            Err(Refusal::InvalidRequest)
        }
    }

    /// Appends the new voter's record once it holds all that is committed: a voter with an empty
    /// log would count in majorities that it cannot help to form.
    pub(crate) fn continue_catch_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &self.role else { return };
        let Some(PendingChange::CatchingUp { ticket, voter, ack_when_committed }) =
            leading.change.clone()
        else {
            return;
        };
        let alive_since = now.instant - self.config.fetch_timeout;
        let caught_up = leading.replicas.get(&voter.key).is_some_and(|replica| {
            replica.end_offset >= self.high_watermark && replica.last_fetch.instant >= alive_since
        });
        if !caught_up {
            return;
        }
        self.cancel(Timer::AddVoter, effects);
        let voters = self.log.membership().voters.with(voter);
        self.append_voters(now, voters, ack_when_committed.then_some(ticket), effects);
        if !ack_when_committed {
            self.reply(ticket, ReplyBody::Empty, effects);
        }
    }

    pub(crate) fn on_add_voter_timeout(&mut self, effects: &mut Vec<Effect>) {
        let Role::Leader(leading) = &mut self.role else { return };
        if let Some(PendingChange::CatchingUp { ticket, .. }) = leading.change {
            leading.change = None;
            self.refuse(ticket, Refusal::RequestTimedOut, effects);
        }
    }

    fn append_voters(
        &mut self,
        now: Now,
        voters: VoterSet,
        ticket: Option<Ticket>,
        effects: &mut Vec<Effect>,
    ) {
        let open = self.log.membership_offset().is_some_and(|at| at >= self.high_watermark);
        assert!(!open, "QUORUM-7: one uncommitted change of voters at a time");
        assert!(!voters.is_empty(), "QUORUM-7: a quorum has voters");
        let offset = self.log.end_offset();
        if let Role::Leader(leading) = &mut self.role {
            leading.change = Some(PendingChange::Appended { ticket, offset });
        }
        self.append_control(alloc::vec![ControlRecord::Voters(voters)], effects);
        self.arm_leader_timers(now, effects);
        self.answer_parked(now, effects);
        // A smaller set may hold a majority already.
        self.advance_high_watermark(now, effects);
    }

    /// After a commit: answers a change that is done, and leaves if it removed this node.
    pub(crate) fn complete_change(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let high_watermark = self.high_watermark;
        let Role::Leader(leading) = &mut self.role else { return };
        if let Some(PendingChange::Appended { ticket, offset }) = leading.change
            && offset < high_watermark
        {
            leading.change = None;
            if let Some(ticket) = ticket {
                self.reply(ticket, ReplyBody::Empty, effects);
            }
        }
        if !self.is_voter() && self.membership_is_committed() {
            self.resign(now, effects);
        }
    }

    /// Whether the membership in force has been committed.
    pub fn membership_is_committed(&self) -> bool {
        self.log.membership_offset().unwrap_or(Offset(-1)) < self.high_watermark
    }
}
