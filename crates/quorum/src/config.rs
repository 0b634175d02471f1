//! Settings of one node's quorum, and the jitter drawn from an injected seed.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Endpoint, ReplicaKey};

/// Names and defaults are those of Kafka's `controller.quorum.*` and `metadata.*` settings.
#[derive(Clone, Debug)]
pub struct Config {
    pub me: ReplicaKey,
    /// This node has lost its disk: votes that it gave may still be counted. It neither votes nor
    /// stands until it holds what a leader has committed.
    pub has_forgotten: bool,
    /// Where this node's controller listeners can be reached; told to followers by a new leader.
    /// The first is of the listener by which the nodes of the quorum reach each other.
    pub endpoints: Vec<Endpoint>,
    /// Whether it becomes a voter without being asked to.
    pub join: Join,
    /// A node that joins once may take out the voter that has its id: somebody makes sure that no
    /// other node that lives has it.
    pub replaces_former_self: bool,
    /// How many bootstrap servers the driver can reach by index: an observer asks them for the
    /// leader as long as it knows no voter.
    pub bootstrap_servers: u32,
    pub election_timeout: Duration,
    pub fetch_timeout: Duration,
    /// The longest wait of a candidate that lost.
    pub election_backoff_max: Duration,
    /// When the leader's process has ended, its followers stand one after the other, so far apart.
    pub succession_delay: Duration,
    /// The wait before a request is repeated doubles from this to `retry_backoff_max`.
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// How long a leader holds a Fetch that finds nothing.
    pub fetch_max_wait: Duration,
    pub fetch_max_bytes: u32,
    /// How long a leader waits for a new voter to catch up.
    pub add_voter_timeout: Duration,
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_max_new_record_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; zero never takes one by time.
    pub snapshot_max_interval: Duration,
    /// `metadata.max.retention.bytes`
    pub retention_max_bytes: u64,
    /// `metadata.max.retention.ms`
    pub retention_max_age: Duration,
}

/// When a node that is no voter asks to become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Join {
    Never,
    /// Whenever it is none: `controller.quorum.auto.join.enable`.
    Always,
    /// Once, and when the quorum can lose one more voter for it, or soon will: two voters survive
    /// the loss of neither, so the second waits for a third.
    OnceItHelps,
}

impl Config {
    /// Kafka's defaults for the node `me`.
    pub fn new(me: ReplicaKey) -> Self {
        Self {
            me,
            has_forgotten: false,
            endpoints: Vec::new(),
            join: Join::Never,
            replaces_former_self: true,
            bootstrap_servers: 0,
            election_timeout: Duration::from_millis(1000),
            fetch_timeout: Duration::from_millis(2000),
            election_backoff_max: Duration::from_millis(1000),
            succession_delay: Duration::from_millis(50),
            retry_backoff: Duration::from_millis(20),
            retry_backoff_max: Duration::from_millis(1000),
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 8 * 1024 * 1024,
            add_voter_timeout: Duration::from_millis(30_000),
            snapshot_max_new_record_bytes: 20 * 1024 * 1024,
            snapshot_max_interval: Duration::from_secs(3600),
            retention_max_bytes: 100 * 1024 * 1024,
            retention_max_age: Duration::from_secs(7 * 24 * 3600),
        }
    }

    /// Longer than any candidate waits for votes: afterwards nobody counts an old one.
    pub(crate) fn vote_lifetime(&self) -> Duration {
        self.election_timeout.saturating_mul(2) + self.election_backoff_max
    }

    /// A leader that hears from no majority for this long steps down.
    pub(crate) fn check_quorum_timeout(&self) -> Duration {
        self.fetch_timeout.saturating_mul(3) / 2
    }

    pub(crate) fn begin_quorum_epoch_interval(&self) -> Duration {
        self.fetch_timeout / 2
    }
}

/// splitmix64: jitter and the choice of a peer need spread, not secrecy.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// In `base..2 * base`, so that two nodes rarely stand at the same moment.
    pub(crate) fn jittered(&mut self, base: Duration) -> Duration {
        let nanos = u64::try_from(base.as_nanos()).unwrap_or(u64::MAX);
        base.saturating_add(Duration::from_nanos(self.below(nanos)))
    }
}
