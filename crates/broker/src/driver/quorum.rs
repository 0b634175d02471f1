//! The shell around the quorum core: one task on the control lane owns the metadata log and carries
//! out what the core decides. Controllers append through a [`QuorumHandle`] and hear of everything
//! committed, and of their leadership, as one ordered stream of [`MetadataEvent`]s.
//!
//! Other nodes ask through [`QuorumHandle::ask`]; what this node asks of them goes out by [`peers`],
//! in the words of [`rpc`].

mod addresses;
mod control;
mod features;
mod metadata_log;
mod open;
mod peers;
pub(crate) mod rpc;
mod snapshot;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use strandline_client::ConnectionConfig;
use strandline_config::HostPort;
use strandline_log::LogImage;
use strandline_metadata::FeatureRange;
use strandline_ports::watch;
use strandline_ports::{Lane, World};
use strandline_quorum::{
    Config, ControlRecord, Description, Endpoint, Join, Membership, Quorum, Recovered, ReplicaKey,
    Reply, Request, SnapshotId, VoterSet,
};
use strandline_store::format::names;
use strandline_store::{
    FileRange, LogDir, PartitionStore, ReadRequest, Records, SnapshotFiles, StoreFault,
};
use strandline_types::{
    Instant, LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicPartition,
};
use tokio::sync::{mpsc, oneshot};

pub(crate) use control::voter;
pub(crate) use features::unsupported;
pub(crate) use metadata_log::MetadataLogOptions;
pub(crate) use open::{OpenError, bootstrap_records};
pub(crate) use snapshot::Snapshot;

use super::links::Links;
use peers::Peers;
use task::{Command, Task};

/// The metadata log's directory in the metadata log dir.
pub(crate) const METADATA_DIR: &str = "__cluster_metadata-0";
/// The records that a new quorum's first controller writes.
pub(crate) const BOOTSTRAP_FILE: &str = "bootstrap.checkpoint";
/// Says that a voter's disk was replaced: it has forgotten its votes.
pub const FORGOTTEN_FILE: &str = ".strandline-forgotten";
/// Says of a directory that is nobody's yet that its node has seen all fixed voters without data: when
/// the cluster's id is learned, nothing has been forgotten.
pub(crate) const FOUNDING_FILE: &str = ".strandline-founding";
/// Says that this node was formatted to join a quorum, and has not become one of its voters yet.
pub(crate) const JOINING_FILE: &str = ".strandline-joining";
/// The snapshot before all records, which names the founding voters.
pub(crate) const BOOTSTRAP_SNAPSHOT: names::SnapshotId =
    names::SnapshotId { end: Offset::ZERO, epoch: LeaderEpoch(0) };
/// Zeros ahead of the tail of the metadata log: enough for a thousand of its batches, and little
/// enough for the first sync of a new log to be quick.
const PREALLOCATE_BYTES: u32 = 256 * 1024;

pub(crate) fn metadata_partition() -> TopicPartition {
    TopicPartition { topic: "__cluster_metadata".into(), partition: PartitionId(0) }
}

/// What the quorum needs to know of the settings.
#[derive(Clone, Debug)]
pub(crate) struct QuorumOptions {
    pub(crate) core: Config,
    pub(crate) log: MetadataLogOptions,
    /// `controller.quorum.voters`: ids and endpoints; empty for a dynamic quorum.
    pub(crate) static_voters: Vec<(NodeId, Endpoint)>,
    pub(crate) supported: &'static [FeatureRange],
    pub(crate) cluster_id: String,
    /// The first of `controller.listener.names`: by it the nodes of the quorum reach each other.
    pub(crate) listener: String,
    /// `controller.quorum.bootstrap.servers`, without this node itself.
    pub(crate) bootstrap_servers: Vec<HostPort>,
    /// How this node connects to the others.
    pub(crate) connections: ConnectionConfig,
}

/// A batch that has committed.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CommittedBatch {
    pub(crate) base_offset: Offset,
    pub(crate) next_offset: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) timestamp: Timestamp,
    pub(crate) size_bytes: u64,
    /// Control records with their offsets; then there are no others.
    pub(crate) control: Vec<(Offset, ControlRecord)>,
    /// Framed metadata records, at `base_offset` and on.
    pub(crate) records: Vec<Bytes>,
}

/// What happens to the metadata, in order.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum MetadataEvent {
    /// The state up to `id.end_offset` is exactly these records; all state before goes.
    Snapshot {
        id: SnapshotId,
        last_timestamp: Timestamp,
        records: Vec<Bytes>,
    },
    Committed(CommittedBatch),
    /// This node leads and everything before its epoch has been told: decide from here on.
    Leading {
        epoch: LeaderEpoch,
        /// Who led before, and when this node last heard that one.
        last_heard: Option<(NodeId, Instant)>,
    },
    /// The quorum has written a record of its own while this node leads: the next ones come to stand
    /// here.
    Appended {
        next_offset: Offset,
    },
    /// It does not any more.
    NotLeading {
        epoch: LeaderEpoch,
    },
    /// Worth taking now: answer with [`QuorumHandle::write_snapshot`] at this offset or a later one.
    TakeSnapshot {
        id: SnapshotId,
    },
}

/// The leader of the quorum, as far as this node knows.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Leader {
    pub(crate) id: Option<NodeId>,
    /// Where its controller listener can be reached.
    pub(crate) address: Option<HostPort>,
}

/// Who leads, as this node knows it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Leadership {
    pub(crate) epoch: LeaderEpoch,
    pub(crate) leader: Leader,
    /// This node leads and has committed in its epoch.
    pub(crate) is_ready: bool,
}

/// Records were not appended, or nobody can say whether they will ever commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("this node does not lead epoch {0}")]
    NotLeader(LeaderEpoch),
    #[error("the log goes on at offset {actual}, not at {expected}")]
    OtherOffset { expected: Offset, actual: Offset },
    #[error("the records are more than a batch can hold")]
    TooLarge,
}

/// Resolves once the records, and all before them, have committed: with the offset behind them.
/// When the quorum has stopped, the sender is gone.
pub(crate) type Committing = oneshot::Receiver<Result<Offset, AppendError>>;

/// The quorum for everybody else in the process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct QuorumHandle {
    commands: mpsc::UnboundedSender<Command>,
    leadership: watch::Receiver<Leadership>,
    files: Arc<LogFiles>,
    node_id: NodeId,
}

/// What the answers to other nodes are read from.
struct LogFiles {
    store: Arc<PartitionStore>,
    snapshots: SnapshotFiles,
}

impl QuorumHandle {
    /// Appends framed records as one batch, as the leader of `epoch`; `base_offset` is where they
    /// must come to stand, if that matters. No records: resolves when all appended before have
    /// committed. Appends keep the order of their calls.
    pub(crate) fn append(
        &self,
        epoch: LeaderEpoch,
        base_offset: Option<Offset>,
        records: Vec<Bytes>,
    ) -> Committing {
        let (done, committing) = oneshot::channel();
        self.send(Command::Append { epoch, base_offset, records, done });
        committing
    }

    pub(crate) fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    pub(crate) fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// What another node of the quorum asks; `None` when the quorum has stopped.
    pub(crate) async fn ask(&self, request: Request) -> Option<Reply> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Ask { request, done });
        answer.await.ok()
    }

    /// Batches of the metadata log from `from` up to `upto`, as far as they are written.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn read(
        &self,
        from: Offset,
        upto: Offset,
        max_bytes: u32,
    ) -> Result<Records, StoreFault> {
        let upto = upto.min(self.files.store.end());
        if from >= upto {
            return Ok(Records::Empty);
        }
        let request = ReadRequest { from, upto, max_bytes, at_least_one_batch: true };
        let answer = self.files.store.read(request).await?;
        Ok(answer.map_or(Records::Empty, |answer| answer.records))
    }

    /// A piece of a snapshot; `None` when it has gone meanwhile.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn read_snapshot(
        &self,
        id: SnapshotId,
        position: u64,
        max_bytes: u32,
    ) -> Result<Option<FileRange>, StoreFault> {
        let whole = self.files.snapshots.open(metadata_log::store_id(id)).await?;
        Ok(whole.map(|whole| {
            let skipped = u32::try_from(position).unwrap_or(u32::MAX).min(whole.len);
            let len = (whole.len - skipped).min(max_bytes);
            FileRange { position: whole.position + u64::from(skipped), len, ..whole }
        }))
    }

    /// The controllers that the metadata name.
    pub(crate) fn controllers(&self, ids: BTreeSet<NodeId>) {
        self.send(Command::Controllers(ids));
    }

    /// What DescribeQuorum tells; `None` when the quorum has stopped.
    pub(crate) async fn describe(&self) -> Option<Description> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Describe { done });
        answer.await.ok()
    }

    /// Writes the state as it is behind everything below `id.end_offset`, which has committed.
    pub(crate) fn write_snapshot(
        &self,
        id: SnapshotId,
        last_timestamp: Timestamp,
        records: Vec<Bytes>,
    ) {
        self.send(Command::WriteSnapshot { id, last_timestamp, records });
    }

    /// Gives up leadership, writes what is under way, and closes the log cleanly. The image belongs
    /// into the log dir's summary.
    ///
    /// # Errors
    /// When the disk refuses; `None` when it had stopped before.
    pub(crate) async fn stop(&self) -> Option<Result<LogImage, StoreFault>> {
        let (done, answer) = oneshot::channel();
        self.send(Command::Stop { done });
        answer.await.ok()
    }

    /// A command to a quorum that has stopped is dropped, and with it the way to answer it.
    fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

/// A quorum that has begun.
pub(crate) struct StartedQuorum {
    pub(crate) handle: QuorumHandle,
    pub(crate) events: mpsc::UnboundedReceiver<MetadataEvent>,
    /// Resolves when the disk failed and the quorum has stopped for good.
    pub(crate) fault: oneshot::Receiver<StoreFault>,
    /// It is to become a voter when that helps, and wants to know of other controllers.
    pub(crate) joins_once: bool,
}

/// Opens the metadata in `dir` and starts the quorum's task. A sole voter leads at once; the events
/// begin with what the disk holds.
///
/// # Errors
/// When the directory cannot be served: see [`OpenError`].
pub(crate) async fn start(
    world: &World,
    dir: &LogDir,
    mut options: QuorumOptions,
) -> Result<StartedQuorum, OpenError> {
    let now = world.clock.now();
    let listener = options.listener;
    let unknown = !options.bootstrap_servers.is_empty();
    // Who votes is in the settings, or to be learned from those who know.
    let settings = static_membership(&options.static_voters)
        .or(unknown.then(|| Membership { kraft_version: 0, voters: VoterSet::default() }));
    let found = open::find(dir, options.log, settings.as_ref(), options.supported, now).await?;
    if !unknown {
        check_directory(options.core.me, &found.recovered)?;
    }
    let forgotten = dir.path().join(FORGOTTEN_FILE);
    options.core.has_forgotten = dir.io().read_whole(&forgotten).await?.is_some();
    let joining = dir.path().join(JOINING_FILE);
    if options.core.join == Join::Never && dir.io().read_whole(&joining).await?.is_some() {
        options.core.join = Join::OnceItHelps;
    }
    let joins_once = options.core.join == Join::OnceItHelps;
    if options.core.has_forgotten {
        tracing::warn!("this voter's disk was replaced: it does not vote before it has caught up");
    }

    let (commands, inbox) = mpsc::unbounded_channel();
    let (events_out, events) = mpsc::unbounded_channel();
    let (fault_out, fault) = oneshot::channel();
    if let Some((id, snapshot)) = found.snapshot {
        let id = metadata_log::quorum_id(id);
        let (last_timestamp, records) = (snapshot.last_timestamp, snapshot.records);
        // The receiver is in this function's hands.
        let _ = events_out.send(MetadataEvent::Snapshot { id, last_timestamp, records });
    }
    let mut effects = Vec::new();
    let seed = world.entropy.next_u64();
    let quorum = Quorum::open(now, options.core, found.recovered, seed, &mut effects);
    let (leadership_out, leadership) = watch::channel(Leadership {
        epoch: quorum.epoch(),
        leader: Leader { id: None, address: None },
        is_ready: false,
    });
    let files =
        LogFiles { store: Arc::clone(&found.log.store), snapshots: found.log.snapshots.clone() };
    let handle = QuorumHandle {
        commands: commands.clone(),
        leadership,
        files: Arc::new(files),
        node_id: quorum.me().id,
    };
    let peers = Peers {
        cluster_id: options.cluster_id.into(),
        links: Links::new(world.clone(), options.connections.clone()),
        changes: Links::new(world.clone(), options.connections),
    };
    let task = Task::new(task::Parts {
        world: world.clone(),
        quorum,
        log: found.log,
        uncommitted: found.batches.into(),
        inbox,
        commands: commands.downgrade(),
        events: events_out,
        leadership: leadership_out,
        peers,
        bootstrap_servers: options.bootstrap_servers,
        listener,
        forgotten,
        joining,
    });
    world.spawn.spawn(Lane::Control, Box::pin(task.run(effects, fault_out)));
    Ok(StartedQuorum { handle, events, fault, joins_once })
}

/// Nobody else can tell a sole voter what it has lost.
fn check_directory(me: ReplicaKey, recovered: &Recovered) -> Result<(), OpenError> {
    let last = recovered.memberships.last().map(|(_, membership)| membership);
    let voters = &last.unwrap_or(&recovered.base_membership).voters;
    match voters.get(me.id).map(|voter| voter.key) {
        Some(voter) if voters.len() == 1 && !voters.contains(me) => {
            Err(OpenError::OtherDirectory { me, voter })
        }
        _ => Ok(()),
    }
}

fn static_membership(voters: &[(NodeId, Endpoint)]) -> Option<Membership> {
    let voter = |(id, endpoint): &(NodeId, Endpoint)| {
        control::voter(*id, strandline_types::Uuid::ZERO, vec![endpoint.clone()])
    };
    (!voters.is_empty())
        .then(|| Membership { kraft_version: 0, voters: VoterSet::new(voters.iter().map(voter)) })
}
