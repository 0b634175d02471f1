// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 2–3, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct AlterPartitionRequest {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub topics: Vec<TopicData>,
    pub unknown_tags: UnknownTags,
}

impl Default for AlterPartitionRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
            topics: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for AlterPartitionRequest {
    const NAME: &'static str = "AlterPartitionRequest";
    const VERSIONS: VersionRange = VersionRange { min: 2, max: 3 };

    fn flexible(version: i16) -> bool {
        version >= 0
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            broker_id: reader.i32()?,
            broker_epoch: reader.i64()?,
            topics: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.broker_id);
        writer.i64(self.broker_epoch);
        writer.array(&self.topics, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicData {
    fn min_size(_version: i16, _: bool) -> usize {
        18
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic_id: reader.uuid()?,
            partitions: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.uuid(self.topic_id);
        writer.array(&self.partitions, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartitionData {
    pub partition_index: i32,
    pub leader_epoch: i32,
    /// Versions 2.
    pub new_isr: Vec<i32>,
    /// Versions 3+.
    pub new_isr_with_epochs: Vec<BrokerState>,
    pub leader_recovery_state: i8,
    pub partition_epoch: i32,
    pub unknown_tags: UnknownTags,
}

impl Element for PartitionData {
    fn min_size(_version: i16, _: bool) -> usize {
        15
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_index: reader.i32()?,
            leader_epoch: reader.i32()?,
            new_isr: if version <= 2 { reader.array(version, flexible)? } else { Vec::new() },
            new_isr_with_epochs: if version >= 3 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            leader_recovery_state: reader.i8()?,
            partition_epoch: reader.i32()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition_index);
        writer.i32(self.leader_epoch);
        if version <= 2 {
            writer.array(&self.new_isr, version, flexible)?;
        } else if !self.new_isr.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "AlterPartitionRequest",
                field: "new_isr",
                version,
            });
        }
        if version >= 3 {
            writer.array(&self.new_isr_with_epochs, version, flexible)?;
        } else if !self.new_isr_with_epochs.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "AlterPartitionRequest",
                field: "new_isr_with_epochs",
                version,
            });
        }
        writer.i8(self.leader_recovery_state);
        writer.i32(self.partition_epoch);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 3+.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerState {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for BrokerState {
    fn default() -> Self {
        Self { broker_id: 0, broker_epoch: -1, unknown_tags: UnknownTags::default() }
    }
}

impl Element for BrokerState {
    fn min_size(_version: i16, _: bool) -> usize {
        13
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            broker_id: reader.i32()?,
            broker_epoch: reader.i64()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.broker_id);
        writer.i64(self.broker_epoch);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for AlterPartitionRequest {
    type Response = super::AlterPartitionResponse;
    const KEY: ApiKey = ApiKey::AlterPartition;
}
