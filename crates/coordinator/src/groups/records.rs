//! The records of `__consumer_offsets`, in the versions that Kafka 4.3 writes.

use bytes::Bytes;
use strandline_types::{Bug, planted};
use strandline_wire::EncodeError;
use strandline_wire::messages::{ConsumerOffsetsRecord, GroupMetadataValue};

/// A key with its value; without one it is a tombstone.
pub type Record = ConsumerOffsetsRecord;

/// GroupMetadata is written in the last version before tagged fields.
const GROUP_METADATA_VERSION: i16 = 3;
const OFFSET_COMMIT_VERSION: i16 = 4;
/// The only version with a time of expiry, which OffsetCommit requests up to version 4 may ask for.
const OFFSET_COMMIT_WITH_EXPIRY_VERSION: i16 = 1;

/// Key and value as Kafka writes them.
pub(super) fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    if planted(Bug::GenerationCutShort)
        && let Record::GroupMetadata(key, Some(value)) = record
        && value.generation > 1
    {
        let value = GroupMetadataValue { generation: value.generation & 1, ..value.clone() };
        return encode(&Record::GroupMetadata(key.clone(), Some(value)));
    }
    let version = match record {
        Record::OffsetCommit(_, Some(value)) if value.expire_timestamp >= 0 => {
            OFFSET_COMMIT_WITH_EXPIRY_VERSION
        }
        Record::OffsetCommit(..) => OFFSET_COMMIT_VERSION,
        Record::GroupMetadata(..) => GROUP_METADATA_VERSION,
        _ => 0,
    };
    Ok((record.encode_key()?, record.encode_value(version)?))
}

/// What a record may take up besides its key and value: batch and record headers, generously.
const OVERHEAD_BYTES: usize = 128;

/// Whether the record can be written at all.
pub(crate) fn fits(record: &Record, bytes_max: usize) -> bool {
    encode(record).is_ok_and(|(key, value)| {
        key.len() + value.map_or(0, |value| value.len()) + OVERHEAD_BYTES <= bytes_max
    })
}
