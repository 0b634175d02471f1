//! Kafka's error codes.

/// A code as answers carry it. 0 is success; codes this version does not know keep their number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct ErrorCode(pub i16);
