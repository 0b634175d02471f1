//! The members of one group, as its leader knows them.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use strandline_types::Instant;
use strandline_wire::messages::group_metadata_value::MemberMetadata;
use strandline_wire::messages::join_group_request::JoinGroupRequestProtocol;

use crate::contract::Ticket;

/// One way of assigning partitions that a member offers, with what it tells the others about
/// itself under it: bytes that only clients read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Protocol {
    pub(crate) name: String,
    pub(crate) metadata: Bytes,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    /// In the member's order of preference.
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// It has never been through a rebalance, so it does not know its member id and cannot send
    /// heartbeats.
    pub(crate) is_new: bool,
    pub(crate) parked_join: Option<Ticket>,
    pub(crate) parked_sync: Option<Ticket>,
    /// `None` while a parked request stands for the member's heartbeats.
    pub(crate) session_ends: Option<Instant>,
}

impl Member {
    /// Copies out of the request, or each member would keep a whole frame in memory.
    pub(crate) fn protocols_of(request: &[JoinGroupRequestProtocol]) -> Vec<Protocol> {
        let copy = |protocol: &JoinGroupRequestProtocol| Protocol {
            name: protocol.name.clone(),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        };
        request.iter().map(copy).collect()
    }

    /// As the log remembers it: with the one protocol that its group had chosen.
    pub(crate) fn loaded(persisted: &MemberMetadata, protocol: Option<&str>) -> Self {
        let session_timeout_ms = persisted.session_timeout;
        let rebalance_timeout_ms = match persisted.rebalance_timeout {
            -1 => session_timeout_ms,
            timeout => timeout,
        };
        Self {
            instance_id: persisted.group_instance_id.clone(),
            client_id: persisted.client_id.clone(),
            client_host: persisted.client_host.clone(),
            rebalance_timeout_ms,
            session_timeout_ms,
            protocols: Vec::from([Protocol {
                name: protocol.unwrap_or_default().into(),
                metadata: persisted.subscription.clone(),
            }]),
            assignment: persisted.assignment.clone(),
            is_new: false,
            parked_join: None,
            parked_sync: None,
            session_ends: None,
        }
    }

    pub(crate) fn persisted(&self, id: &str, protocol: &str) -> MemberMetadata {
        MemberMetadata {
            member_id: id.into(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout: self.rebalance_timeout_ms,
            session_timeout: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
            ..Default::default()
        }
    }

    /// What the member says under a protocol; empty when it does not offer it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let offered = self.protocols.iter().find(|offered| offered.name == protocol);
        offered.map(|offered| offered.metadata.clone()).unwrap_or_default()
    }

    pub(crate) fn offers(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|offered| offered.name == protocol)
    }

    /// Whether the request offers exactly what the member offers already.
    pub(crate) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        self.protocols.len() == protocols.len()
            && self
                .protocols
                .iter()
                .zip(protocols)
                .all(|(mine, asked)| mine.name == asked.name && mine.metadata == asked.metadata)
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.parked_join.is_some()
    }

    /// The member is alive: its session begins anew.
    pub(crate) fn extend_session(&mut self, now: Instant) {
        self.session_ends = Some(now + millis(self.session_timeout_ms));
    }

    /// A parked request stands for heartbeats, except a newcomer's: it may have been given up on
    /// long ago.
    pub(crate) fn is_excused(&self) -> bool {
        !self.is_new && (self.parked_join.is_some() || self.parked_sync.is_some())
    }
}

pub(crate) fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// GROUP-1: at most one member owns a `group.instance.id`, and it is a member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Members {
    by_id: BTreeMap<String, Member>,
    by_instance: BTreeMap<String, String>,
}

impl Members {
    pub(crate) fn get(&self, id: &str) -> Option<&Member> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.by_id.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Member)> {
        self.by_id.iter_mut()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.by_id.keys()
    }

    /// Who owns a `group.instance.id`.
    pub(crate) fn owner_of(&self, instance_id: &str) -> Option<&String> {
        self.by_instance.get(instance_id)
    }

    pub(crate) fn insert(&mut self, id: String, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            let former = self.by_instance.insert(instance_id.clone(), id.clone());
            assert!(former.is_none(), "GROUP-1: {instance_id} has an owner already");
        }
        let former = self.by_id.insert(id, member);
        assert!(former.is_none(), "GROUP-1: a member joined twice");
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Member> {
        let member = self.by_id.remove(id)?;
        if let Some(instance_id) = &member.instance_id {
            self.by_instance.remove(instance_id);
        }
        Some(member)
    }

    /// The member with this id, static id included, or why it may not speak for the group.
    pub(crate) fn check(
        &self,
        id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), crate::groups::Refusal> {
        if let Some(instance_id) = instance_id {
            match self.owner_of(instance_id) {
                None => return Err(crate::groups::Refusal::UnknownMember),
                Some(owner) if owner != id => return Err(crate::groups::Refusal::FencedInstance),
                Some(_) => {}
            }
        }
        if self.contains(id) { Ok(()) } else { Err(crate::groups::Refusal::UnknownMember) }
    }

    pub(crate) fn assert_consistent(&self) {
        let owned = self.by_id.iter().filter_map(|(id, it)| Some((it.instance_id.as_ref()?, id)));
        let consistent = owned.clone().count() == self.by_instance.len()
            && owned.into_iter().all(|(instance, id)| self.by_instance.get(instance) == Some(id));
        assert!(consistent, "GROUP-1: static ids and their owners disagree");
    }
}
