//! What can be wrong with settings, in words.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use strandline_types::ErrorCode;

use crate::resolve::Origin;

/// One reason not to start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{origin}: `{key}` is `{value}`; it must be {allowed}")]
    BadValue { origin: Origin, key: String, value: String, allowed: String },
    #[error("`{key}` must be set; {hint}")]
    Missing { key: &'static str, hint: &'static str },
    #[error("{origin}: `{key}` is set, but {reason}. Remove it to start anyway")]
    Fatal { origin: Origin, key: String, reason: &'static str },
    /// Several settings that each are fine, and do not fit together.
    #[error("{0}")]
    Conflict(String),
}

/// All reasons not to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigErrors {}

/// Something worth a line in the log; the broker starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    Unknown {
        origin: Origin,
        key: String,
        nearest: Option<&'static str>,
    },
    NoEffect {
        origin: Origin,
        key: String,
        reason: &'static str,
    },
    /// A value set at run time that does not fit its setting, and is left out.
    Ignored {
        key: String,
        value: String,
        allowed: String,
    },
    Note(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { origin, key, nearest: Some(nearest) } => {
                write!(f, "{origin}: unknown setting `{key}` is ignored; did you mean `{nearest}`?")
            }
            Self::Unknown { origin, key, nearest: None } => {
                write!(f, "{origin}: unknown setting `{key}` is ignored")
            }
            Self::NoEffect { origin, key, reason } => {
                write!(f, "{origin}: `{key}` has no effect: {reason}")
            }
            Self::Ignored { key, value, allowed } => {
                write!(
                    f,
                    "`{key}` was set to `{value}` at run time and is ignored; it must be {allowed}"
                )
            }
            Self::Note(text) => f.write_str(text),
        }
    }
}

/// Why a change of settings is not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The settings that would result are not valid.
    #[error("{0}")]
    InvalidConfig(String),
    /// The request asks for something that cannot be asked.
    #[error("{0}")]
    InvalidRequest(String),
}

impl Refusal {
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
            Self::InvalidRequest(_) => ErrorCode::INVALID_REQUEST,
        }
    }
}
