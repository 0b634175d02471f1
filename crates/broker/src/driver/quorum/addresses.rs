//! Where the nodes of the quorum are reached. The voters' records say it, which a node reads only once
//! it is connected to the leader; and whoever leads, or knows who does, says it too. One of the two may
//! be old: a leader that has moved writes its new address into the log that nobody can fetch from the
//! old one.

use std::collections::{BTreeMap, BTreeSet};

use strandline_config::HostPort;
use strandline_types::NodeId;

/// More nodes than a quorum has. Whoever reaches the controllers' listener can name some.
const NODES_MAX: usize = 1_000;

#[derive(Default)]
pub(super) struct Addresses {
    told: BTreeMap<NodeId, HostPort>,
    /// Where nobody answered since the node was last heard.
    silent: BTreeMap<NodeId, BTreeSet<HostPort>>,
}

impl Addresses {
    /// Takes in what a node says. That a third one repeats what is `listed` is no news, and must not
    /// replace what the node said of itself; but it is worth another try.
    pub(super) fn learn(&mut self, node: NodeId, told: HostPort, listed: Option<&HostPort>) {
        self.heard(node, &told);
        let is_bounded = self.told.len() < NODES_MAX || self.told.contains_key(&node);
        if listed != Some(&told) && is_bounded {
            self.told.insert(node, told);
        }
    }

    /// Where to try next: as it is `listed`, until nobody answers there.
    pub(super) fn of(&self, node: NodeId, listed: Option<HostPort>) -> Option<HostPort> {
        let silent = self.silent.get(&node);
        let is_silent = |it: &HostPort| silent.is_some_and(|silent| silent.contains(it));
        let told = self.told.get(&node);
        match (listed, told) {
            (Some(listed), Some(told)) if is_silent(&listed) && !is_silent(told) => {
                Some(told.clone())
            }
            (listed, told) => listed.or_else(|| told.cloned()),
        }
    }

    /// Somebody answered there.
    pub(super) fn heard(&mut self, node: NodeId, at: &HostPort) {
        if let Some(silent) = self.silent.get_mut(&node) {
            silent.remove(at);
        }
    }

    /// Nobody answered there. Whether there is another address to try, so that this says nothing of
    /// the node itself.
    pub(super) fn unheard(&mut self, node: NodeId, at: HostPort, listed: Option<HostPort>) -> bool {
        self.silent.entry(node).or_default().insert(at);
        let next = self.of(node, listed);
        let is_left = next.is_some_and(|next| !self.silent[&node].contains(&next));
        if !is_left {
            // From the beginning, then.
            self.silent.remove(&node);
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);

    fn at(port: u16) -> HostPort {
        HostPort { host: "h".into(), port }
    }

    #[test]
    fn a_node_that_has_moved_is_found_where_it_says() {
        let mut addresses = Addresses::default();
        let listed = || Some(at(1));
        assert_eq!(addresses.of(NODE, listed()), Some(at(1)));
        addresses.learn(NODE, at(2), listed().as_ref());
        // What a node that has not heard of it repeats changes nothing.
        addresses.learn(NODE, at(1), listed().as_ref());
        assert_eq!(addresses.of(NODE, listed()), Some(at(1)), "it may be there still");
        assert!(addresses.unheard(NODE, at(1), listed()), "the other is left");
        assert_eq!(addresses.of(NODE, listed()), Some(at(2)));
        addresses.heard(NODE, &at(2));
        assert_eq!(addresses.of(NODE, listed()), Some(at(2)), "not the old one again");
        assert!(!addresses.unheard(NODE, at(2), listed()), "it is nowhere");
        assert_eq!(addresses.of(NODE, listed()), Some(at(1)));
        assert_eq!(addresses.of(NODE, Some(at(2))), Some(at(2)), "the log says it now");
    }

    #[test]
    fn a_stranger_that_names_many_nodes_is_not_believed_for_ever() {
        let mut addresses = Addresses::default();
        for id in 0..NODES_MAX as i32 + 1 {
            addresses.learn(NodeId(id), at(1), None);
        }
        assert_eq!(addresses.of(NodeId(NODES_MAX as i32), None), None);
        addresses.learn(NODE, at(2), None);
        assert_eq!(addresses.of(NODE, None), Some(at(2)), "what is known may change");
    }

    #[test]
    fn a_node_with_one_address_is_gone_when_nobody_is_there() {
        let mut addresses = Addresses::default();
        assert_eq!(addresses.of(NODE, None), None);
        assert!(!addresses.unheard(NODE, at(1), Some(at(1))));
        addresses.learn(NODE, at(3), None);
        assert_eq!(addresses.of(NODE, None), Some(at(3)));
        assert!(!addresses.unheard(NODE, at(3), None));
        assert_eq!(addresses.of(NODE, None), Some(at(3)));
    }
}
