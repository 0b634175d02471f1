//! What can be asked about groups, and what is answered.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::time::Duration;

use strandline_types::{ErrorCode, ProducerEpoch, ProducerId, Uuid};
use strandline_wire::messages::describe_groups_response::DescribedGroup;
use strandline_wire::messages::list_groups_response::ListedGroup;
use strandline_wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::offsets::CommittedOffset;
use super::records::Record;
use crate::contract;

/// What a coordinator knows from the node's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.max.size`
    pub group_size_max: usize,
    /// `offset.metadata.max.bytes`: UTF-16 units, to be exact.
    pub offset_metadata_max_units: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_interval: Duration,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            initial_rebalance_delay: Duration::from_secs(3),
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            group_size_max: i32::MAX as usize,
            offset_metadata_max_units: 4096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            retention_check_interval: Duration::from_secs(600),
        }
    }
}

/// What can be asked about groups. Where an API takes several groups, each is a request of its own,
/// because each may live on another shard.
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    JoinGroup(JoinGroupRequest),
    SyncGroup(SyncGroupRequest),
    Heartbeat(HeartbeatRequest),
    LeaveGroup(LeaveGroupRequest),
    /// Topics by name; a topic id that comes along is kept with the offset.
    OffsetCommit(OffsetCommitRequest),
    /// The producer may write to this partition in its transaction.
    TxnOffsetCommit(TxnOffsetCommitRequest),
    EndTransaction(Marker),
    OffsetFetch(OffsetFetchGroup),
    OffsetDelete(OffsetDeleteRequest),
    DescribeGroup {
        group_id: String,
    },
    DeleteGroup {
        group_id: String,
    },
    ListGroups(GroupListing),
}

/// How a producer's transaction ends, and whose word that is. Neither is outdated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
    pub is_commit: bool,
    /// See [`crate::Entry::Marker`].
    pub bumps_epoch: bool,
}

impl Marker {
    pub(crate) fn entry(self) -> Entry {
        let Self { producer_id, producer_epoch, coordinator_epoch, is_commit, bumps_epoch } = self;
        Entry::Marker { producer_id, producer_epoch, coordinator_epoch, is_commit, bumps_epoch }
    }
}

/// The marker is in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionEnded;

/// The offsets of one group: of these topics, or of all that it has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetFetchGroup {
    pub group_id: String,
    pub topics: Option<Vec<(String, Vec<i32>)>>,
    /// An offset that a transaction may be about to change is not told (KIP-447).
    pub require_stable: bool,
}

/// Filters of ListGroups; empty means any.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupListing {
    pub states: Vec<String>,
    pub types: Vec<String>,
}

/// The offsets of one topic, in the order asked for; `None` where nothing is committed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicOffsets {
    pub topic: String,
    pub partitions: Vec<(i32, Option<CommittedOffset>)>,
    /// Of those, the ones that are not told because they are not stable.
    pub unstable: BTreeSet<i32>,
}

/// The answer to the request of the same name.
#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    EndTransaction(TransactionEnded),
    OffsetFetch(Vec<TopicOffsets>),
    OffsetDelete(OffsetDeleteResponse),
    DescribeGroup(DescribedGroup),
    DeleteGroup(ErrorCode),
    ListGroups(Vec<ListedGroup>),
}

/// What a shard waits for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The earliest thing that may happen in a group: a session, a join or a sync that runs out.
    Group(String),
    /// Offsets may have expired.
    ExpireOffsets,
}

/// What happens elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// These topics are gone from the metadata; others may have their names by now.
    TopicsDeleted(Vec<(String, Uuid)>),
}

pub type Input = contract::Input<Request, Timer, Event>;
/// Groups ask nothing of others.
pub type Effect = contract::Effect<Response, Timer, Infallible>;
pub type Entry = contract::Entry<Record>;

answers! {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    TxnOffsetCommit(TxnOffsetCommitResponse),
    EndTransaction(TransactionEnded),
    OffsetFetch(Vec<TopicOffsets>),
    OffsetDelete(OffsetDeleteResponse),
    DescribeGroup(DescribedGroup),
    DeleteGroup(ErrorCode),
    ListGroups(Vec<ListedGroup>),
}
