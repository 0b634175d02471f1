//! The state of one classic group, as its leader knows it.
//!
//! `Empty → PreparingRebalance → CompletingRebalance → Stable`; a deleted group is gone, so *Dead*
//! has no value here.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use strandline_types::{Bug, Instant, Timestamp, planted};
use strandline_wire::messages::join_group_request::JoinGroupRequestProtocol;
use strandline_wire::messages::{
    ConsumerProtocolSubscription, GroupMetadataKey, GroupMetadataValue, decode_forward,
};

use crate::groups::members::{Member, Members, millis};
use crate::groups::records::Record;

/// What members that use Kafka's own consumer protocol call it.
const CONSUMER: &str = "consumer";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// No members; maybe offsets.
    Empty,
    /// Members are to join again.
    PreparingRebalance,
    /// Members know the generation; the leader owes the assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// When the join phase ends, whoever has joined by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum JoinPhase {
    /// An empty group waits for more members, and longer whenever one comes.
    Initial {
        ends: Instant,
        delay: Duration,
        remaining: Duration,
    },
    Rebalance {
        ends: Instant,
    },
}

impl JoinPhase {
    pub(crate) fn ends(self) -> Instant {
        match self {
            Self::Initial { ends, .. } | Self::Rebalance { ends } => ends,
        }
    }
}

/// What is due in a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    Session(String),
    PendingMember(String),
    Join,
    Sync,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) state: State,
    /// What it was before the join phase began.
    pub(crate) previous_state: State,
    pub(crate) state_changed_at: Option<Timestamp>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: Members,
    /// Member ids that were given out, and until when their owners may join with them.
    pub(crate) pending_members: BTreeMap<String, Instant>,
    /// Members of this generation that have not asked for their assignment.
    pub(crate) pending_syncs: BTreeSet<String>,
    /// `None` when nobody can tell: not Kafka's consumer protocol, or not readable.
    pub(crate) subscribed_topics: Option<BTreeSet<String>>,
    /// Since the initial delay was last extended.
    pub(crate) has_newcomers: bool,
    pub(crate) join_phase: Option<JoinPhase>,
    pub(crate) sync_ends: Option<Instant>,
    /// When the group's timer will fire.
    pub(crate) armed: Option<Instant>,
}

impl Group {
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            state: State::Empty,
            previous_state: State::Empty,
            state_changed_at: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Members::default(),
            pending_members: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            subscribed_topics: None,
            has_newcomers: false,
            join_phase: None,
            sync_ends: None,
            armed: None,
        }
    }

    /// A group as the log remembers it. Its members' sessions begin now.
    pub(crate) fn loaded(id: String, persisted: &GroupMetadataValue, now: Instant) -> Self {
        let mut group = Self::new(id);
        let generation = persisted.generation;
        group.generation = if planted(Bug::GenerationForgotten) { 0 } else { generation };
        group.protocol_type = Some(persisted.protocol_type.clone()).filter(|it| !it.is_empty());
        group.protocol.clone_from(&persisted.protocol);
        group.state_changed_at =
            Some(persisted.current_state_timestamp).filter(|&ms| ms >= 0).map(Timestamp);
        for member in &persisted.members {
            let mut loaded = Member::loaded(member, persisted.protocol.as_deref());
            loaded.extend_session(now);
            group.members.insert(member.member_id.clone(), loaded);
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
            group.leader = persisted.leader.clone().filter(|id| group.members.contains(id));
            group.elect_leader_if_none();
        }
        group.note_subscriptions();
        group
    }

    pub(crate) fn change_state(&mut self, to: State, now: Timestamp) {
        self.previous_state = self.state;
        self.state = to;
        self.state_changed_at = Some(now);
    }

    pub(crate) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// When the group cannot tell, a consumer group is assumed to read everything.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// The longest that any member asks the others to wait for it.
    pub(crate) fn rebalance_timeout(&self) -> Duration {
        millis(self.members.iter().map(|(_, it)| it.rebalance_timeout_ms).max().unwrap_or(0))
    }

    pub(crate) fn everybody_has_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.iter().all(|(_, it)| it.has_joined())
    }

    /// Whether a member with these protocols could take part.
    pub(crate) fn supports(
        &self,
        protocol_type: &str,
        protocols: &[JoinGroupRequestProtocol],
    ) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|offered| self.everybody_offers(&offered.name))
    }

    fn everybody_offers(&self, protocol: &str) -> bool {
        self.members.iter().all(|(_, it)| it.offers(protocol))
    }

    /// Every member votes for the first of its protocols that all of them offer. A tie goes to the
    /// one that the leader prefers.
    pub(crate) fn elected_protocol(&self) -> Option<String> {
        let candidate = |member: &Member| {
            let mut offered = member.protocols.iter();
            offered.find(|it| self.everybody_offers(&it.name)).map(|it| it.name.clone())
        };
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        for (_, member) in self.members.iter() {
            *votes.entry(candidate(member)?).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let favourites = |name: &str| votes.get(name) == Some(&most);
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let preferred = leader.and_then(|it| it.protocols.iter().find(|p| favourites(&p.name)));
        match preferred {
            Some(protocol) => Some(protocol.name.clone()),
            None => votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name),
        }
    }

    pub(crate) fn add(&mut self, id: String, member: Member, protocol_type: String) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type);
        }
        self.pending_members.remove(&id);
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
    }

    /// Takes a member out; another one leads if it did.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_members.remove(id);
        self.pending_syncs.remove(id);
        let removed = self.members.remove(id)?;
        if self.is_leader(id) {
            self.leader = None;
            self.elect_leader_if_none();
        }
        Some(removed)
    }

    fn elect_leader_if_none(&mut self) {
        if self.leader.is_none() {
            self.leader = self.members.ids().next().cloned();
        }
    }

    /// Makes a member that has joined the leader. False when none has.
    pub(crate) fn elect_leader_that_joined(&mut self) -> bool {
        let has_joined = |id: &String| self.members.get(id).is_some_and(Member::has_joined);
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.iter().find(|(_, it)| it.has_joined()).map(|(id, _)| id.clone());
        let found = joined.is_some();
        if found {
            self.leader = joined;
        }
        found
    }

    /// Reads what the members subscribe to, where that can be told.
    pub(crate) fn note_subscriptions(&mut self) {
        self.subscribed_topics = self.subscriptions();
    }

    fn subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut topics = BTreeSet::new();
        for (_, member) in self.members.iter() {
            let read = decode_forward::<ConsumerProtocolSubscription>(&member.metadata(protocol));
            topics.extend(read.ok()?.topics);
        }
        Some(topics)
    }

    /// The group as its record says it.
    pub(crate) fn record(&self) -> Record {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members: Vec<_> =
            self.members.iter().map(|(id, member)| member.persisted(id, protocol)).collect();
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_changed_at.map_or(-1, Timestamp::as_millis),
            members,
            ..Default::default()
        };
        Record::GroupMetadata(GroupMetadataKey { group: self.id.clone() }, Some(value))
    }

    pub(crate) fn tombstone(id: &str) -> Record {
        Record::GroupMetadata(GroupMetadataKey { group: id.into() }, None)
    }

    /// When something happens by itself next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.members.iter().filter_map(|(_, member)| member.session_ends);
        let pending = self.pending_members.values().copied();
        let phases = self.join_phase.map(JoinPhase::ends).into_iter().chain(self.sync_ends);
        sessions.chain(pending).chain(phases).min()
    }

    /// What was due first, of all that is due now.
    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        let first = self.next_deadline().filter(|at| *at <= now)?;
        let is_first = |at: Instant| at == first;
        let session = self.members.iter().find(|(_, it)| it.session_ends.is_some_and(is_first));
        if let Some((id, _)) = session {
            return Some(Due::Session(id.clone()));
        }
        if let Some((id, _)) = self.pending_members.iter().find(|(_, ends)| is_first(**ends)) {
            return Some(Due::PendingMember(id.clone()));
        }
        let is_join = self.join_phase.is_some_and(|phase| is_first(phase.ends()));
        Some(if is_join { Due::Join } else { Due::Sync })
    }
}
