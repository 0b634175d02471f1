//! What each broker holds, and has room for.

use std::collections::{BTreeMap, BTreeSet};

use strandline_types::NodeId;

use super::{Place, Placed};

pub(super) struct Loads<'a> {
    open: BTreeSet<NodeId>,
    racks: BTreeMap<NodeId, &'a str>,
    replicas: BTreeMap<NodeId, usize>,
    preferred: BTreeMap<NodeId, usize>,
    bytes: BTreeMap<NodeId, u64>,
    room: BTreeMap<NodeId, u64>,
}

impl<'a> Loads<'a> {
    pub(super) fn new(places: &'a [Place], partitions: &[Placed]) -> Self {
        let open = places.iter().filter(|place| place.is_open);
        let mut loads = Self {
            open: open.map(|place| place.id).collect(),
            racks: places.iter().filter_map(|it| Some((it.id, it.rack.as_deref()?))).collect(),
            replicas: BTreeMap::new(),
            preferred: BTreeMap::new(),
            bytes: BTreeMap::new(),
            room: places.iter().filter_map(|it| Some((it.id, it.room_bytes?))).collect(),
        };
        partitions.iter().for_each(|placed| loads.count(placed));
        loads
    }

    pub(super) fn count(&mut self, placed: &Placed) {
        for id in &placed.replicas {
            *self.replicas.entry(*id).or_default() += 1;
            *self.bytes.entry(*id).or_default() += placed.bytes;
        }
        if let Some(first) = placed.replicas.first() {
            *self.preferred.entry(*first).or_default() += 1;
        }
    }

    pub(super) fn forget(&mut self, placed: &Placed) {
        for id in &placed.replicas {
            self.replicas.entry(*id).and_modify(|it| *it -= 1);
            self.bytes.entry(*id).and_modify(|it| *it -= placed.bytes);
        }
        if let Some(first) = placed.replicas.first() {
            self.preferred.entry(*first).and_modify(|it| *it -= 1);
        }
    }

    /// No replica may go there.
    pub(super) fn close(&mut self, id: NodeId) {
        self.open.remove(&id);
    }

    pub(super) fn take_room(&mut self, id: NodeId, bytes: u64) {
        self.room.entry(id).and_modify(|room| *room = room.saturating_sub(bytes));
    }

    /// Brokers that new replicas may go to.
    pub(super) fn open(&self) -> impl Iterator<Item = NodeId> {
        self.open.iter().copied()
    }

    pub(super) fn is_open(&self, id: NodeId) -> bool {
        self.open.contains(&id)
    }

    pub(super) fn replica_count(&self, id: NodeId) -> usize {
        self.replicas.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn preferred_count(&self, id: NodeId) -> usize {
        self.preferred.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn bytes(&self, id: NodeId) -> u64 {
        self.bytes.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn has_room(&self, id: NodeId, bytes: u64) -> bool {
        self.room.get(&id).is_none_or(|room| *room >= bytes)
    }

    /// A broker that is gone has none.
    pub(super) fn rack(&self, id: NodeId) -> Option<&'a str> {
        self.racks.get(&id).copied()
    }
}
