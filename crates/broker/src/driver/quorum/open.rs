//! From a directory to the facts that the quorum core starts with, and the records that it will
//! commit again.

use std::path::PathBuf;

use bytes::Bytes;
use strandline_metadata::FeatureRange;
use strandline_quorum::{ControlRecord, Membership, Recovered, ReplicaKey, SnapshotFacts};
use strandline_store::format::names::SnapshotId;
use strandline_store::{FileRange, LogDir, StoreFault};
use strandline_types::{Now, Offset, Timestamp};
use strandline_wire::records::BatchHeader;

use super::features::{FinalizedFeatures, UnsupportedFeature};
use super::metadata_log::{MetadataLog, MetadataLogOptions, quorum_id};
use super::snapshot::{BatchContent, Snapshot, SnapshotDamage, last_timestamp_in, read_batch};
use super::{BOOTSTRAP_FILE, BOOTSTRAP_SNAPSHOT, CommittedBatch, control};

/// The first batch of a snapshot, with many voters in it, is well within this.
const SNAPSHOT_HEAD_BYTES: u32 = 64 * 1024;

/// Why a directory's metadata cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Feature(#[from] UnsupportedFeature),
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "the quorum's only voter is {voter}, and this node is {me}: the disk that holds the quorum's state is another one"
    )]
    OtherDirectory { me: ReplicaKey, voter: ReplicaKey },
    #[error("snapshot {} is damaged: {source}", path.display())]
    Snapshot { path: PathBuf, source: SnapshotDamage },
    #[error("{} names no voters, and neither do the settings: format the directory, or set controller.quorum.voters", path.display())]
    NoVoters { path: PathBuf },
}

/// Everything found in a directory.
pub(super) struct Found {
    pub(super) log: MetadataLog,
    pub(super) recovered: Recovered,
    /// The newest snapshot, if there is one besides the bootstrap one.
    pub(super) snapshot: Option<(SnapshotId, Snapshot)>,
    /// All batches behind it, ascending.
    pub(super) batches: Vec<CommittedBatch>,
}

/// Reads the log behind the newest snapshot. Who votes before that snapshot is settled; without one,
/// `settings` say who votes before the log does.
pub(super) async fn find(
    dir: &LogDir,
    options: MetadataLogOptions,
    settings: Option<&Membership>,
    supported: &[FeatureRange],
    now: Now,
) -> Result<Found, OpenError> {
    let mut log = MetadataLog::open(dir, options, now).await?;
    // What a crash left unfinished.
    log.snapshots.remove_unfinished().await?;
    let mut ids = log.snapshots.list().await?;
    ids.retain(|id| *id != BOOTSTRAP_SNAPSHOT);
    let mut snapshots = Vec::new();
    for &id in &ids {
        snapshots.push(snapshot_facts(&log, id).await?);
    }
    let newest = match ids.last() {
        Some(&id) => Some((id, read_snapshot(&log, id).await?)),
        None => None,
    };
    begin_behind_snapshot(&mut log, &snapshots, now).await?;
    let base = match &newest {
        Some((_, Snapshot { membership: Some(membership), .. })) => Some(membership.clone()),
        _ => bootstrap_membership(&log).await?,
    };
    let base_membership = base.or_else(|| settings.cloned());
    let mut features = FinalizedFeatures::default();
    if let Some((_, content)) = &newest {
        features.read(&content.records);
    }
    let replay_from = newest.as_ref().map_or(log.log.log_start(), |(id, _)| id.end);
    let mut batches = Vec::new();
    let mut memberships = Vec::new();
    let mut current = base_membership.clone();
    let mut new_record_bytes = 0;
    for bytes in log.read_from(replay_from).await? {
        new_record_bytes += bytes.len() as u64;
        let batch = read_committed(bytes).map_err(|reason| log.damaged(reason))?;
        for (offset, record) in &batch.control {
            let Some(membership) = changed(current.as_ref(), record) else { continue };
            memberships.push((*offset, membership.clone()));
            current = Some(membership);
        }
        features.read(&batch.records);
        batches.push(batch);
    }
    if newest.is_none() && batches.is_empty() {
        // What the first controller is about to finalize: refused before it is written.
        features.read(&bootstrap_records(dir).await?.unwrap_or_default());
    }
    features.check(supported)?;
    let path = || log.dir.clone();
    let base_membership = match base_membership {
        Some(base) => base,
        // Voters that stand only in the log were replicated there by a leader.
        None => current.ok_or_else(|| OpenError::NoVoters { path: path() })?,
    };
    let recovered = Recovered {
        election: log.read_election().await?,
        start_offset: log.log.log_start(),
        end_offset: log.log.log_end(),
        epochs: log.epochs(),
        snapshots,
        new_record_bytes,
        log_size_bytes: log.log.size_bytes(),
        base_membership,
        memberships,
    };
    Ok(Found { log, recovered, snapshot: newest, batches })
}

/// A log that does not reach its newest snapshot begins anew behind it; one that does not begin at
/// 0 begins with a snapshot.
async fn begin_behind_snapshot(
    log: &mut MetadataLog,
    snapshots: &[SnapshotFacts],
    now: Now,
) -> Result<(), OpenError> {
    // The first segment may hold more than the log: what a snapshot has made needless goes with its
    // file, and its epochs have gone before. To take that for a log of somebody else's would throw
    // away what this node has promised to hold.
    let first_segment = log.log.segments().first().map_or(Offset::ZERO, |first| first.base_offset);
    let first_epoch = log.log.epochs().entries().first().map_or(Offset::ZERO, |first| first.start);
    let first = first_segment.max(first_epoch);
    let newest = snapshots.last().map_or(Offset::ZERO, |newest| newest.id.end_offset);
    // A snapshot of the leader's got its name, and the crash came before the log was emptied.
    let is_foreign = snapshots.last().is_some_and(|newest| {
        let last = newest.id.end_offset - 1;
        last >= first && log.log.epoch_of(last) != Some(newest.id.epoch)
    });
    if newest > log.log.log_end() || is_foreign {
        log.start_over_at(newest, now).await?;
    } else if first > Offset::ZERO {
        let start = snapshots.iter().map(|s| s.id.end_offset).find(|end| *end >= first);
        let Some(start) = start else {
            let reason =
                format!("the log begins at {first}, and no snapshot holds what was before");
            return Err(log.damaged(reason));
        };
        log.begin_at(start, now).await?;
    }
    Ok(())
}

async fn bootstrap_membership(log: &MetadataLog) -> Result<Option<Membership>, OpenError> {
    if log.snapshots.open(BOOTSTRAP_SNAPSHOT).await?.is_none() {
        return Ok(None);
    }
    Ok(read_snapshot(log, BOOTSTRAP_SNAPSHOT).await?.membership)
}

async fn read_snapshot(log: &MetadataLog, id: SnapshotId) -> Result<Snapshot, OpenError> {
    let range = open_snapshot(log, id).await?;
    let bytes = range.read(&log.io).await.map_err(|error| log.damaged(error.to_string()))?;
    let path = log.dir.join(id.name());
    Snapshot::decode(&bytes).map_err(|source| OpenError::Snapshot { path, source })
}

async fn open_snapshot(log: &MetadataLog, id: SnapshotId) -> Result<FileRange, OpenError> {
    let opened = log.snapshots.open(id).await?;
    opened.ok_or_else(|| log.damaged(format!("{} has gone", id.name())))
}

/// Only the head is read: old snapshots are kept for others, not for this node.
async fn snapshot_facts(log: &MetadataLog, id: SnapshotId) -> Result<SnapshotFacts, OpenError> {
    let range = open_snapshot(log, id).await?;
    let size_bytes = u64::from(range.len);
    let head = FileRange { len: range.len.min(SNAPSHOT_HEAD_BYTES), ..range };
    let bytes = head.read(&log.io).await.map_err(|error| log.damaged(error.to_string()))?;
    // One without a readable head is as good as the oldest: the first to be deleted.
    let last_timestamp = last_timestamp_in(&bytes).unwrap_or(Timestamp::NONE);
    Ok(SnapshotFacts { id: quorum_id(id), size_bytes, last_timestamp })
}

/// The records that the first active controller writes into its empty log; `None` when the
/// directory has no such file.
pub(crate) async fn bootstrap_records(dir: &LogDir) -> Result<Option<Vec<Bytes>>, OpenError> {
    let path = dir.path().join(BOOTSTRAP_FILE);
    let Some(bytes) = dir.io().read_whole(&path).await? else { return Ok(None) };
    match Snapshot::decode(&bytes.into()) {
        Ok(snapshot) => Ok(Some(snapshot.records)),
        Err(source) => Err(OpenError::Snapshot { path, source }),
    }
}

fn changed(current: Option<&Membership>, record: &ControlRecord) -> Option<Membership> {
    let mut membership = current.cloned().unwrap_or_else(|| Membership {
        kraft_version: 0,
        voters: strandline_quorum::VoterSet::default(),
    });
    match record {
        ControlRecord::LeaderChange(_) => return None,
        ControlRecord::KraftVersion(level) => membership.kraft_version = *level,
        ControlRecord::Voters(voters) => membership.voters = voters.clone(),
    }
    Some(membership)
}

/// Checks and reads one batch of the log.
pub(super) fn read_committed(batch: Bytes) -> Result<CommittedBatch, String> {
    let header = BatchHeader::parse(&batch).ok_or("no batch header")?;
    let base_offset = header.base_offset();
    let mut committed = CommittedBatch {
        base_offset,
        next_offset: header.last_offset() + 1,
        epoch: header.leader_epoch(),
        timestamp: header.max_timestamp(),
        size_bytes: batch.len() as u64,
        control: Vec::new(),
        records: Vec::new(),
    };
    match read_batch(batch)? {
        BatchContent::Data(records) => committed.records = records,
        BatchContent::Control(records) => {
            let offsets = (0..).map(|index| base_offset + index);
            committed.control = offsets
                .zip(&records)
                .filter_map(|(offset, record)| Some((offset, control::decode(record)?)))
                .collect();
        }
    }
    Ok(committed)
}
