//! Opens the data directories, checks whose they are, and formats them if they are nobody's.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_config::BrokerConfig;
use strandline_ports::{World, random_uuid};
use strandline_store::format::offset_checkpoint::Offsets;
use strandline_store::{
    Checkpoint, DirIdentity, FoundPartition, Io, LogDir, LogDirOptions, OpenFiles, StartCondition,
    StoreFault, TailCache,
};
use strandline_types::{BrokerEpoch, NodeId, Uuid};

use super::founding::{self, Learned};
use crate::dirs::{Dir, DirIndex, Dirs};
use crate::driver::quorum::METADATA_DIR;
use crate::driver::replicas::FoundOnDisk;
use crate::format::{self, FirstLevels, FirstVoters, FormatFailure, Founding, Plan};

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
    #[error("{} is empty, but this node belongs to cluster {cluster_id}, whose metadata log it kept there: bring it back, or name the directory that holds {METADATA_DIR} in metadata.log.dir", path.display())]
    MetadataLost { path: PathBuf, cluster_id: String },
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

/// The directories while they are being opened, in the order of [`format::directories`].
struct Opening<'a> {
    world: &'a World,
    config: &'a BrokerConfig,
    options: LogDirOptions,
    /// What failed has nothing in it.
    dirs: Vec<(PathBuf, Option<Unchecked>)>,
    last_failure: Option<DirError>,
}

/// A directory that fails is left out, and what lies in it is offline until a start finds it well.
/// Without the metadata log's own there is no start, nor without any that may hold partitions, nor
/// while a directory belongs to somebody else.
pub(super) async fn open(
    world: &World,
    config: &BrokerConfig,
    learned: Option<Learned>,
) -> Result<OpenedDirs, DirError> {
    let options = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(open_files_max(config))),
        tail_cache: Arc::new(TailCache::new(TAIL_CACHE_BYTES)),
    };
    let mut opening = Opening { world, config, options, dirs: Vec::new(), last_failure: None };
    opening.open_all().await?;
    let agreed = agreed_cluster(config, opening.usable())?;
    if let (None, Some(failure)) = (&agreed, opening.last_failure.take()) {
        // Whoever that directory belongs to: no cluster is to be founded beside it.
        return Err(failure);
    }
    let has_lost_log = opening.has_lost_log();
    if let (true, Some(cluster_id)) = (has_lost_log && !founding::names_others(config), &agreed) {
        let path = config.metadata_log_dir.clone().into();
        return Err(DirError::MetadataLost { path, cluster_id: cluster_id.clone() });
    }
    let previous_epoch = previous_epoch(opening.usable());
    // Only in a cluster that begins here: a metadata log that was lost is not to be made up.
    let is_alone = learned.is_none() && agreed.is_none() && config.quorum.voters.is_empty();
    let alone = is_alone.then(|| FirstVoters::alone(config, &*world.entropy)).transpose()?;
    let founding = match (&alone, &learned) {
        (Some(alone), _) => Founding::Voters(alone),
        (None, Some(learned)) => by_others(config, learned.is_founder),
        // It may have voted, by what was in that log.
        (None, None) if has_lost_log => by_others(config, false),
        (None, None) => Founding::ByOthers,
    };
    let learned = learned.map(|learned| learned.cluster_id);
    let cluster_id = agreed.or(learned);
    let cluster_id = cluster_id.unwrap_or_else(|| random_uuid(&*world.entropy).to_string());
    opening.format(&cluster_id, founding).await?;
    let (dirs, found) = opening.finish(&cluster_id).await?;
    let log_dirs = config.log_dirs.iter().collect::<BTreeSet<_>>().len();
    let dirs = Dirs::new(dirs, log_dirs);
    dirs.cordon(&config.cordoned_log_dirs);
    let metadata_dir =
        dirs.by_path(Path::new(&config.metadata_log_dir)).expect("it is one of the paths opened");
    Ok(OpenedDirs { dirs, metadata_dir, cluster_id, previous_epoch, found })
}

/// How a node becomes part of a cluster that others began, or begin together with it.
fn by_others(config: &BrokerConfig, is_founder: bool) -> Founding<'static> {
    const AUTO_JOIN: &str = "controller.quorum.auto.join.enable";
    let is_voter = config.quorum.voters.iter().any(|voter| voter.id == config.node_id);
    if is_voter && !is_founder {
        return Founding::Forgotten;
    }
    let is_dynamic = config.roles.controller && config.quorum.voters.is_empty();
    if is_dynamic && !config.layers.fixed.contains_key(AUTO_JOIN) {
        Founding::Joining
    } else {
        Founding::ByOthers
    }
}

impl Opening<'_> {
    fn usable(&self) -> impl Iterator<Item = &Unchecked> {
        self.dirs.iter().filter_map(|(_, dir)| dir.as_ref())
    }

    fn io(&self) -> Io {
        Io { disk: Arc::clone(&self.world.disk), spawn: Arc::clone(&self.world.spawn) }
    }

    /// Whether the node has been here before, but the directory of its metadata log is empty.
    fn has_lost_log(&self) -> bool {
        let holds_log =
            |dir: &Unchecked| dir.log.path() == Path::new(&self.config.metadata_log_dir);
        let is_empty = self.usable().any(|dir| holds_log(dir) && dir.identity.is_none());
        is_empty && self.usable().any(|dir| dir.identity.is_some())
    }

    async fn open_all(&mut self) -> Result<(), DirError> {
        for path in format::directories(self.config) {
            match self.open_one(&path).await {
                Ok(dir) => self.dirs.push((path, Some(dir))),
                Err(error @ DirError::InUse { .. }) => return Err(error),
                Err(error) => {
                    self.dirs.push((path.clone(), None));
                    self.fail(&path, error)?;
                }
            }
        }
        Ok(())
    }

    async fn open_one(&self, path: &Path) -> Result<Unchecked, DirError> {
        let at = |source| match source {
            StoreFault::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
                DirError::InUse { path: path.to_owned() }
            }
            source => DirError::Store { path: path.to_owned(), source },
        };
        let log = LogDir::open(self.io(), path, self.options.clone()).await.map_err(at)?;
        let identity = log.identity().await.map_err(at)?;
        Ok(Unchecked { log, identity })
    }

    /// Goes on without a directory, if that can be.
    fn fail(&mut self, path: &Path, error: DirError) -> Result<(), DirError> {
        if path == Path::new(&self.config.metadata_log_dir) {
            return Err(error);
        }
        if let Some((_, dir)) = self.dirs.iter_mut().find(|(dir, _)| dir == path) {
            *dir = None;
        }
        tracing::error!(dir = %path.display(), %error, "a log directory cannot be used: it stays offline");
        self.last_failure = Some(error);
        Ok(())
    }

    async fn format(&mut self, cluster_id: &str, founding: Founding<'_>) -> Result<(), DirError> {
        let World { disk, entropy, clock, .. } = self.world;
        loop {
            let dirs: Vec<_> = self.usable().map(|dir| dir.log.path().to_owned()).collect();
            let now = clock.now().timestamp;
            let node = (self.config, dirs.clone());
            let levels = &FirstLevels::default();
            let plan = Plan { cluster_id, founding, levels, keep_formatted: true };
            let formatted = format::format(&**disk, &**entropy, now, node, plan).await;
            let Err(failure) = formatted else { return Ok(()) };
            let within = |path: &Path| {
                let around = dirs.iter().filter(|dir| path.starts_with(dir));
                around.max_by_key(|dir| dir.as_os_str().len()).cloned()
            };
            match failure.unusable().and_then(within) {
                Some(dir) => self.fail(&dir, failure.into())?,
                None => return Err(failure.into()),
            }
        }
    }

    /// Reads what is in them.
    async fn finish(mut self, cluster_id: &str) -> Result<(Vec<Dir>, FoundOnDisk), DirError> {
        let mut dirs = Vec::new();
        let mut found = FoundOnDisk::default();
        for index in 0..self.dirs.len() {
            let (path, dir) = (self.dirs[index].0.clone(), self.dirs[index].1.take());
            let read = match dir {
                Some(dir) => self.read(dir.log, cluster_id).await,
                None => Ok(None),
            };
            let read = read.map_err(|source| DirError::Store { path: path.clone(), source });
            let read = read.or_else(|error| self.fail(&path, error).map(|()| None))?;
            dirs.push(match read {
                Some((dir, partitions, checkpoints)) => {
                    found.add(DirIndex::at(index), partitions, checkpoints);
                    dir
                }
                None => {
                    let log = LogDir::failed(self.io(), &path, self.options.clone());
                    Dir::new(None, log)
                }
            });
        }
        let may_hold_partitions =
            |dir: &Dir| self.config.log_dirs.iter().any(|path| dir.log.path() == Path::new(path));
        let is_left = dirs.iter().any(|dir| dir.is_usable() && may_hold_partitions(dir));
        match self.last_failure {
            Some(failure) if !is_left => Err(failure),
            _ => Ok((dirs, found)),
        }
    }

    async fn read(
        &self,
        mut log: LogDir,
        cluster_id: &str,
    ) -> Result<Option<(Dir, Vec<FoundPartition>, [Offsets; 4])>, StoreFault> {
        let id = directory_id(self.world, self.config, cluster_id, &log).await?;
        let partitions = log.partitions().await?;
        let checkpoints = [
            log.read_checkpoint(Checkpoint::RecoveryPoint).await?,
            log.read_checkpoint(Checkpoint::LogStart).await?,
            log.read_checkpoint(Checkpoint::HighWatermark).await?,
            log.read_checkpoint(Checkpoint::Cleaner).await?,
        ];
        Ok(Some((Dir::new(Some(id), log), partitions, checkpoints)))
    }
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
fn agreed_cluster<'a>(
    config: &BrokerConfig,
    opened: impl Iterator<Item = &'a Unchecked>,
) -> Result<Option<String>, DirError> {
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
fn previous_epoch<'a>(opened: impl Iterator<Item = &'a Unchecked>) -> BrokerEpoch {
    let mut epochs = opened.map(|it| match it.log.condition() {
        StartCondition::Clean { broker_epoch } => broker_epoch,
        StartCondition::ProcessCrash | StartCondition::Unknown => BrokerEpoch::NONE,
    });
    let first = epochs.next().unwrap_or(BrokerEpoch::NONE);
    if epochs.all(|epoch| epoch == first) { first } else { BrokerEpoch::NONE }
}
