//! `__cluster_metadata-0` on disk: the log with Kafka's segments, the snapshots beside it, and
//! `quorum-state`. One task owns it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use strandline_log::{Admitted, Log, LogConfig, LogImage, Origin};
use strandline_ports::blocking;
use strandline_quorum::{Election, EpochStart, ReplicaKey};
use strandline_store::format::names::{FileKind, FileState, OffsetFile, SnapshotId};
use strandline_store::format::quorum_state::{self, QuorumState, QuorumStateFormat};
use strandline_store::{
    Append, Io, LoadOptions, LogDir, PartitionStore, ReadRequest, SnapshotFiles, SnapshotWriter,
    StoreFault,
};
use strandline_types::{LeaderEpoch, NodeId, Now, Offset, Uuid};
use strandline_wire::records::{HEADER_BYTES, StampedBatch, batches, inspect_header};

use super::snapshot::{Snapshot, SnapshotDamage, tell_tail};
use super::{METADATA_DIR, OpenError, PREALLOCATE_BYTES, metadata_partition};

const READ_BYTES: u32 = 1024 * 1024;

pub(super) struct MetadataLog {
    pub(super) log: Log,
    pub(super) store: Arc<PartitionStore>,
    pub(super) snapshots: SnapshotFiles,
    pub(super) io: Io,
    pub(super) dir: PathBuf,
}

/// Settings of the log's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetadataLogOptions {
    /// `metadata.log.segment.bytes`
    pub(crate) segment_bytes: u32,
    /// `metadata.log.segment.ms`
    pub(crate) segment_ms: i64,
}

impl MetadataLog {
    /// Loads what lies in `dir`, or begins an empty log.
    pub(super) async fn open(
        dir: &LogDir,
        options: MetadataLogOptions,
        now: Now,
    ) -> Result<Self, OpenError> {
        let config = Arc::new(config_of(options));
        let path = dir.path().join(METADATA_DIR);
        let io = dir.io().clone();
        let snapshots = SnapshotFiles::new(io.clone(), path.clone());
        if !has_segments(&io, &path).await {
            let partition = metadata_partition();
            let store =
                dir.create_metadata_log(&partition, Offset::ZERO, PREALLOCATE_BYTES).await?;
            let log = Log::create(config, 0, Offset::ZERO, now.timestamp);
            return Ok(Self { log, store, snapshots, io, dir: path });
        }
        let load = LoadOptions {
            config,
            jitter_seed: 0,
            now: now.timestamp,
            recovery_point: newest_end(&snapshots).await?,
            log_start: Offset::ZERO,
            is_clean: dir.condition().is_clean(),
            preallocate_bytes: PREALLOCATE_BYTES,
        };
        let (store, recovered) = dir.load_partition(METADATA_DIR, load).await?;
        let mut log = recovered.log;
        // What a process left behind that died between a write and its sync is in the page cache,
        // and only there: whoever promises it must have it on the device first.
        if !dir.condition().is_clean() {
            // Names, too: of a vote that was just written, and of snapshots.
            io.sync_dir(&path).await?;
        }
        if let Some(plan) = log.plan_sync(log.log_end()) {
            store.sync(&plan).await?;
            log.synced(now.timestamp, plan.upto);
        }
        Ok(Self { log, store, snapshots, io, dir: path })
    }

    /// The log goes on, empty, at the end of a snapshot that holds what it does not.
    pub(super) async fn start_over_at(
        &mut self,
        start: Offset,
        now: Now,
    ) -> Result<(), StoreFault> {
        let plan = self.log.start_over_at(start, now.timestamp);
        self.store.start_over(plan).await?.unlink(&self.io).await
    }

    /// A handle of its own on the same files, with which the log is replaced.
    pub(super) fn replaced(&self) -> Self {
        Self {
            log: self.log.clone(),
            store: Arc::clone(&self.store),
            snapshots: self.snapshots.clone(),
            io: self.io.clone(),
            dir: self.dir.clone(),
        }
    }

    /// Makes the snapshot that was copied from the leader this node's own, and the log empty behind
    /// it. A copy that is no snapshot gets no name: the next start must not find it.
    pub(super) async fn install(
        mut self,
        id: strandline_quorum::SnapshotId,
        copied: SnapshotWriter,
        now: Now,
    ) -> Result<Result<(Snapshot, Log), SnapshotDamage>, StoreFault> {
        let bytes = match copied.content().read(&self.io).await {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(StoreFault::Io {
                    action: "read",
                    path: self.dir.join(store_id(id).name()),
                    source: Arc::new(error),
                });
            }
        };
        let snapshot = match Snapshot::decode(&bytes) {
            Ok(snapshot) => snapshot,
            Err(damage) => return Ok(Err(damage)),
        };
        // Before the snapshot has its name the log ends cleanly: a torn end, or the zeros ahead of it,
        // would lie below a newest snapshot, and be damage to a start after a crash in between.
        let plan = self.log.plan_close();
        self.store.close(plan).await?;
        copied.finish().await?;
        self.start_over_at(id.end_offset, now).await?;
        self.snapshots.remove(|old| old < store_id(id)).await?;
        Ok(Ok((snapshot, self.log)))
    }

    /// The log begins with `start`: what lies before is only in snapshots.
    pub(super) async fn begin_at(&mut self, start: Offset, now: Now) -> Result<(), StoreFault> {
        if start > self.log.log_end() {
            // Less than the snapshot holds, so nothing that it lacks.
            self.start_over_at(start, now).await?;
        } else if self.log.raise_log_start(start) {
            match self.store.write_epochs(self.log.epochs().entries()).await {
                // What begins here makes room, and whoever opens it leaves out the epochs before.
                Err(fault) if fault.is_full() => {}
                written => written?,
            }
        }
        Ok(())
    }

    /// Epochs as the quorum core counts them.
    pub(super) fn epochs(&self) -> Vec<EpochStart> {
        let start = |entry: &strandline_log::EpochStart| EpochStart {
            epoch: entry.epoch,
            start_offset: entry.start.max(self.log.log_start()),
        };
        self.log.epochs().entries().iter().map(start).collect()
    }

    /// All batches with records from `from` on.
    pub(super) async fn read_from(&self, from: Offset) -> Result<Vec<Bytes>, OpenError> {
        let end = self.log.written_end();
        let mut next = from;
        let mut found = Vec::new();
        while next < end {
            let request = ReadRequest {
                from: next,
                upto: end,
                max_bytes: READ_BYTES,
                at_least_one_batch: true,
            };
            let answer = self.store.read(request).await?;
            let Some(answer) = answer.filter(|answer| answer.next_offset > next) else {
                let reason = format!("the log has no record at offset {next}");
                return Err(self.damaged(reason));
            };
            let bytes = self.store.copied(answer.records).await?;
            for batch in batches(&bytes) {
                found.push(batch.map_err(|tail| self.damaged(tell_tail(tail)))?);
            }
            next = answer.next_offset;
        }
        Ok(found)
    }

    pub(super) fn damaged(&self, reason: String) -> OpenError {
        OpenError::Damaged { path: self.dir.clone(), reason }
    }

    /// Gives a finished batch its place in the files.
    pub(super) fn admit(&mut self, now: Now, batch: Bytes) -> Append {
        let inspected = inspect_header(batch).expect("a batch that was just built is sound");
        let facts = [inspected.facts];
        let admitted = self.log.admit(now, &facts, Origin::Follower, LeaderEpoch::NONE);
        let admitted = admitted.expect("the quorum gives out dense offsets");
        let Admitted::Append(plan) = admitted else {
            unreachable!("only idempotent producers repeat themselves")
        };
        let header = inspected.bytes.slice(..HEADER_BYTES);
        let records = inspected.bytes.slice(HEADER_BYTES..);
        Append { plan, batches: vec![StampedBatch { header, records }] }
    }

    pub(super) fn election_path(&self) -> PathBuf {
        self.dir.join(quorum_state::FILE_NAME)
    }

    pub(super) async fn read_election(&self) -> Result<Option<Election>, OpenError> {
        let path = self.election_path();
        let Some(bytes) = self.io.read_whole(&path).await? else { return Ok(None) };
        let state =
            QuorumState::decode(&bytes).map_err(|source| StoreFault::Format { path, source })?;
        Ok(Some(decode_election(&state)))
    }

    /// Ends the log cleanly. The image is what the log dir remembers of it.
    pub(super) async fn close(mut self) -> Result<LogImage, StoreFault> {
        let plan = self.log.plan_close();
        let upto = plan.sync.as_ref().map(|sync| sync.upto);
        self.store.close(plan).await?;
        if let Some(upto) = upto {
            self.log.synced(Now::default().timestamp, upto);
        }
        Ok(self.log.image())
    }
}

/// What a snapshot holds was durable here before it was taken (QUORUM-9). That is as good a recovery
/// point as a checkpoint would be: what lies behind it is read anyway, to be applied.
async fn newest_end(snapshots: &SnapshotFiles) -> Result<Offset, StoreFault> {
    Ok(snapshots.list().await?.last().map_or(Offset::ZERO, |newest| newest.end))
}

/// Whether there is a log. A directory that was just formatted holds a snapshot only.
async fn has_segments(io: &Io, path: &Path) -> bool {
    let (disk, owned) = (Arc::clone(&io.disk), path.to_owned());
    // A directory that cannot be listed does not exist, or the next step says what is wrong.
    let entries = blocking(&io.spawn, move || disk.list(&owned)).await.unwrap_or_default();
    let is_segment = |name: &str| {
        OffsetFile::parse(name)
            .is_some_and(|f| f.kind == FileKind::Log && f.state == FileState::Live)
    };
    entries.iter().any(|entry| is_segment(&entry.name))
}

fn config_of(options: MetadataLogOptions) -> LogConfig {
    LogConfig {
        segment_bytes: options.segment_bytes,
        segment_ms: options.segment_ms,
        // Snapshots decide what may go, not time or size.
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: options.segment_bytes,
        timestamp_after_max_ms: i64::MAX,
        ..LogConfig::default()
    }
}

fn decode_election(state: &QuorumState) -> Election {
    let known = |id: NodeId| (id != NodeId::NONE).then_some(id);
    let voted_directory = match state.format {
        QuorumStateFormat::StaticVoters { .. } => Uuid::ZERO,
        QuorumStateFormat::DynamicVoters { voted_directory_id } => voted_directory_id,
    };
    Election {
        epoch: state.leader_epoch,
        leader: known(state.leader_id),
        voted: known(state.voted_id).map(|id| ReplicaKey::new(id, voted_directory)),
    }
}

/// `quorum-state` in the version that goes with `kraft_version`.
pub(super) fn encode_election(
    election: &Election,
    kraft_version: i16,
    voters: impl Iterator<Item = NodeId>,
) -> Vec<u8> {
    let format = if kraft_version == 0 {
        QuorumStateFormat::StaticVoters { current_voters: voters.collect() }
    } else {
        let voted_directory_id = election.voted.map_or(Uuid::ZERO, |key| key.directory_id);
        QuorumStateFormat::DynamicVoters { voted_directory_id }
    };
    QuorumState {
        leader_id: election.leader.unwrap_or(NodeId::NONE),
        leader_epoch: election.epoch,
        voted_id: election.voted.map_or(NodeId::NONE, |key| key.id),
        format,
    }
    .encode()
}

pub(super) fn store_id(id: strandline_quorum::SnapshotId) -> SnapshotId {
    SnapshotId { end: id.end_offset, epoch: id.epoch }
}

pub(super) fn quorum_id(id: SnapshotId) -> strandline_quorum::SnapshotId {
    strandline_quorum::SnapshotId { end_offset: id.end, epoch: id.epoch }
}
