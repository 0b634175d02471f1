//! Makes a node's empty directories its own, and tells whose directories they are.
//!
//! Kafka's layout. Every log dir gets `meta.properties` (cluster, node, and an id of its own) and
//! `bootstrap.checkpoint`, the feature levels that the first controller writes. A node that founds
//! a quorum alone also gets the metadata log's first snapshot, with itself as the only voter; a
//! node with fixed voters, or one that joins a quorum, gets none (KIP-853).

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use strandline_config::{BrokerConfig, HostPort, Listener};
use strandline_metadata::MetadataVersion;
use strandline_metadata::controller::bootstrap::feature_records;
use strandline_ports::{Disk, Entropy, OpenMode, both, random_uuid};
use strandline_quorum::{Endpoint, Membership, Voter, VoterSet};
use strandline_store::format::FormatError;
use strandline_store::format::meta_properties::{self, MetaProperties};
use strandline_types::{LeaderEpoch, NodeId, Timestamp, Uuid};
use thiserror::Error;

use crate::driver::quorum::{
    BOOTSTRAP_FILE, BOOTSTRAP_SNAPSHOT, FORGOTTEN_FILE, FOUNDING_FILE, JOINING_FILE, METADATA_DIR,
    Snapshot, voter,
};
pub use crate::features::{FirstLevelError, FirstLevels};

/// How the metadata quorum begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Founding<'a> {
    /// With these voters; where this node is one of them, its directory gets the id that they know.
    Voters(&'a FirstVoters),
    /// Its voters are fixed by `controller.quorum.voters`, or this node joins one that exists.
    ByOthers,
    /// The same, and this node is one of those voters and has lost its disk.
    Forgotten,
    /// This node joins one that exists, and becomes one of its voters by itself when that helps.
    Joining,
}

/// The voters that a quorum begins with; they may change later (`kraft.version` 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstVoters(VoterSet);

impl FirstVoters {
    /// This node alone.
    ///
    /// # Errors
    /// When a controller listener has no port that stays.
    pub fn alone(config: &BrokerConfig, entropy: &dyn Entropy) -> Result<Self> {
        let listeners = config.advertised_controller_listeners.iter();
        let endpoints: Result<_> = listeners.map(endpoint).collect();
        Ok(Self(VoterSet::new([voter(config.node_id, random_uuid(entropy), endpoints?)])))
    }

    /// These controllers, by their directories; `None` when a node is among them twice.
    pub fn together(
        config: &BrokerConfig,
        controllers: impl IntoIterator<Item = (NodeId, HostPort, Uuid)>,
    ) -> Option<Self> {
        let listener = config.controller_listener_names.first().cloned().unwrap_or_default();
        let one = |(id, HostPort { host, port }, directory_id)| {
            voter(id, directory_id, vec![Endpoint { listener: listener.clone(), host, port }])
        };
        let listed: Vec<Voter> = controllers.into_iter().map(one).collect();
        let count = listed.len();
        let voters = VoterSet::new(listed);
        (voters.len() == count).then_some(Self(voters))
    }

    /// Whether there is only one.
    pub fn is_one(&self) -> bool {
        self.0.len() == 1
    }
}

impl Founding<'_> {
    /// What the node has to remember, beside its metadata log.
    fn note(self) -> Option<&'static str> {
        match self {
            Self::Voters(_) | Self::ByOthers => None,
            Self::Forgotten => Some(FORGOTTEN_FILE),
            Self::Joining => Some(JOINING_FILE),
        }
    }
}

/// What a node's empty directories become.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    pub cluster_id: &'a str,
    pub founding: Founding<'a>,
    /// With which the cluster begins, if it is new.
    pub levels: &'a FirstLevels,
    /// Leaves directories as they are that are this node's already, instead of refusing them.
    pub keep_formatted: bool,
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
}

impl FormatFailure {
    /// The path that cannot be used, where that is all that is wrong.
    pub(crate) fn unusable(&self) -> Option<&Path> {
        match self {
            Self::Io { path, .. } | Self::Damaged { path, .. } => Some(path),
            Self::Foreign { .. }
            | Self::AlreadyFormatted { .. }
            | Self::NotEmpty { .. }
            | Self::NoPort(_) => None,
        }
    }
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

/// What each of these directories is.
///
/// # Errors
/// When one cannot be read or its `meta.properties` is damaged.
pub fn inspect(disk: &dyn Disk, dirs: Vec<PathBuf>) -> Result<Vec<FoundDir>> {
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

/// Formats those of the node's directories that are not formatted yet. All are looked at before the
/// first is touched. Blocking.
///
/// # Errors
/// When a directory belongs to someone else, is not empty, or cannot be written; with
/// `keep_formatted` unset, also when one is this node's already.
pub async fn format(
    disk: &dyn Disk,
    entropy: &dyn Entropy,
    now: Timestamp,
    (config, dirs): (&BrokerConfig, Vec<PathBuf>),
    plan: Plan<'_>,
) -> Result<Vec<FormattedDir>> {
    let Plan { cluster_id, founding, levels, keep_formatted } = plan;
    let mut unformatted = Vec::new();
    for FoundDir { path, state } in inspect(disk, dirs)? {
        match state {
            DirState::Unformatted => {
                refuse_strangers(disk, &path)?;
                unformatted.push(path);
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
    let mut planned = Vec::with_capacity(unformatted.len());
    for path in unformatted {
        let has_metadata_log = path == Path::new(&config.metadata_log_dir);
        let voters = match founding {
            Founding::Voters(FirstVoters(voters)) if has_metadata_log => Some(voters),
            _ => None,
        };
        let own_voter = voters.and_then(|voters| voters.get(config.node_id));
        let directory_id = own_voter.map(|voter| voter.key.directory_id);
        let identity = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: config.node_id,
            directory_id: Some(directory_id.unwrap_or_else(|| random_uuid(entropy))),
        };
        planned.push((FormattedDir { path, identity, has_metadata_log }, voters));
    }
    // That of the metadata log first, because the others say that this node has been here: a start
    // in which the metadata log's is empty has lost it.
    let (first, others): (Vec<_>, Vec<_>) =
        planned.iter().partition(|(dir, _)| dir.has_metadata_log);
    for (dir, voters) in first.into_iter().chain(others) {
        if let Some(note) = founding.note().filter(|_| dir.has_metadata_log) {
            // Before the directory is anybody's: one that has forgotten its votes must not give any.
            leave_note(disk, &dir.path, note).await?;
        }
        format_dir(disk, &dir.path, &dir.identity, (*voters, levels), now).await?;
        if dir.has_metadata_log {
            // It speaks of a directory that is nobody's.
            forget_founding(disk, &dir.path)?;
        }
    }
    Ok(planned.into_iter().map(|(dir, _)| dir).collect())
}

/// Makes an empty file durable in a directory that may not be there yet.
async fn leave_note(disk: &dyn Disk, dir: &Path, name: &str) -> Result<()> {
    disk.create_dir_all(dir).map_err(|source| io_failure(dir, source))?;
    sync_name(disk, dir)?;
    let note = Staged::write(disk, dir, name, Bytes::new()).await?;
    publish(disk, &[note])
}

/// Remembers that this node has seen all fixed voters without data, itself among them.
pub(crate) async fn note_founding(disk: &dyn Disk, config: &BrokerConfig) -> Result<()> {
    leave_note(disk, Path::new(&config.metadata_log_dir), FOUNDING_FILE).await
}

/// Whether this node has seen that, by a directory that has been nobody's since.
pub(crate) fn is_founding(disk: &dyn Disk, config: &BrokerConfig) -> bool {
    let note = Path::new(&config.metadata_log_dir).join(FOUNDING_FILE);
    disk.open(&note, OpenMode::Read).is_ok()
}

fn forget_founding(disk: &dyn Disk, dir: &Path) -> Result<()> {
    match disk.remove_file(&dir.join(FOUNDING_FILE)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_failure(dir, source)),
        _ => Ok(()),
    }
}

/// Formats one directory of a cluster that begins with these levels; `voters` are the quorum's first
/// ones, where a metadata log lives that begins with them.
pub(crate) async fn format_dir(
    disk: &dyn Disk,
    dir: &Path,
    identity: &MetaProperties,
    (voters, levels): (Option<&VoterSet>, &FirstLevels),
    now: Timestamp,
) -> Result<()> {
    disk.create_dir_all(dir).map_err(|source| io_failure(dir, source))?;
    let bootstrap = Staged::write(disk, dir, BOOTSTRAP_FILE, bootstrap_snapshot(levels, now));
    let properties = Staged::write(disk, dir, meta_properties::FILE_NAME, identity.encode().into());
    let metadata_dir = dir.join(METADATA_DIR);
    let first = async {
        let Some(voters) = voters.cloned() else { return Ok(None) };
        // Its name is synced with that of the bootstrap file.
        disk.create_dir_all(&metadata_dir).map_err(|source| io_failure(&metadata_dir, source))?;
        let membership = Membership { kraft_version: 1, voters };
        let (name, content) = (BOOTSTRAP_SNAPSHOT.name(), first_snapshot(membership, now));
        Staged::write(disk, &metadata_dir, &name, content).await.map(Some)
    };
    // Side by side, because every sync of a new file waits for the device.
    let named = async { sync_name(disk, dir) };
    let staged = both(first, both(bootstrap, both(properties, named))).await;
    let (first, (bootstrap, (properties, named))) = staged;
    named?;
    let (first, bootstrap, properties) = (first?, bootstrap?, properties?);
    let contents: Vec<Staged<'_>> = first.into_iter().chain([bootstrap]).collect();
    publish(disk, &contents)?;
    // Last, because this file says that the rest is there.
    publish(disk, &[properties])
}

/// Makes the name of a new directory durable.
fn sync_name(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let parent = dir.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    disk.sync_dir(parent).map_err(|source| io_failure(dir, source))
}

/// A directory without `meta.properties` but with data was formatted by somebody else, or lost it.
fn refuse_strangers(disk: &dyn Disk, dir: &Path) -> Result<()> {
    // What an interrupted format leaves behind, and the roots of file systems have.
    refuse_others(
        disk,
        dir,
        "",
        &[
            BOOTSTRAP_FILE,
            METADATA_DIR,
            FORGOTTEN_FILE,
            FOUNDING_FILE,
            JOINING_FILE,
            ".lock",
            "lost+found",
        ],
    )?;
    let within = format!("{METADATA_DIR}/");
    refuse_others(disk, &dir.join(METADATA_DIR), &within, &[&BOOTSTRAP_SNAPSHOT.name()])
}

fn refuse_others(disk: &dyn Disk, dir: &Path, within: &str, may_be_there: &[&str]) -> Result<()> {
    let entries = match disk.list(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(io_failure(dir, source)),
    };
    let is_ours = |name: &str| may_be_there.contains(&name) || name.ends_with(TEMPORARY_SUFFIX);
    match entries.into_iter().find(|entry| !is_ours(&entry.name)) {
        Some(entry) => {
            let path = dir.ancestors().nth(within.matches('/').count()).unwrap_or(dir).to_owned();
            Err(FormatFailure::NotEmpty { path, entry: format!("{within}{}", entry.name) })
        }
        None => Ok(()),
    }
}

/// The records that the first active controller writes into its empty log.
fn bootstrap_snapshot(levels: &FirstLevels, now: Timestamp) -> Bytes {
    let records = feature_records(levels.by_name());
    let encoded = records.iter().map(|record| record.encode(MetadataVersion::LATEST));
    let records = encoded.map(|it| it.expect("feature levels have a version")).collect();
    let snapshot = Snapshot { last_timestamp: Timestamp(0), membership: None, records };
    snapshot.encode(LeaderEpoch(0), now).concat().into()
}

/// A quorum of dynamic voters (`kraft.version` 1), and nothing else.
fn first_snapshot(membership: Membership, now: Timestamp) -> Bytes {
    let membership = Some(membership);
    let snapshot = Snapshot { last_timestamp: now, membership, records: Vec::new() };
    snapshot.encode(LeaderEpoch(0), now).concat().into()
}

fn endpoint(listener: &Listener) -> Result<Endpoint> {
    let HostPort { host, port } = listener.address.clone();
    if port == 0 {
        return Err(FormatFailure::NoPort(listener.name.clone()));
    }
    Ok(Endpoint { listener: listener.name.clone(), host, port })
}

const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file whose content is durable, under a name that nobody looks for.
struct Staged<'a> {
    dir: &'a Path,
    temporary: PathBuf,
    path: PathBuf,
}

impl<'a> Staged<'a> {
    async fn write(disk: &dyn Disk, dir: &'a Path, name: &str, content: Bytes) -> Result<Self> {
        let temporary = dir.join(format!("{name}{TEMPORARY_SUFFIX}"));
        let written = async {
            let file = disk.open(&temporary, OpenMode::Create)?;
            file.set_len(0)?;
            file.write_at(0, vec![content]).await?;
            file.sync().await
        };
        written.await.map_err(|source| io_failure(&temporary, source))?;
        Ok(Self { dir, temporary, path: dir.join(name) })
    }
}

/// Gives the files their names, durably. All are renamed before the first sync, which then writes
/// what the others would wait for.
fn publish(disk: &dyn Disk, files: &[Staged<'_>]) -> Result<()> {
    let failed = |file: &Staged<'_>, source| io_failure(&file.path, source);
    for file in files {
        let renamed = disk.rename(&file.temporary, &file.path);
        renamed.map_err(|source| failed(file, source))?;
    }
    for file in files {
        disk.sync_dir(file.dir).map_err(|source| failed(file, source))?;
    }
    Ok(())
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
