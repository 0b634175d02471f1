// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–5, flexible 3+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AddPartitionsToTxnRequest {
    /// Versions 4+.
    pub transactions: Vec<AddPartitionsToTxnTransaction>,
    /// Versions 0–3.
    pub v3_and_below_transactional_id: String,
    /// Versions 0–3.
    pub v3_and_below_producer_id: i64,
    /// Versions 0–3.
    pub v3_and_below_producer_epoch: i16,
    /// Versions 0–3.
    pub v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
    pub unknown_tags: UnknownTags,
}

impl Message for AddPartitionsToTxnRequest {
    const NAME: &'static str = "AddPartitionsToTxnRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 5 };

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            transactions: if version >= 4 { reader.array(version, flexible)? } else { Vec::new() },
            v3_and_below_transactional_id: if version <= 3 {
                reader.string(flexible)?
            } else {
                String::new()
            },
            v3_and_below_producer_id: if version <= 3 { reader.i64()? } else { 0 },
            v3_and_below_producer_epoch: if version <= 3 { reader.i16()? } else { 0 },
            v3_and_below_topics: if version <= 3 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 4 {
            writer.array(&self.transactions, version, flexible)?;
        } else if !self.transactions.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "AddPartitionsToTxnRequest",
                field: "transactions",
                version,
            });
        }
        if version <= 3 {
            writer.string(&self.v3_and_below_transactional_id, flexible)?;
        } else if !self.v3_and_below_transactional_id.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "AddPartitionsToTxnRequest",
                field: "v3_and_below_transactional_id",
                version,
            });
        }
        if version <= 3 {
            writer.i64(self.v3_and_below_producer_id);
        } else if self.v3_and_below_producer_id != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "AddPartitionsToTxnRequest",
                field: "v3_and_below_producer_id",
                version,
            });
        }
        if version <= 3 {
            writer.i16(self.v3_and_below_producer_epoch);
        } else if self.v3_and_below_producer_epoch != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "AddPartitionsToTxnRequest",
                field: "v3_and_below_producer_epoch",
                version,
            });
        }
        if version <= 3 {
            writer.array(&self.v3_and_below_topics, version, flexible)?;
        } else if !self.v3_and_below_topics.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "AddPartitionsToTxnRequest",
                field: "v3_and_below_topics",
                version,
            });
        }
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 4+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AddPartitionsToTxnTransaction {
    pub transactional_id: String,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub verify_only: bool,
    pub topics: Vec<AddPartitionsToTxnTopic>,
    pub unknown_tags: UnknownTags,
}

impl Element for AddPartitionsToTxnTransaction {
    fn min_size(_version: i16, _: bool) -> usize {
        14
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            transactional_id: reader.string(flexible)?,
            producer_id: reader.i64()?,
            producer_epoch: reader.i16()?,
            verify_only: reader.bool()?,
            topics: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.transactional_id, flexible)?;
        writer.i64(self.producer_id);
        writer.i16(self.producer_epoch);
        writer.bool(self.verify_only);
        writer.array(&self.topics, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct AddPartitionsToTxnTopic {
    pub name: String,
    pub partitions: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for AddPartitionsToTxnTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=2 => 6,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for AddPartitionsToTxnRequest {
    type Response = super::AddPartitionsToTxnResponse;
    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;
}
