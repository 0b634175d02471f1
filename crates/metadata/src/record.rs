//! The records of the metadata log: framing, and the version in which each is written.
//!
//! Frame: unsigned varint 1, unsigned varint record type, unsigned varint version, body.

use alloc::vec::Vec;

use bytes::Bytes;
use strandline_wire::messages::{
    AbortTransactionRecord, AccessControlEntryRecord, BeginTransactionRecord,
    BrokerRegistrationChangeRecord, ClearElrRecord, ClientQuotaRecord, ConfigRecord,
    DelegationTokenRecord, EndTransactionRecord, FeatureLevelRecord, FenceBrokerRecord, Message,
    NoOpRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord,
    RemoveTopicRecord, RemoveUserScramCredentialRecord, TopicRecord, UnfenceBrokerRecord,
    UnregisterBrokerRecord, UserScramCredentialRecord, ZkMigrationStateRecord,
};
use strandline_wire::{Chunk, DecodeError, EncodeError, Reader, Writer};

use crate::MetadataVersion;

const FRAME_VERSION: u32 = 1;

macro_rules! records {
    ($($id:literal $name:ident($body:ty) $version:expr;)*) => {
        /// One record of the metadata log.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Record {
            $($name($body),)*
            Unknown(UnknownRecord),
        }

        impl Record {
            /// Reads one record's value. Types this version does not know are kept as they are;
            /// versions of known types that it does not know are an error, because guessing at
            /// half a record is worse than stopping.
            pub fn decode(value: &Bytes) -> Result<Self, DecodeError> {
                let mut reader = Reader::new(value);
                let frame = reader.unsigned_varint()?;
                if frame != FRAME_VERSION {
                    return Err(DecodeError::UnknownFrameVersion(frame));
                }
                let id = reader.unsigned_varint()?;
                let version = reader.unsigned_varint()?;
                let version = i16::try_from(version).unwrap_or(i16::MAX);
                let record = match id {
                    $($id => Self::$name(<$body as Message>::decode(&mut reader, version)?),)*
                    _ => {
                        let body = reader.rest();
                        return Ok(Self::Unknown(UnknownRecord { id, version, body }));
                    }
                };
                reader.finish()?;
                Ok(record)
            }

            /// Writes one record's value in the version that the cluster has agreed on.
            pub fn encode(&self, at: MetadataVersion) -> Result<Bytes, EncodeError> {
                let mut writer = Writer::new();
                writer.unsigned_varint(FRAME_VERSION);
                match self {
                    $(Self::$name(body) => {
                        writer.unsigned_varint($id);
                        let version: fn(&$body, MetadataVersion) -> i16 = $version;
                        let version = version(body, at);
                        writer.unsigned_varint(version as u32);
                        body.encode(&mut writer, version)?;
                    })*
                    Self::Unknown(record) => {
                        writer.unsigned_varint(record.id);
                        writer.unsigned_varint(record.version as u32);
                        writer.put(&record.body);
                    }
                }
                Ok(into_bytes(writer))
            }
        }

        $(impl From<$body> for Record {
            fn from(body: $body) -> Self {
                Self::$name(body)
            }
        })*
    };
}

records! {
    0 RegisterBroker(RegisterBrokerRecord) |_, at| at.register_broker_record_version();
    1 UnregisterBroker(UnregisterBrokerRecord) |_, _| 0;
    2 Topic(TopicRecord) |_, _| 0;
    3 Partition(PartitionRecord) |_, at| at.partition_record_version();
    4 Config(ConfigRecord) |_, _| 0;
    5 PartitionChange(PartitionChangeRecord) |_, at| at.partition_record_version();
    7 FenceBroker(FenceBrokerRecord) |_, _| 0;
    8 UnfenceBroker(UnfenceBrokerRecord) |_, _| 0;
    9 RemoveTopic(RemoveTopicRecord) |_, _| 0;
    10 DelegationToken(DelegationTokenRecord) |_, _| 0;
    11 UserScramCredential(UserScramCredentialRecord) |_, _| 0;
    12 FeatureLevel(FeatureLevelRecord) |_, _| 0;
    14 ClientQuota(ClientQuotaRecord) |_, _| 0;
    15 ProducerIds(ProducerIdsRecord) |_, _| 0;
    17 BrokerRegistrationChange(BrokerRegistrationChangeRecord) |body, _| change_version(body);
    18 AccessControlEntry(AccessControlEntryRecord) |_, _| 0;
    19 RemoveAccessControlEntry(RemoveAccessControlEntryRecord) |_, _| 0;
    20 NoOp(NoOpRecord) |_, _| 0;
    21 ZkMigrationState(ZkMigrationStateRecord) |_, _| 0;
    22 RemoveUserScramCredential(RemoveUserScramCredentialRecord) |_, _| 0;
    23 BeginTransaction(BeginTransactionRecord) |_, _| 0;
    24 EndTransaction(EndTransactionRecord) |_, _| 0;
    25 AbortTransaction(AbortTransactionRecord) |_, _| 0;
    26 RemoveDelegationToken(RemoveDelegationTokenRecord) |_, _| 0;
    27 RegisterController(RegisterControllerRecord) |_, _| 0;
    28 ClearElr(ClearElrRecord) |_, _| 0;
}

/// A record of a type that this version does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownRecord {
    pub id: u32,
    pub version: i16,
    pub body: Bytes,
}

/// A record has no external parts, so what was written is one piece, or nothing.
fn into_bytes(writer: Writer) -> Bytes {
    match writer.finish().chunks.pop() {
        Some(Chunk::Bytes(bytes)) => bytes,
        Some(Chunk::External { .. }) | None => Bytes::new(),
    }
}

/// The lowest version that can say it: an older peer must be able to read what it needs to.
fn change_version(change: &BrokerRegistrationChangeRecord) -> i16 {
    if change.cordoned_log_dirs.is_some() {
        3
    } else if !change.log_dirs.is_empty() {
        2
    } else if change.in_controlled_shutdown != 0 {
        1
    } else {
        0
    }
}

/// Records to append together, in order.
pub type Records = Vec<Record>;
