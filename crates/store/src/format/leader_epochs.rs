//! `leader-epoch-checkpoint` of a partition: where each leader epoch began (KIP-101).

use strandline_log::EpochStart;
use strandline_types::{LeaderEpoch, Offset};

use super::{FormatError, text_checkpoint};

pub const FILE_NAME: &str = "leader-epoch-checkpoint";

/// # Errors
/// When a line is not `epoch offset`, the count is wrong, or the version unknown.
pub fn decode(bytes: &[u8]) -> Result<Vec<EpochStart>, FormatError> {
    let mut epochs = Vec::new();
    text_checkpoint::decode(bytes, |words| {
        let &[epoch, start] = words else { return None };
        let (epoch, start) = (LeaderEpoch(epoch.parse().ok()?), Offset(start.parse().ok()?));
        epochs.push(EpochStart { epoch, start });
        Some(())
    })?;
    Ok(epochs)
}

pub fn encode(epochs: &[EpochStart]) -> Vec<u8> {
    let lines = epochs.iter().map(|entry| format!("{} {}", entry.epoch, entry.start));
    text_checkpoint::encode(epochs.len(), lines)
}
