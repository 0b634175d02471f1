//! One look at a cluster: who is there, what lies where, and what is on its way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strandline_client::admin::{ClusterDescription, ClusterNode, LogDir, Reassignment};
use strandline_client::plan::{Place, Placed};
use strandline_client::{Admin, Channel, ClientError, Partition, Topic};
use strandline_ports::timeout;
use strandline_types::{NodeId, TopicPartition};

/// A broker that is alive says this soon what it has.
const DIRS_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct View {
    pub(super) cluster: ClusterDescription,
    pub(super) topics: Vec<Arc<Topic>>,
    pub(super) moving: BTreeMap<TopicPartition, Reassignment>,
    /// Of the brokers that answered; those of a dir that has failed are not among them.
    pub(super) dirs: BTreeMap<NodeId, Vec<LogDir>>,
    sizes: BTreeMap<(TopicPartition, NodeId), u64>,
    /// Where to partitions have just been sent. The brokers that are asked for replicas may be behind
    /// the controller, which knows what has arrived.
    pub(super) sent: BTreeMap<TopicPartition, Vec<NodeId>>,
}

impl View {
    pub(super) async fn take(admin: &Admin) -> Result<Self, ClientError> {
        // Asked for first: of what arrives in between, the target is where it lies. The other way
        // round it would be taken to lie with the old replicas and the new.
        let moving = admin.list_partition_reassignments().await?;
        Self::around(admin, moving).await
    }

    /// What brokers know by themselves, around what the controller has said is moving.
    pub(super) async fn around(
        admin: &Admin,
        moving: BTreeMap<TopicPartition, Reassignment>,
    ) -> Result<Self, ClientError> {
        let cluster = admin.describe_cluster().await?;
        let mut topics = admin.list_topics().await?;
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        let mut dirs = BTreeMap::new();
        for node in cluster.nodes.iter().filter(|node| !node.is_fenced) {
            let clock = admin.client().clock();
            let deadline = clock.now().instant + DIRS_PATIENCE;
            let asked = async {
                // Who has just died refuses at once, and is not tried again.
                admin.client().connection(node.id, Channel::SHARED).await?;
                admin.log_dirs_of(node.id).await
            };
            // That is no reason to say nothing of the others.
            if let Ok(Ok(found)) = timeout(&**clock, deadline, asked).await {
                dirs.insert(node.id, found.into_iter().filter_map(|(_, dir)| dir.ok()).collect());
            }
        }
        let mut sizes = BTreeMap::new();
        for (id, dirs) in &dirs {
            let dirs: &Vec<LogDir> = dirs;
            for replica in dirs.iter().flat_map(|dir| &dir.replicas).filter(|it| !it.is_future) {
                let bytes = u64::try_from(replica.size_bytes).unwrap_or_default();
                sizes.insert((replica.partition.clone(), *id), bytes);
            }
        }
        Ok(Self { cluster, topics, moving, dirs, sizes, sent: BTreeMap::new() })
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&ClusterNode> {
        self.cluster.nodes.iter().find(|node| node.id == id)
    }

    /// Brokers that are alive for the controller, and have not told what they have.
    pub(super) fn silent(&self) -> impl Iterator<Item = NodeId> {
        let alive = self.cluster.nodes.iter().filter(|node| !node.is_fenced).map(|node| node.id);
        alive.filter(|id| !self.dirs.contains_key(id))
    }

    /// Every partition, by topic and index.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (TopicPartition, &Partition)> {
        self.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| {
                let name = topic.name.clone();
                (TopicPartition { topic: name, partition: partition.index }, partition)
            })
        })
    }

    /// How many of the broker's dirs are cordoned, and how many there are.
    pub(super) fn cordons(&self, id: NodeId) -> (usize, usize) {
        let dirs = self.dirs.get(&id).map_or(&[][..], Vec::as_slice);
        (dirs.iter().filter(|dir| dir.is_cordoned).count(), dirs.len())
    }

    /// What the largest replica has, which is all of it if any replica has that.
    pub(super) fn bytes(&self, partition: &TopicPartition) -> u64 {
        let replicas = self.sizes.range((partition.clone(), NodeId(i32::MIN))..);
        let replicas = replicas.take_while(|((name, _), _)| name == partition);
        replicas.map(|(_, bytes)| *bytes).max().unwrap_or_default()
    }

    /// What is still to be copied to a broker that joins a partition.
    pub(super) fn bytes_left(&self, partition: &TopicPartition, joins: NodeId) -> u64 {
        let there = self.sizes.get(&(partition.clone(), joins)).copied().unwrap_or_default();
        self.bytes(partition).saturating_sub(there)
    }

    /// All that is still on its way.
    pub(super) fn bytes_under_way(&self) -> u64 {
        let joining = self.moving.iter().flat_map(|(partition, moves)| {
            moves.adding.iter().map(move |id| self.bytes_left(partition, *id))
        });
        joining.sum()
    }

    pub(super) fn places(&self) -> Vec<Place> {
        let place = |node: &ClusterNode| {
            let (cordoned, dirs) = self.cordons(node.id);
            Place {
                id: node.id,
                rack: node.rack.clone(),
                // Whoever has not told of its dirs may have cordoned all of them.
                is_open: !node.is_fenced && cordoned < dirs,
                room_bytes: self.room_bytes(node.id),
            }
        };
        self.cluster.nodes.iter().map(place).collect()
    }

    /// Room for more, what is on its way taken off.
    fn room_bytes(&self, id: NodeId) -> Option<u64> {
        let open = self.dirs.get(&id)?.iter().filter(|dir| !dir.is_cordoned);
        let mut room = 0_u64;
        for dir in open {
            room += u64::try_from(dir.usable_bytes).ok()?;
        }
        let joining = self.moving.iter().filter(|(_, moves)| moves.adding.contains(&id));
        let promised: u64 = joining.map(|(partition, _)| self.bytes_left(partition, id)).sum();
        Some(room.saturating_sub(promised))
    }

    /// Every partition as it will lie once all that moves has arrived.
    pub(super) fn placed(&self) -> Vec<Placed> {
        self.partitions()
            .map(|(name, partition)| Placed {
                replicas: match (self.moving.get(&name), self.sent.get(&name)) {
                    (Some(moves), _) => moves.target(),
                    (None, Some(sent)) => sent.clone(),
                    (None, None) => partition.replicas.clone(),
                },
                bytes: self.bytes(&name),
                partition: name,
            })
            .collect()
    }

    /// Whether everything that was sent is where it was sent to, as the brokers tell it.
    pub(super) fn has_arrived(&self) -> bool {
        let is_there = |(name, partition): (TopicPartition, &Partition)| {
            self.sent.get(&name).is_none_or(|sent| *sent == partition.replicas)
        };
        self.partitions().all(is_there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(brokers: &[(i32, bool, Option<&[bool]>)]) -> View {
        let node = |(id, is_fenced, _): &(i32, bool, _)| {
            let (id, host) = (NodeId(*id), "localhost".to_owned());
            ClusterNode { id, host, port: 9092, rack: None, is_fenced: *is_fenced }
        };
        let dir = |is_cordoned: &bool| LogDir {
            path: "data".into(),
            total_bytes: 100,
            usable_bytes: 100,
            is_cordoned: *is_cordoned,
            replicas: Vec::new(),
        };
        let dirs = brokers
            .iter()
            .filter_map(|(id, _, dirs)| Some((NodeId(*id), (*dirs)?.iter().map(dir).collect())));
        let nodes = brokers.iter().map(node).collect();
        View {
            cluster: ClusterDescription { id: "c".into(), controller: None, nodes },
            topics: Vec::new(),
            moving: BTreeMap::new(),
            dirs: dirs.collect(),
            sizes: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    #[test]
    fn who_is_silent_takes_nothing() {
        let view = view(&[
            (1, false, Some(&[true, false])),
            (2, false, Some(&[true, true])),
            (3, false, None),
            (4, true, None),
            (5, false, Some(&[])),
        ]);
        let open = view.places().into_iter().filter(|place| place.is_open).map(|place| place.id);
        assert_eq!(open.collect::<Vec<_>>(), [NodeId(1)]);
        assert_eq!(view.silent().collect::<Vec<_>>(), [NodeId(3)]);
    }
}
