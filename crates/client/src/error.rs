//! What can go wrong: with a call, and with what a broker was asked to do.

use std::fmt;
use std::time::Duration;

use strandline_types::ErrorCode;
use strandline_wire::messages::ApiKey;
use strandline_wire::{DecodeError, EncodeError};

use crate::connection::Closed;

/// A call got no answer, or none that can be read. Whether the broker acted on it is unknown,
/// unless the call could not be sent at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    #[error("cannot connect to {address}: {reason}")]
    Unreachable { address: String, reason: String },
    /// A host that is there says that nobody listens.
    #[error("cannot connect to {address}: nobody listens there")]
    Refused { address: String },
    #[error("the connection to {address} is closed: {reason}")]
    Closed { address: String, reason: Closed },
    #[error("{address} did not answer {api} within {after:?}")]
    TimedOut { address: String, api: ApiKey, after: Duration },
    #[error("{address} serves {api} in no version that this client speaks")]
    NoCommonVersion { address: String, api: ApiKey },
    #[error("{api} cannot be sent in version {version}: {error}")]
    Unspeakable { api: ApiKey, version: i16, error: EncodeError },
    #[error("{address} answered {api} with something else: {error}")]
    Malformed { address: String, api: ApiKey, error: DecodeError },
}

impl CallError {
    /// Whether the same call may succeed later, perhaps on another broker.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Closed { .. }
            | Self::TimedOut { .. } => true,
            Self::NoCommonVersion { .. } | Self::Unspeakable { .. } | Self::Malformed { .. } => {
                false
            }
        }
    }
}

/// A broker's no: the code, and what the broker said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl Refusal {
    /// `Ok` when the code is `NONE`.
    pub fn check(code: ErrorCode, message: Option<String>) -> Result<(), Self> {
        if code.is_none() { Ok(()) } else { Err(Self { code, message }) }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.code),
            None => self.code.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why an operation failed as a whole.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{subject}: {refusal}")]
    Refused { subject: String, refusal: Refusal },
    /// An answer that says nothing about what was asked.
    #[error("{subject}: the broker's answer does not mention it")]
    NotAnswered { subject: String },
    #[error("no bootstrap server given; name one as HOST:PORT")]
    NoBootstrap,
    #[error("{address:?} is no HOST:PORT")]
    BadAddress { address: String },
}

impl ClientError {
    pub(crate) fn refused(subject: impl Into<String>, refusal: impl Into<Refusal>) -> Self {
        Self::Refused { subject: subject.into(), refusal: refusal.into() }
    }

    /// Refused when `code` says so.
    pub(crate) fn check(
        subject: impl Into<String>,
        code: ErrorCode,
        message: Option<String>,
    ) -> Result<(), Self> {
        Refusal::check(code, message).map_err(|refusal| Self::refused(subject, refusal))
    }

    /// The broker's code, when a broker refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether the same operation may succeed later.
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Call(error) => error.is_retriable(),
            Self::Refused { refusal, .. } => refusal.code.is_retriable(),
            Self::NotAnswered { .. } => true,
            Self::NoBootstrap | Self::BadAddress { .. } => false,
        }
    }
}
