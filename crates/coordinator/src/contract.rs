//! What a shard is told, and what it asks for.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use strandline_types::{ErrorCode, Now, Uuid};
use strandline_wire::messages::describe_groups_response::DescribedGroup;
use strandline_wire::messages::list_groups_response::ListedGroup;
use strandline_wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
};

use crate::offsets::CommittedOffset;

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

/// Names one request that waits for its answer. The driver chooses the numbers, and never twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What holds while one decision is made.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Now,
    /// Fresh randomness, for member ids.
    pub seed: u128,
    /// `max.message.bytes` of `__consumer_offsets`, which may change at any time: no record may
    /// be larger.
    pub record_bytes_max: usize,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Empty when the client gave none.
    pub client_id: String,
    /// As group descriptions show it: `/127.0.0.1`.
    pub client_host: String,
    /// Of the request.
    pub version: i16,
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

/// The offsets of one group: of these topics, or of all that it has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetFetchGroup {
    pub group_id: String,
    pub topics: Option<Vec<(String, Vec<i32>)>>,
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
}

/// The answer to the request of the same name.
#[derive(Clone, PartialEq, Debug)]
pub enum Response {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(Vec<TopicOffsets>),
    OffsetDelete(OffsetDeleteResponse),
    DescribeGroup(DescribedGroup),
    DeleteGroup(ErrorCode),
    ListGroups(Vec<ListedGroup>),
}

/// What makes a shard decide something.
#[derive(Clone, PartialEq, Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once, into the decision")]
pub enum Input {
    Request(Ticket, Caller, Request),
    Timer(Timer),
    /// These topics are gone from the metadata; others may have their names by now.
    TopicsDeleted(Vec<(String, Uuid)>),
}

/// What a shard waits for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// The earliest thing that may happen in a group: a session, a join or a sync that runs out.
    Group(String),
    /// Offsets may have expired.
    ExpireOffsets,
}

/// What the driver does, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Answer once every record decided so far has committed, those of this decision included.
    Reply(Ticket, Response),
    /// Come back with the timer; it replaces one of the same name.
    Arm(Timer, strandline_types::Instant),
    Cancel(Timer),
}

macro_rules! answers {
    ($($name:ident($response:ty),)*) => {
        $(impl TryFrom<Response> for $response {
            type Error = Response;

            /// Gives the answer back when it is one to another request.
            fn try_from(response: Response) -> Result<Self, Response> {
                match response {
                    Response::$name(response) => Ok(response),
                    other => Err(other),
                }
            }
        })*
    };
}

answers! {
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(Vec<TopicOffsets>),
    OffsetDelete(OffsetDeleteResponse),
    DescribeGroup(DescribedGroup),
    DeleteGroup(ErrorCode),
    ListGroups(Vec<ListedGroup>),
}
