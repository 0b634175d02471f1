//! Who votes: a node counts by its id *and* the directory that holds its log (KIP-853), because a
//! node that comes back with an empty disk has forgotten its promises.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use strandline_types::{NodeId, Uuid};

/// A replica of the metadata log. A zero directory id means "not known": static voters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaKey {
    pub id: NodeId,
    pub directory_id: Uuid,
}

impl ReplicaKey {
    pub const fn new(id: NodeId, directory_id: Uuid) -> Self {
        Self { id, directory_id }
    }
}

impl fmt::Display for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.directory_id.is_zero() {
            write!(f, "{}", self.id)
        } else {
            write!(f, "{}/{}", self.id, self.directory_id)
        }
    }
}

impl fmt::Debug for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub listener: String,
    pub host: String,
    pub port: u16,
}

/// Levels of `kraft.version` that a voter's program can work with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KraftVersionRange {
    pub min: i16,
    pub max: i16,
}

impl KraftVersionRange {
    /// 0: static voters, 1: voters in the log.
    pub const OURS: Self = Self { min: 0, max: 1 };

    pub fn contains(self, level: i16) -> bool {
        (self.min..=self.max).contains(&level)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    pub key: ReplicaKey,
    pub endpoints: Vec<Endpoint>,
    pub kraft_versions: KraftVersionRange,
}

/// The voters, at most one per node id.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct VoterSet(BTreeMap<NodeId, Voter>);

impl VoterSet {
    /// Of two voters with one id the later one counts.
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Self {
        Self(voters.into_iter().map(|voter| (voter.key.id, voter)).collect())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In id order.
    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.0.values()
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    pub fn get(&self, id: NodeId) -> Option<&Voter> {
        self.0.get(&id)
    }

    /// Whether `key` votes: same id, and the same directory where the set knows one.
    pub fn contains(&self, key: ReplicaKey) -> bool {
        self.0.get(&key.id).is_some_and(|voter| {
            voter.key.directory_id.is_zero() || voter.key.directory_id == key.directory_id
        })
    }

    /// Whether both sets are the same voters, wherever they listen.
    pub(crate) fn has_voters_of(&self, other: &Self) -> bool {
        self.iter().map(|voter| voter.key).eq(other.iter().map(|voter| voter.key))
    }

    /// How many voters decide.
    pub fn majority(&self) -> usize {
        self.0.len() / 2 + 1
    }

    /// Whether it names exactly this voter.
    pub(crate) fn lists(&self, key: ReplicaKey) -> bool {
        self.get(key.id).is_some_and(|listed| listed.key == key)
    }

    /// Whether it has this voter, and says something else of it.
    pub(crate) fn lists_otherwise(&self, voter: &Voter) -> bool {
        self.get(voter.key.id).is_some_and(|listed| listed.key == voter.key && listed != voter)
    }

    pub(crate) fn with(&self, voter: Voter) -> Self {
        let mut set = self.clone();
        set.0.insert(voter.key.id, voter);
        set
    }

    pub(crate) fn without(&self, id: NodeId) -> Self {
        let mut set = self.clone();
        set.0.remove(&id);
        set
    }
}

/// What the log says about who votes and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The finalized level: 0 takes voters from the settings, 1 from the log.
    pub kraft_version: i16,
    pub voters: VoterSet,
}
