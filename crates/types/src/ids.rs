//! Ids, offsets and epochs. Each is its own type, because every one of them is an `i32` or `i64`
//! on the wire and a leader epoch passed for a partition id compiles.

use alloc::string::String;
use core::fmt;

use crate::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number as it stands on the wire.
            pub const fn get(self) -> $inner {
                self.0
            }
        }
        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A broker or controller, `node.id`. −1 means nobody.
    NodeId(i32)
);
number!(
    /// Index of a partition within its topic, from 0.
    PartitionId(i32)
);
number!(
    /// Position of a record in its partition's log, from 0.
    Offset(i64)
);
number!(
    /// Which leadership of a partition (or of the quorum) wrote something. −1 means unknown.
    LeaderEpoch(i32)
);
number!(
    /// The metadata offset of a broker's registration record: tells incarnations of one id apart.
    BrokerEpoch(i64)
);
number!(
    /// An idempotent producer. −1 means none.
    ProducerId(i64)
);
number!(
    /// Fences older incarnations of one producer id. −1 means none.
    ProducerEpoch(i16)
);

impl NodeId {
    pub const NONE: Self = Self(-1);
}

impl LeaderEpoch {
    pub const NONE: Self = Self(-1);
}

impl BrokerEpoch {
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    pub const NONE: Self = Self(-1);
}

impl Offset {
    pub const ZERO: Self = Self(0);

    /// The offset `count` records further on, or `None` past `i64::MAX`.
    pub const fn checked_add(self, count: i64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// How many offsets lie in `earlier..self`; negative when `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl core::ops::Add<i64> for Offset {
    type Output = Self;
    fn add(self, count: i64) -> Self {
        Self(self.0 + count)
    }
}

impl core::ops::Sub<i64> for Offset {
    type Output = Self;
    fn sub(self, count: i64) -> Self {
        Self(self.0 - count)
    }
}

/// A partition by topic name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A partition by topic id: survives nothing but its own incarnation of the topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicIdPartition {
    pub topic_id: Uuid,
    pub partition: PartitionId,
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}
