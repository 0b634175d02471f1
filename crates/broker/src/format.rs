//! Makes a node's empty directories its own, and tells whose directories they are.
//!
//! Kafka's layout. Every log dir gets `meta.properties` (cluster, node, and an id of its own) and
//! `bootstrap.checkpoint`, the feature levels that the first controller writes. A node that founds
//! a quorum alone also gets the metadata log's first snapshot, with itself as the only voter; a
//! node with fixed voters, or one that joins a quorum, gets none (KIP-853).

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use strandline_config::{BrokerConfig, Listener};
use strandline_ports::{Disk, Entropy, OpenMode, random_uuid};
use strandline_store::format::FormatError;
use strandline_store::format::meta_properties::{self, MetaProperties};
use strandline_types::{LeaderEpoch, Offset, Timestamp, Uuid};
use strandline_wire::EncodeError;
use strandline_wire::messages::{
    ControlRecord, FeatureLevelRecord, KRaftVersionRecord, MetadataRecord, SnapshotFooterRecord,
    SnapshotHeaderRecord, VotersRecord, voters_record,
};
use strandline_wire::records::{BatchBuilder, BatchOptions, BatchOverflow, NewRecord};
use thiserror::Error;

const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
const METADATA_DIR: &str = "__cluster_metadata-0";
/// The snapshot that ends before offset 0, of epoch 0.
const FIRST_SNAPSHOT_FILE: &str = "00000000000000000000-0000000000.checkpoint";

/// The levels a new cluster begins with: Kafka 4.3's records and eligible leader replicas. Features
/// that are not served yet stay at 0, because a broker must support every level that is finalized.
const FEATURES: [(&str, i16); 2] =
    [("metadata.version", 30), ("eligible.leader.replicas.version", 1)];

/// How the metadata quorum begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Founding<'a> {
    /// This node is its first and only voter. `host_name` stands in for a controller listener
    /// without a host.
    Alone { host_name: &'a str },
    /// Its voters are fixed by `controller.quorum.voters`, or this node joins one that exists.
    ByOthers,
}

/// What a log dir is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirState {
    /// It is not there, or nobody has formatted it.
    Unformatted,
    Formatted(MetaProperties),
}

/// One directory that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundDir {
    pub path: PathBuf,
    pub state: DirState,
}

/// A directory that became this node's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormattedDir {
    pub path: PathBuf,
    pub identity: MetaProperties,
    pub has_metadata_log: bool,
}

/// Why directories were not formatted, or cannot be told.
#[derive(Debug, Error)]
pub enum FormatFailure {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {source}", path = path.display())]
    Damaged { path: PathBuf, source: FormatError },
    #[error("{path} belongs to another node: cluster {cluster_id}, node {node_id}", path = path.display())]
    Foreign { path: PathBuf, cluster_id: String, node_id: i32 },
    #[error("{path} is already formatted for cluster {cluster_id}", path = path.display())]
    AlreadyFormatted { path: PathBuf, cluster_id: String },
    #[error("{path} holds `{entry}` but no meta.properties: it is not an empty directory", path = path.display())]
    NotEmpty { path: PathBuf, entry: String },
    #[error("controller listener {0} has port 0; voters need an address that stays")]
    NoPort(String),
    #[error("cannot write the first records: {0}")]
    Encode(#[from] EncodeError),
    #[error("cannot write the first records: {0}")]
    Overflow(#[from] BatchOverflow),
}

type Result<T> = std::result::Result<T, FormatFailure>;

/// A node's directories, the one of the metadata log among them, each once, in the order in which
/// the configuration names them.
pub fn directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::with_capacity(config.log_dirs.len() + 1);
    for dir in config.log_dirs.iter().chain([&config.metadata_log_dir]) {
        let dir = PathBuf::from(dir);
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// What each of a node's directories is.
///
/// # Errors
/// When one cannot be read or its `meta.properties` is damaged.
pub fn inspect(disk: &dyn Disk, config: &BrokerConfig) -> Result<Vec<FoundDir>> {
    let dirs = directories(config);
    dirs.into_iter().map(|path| Ok(FoundDir { state: inspect_dir(disk, &path)?, path })).collect()
}

fn inspect_dir(disk: &dyn Disk, dir: &Path) -> Result<DirState> {
    let path = dir.join(meta_properties::FILE_NAME);
    let bytes = match read_whole(disk, &path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DirState::Unformatted),
        Err(source) => return Err(FormatFailure::Io { path, source }),
    };
    match MetaProperties::decode(&bytes) {
        Ok(identity) => Ok(DirState::Formatted(identity)),
        Err(source) => Err(FormatFailure::Damaged { path, source }),
    }
}

/// Formats every directory of the node that is not formatted yet, for `cluster_id`. All are looked
/// at before the first is touched. Blocking.
///
/// # Errors
/// When a directory belongs to someone else, is not empty, or cannot be written; with
/// `keep_formatted` unset, also when one is this node's already.
pub async fn format(
    disk: &dyn Disk,
    entropy: &dyn Entropy,
    now: Timestamp,
    config: &BrokerConfig,
    cluster_id: &str,
    founding: Founding<'_>,
    keep_formatted: bool,
) -> Result<Vec<FormattedDir>> {
    let mut dirs = Vec::new();
    for FoundDir { path, state } in inspect(disk, config)? {
        match state {
            DirState::Unformatted => {
                refuse_strangers(disk, &path)?;
                dirs.push(path);
            }
            DirState::Formatted(found)
                if found.cluster_id != cluster_id || found.node_id != config.node_id =>
            {
                let (cluster_id, node_id) = (found.cluster_id, found.node_id.get());
                return Err(FormatFailure::Foreign { path, cluster_id, node_id });
            }
            DirState::Formatted(_) if keep_formatted => {}
            DirState::Formatted(MetaProperties { cluster_id, .. }) => {
                return Err(FormatFailure::AlreadyFormatted { path, cluster_id });
            }
        }
    }
    let bootstrap = bootstrap_snapshot(now)?;
    let mut planned = Vec::with_capacity(dirs.len());
    for path in dirs {
        let directory_id = random_uuid(entropy);
        let has_metadata_log = path == Path::new(&config.metadata_log_dir);
        let first = match founding {
            Founding::Alone { host_name } if has_metadata_log => {
                Some(first_snapshot(config, directory_id, host_name, now)?)
            }
            Founding::Alone { .. } | Founding::ByOthers => None,
        };
        let identity = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: config.node_id,
            directory_id: Some(directory_id),
        };
        planned.push((FormattedDir { path, identity, has_metadata_log }, first));
    }
    let mut formatted = Vec::with_capacity(planned.len());
    for (dir, first) in planned {
        make_dir(disk, &dir.path)?;
        if let Some(first) = first {
            let metadata_dir = dir.path.join(METADATA_DIR);
            make_dir(disk, &metadata_dir)?;
            write_whole(disk, &metadata_dir, FIRST_SNAPSHOT_FILE, first).await?;
        }
        write_whole(disk, &dir.path, BOOTSTRAP_FILE, bootstrap.clone()).await?;
        // Last, because this file says that the rest is there.
        let identity = dir.identity.encode().into();
        write_whole(disk, &dir.path, meta_properties::FILE_NAME, identity).await?;
        formatted.push(dir);
    }
    Ok(formatted)
}

fn make_dir(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let parent = dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let made = disk.create_dir_all(dir).and_then(|()| disk.sync_dir(parent));
    made.map_err(|source| io_failure(dir, source))
}

/// A directory without `meta.properties` but with data was formatted by somebody else, or lost it.
fn refuse_strangers(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let entries = match disk.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_failure(dir, source)),
    };
    // What an interrupted format leaves behind, and the roots of file systems have.
    let may_be_there = [BOOTSTRAP_FILE, METADATA_DIR, ".lock", "lost+found"];
    let is_ours = |name: &str| may_be_there.contains(&name) || name.ends_with(TEMPORARY_SUFFIX);
    match entries.into_iter().find(|entry| !is_ours(&entry.name)) {
        Some(entry) => Err(FormatFailure::NotEmpty { path: dir.to_owned(), entry: entry.name }),
        None => Ok(()),
    }
}

/// The feature levels, between a snapshot's header and footer.
fn bootstrap_snapshot(now: Timestamp) -> Result<Bytes> {
    let header = ControlRecord::SnapshotHeader(SnapshotHeaderRecord::default());
    let mut snapshot = Snapshot::new(now);
    snapshot.control(&[header])?;
    snapshot.features()?;
    snapshot.control(&[ControlRecord::SnapshotFooter(SnapshotFooterRecord::default())])?;
    Ok(snapshot.bytes.into())
}

/// A quorum of dynamic voters (`kraft.version` 1) that has one.
fn first_snapshot(
    config: &BrokerConfig,
    directory_id: Uuid,
    host_name: &str,
    now: Timestamp,
) -> Result<Bytes> {
    let endpoints: Result<Vec<_>> =
        config.advertised_controller_listeners.iter().map(|it| endpoint(it, host_name)).collect();
    let voter = voters_record::Voter {
        voter_id: config.node_id.get(),
        voter_directory_id: directory_id,
        endpoints: endpoints?,
        kraft_version_feature: voters_record::KRaftVersionFeature {
            min_supported_version: 0,
            max_supported_version: 1,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut snapshot = Snapshot::new(now);
    snapshot.control(&[
        ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
            last_contained_log_timestamp: now.0,
            ..Default::default()
        }),
        ControlRecord::KraftVersion(KRaftVersionRecord { kraft_version: 1, ..Default::default() }),
        ControlRecord::KraftVoters(VotersRecord { voters: vec![voter], ..Default::default() }),
    ])?;
    snapshot.control(&[ControlRecord::SnapshotFooter(SnapshotFooterRecord::default())])?;
    Ok(snapshot.bytes.into())
}

fn endpoint(listener: &Listener, host_name: &str) -> Result<voters_record::Endpoint> {
    let address = &listener.address;
    if address.port == 0 {
        return Err(FormatFailure::NoPort(listener.name.clone()));
    }
    let host = if address.host.is_empty() { host_name } else { &address.host };
    Ok(voters_record::Endpoint {
        name: listener.name.clone(),
        host: host.to_owned(),
        port: address.port,
        ..Default::default()
    })
}

/// Batches back to back, at ascending offsets.
struct Snapshot {
    now: Timestamp,
    next_offset: Offset,
    bytes: Vec<u8>,
}

impl Snapshot {
    fn new(now: Timestamp) -> Self {
        Self { now, next_offset: Offset::ZERO, bytes: Vec::new() }
    }

    fn batch(&self, is_control: bool) -> BatchBuilder {
        BatchBuilder::new(BatchOptions {
            base_offset: self.next_offset,
            leader_epoch: LeaderEpoch(0),
            is_control,
            ..BatchOptions::default()
        })
    }

    fn push(&mut self, batch: BatchBuilder) {
        self.next_offset = batch.next_offset();
        self.bytes.extend_from_slice(&batch.build());
    }

    fn control(&mut self, records: &[ControlRecord]) -> Result<()> {
        let mut batch = self.batch(true);
        for record in records {
            let (key, value) = record.encode()?;
            let (key, value) = (Some(&key[..]), Some(&value[..]));
            batch.append(&NewRecord { timestamp: self.now, key, value, headers: &[] })?;
        }
        self.push(batch);
        Ok(())
    }

    fn features(&mut self) -> Result<()> {
        let mut batch = self.batch(false);
        for (name, feature_level) in FEATURES {
            let name = name.to_owned();
            let record = FeatureLevelRecord { name, feature_level, ..Default::default() };
            let value = MetadataRecord::FeatureLevel(record).encode(0)?;
            let value = Some(&value[..]);
            batch.append(&NewRecord { timestamp: self.now, key: None, value, headers: &[] })?;
        }
        self.push(batch);
        Ok(())
    }
}

const TEMPORARY_SUFFIX: &str = ".tmp";

/// Whole or not at all, and durable when it returns.
async fn write_whole(disk: &dyn Disk, dir: &Path, name: &str, content: Bytes) -> Result<()> {
    let path = dir.join(name);
    let temporary = dir.join(format!("{name}{TEMPORARY_SUFFIX}"));
    let written = async {
        let file = disk.open(&temporary, OpenMode::Create)?;
        file.set_len(0)?;
        file.write_at(0, vec![content]).await?;
        file.sync().await?;
        disk.rename(&temporary, &path)?;
        disk.sync_dir(dir)
    };
    written.await.map_err(|source| io_failure(&path, source))
}

/// No file of a node's identity is larger.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len > SMALL_FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 64 KiB"));
    }
    let mut bytes = vec![0; len as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(filled as u64, &mut bytes[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn io_failure(path: &Path, source: io::Error) -> FormatFailure {
    FormatFailure::Io { path: path.to_owned(), source }
}
