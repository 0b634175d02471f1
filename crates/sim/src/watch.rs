//! Looks into the nodes of a cluster, again and again, and holds what they believe against each other.
//!
//! - WORLD-17: an epoch has one leader, of the quorum and of every partition.
//! - WORLD-18: the ISR is part of the replicas, and the leader is in it.
//! - WORLD-19: as long as a process holds a replica, its high watermark does not go back.
//! - WORLD-20: below the high watermark all replicas hold the same bytes, for good. Each cleans a
//!   compacted log when it likes: what must be left there, readers judge.
//! - WORLD-21: what has committed of the metadata is the same on all nodes, for good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use strandline_broker::{Identity, Inspector, Replica};
use strandline_metadata::Image;
use strandline_metadata::image::ConfigResource;
use strandline_ports::{Disk, OpenMode};
use strandline_types::{NodeId, Offset, TopicPartition};
use strandline_wire::records::{BatchHeader, batches};

use crate::elections::{UncleanElection, unclean_elections};
use crate::node as sim;
use crate::process::BrokerProcess;
use crate::workload::Field;

/// The directory of the metadata log, in the one that every node has.
pub(crate) const METADATA: &str = "__cluster_metadata-0";

/// Bytes of batches by where they begin.
pub(crate) type Committed = BTreeMap<i64, Bytes>;

/// What was seen so far.
pub(crate) struct Watcher {
    field: Arc<Field>,
    nodes: Vec<Arc<BrokerProcess>>,
    data: PathBuf,
    /// By epoch.
    quorum_leaders: BTreeMap<i32, NodeId>,
    leaders: BTreeMap<(TopicPartition, i32), usize>,
    /// By node.
    high_watermarks: BTreeMap<(usize, TopicPartition), (Identity, Offset)>,
    committed: BTreeMap<String, Committed>,
    /// See [`Watcher::allow_losses`].
    lossy: BTreeSet<String>,
    compacted: BTreeSet<String>,
}

impl Watcher {
    /// `data` is the one log directory of each node.
    pub(crate) fn new(field: &Arc<Field>, nodes: &[Arc<BrokerProcess>], data: &str) -> Self {
        Self {
            field: Arc::clone(field),
            nodes: nodes.to_vec(),
            data: data.into(),
            quorum_leaders: BTreeMap::new(),
            leaders: BTreeMap::new(),
            high_watermarks: BTreeMap::new(),
            committed: BTreeMap::new(),
            lossy: BTreeSet::new(),
            compacted: BTreeSet::new(),
        }
    }

    /// An unclean election may take what has committed of this topic: as long as there may be one,
    /// WORLD-19 and WORLD-20 do not hold for it.
    pub(crate) fn allow_losses(&mut self, topic: String) {
        self.lossy.insert(topic);
    }

    /// WORLD-20 does not hold for this topic.
    pub(crate) fn allow_cleaning(&mut self, topic: String) {
        self.compacted.insert(topic);
    }

    /// From now on there is no unclean election any more.
    pub(crate) fn forbid_losses(&mut self) {
        self.lossy.clear();
    }

    /// Those that the metadata log tells of; none when its beginning is gone.
    pub(crate) fn unclean_elections(&self) -> Option<Vec<UncleanElection>> {
        unclean_elections(self.committed.get(METADATA)?)
    }

    fn violate(&self, invariant: &'static str, detail: String) {
        self.field.oracle().violate(invariant, detail);
    }

    /// The metadata of the node that knows most of them.
    pub(crate) fn newest_image(&self) -> Option<Arc<Image>> {
        let inspectors = self.nodes.iter().filter_map(|node| node.inspector());
        inspectors.map(|inspector| inspector.image()).max_by_key(|image| image.offset)
    }

    /// The highest epoch of the quorum that was seen to have a leader, and that leader.
    pub(crate) fn quorum_leader(&self) -> Option<(i32, NodeId)> {
        self.quorum_leaders.last_key_value().map(|(epoch, leader)| (*epoch, *leader))
    }

    /// WORLD-23, of the nodes that serve.
    pub(crate) fn compare_images(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(inspector) = node.inspector() else { continue };
            self.field.oracle().check_image(index, &inspector.image());
        }
    }

    /// WORLD-22, once all have heard of so many changes.
    pub(crate) fn check_registered(&self, count: usize) {
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(inspector) = node.inspector() else { continue };
            self.field.oracle().check_registered(index, &inspector.image(), count);
        }
    }

    /// Whether every node serves and has heard of `registered`.
    pub(crate) fn all_know(&self, registered: &ConfigResource) -> bool {
        self.nodes.iter().all(|node| {
            let image = node.inspector().map(|inspector| inspector.image());
            image.is_some_and(|image| image.configs.settings(registered).is_some())
        })
    }

    /// WORLD-17 to WORLD-19, as the nodes are now.
    pub(crate) fn look(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(inspector) = self.nodes[index].inspector() else { continue };
            self.look_at_quorum(index, &inspector);
            self.look_at_replicas(index, &inspector);
            self.look_at_image(index, &inspector.image());
        }
    }

    /// WORLD-17 and WORLD-19, after something has happened on a machine: nobody else has changed.
    pub(crate) fn glance(&mut self, at: sim::NodeId) {
        let index = at.0 as usize;
        let Some(inspector) = self.nodes.get(index).and_then(|node| node.inspector()) else {
            return;
        };
        self.look_at_quorum(index, &inspector);
        self.look_at_replicas(index, &inspector);
    }

    fn look_at_quorum(&mut self, index: usize, inspector: &Inspector) {
        let (epoch, Some(leader)) = inspector.quorum() else { return };
        let known = *self.quorum_leaders.entry(epoch.get()).or_insert(leader);
        if known != leader {
            let detail = format!("node {index}: {leader} leads epoch {epoch}, and {known} does");
            self.violate("WORLD-17", detail);
        }
    }

    fn look_at_replicas(&mut self, index: usize, inspector: &Inspector) {
        for Replica { partition, view, identity } in inspector.replicas() {
            if view.is_leader {
                let key = (partition.clone(), view.leader_epoch.get());
                let known = *self.leaders.entry(key).or_insert(index);
                if known != index {
                    let epoch = view.leader_epoch;
                    let detail = format!("{partition}: {known} and {index} lead epoch {epoch}");
                    self.violate("WORLD-17", detail);
                }
            }
            let now = view.high_watermark;
            let key = (index, partition);
            let before = self.high_watermarks.get(&key);
            let is_same =
                |known: &Identity| *known == identity && !self.lossy.contains(&key.1.topic);
            let before = before.filter(|(known, _)| is_same(known)).map(|(_, offset)| *offset);
            if let Some(before) = before.filter(|before| *before > now) {
                let detail = format!("{} on {index}: high watermark {now} after {before}", key.1);
                self.violate("WORLD-19", detail);
            }
            self.high_watermarks.insert(key, (identity, now));
        }
    }

    fn look_at_image(&self, index: usize, image: &Image) {
        for topic in image.topics.iter() {
            for (partition, state) in topic.partitions.iter() {
                let is_part = state.isr.iter().all(|node| state.replicas.contains(node));
                let is_led = state.leader == NodeId::NONE || state.isr.contains(&state.leader);
                if !is_part || !is_led {
                    let detail = format!("node {index}: {}-{partition:?}: {state:?}", topic.name);
                    self.violate("WORLD-18", detail);
                }
            }
        }
    }

    /// WORLD-20 and WORLD-21: reads what lies on the disks of all nodes that serve.
    pub(crate) fn compare_logs(&mut self) {
        for index in 0..self.nodes.len() {
            let node = Arc::clone(&self.nodes[index]);
            let Some(inspector) = node.inspector() else { continue };
            let committed = inspector.image().offset.map_or(0, |last| last.get() + 1);
            self.compare(index, METADATA.to_owned(), committed, "WORLD-21");
            for Replica { partition, view, .. } in inspector.replicas() {
                let topic = &partition.topic;
                if self.lossy.contains(topic) || self.compacted.contains(topic) {
                    continue;
                }
                let upto = view.high_watermark.get();
                self.compare(index, partition.to_string(), upto, "WORLD-20");
            }
        }
    }

    fn compare(&mut self, index: usize, log: String, upto: i64, invariant: &'static str) {
        let found = read_log(&*self.nodes[index].node().disk, &self.data.join(&log), upto);
        let known = self.committed.entry(log.clone()).or_default();
        let mut wrong = None;
        let first = found.first_key_value().map_or(upto, |(base, _)| *base);
        // A node of the quorum may hear that a batch has committed before its own disk has it.
        let upto = match invariant {
            "WORLD-21" => found.last_key_value().map_or(first, |(base, _)| *base),
            _ => upto,
        };
        if let Some((base, _)) =
            known.range(first..upto).find(|(base, _)| !found.contains_key(base))
        {
            wrong = Some(format!("the batch at {base} is gone, below {upto}"));
        }
        for (base, batch) in found {
            let is_same = known.entry(base).or_insert_with(|| batch.clone()) == &batch;
            if !is_same && wrong.is_none() {
                wrong = Some(format!("the batch at {base} is another one, below {upto}"));
            }
        }
        if let Some(wrong) = wrong {
            self.violate(invariant, format!("{log} on node {index}: {wrong}"));
        }
    }
}

/// All batches that end below `upto`.
fn read_log(disk: &dyn Disk, dir: &Path, upto: i64) -> Committed {
    let mut found = Committed::new();
    for entry in disk.list(dir).unwrap_or_default() {
        if !entry.name.ends_with(".log") {
            continue;
        }
        let bytes = read_file(disk, &dir.join(&entry.name), entry.len);
        // What follows the last batch is not the committed log's.
        for batch in batches(&bytes).map_while(Result::ok) {
            let Some(header) = BatchHeader::parse(&batch) else { break };
            if header.last_offset().get() < upto {
                found.insert(header.base_offset().get(), Bytes::copy_from_slice(&batch));
            }
        }
    }
    found
}

/// What lies in a file of so many bytes; nothing if it cannot be read.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path, len: u64) -> Bytes {
    let Ok(file) = disk.open(path, OpenMode::Read) else { return Bytes::new() };
    let mut bytes = vec![0; len as usize];
    let count = file.read_at(0, &mut bytes).unwrap_or(0);
    bytes.truncate(count);
    bytes.into()
}
