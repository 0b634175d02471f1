//! `metadata.version` and the other features of a cluster: which levels there are, and what a level
//! allows to be written.

/// A level of `metadata.version`: decides which records, and which versions of them, the cluster
/// may write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MetadataVersion(pub i16);

/// Name, level, and whether reaching it changed what the log holds. Unchanged ones may be undone.
const METADATA_VERSIONS: &[(i16, &str, bool)] = &[
    (7, "3.3-IV3", true),
    (8, "3.4-IV0", true),
    (9, "3.5-IV0", false),
    (10, "3.5-IV1", false),
    (11, "3.5-IV2", true),
    (12, "3.6-IV0", false),
    (13, "3.6-IV1", true),
    (14, "3.6-IV2", true),
    (15, "3.7-IV0", true),
    (16, "3.7-IV1", false),
    (17, "3.7-IV2", true),
    (18, "3.7-IV3", false),
    (19, "3.7-IV4", false),
    (20, "3.8-IV0", false),
    (21, "3.9-IV0", false),
    (22, "4.0-IV0", false),
    (23, "4.0-IV1", true),
    (24, "4.0-IV2", false),
    (25, "4.0-IV3", false),
    (26, "4.1-IV0", false),
    (27, "4.1-IV1", false),
    (28, "4.2-IV0", false),
    (29, "4.2-IV1", false),
    (30, "4.3-IV0", true),
];

impl MetadataVersion {
    /// The oldest that Kafka 4 reads.
    pub const MINIMUM: Self = Self(7);
    pub const LATEST: Self = Self(30);

    const DIRECTORIES: Self = Self(17);
    const ELR: Self = Self(23);
    const CORDONED_DIRECTORIES: Self = Self(30);
    const NO_EPOCH_BUMP_ON_SHRINK: Self = Self(12);
    const CONTROLLER_REGISTRATION: Self = Self(15);
    const TRANSACTIONS: Self = Self(13);

    fn row(self) -> Option<&'static (i16, &'static str, bool)> {
        METADATA_VERSIONS.iter().find(|(level, _, _)| *level == self.0)
    }

    /// Kafka's name of the level, such as `4.3-IV0`.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|(_, name, _)| *name)
    }

    pub fn is_known(self) -> bool {
        self.row().is_some()
    }

    /// Whether the log may hold something that `older` cannot read.
    pub(crate) fn has_records_unknown_to(self, older: Self) -> bool {
        METADATA_VERSIONS
            .iter()
            .any(|(level, _, changed)| *changed && *level > older.0 && *level <= self.0)
    }

    pub(crate) fn records_directories(self) -> bool {
        self >= Self::DIRECTORIES
    }

    /// Whether brokers may say which of their directories new partitions keep away from (KIP-1066).
    pub fn supports_cordoned_directories(self) -> bool {
        self >= Self::CORDONED_DIRECTORIES
    }

    pub(crate) fn supports_controller_registration(self) -> bool {
        self >= Self::CONTROLLER_REGISTRATION
    }

    pub(crate) fn supports_transactions(self) -> bool {
        self >= Self::TRANSACTIONS
    }

    pub(crate) fn bumps_leader_epoch_on_isr_shrink(self) -> bool {
        self < Self::NO_EPOCH_BUMP_ON_SHRINK
    }

    pub(crate) fn register_broker_record_version(self) -> i16 {
        match self {
            _ if self >= Self::CORDONED_DIRECTORIES => 4,
            _ if self >= Self::DIRECTORIES => 3,
            _ if self > Self::MINIMUM => 2,
            _ => 1,
        }
    }

    /// Of both PartitionRecord and PartitionChangeRecord.
    pub(crate) fn partition_record_version(self) -> i16 {
        match self {
            _ if self >= Self::ELR => 2,
            _ if self >= Self::DIRECTORIES => 1,
            _ => 0,
        }
    }
}

pub mod feature {
    //! Names of the features, as records and requests spell them.
    pub const METADATA_VERSION: &str = "metadata.version";
    pub const KRAFT_VERSION: &str = "kraft.version";
    pub const TRANSACTION_VERSION: &str = "transaction.version";
    pub const GROUP_VERSION: &str = "group.version";
    pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
    pub const SHARE_VERSION: &str = "share.version";
    pub const STREAMS_VERSION: &str = "streams.version";
}

/// The levels of one feature that a node understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeatureRange {
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
}

impl FeatureRange {
    pub const fn new(name: &'static str, min: i16, max: i16) -> Self {
        Self { name, min, max }
    }

    pub const fn contains(&self, level: i16) -> bool {
        self.min <= level && level <= self.max
    }
}
