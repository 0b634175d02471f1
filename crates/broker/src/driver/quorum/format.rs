//! Formats an empty log dir as `kafka-storage format --standalone` does: the bootstrap snapshot
//! that names the one voter (KIP-853), the features to begin with, and at last the identity, which
//! says that all the rest is there.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use strandline_ports::blocking;
use strandline_quorum::{Endpoint, Membership, VoterSet};
use strandline_store::format::names::SnapshotId;
use strandline_store::{DirIdentity, Io, LogDir, SnapshotFiles, StoreFault};
use strandline_types::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use strandline_wire::messages::{FeatureLevelRecord, MetadataRecord};

use super::snapshot::Snapshot;
use super::{BOOTSTRAP_FILE, METADATA_DIR, control};
use crate::driver::join::both;

/// What an empty directory is to become.
#[derive(Clone, Debug)]
pub(crate) struct NewCluster {
    pub(crate) cluster_id: String,
    pub(crate) node_id: NodeId,
    pub(crate) directory_id: Uuid,
    /// Where the one voter listens; `None` when the settings name the voters.
    pub(crate) voter_endpoints: Option<Vec<Endpoint>>,
    /// Features with a level above 0, `metadata.version` first.
    pub(crate) features: Vec<(&'static str, i16)>,
}

pub(super) const BOOTSTRAP_SNAPSHOT: SnapshotId =
    SnapshotId { end: Offset::ZERO, epoch: LeaderEpoch(0) };

/// Writes the new cluster's first files into `dir`. What an interrupted attempt left is replaced.
///
/// # Errors
/// When the disk refuses.
pub(crate) async fn format(
    dir: &LogDir,
    cluster: &NewCluster,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let path = dir.path().join(METADATA_DIR);
    // An attempt that ended before the identity was written promised nothing to anybody.
    dir.remove_dir(&path).await?;
    let bootstrap = bootstrap(&cluster.features).encode(LeaderEpoch(0), now).concat();
    let bootstrap_path = dir.path().join(BOOTSTRAP_FILE);
    // Side by side, because every sync of a new file waits for the device.
    let (voters, bootstrap) =
        both(write_voters(dir, cluster, now), dir.io().replace(&bootstrap_path, bootstrap)).await;
    voters?;
    bootstrap?;
    dir.write_identity(&DirIdentity {
        cluster_id: cluster.cluster_id.clone(),
        node_id: cluster.node_id,
        directory_id: Some(cluster.directory_id),
    })
    .await
}

async fn write_voters(
    dir: &LogDir,
    cluster: &NewCluster,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let Some(endpoints) = &cluster.voter_endpoints else { return Ok(()) };
    let voter = control::voter(cluster.node_id, cluster.directory_id, endpoints.clone());
    let membership = Membership { kraft_version: 1, voters: VoterSet::new([voter]) };
    let snapshot =
        Snapshot { last_timestamp: now, membership: Some(membership), records: Vec::new() };
    let path = dir.path().join(METADATA_DIR);
    make_dir(dir.io(), &path).await?;
    let mut writer = SnapshotFiles::new(dir.io().clone(), path).create(BOOTSTRAP_SNAPSHOT).await?;
    writer.append(snapshot.encode(LeaderEpoch(0), now)).await?;
    writer.finish().await
}

async fn make_dir(io: &Io, path: &Path) -> Result<(), StoreFault> {
    let (disk, owned) = (Arc::clone(&io.disk), path.to_owned());
    let made = blocking(&io.spawn, move || disk.create_dir_all(&owned)).await;
    made.map_err(|source| StoreFault::Io {
        action: "create",
        path: path.to_owned(),
        source: Arc::new(source),
    })
}

/// The records that the first active controller writes into its empty log.
fn bootstrap(features: &[(&'static str, i16)]) -> Snapshot {
    let record = |&(name, feature_level): &(&'static str, i16)| {
        let record = FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() };
        MetadataRecord::FeatureLevel(record).encode(0).expect("feature levels have a version 0")
    };
    let records: Vec<Bytes> = features.iter().map(record).collect();
    Snapshot { last_timestamp: Timestamp(0), membership: None, records }
}
