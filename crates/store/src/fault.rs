//! What can go wrong below the log. None of it is an answer to a client: whoever sees one takes the
//! partition or the log dir offline, or, when the disk is full, refuses until there is room.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strandline_log::RecoveryFault;
use strandline_types::Offset;
use thiserror::Error;

use crate::format::FormatError;

#[derive(Clone, Debug, Error)]
pub enum StoreFault {
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    #[error("{} is damaged: {source}", path.display())]
    Format { path: PathBuf, source: FormatError },
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Corrupt { path: PathBuf, position: u64, reason: String },
    #[error("{}: {source}", path.display())]
    Recovery { path: PathBuf, source: RecoveryFault },
    #[error("a plan for segment {segment} wants to write at {planned}, the file ends at {actual}")]
    PlanMismatch { segment: Offset, planned: u64, actual: u64 },
    #[error("log dir {} is full", path.display())]
    Full { path: PathBuf },
    #[error("log dir {} is offline", path.display())]
    Offline { path: PathBuf },
}

impl StoreFault {
    /// Nothing was lost and nothing is damaged: there was no room.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => is_no_space(source),
            _ => false,
        }
    }
}

pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(crate) type Result<T> = std::result::Result<T, StoreFault>;

/// Says what was being done, and to which file.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| StoreFault::Io {
            action,
            path: path.to_owned(),
            source: Arc::new(source),
        })
    }
}
