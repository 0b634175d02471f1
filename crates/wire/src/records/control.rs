//! Control records: what brokers and controllers write into logs for each other. Clients see only
//! their offsets.
//!
//! Every key is a version and a type. The values of transaction markers are coded here; those of
//! the quorum's records are messages of their own.

use strandline_types::ControlType;

const VERSION: i16 = 0;
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const LEADER_CHANGE: i16 = 2;
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ControlRecordError {
    #[error("control record without a key of version and type")]
    Key,
    #[error("transaction marker without a coordinator epoch")]
    Marker,
}

/// What the control record with this key and value says. Longer keys and values of versions to
/// come are read as far as they are known.
pub fn control_type(
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<ControlType, ControlRecordError> {
    let Some([_, _, a, b, ..]) = key else { return Err(ControlRecordError::Key) };
    Ok(match i16::from_be_bytes([*a, *b]) {
        ABORT => ControlType::Abort { coordinator_epoch: decode_end_transaction(value)? },
        COMMIT => ControlType::Commit { coordinator_epoch: decode_end_transaction(value)? },
        LEADER_CHANGE => ControlType::LeaderChange,
        SNAPSHOT_HEADER => ControlType::SnapshotHeader,
        SNAPSHOT_FOOTER => ControlType::SnapshotFooter,
        KRAFT_VERSION => ControlType::KraftVersion,
        KRAFT_VOTERS => ControlType::KraftVoters,
        other => ControlType::Other(other),
    })
}

/// The key of a control record.
pub fn control_key(control: ControlType) -> [u8; 4] {
    let kind = match control {
        ControlType::Abort { .. } => ABORT,
        ControlType::Commit { .. } => COMMIT,
        ControlType::LeaderChange => LEADER_CHANGE,
        ControlType::SnapshotHeader => SNAPSHOT_HEADER,
        ControlType::SnapshotFooter => SNAPSHOT_FOOTER,
        ControlType::KraftVersion => KRAFT_VERSION,
        ControlType::KraftVoters => KRAFT_VOTERS,
        ControlType::Other(kind) => kind,
    };
    let ([a, b], [c, d]) = (VERSION.to_be_bytes(), kind.to_be_bytes());
    [a, b, c, d]
}

/// The value of a transaction marker: version 0 and the epoch of the coordinator that wrote it.
pub fn encode_end_transaction(coordinator_epoch: i32) -> [u8; 6] {
    let mut value = [0; 6];
    value[2..].copy_from_slice(&coordinator_epoch.to_be_bytes());
    value
}

/// The coordinator epoch in the value of a transaction marker.
pub fn decode_end_transaction(value: Option<&[u8]>) -> Result<i32, ControlRecordError> {
    match value {
        Some([_, _, a, b, c, d, ..]) => Ok(i32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(ControlRecordError::Marker),
    }
}
