// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 1+.
#[derive(Clone, PartialEq, Debug)]
pub struct TransactionLogValue {
    pub producer_id: i64,
    /// Versions 1+. Tag 0.
    pub previous_producer_id: i64,
    /// Versions 1+. Tag 1.
    pub next_producer_id: i64,
    pub producer_epoch: i16,
    /// Versions 1+. Tag 3.
    pub next_producer_epoch: i16,
    pub transaction_timeout_ms: i32,
    pub transaction_status: i8,
    pub transaction_partitions: Option<Vec<PartitionsSchema>>,
    pub transaction_last_update_timestamp_ms: i64,
    pub transaction_start_timestamp_ms: i64,
    /// Versions 1+. Tag 2.
    pub client_transaction_version: i16,
    pub unknown_tags: UnknownTags,
}

impl Default for TransactionLogValue {
    fn default() -> Self {
        Self {
            producer_id: 0,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: 0,
            next_producer_epoch: -1,
            transaction_timeout_ms: 0,
            transaction_status: 0,
            transaction_partitions: Some(Vec::new()),
            transaction_last_update_timestamp_ms: 0,
            transaction_start_timestamp_ms: 0,
            client_transaction_version: 0,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for TransactionLogValue {
    const NAME: &'static str = "TransactionLogValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

    fn flexible(version: i16) -> bool {
        version >= 1
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            producer_id: reader.i64()?,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: reader.i16()?,
            next_producer_epoch: -1,
            transaction_timeout_ms: reader.i32()?,
            transaction_status: reader.i8()?,
            transaction_partitions: reader.nullable_array(version, flexible)?,
            transaction_last_update_timestamp_ms: reader.i64()?,
            transaction_start_timestamp_ms: reader.i64()?,
            client_transaction_version: 0,
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 1 => this.previous_producer_id = reader.i64()?,
                    1 if version >= 1 => this.next_producer_id = reader.i64()?,
                    2 if version >= 1 => this.client_transaction_version = reader.i16()?,
                    3 if version >= 1 => this.next_producer_epoch = reader.i16()?,
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        writer.i32(self.transaction_timeout_ms);
        writer.i8(self.transaction_status);
        writer.nullable_array(self.transaction_partitions.as_deref(), version, flexible)?;
        writer.i64(self.transaction_last_update_timestamp_ms);
        writer.i64(self.transaction_start_timestamp_ms);
        if version < 1 && self.previous_producer_id != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "TransactionLogValue",
                field: "previous_producer_id",
                version,
            });
        }
        if version < 1 && self.next_producer_id != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "TransactionLogValue",
                field: "next_producer_id",
                version,
            });
        }
        if version < 1 && self.client_transaction_version != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "TransactionLogValue",
                field: "client_transaction_version",
                version,
            });
        }
        if version < 1 && self.next_producer_epoch != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "TransactionLogValue",
                field: "next_producer_epoch",
                version,
            });
        }
        if flexible {
            let has_previous_producer_id = version >= 1 && self.previous_producer_id != -1;
            let has_next_producer_id = version >= 1 && self.next_producer_id != -1;
            let has_client_transaction_version =
                version >= 1 && self.client_transaction_version != 0;
            let has_next_producer_epoch = version >= 1 && self.next_producer_epoch != -1;
            let mut tags = writer.tags(
                u32::from(has_previous_producer_id)
                    + u32::from(has_next_producer_id)
                    + u32::from(has_client_transaction_version)
                    + u32::from(has_next_producer_epoch),
                &self.unknown_tags,
            );
            if has_previous_producer_id {
                tags.begin(writer, 0)?;
                writer.i64(self.previous_producer_id);
                tags.end(writer);
            }
            if has_next_producer_id {
                tags.begin(writer, 1)?;
                writer.i64(self.next_producer_id);
                tags.end(writer);
            }
            if has_client_transaction_version {
                tags.begin(writer, 2)?;
                writer.i16(self.client_transaction_version);
                tags.end(writer);
            }
            if has_next_producer_epoch {
                tags.begin(writer, 3)?;
                writer.i16(self.next_producer_epoch);
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartitionsSchema {
    pub topic: String,
    pub partition_ids: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionsSchema {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 6,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic: reader.string(flexible)?,
            partition_ids: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.topic, flexible)?;
        writer.array(&self.partition_ids, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}
