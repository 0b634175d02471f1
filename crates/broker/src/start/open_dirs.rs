//! Opens the data directories, checks whose they are, and formats them if they are nobody's.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_config::BrokerConfig;
use strandline_ports::{World, random_uuid};
use strandline_store::{
    Checkpoint, DirIdentity, Io, LogDir, LogDirOptions, OpenFiles, StartCondition, StoreFault,
    TailCache,
};
use strandline_types::{BrokerEpoch, NodeId, Uuid};

use crate::dirs::{Dir, DirIndex, Dirs};
use crate::driver::replicas::FoundOnDisk;
use crate::format::{self, FormatFailure, Founding};

/// Recently appended batches that are kept for readers, over all partitions.
const TAIL_CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    #[error("{}: {source}", path.display())]
    Store { path: PathBuf, source: StoreFault },
    #[error(transparent)]
    Format(#[from] FormatFailure),
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },
    #[error("{} belongs to node {found}, this is node {expected}: set node.id={found}, or name another directory", path.display())]
    OtherNode { path: PathBuf, found: NodeId, expected: NodeId },
    #[error("{} belongs to cluster {found}, the other directories to {expected}", path.display())]
    OtherCluster { path: PathBuf, found: String, expected: String },
}

/// All directories, locked and checked.
pub(super) struct OpenedDirs {
    pub(super) dirs: Dirs,
    pub(super) metadata_dir: DirIndex,
    pub(super) cluster_id: String,
    /// The broker epoch of the last stop if it was clean, else −1.
    pub(super) previous_epoch: BrokerEpoch,
    pub(super) found: FoundOnDisk,
}

struct Unchecked {
    log: LogDir,
    identity: Option<DirIdentity>,
}

pub(super) async fn open(world: &World, config: &BrokerConfig) -> Result<OpenedDirs, DirError> {
    let mut opened = Vec::new();
    let options = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(open_files_max(config))),
        tail_cache: Arc::new(TailCache::new(TAIL_CACHE_BYTES)),
    };
    for path in format::directories(config) {
        let at = |source| match source {
            StoreFault::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
                DirError::InUse { path: path.clone() }
            }
            source => DirError::Store { path: path.clone(), source },
        };
        let io = Io { disk: Arc::clone(&world.disk), spawn: Arc::clone(&world.spawn) };
        let log = LogDir::open(io, &path, options.clone()).await.map_err(at)?;
        let identity = log.identity().await.map_err(at)?;
        opened.push(Unchecked { log, identity });
    }
    let agreed = agreed_cluster(config, &opened)?;
    let previous_epoch = previous_epoch(&opened);
    // Only in a cluster that begins here: a metadata log that was lost is not to be made up.
    let founding = match agreed.is_none() && config.quorum.voters.is_empty() {
        true => Founding::Alone { host_name: "localhost" },
        false => Founding::ByOthers,
    };
    let cluster_id = agreed.unwrap_or_else(|| random_uuid(&*world.entropy).to_string());
    let now = world.clock.now().timestamp;
    let (disk, entropy) = (&*world.disk, &*world.entropy);
    format::format(disk, entropy, now, config, &cluster_id, founding, true).await?;
    let mut dirs = Vec::new();
    for Unchecked { log, .. } in opened {
        let id = directory_id(world, config, &cluster_id, &log).await;
        let path = log.path().to_owned();
        dirs.push(Dir { id: id.map_err(|source| DirError::Store { path, source })?, log });
    }
    let log_dirs = config.log_dirs.iter().collect::<BTreeSet<_>>().len();
    let found = look_around(&mut dirs).await?;
    let dirs = Dirs::new(dirs, log_dirs);
    let metadata_dir =
        dirs.by_path(Path::new(&config.metadata_log_dir)).expect("it is one of the paths opened");
    Ok(OpenedDirs { dirs, metadata_dir, cluster_id, previous_epoch, found })
}

/// A directory of an earlier Kafka has no id yet.
async fn directory_id(
    world: &World,
    config: &BrokerConfig,
    cluster_id: &str,
    log: &LogDir,
) -> Result<Uuid, StoreFault> {
    if let Some(id) = log.identity().await?.and_then(|identity| identity.directory_id) {
        return Ok(id);
    }
    let id = random_uuid(&*world.entropy);
    let (cluster_id, directory_id) = (cluster_id.to_owned(), Some(id));
    let identity = DirIdentity { cluster_id, node_id: config.node_id, directory_id };
    log.write_identity(&identity).await?;
    Ok(id)
}

fn open_files_max(config: &BrokerConfig) -> usize {
    match config.own.open_files_max {
        Some(most) => most.max(0) as usize,
        // Half of the process's limit: connections want descriptors too.
        None => (strandline_ports::real::raise_open_file_limit() / 2) as usize,
    }
}

/// The cluster that the directories name; `None` when they are all empty.
fn agreed_cluster(config: &BrokerConfig, opened: &[Unchecked]) -> Result<Option<String>, DirError> {
    let mut agreed: Option<&str> = None;
    for Unchecked { log, identity } in opened {
        let Some(identity) = identity else { continue };
        if identity.node_id != config.node_id {
            return Err(DirError::OtherNode {
                path: log.path().to_owned(),
                found: identity.node_id,
                expected: config.node_id,
            });
        }
        let expected = *agreed.get_or_insert(&identity.cluster_id);
        if identity.cluster_id != expected {
            return Err(DirError::OtherCluster {
                path: log.path().to_owned(),
                found: identity.cluster_id.clone(),
                expected: expected.to_owned(),
            });
        }
    }
    Ok(agreed.map(str::to_owned))
}

/// Only if every directory was left clean, and under one epoch, is nothing lost.
fn previous_epoch(opened: &[Unchecked]) -> BrokerEpoch {
    let mut epochs = opened.iter().map(|it| match it.log.condition() {
        StartCondition::Clean { broker_epoch } => broker_epoch,
        StartCondition::ProcessCrash | StartCondition::Unknown => BrokerEpoch::NONE,
    });
    let first = epochs.next().unwrap_or(BrokerEpoch::NONE);
    if epochs.all(|epoch| epoch == first) { first } else { BrokerEpoch::NONE }
}

async fn look_around(dirs: &mut [Dir]) -> Result<FoundOnDisk, DirError> {
    let mut found = FoundOnDisk::default();
    for (index, dir) in dirs.iter_mut().enumerate() {
        let path = dir.log.path().to_owned();
        let at = |source| DirError::Store { path: path.clone(), source };
        let partitions = dir.log.partitions().await.map_err(at)?;
        let mut checkpoints = Vec::new();
        for checkpoint in
            [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark]
        {
            checkpoints.push(dir.log.read_checkpoint(checkpoint).await.map_err(at)?);
        }
        let [recovery_points, log_starts, high_watermarks] =
            <[_; 3]>::try_from(checkpoints).expect("three were read");
        let checkpoints = [recovery_points, log_starts, high_watermarks];
        found.add(DirIndex::at(index), partitions, checkpoints);
    }
    Ok(found)
}
