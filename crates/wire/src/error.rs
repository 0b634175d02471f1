//! What can be wrong with bytes that came in, and with a message that is to go out.
//!
//! Both are small and `Copy`: refusing hostile input costs no allocation.

/// The bytes are not the message they claim to be. Whoever sent them is not a Kafka peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("ends in the middle of a field")]
    Truncated,
    #[error("{0} bytes follow the last field")]
    TrailingBytes(u32),
    #[error("negative length {0}")]
    NegativeLength(i32),
    #[error("string of {0} bytes, at most 32767 are allowed")]
    StringTooLong(u32),
    #[error("null where the field must have a value")]
    UnexpectedNull,
    #[error("string is not UTF-8")]
    BadUtf8,
    #[error("variable-length number runs past its width")]
    VarintOverflow,
    #[error("array of {0} elements does not fit in the bytes that are left")]
    ArrayTooLong(u32),
    #[error("would take more memory than a message of this size may")]
    OverBudget,
    #[error("tagged field {0} is repeated or out of order")]
    TagOutOfOrder(u32),
    #[error("tagged field is longer than its value")]
    TagTooLong,
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("record frame version {0}, expected 1")]
    UnknownFrameVersion(u32),
}

/// The message cannot be said in the version asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("{message} has no version {version}")]
    UnsupportedVersion { message: &'static str, version: i16 },
    #[error("{field} of {message} has a value, but version {version} cannot carry it")]
    FieldNotInVersion { message: &'static str, field: &'static str, version: i16 },
    #[error("{field} of {message} is null, which version {version} does not allow")]
    UnexpectedNull { message: &'static str, field: &'static str, version: i16 },
    #[error("tagged fields are set, but this version cannot carry them")]
    TagsNotInVersion,
    #[error("tagged field {0} is repeated or out of order")]
    TagOutOfOrder(u32),
    #[error("string of {0} bytes, at most 32767 are allowed")]
    StringTooLong(usize),
    #[error("{0} bytes or elements, at most 2147483647 are allowed")]
    TooLong(u64),
}
