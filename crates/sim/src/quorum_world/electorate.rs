//! Who may vote, as it stands in the logs (KIP-853): which voters may be taken out and which disks be
//! lost so that a quorum can exist again.
//!
//! What is judged are the disks, not what nodes believe: a change of voters holds from the moment that
//! it is in a log, and its answer may never come.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use strandline_ports::Disk;
use strandline_store::format::names::SnapshotId;
use strandline_types::Uuid;
use strandline_wire::messages::voters_record::Voter as ListedVoter;
use strandline_wire::messages::{ControlRecord, VotersRecord};
use strandline_wire::records::{BatchHeader, InspectLimits, Records, batches, inspect};

use super::lock;
use crate::cluster;
use crate::process::BrokerProcess;
use crate::watch::{METADATA, read_file};

/// One may not have committed, and then the one before is in force.
const SETS_OF_A_LOG: usize = 2;
/// Each of them may come true or not, so that so many make eight sets of one.
const REMOVALS_MAX: usize = 3;

/// Nodes by their places, and the directories by which they vote.
pub(super) type Voters = BTreeMap<usize, Uuid>;
/// One of them.
pub(super) type Voter = (usize, Uuid);

pub(super) struct Electorate {
    nodes: Vec<Arc<BrokerProcess>>,
    /// Those whose removal has been asked for, and may still come.
    leaving: Mutex<Vec<Voter>>,
}

impl Electorate {
    pub(super) fn new(nodes: &[Arc<BrokerProcess>]) -> Self {
        Self { nodes: nodes.to_vec(), leaving: Mutex::default() }
    }

    /// The voters of the log that says most.
    pub(super) fn newest(&self) -> Voters {
        let logs = self.nodes.iter().filter_map(|node| sets_in_log(&*node.node().disk).pop());
        logs.max_by_key(|(offset, _)| *offset).map(|(_, voters)| voters).unwrap_or_default()
    }

    /// Whether every voter still has the disk by which it votes.
    pub(super) fn is_intact(&self) -> bool {
        self.newest().into_iter().all(|voter| self.has_disk(voter))
    }

    /// This node as a voter, once it has a directory.
    pub(super) fn voter(&self, index: usize) -> Option<Voter> {
        self.nodes[index].directory_id().map(|directory_id| (index, directory_id))
    }

    /// Whether a quorum survives the loss of this node's disk for certain, even if the node is being
    /// made a voter: two voters of which one has gone for good stay without a leader.
    pub(super) fn may_lose_disk(&self, index: usize) -> bool {
        self.possible().into_iter().all(|mut voters| {
            let is_enough = self.survives(&voters, Some(index));
            voters.extend(self.voter(index));
            is_enough && self.survives(&voters, Some(index))
        })
    }

    /// Begins to take a voter out, unless that could leave too few of those who have their disks.
    /// [`Electorate::has_left`] ends it.
    pub(super) fn may_leave(&self, voter: Voter) -> bool {
        let mut possible = self.possible().into_iter();
        let is_allowed = lock(&self.leaving).len() < REMOVALS_MAX
            && possible.all(|voters| self.survives(&without(voters, &[voter]), None));
        if is_allowed {
            lock(&self.leaving).push(voter);
        }
        is_allowed
    }

    /// It has been removed, or never will be.
    pub(super) fn has_left(&self, voter: Voter) {
        let mut leaving = lock(&self.leaving);
        if let Some(at) = leaving.iter().position(|it| *it == voter) {
            leaving.remove(at);
        }
    }

    fn has_disk(&self, (index, directory_id): Voter) -> bool {
        self.nodes.get(index).and_then(|node| node.directory_id()) == Some(directory_id)
    }

    fn survives(&self, voters: &Voters, lost: Option<usize>) -> bool {
        let present = voters.iter().filter(|(index, directory_id)| {
            Some(**index) != lost && self.has_disk((**index, **directory_id))
        });
        present.count() > voters.len() / 2
    }

    /// All sets that may be in force, or may come to be.
    fn possible(&self) -> Vec<Voters> {
        let leaving = lock(&self.leaving).clone();
        let mut possible = Vec::new();
        for node in &self.nodes {
            let sets = sets_in_log(&*node.node().disk);
            for (_, voters) in sets.into_iter().rev().take(SETS_OF_A_LOG) {
                possible.extend((0..1_usize << leaving.len()).map(|chosen| {
                    let gone = leaving.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
                    let gone: Vec<Voter> = gone.map(|(_, voter)| *voter).collect();
                    without(voters.clone(), &gone)
                }));
            }
        }
        possible
    }
}

fn without(mut voters: Voters, gone: &[Voter]) -> Voters {
    voters.retain(|index, directory_id| !gone.contains(&(*index, *directory_id)));
    voters
}

/// The sets of voters that stand in a node's log and its snapshots, by their offsets.
fn sets_in_log(disk: &dyn Disk) -> Vec<(i64, Voters)> {
    let dir = Path::new(cluster::DATA).join(METADATA);
    let mut sets = BTreeMap::new();
    for entry in disk.list(&dir).unwrap_or_default() {
        let snapshot = SnapshotId::parse(&entry.name);
        if snapshot.is_none() && !entry.name.ends_with(".log") {
            continue;
        }
        let bytes = read_file(disk, &dir.join(&entry.name), entry.len);
        for batch in batches(&bytes).map_while(Result::ok) {
            let Some((offset, voters)) = voters_in(batch) else { continue };
            // What a snapshot holds lies before its end.
            let offset = snapshot.map_or(offset, |snapshot| snapshot.end.get() - 1);
            sets.entry(offset).or_insert(voters);
        }
    }
    sets.into_iter().collect()
}

/// The last set of voters that a batch of the metadata log or of a snapshot names.
fn voters_in(batch: Bytes) -> Option<(i64, Voters)> {
    if !BatchHeader::parse(&batch)?.is_control() {
        return None;
    }
    let limits = InspectLimits::default();
    let inspected = inspect(batch, &limits).ok()?;
    let records = Records::open(&inspected.bytes, &limits).ok()?;
    let controls = records.iter().map_while(Result::ok).filter_map(|record| {
        let record = records.share(&record);
        let control = ControlRecord::decode(&record.key?, &record.value?).ok()?;
        let ControlRecord::KraftVoters(VotersRecord { voters, .. }) = control else { return None };
        let voter =
            |it: &ListedVoter| Some((usize::try_from(it.voter_id).ok()?, it.voter_directory_id));
        Some((record.offset.get(), voters.iter().filter_map(voter).collect()))
    });
    controls.last()
}
