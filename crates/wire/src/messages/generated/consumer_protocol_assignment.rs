// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::{Element, Message, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–3.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ConsumerProtocolAssignment {
    pub assigned_partitions: Vec<TopicPartition>,
    pub user_data: Option<Bytes>,
}

impl Message for ConsumerProtocolAssignment {
    const NAME: &'static str = "ConsumerProtocolAssignment";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 3 };

    fn flexible(_version: i16) -> bool {
        false
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        Ok(Self {
            assigned_partitions: reader.array(version, flexible)?,
            user_data: reader.nullable_bytes(flexible)?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        writer.array(&self.assigned_partitions, version, flexible)?;
        writer.nullable_bytes(self.user_data.as_deref(), flexible)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicPartition {
    pub topic: String,
    pub partitions: Vec<i32>,
}

impl Element for TopicPartition {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self { topic: reader.string(flexible)?, partitions: reader.array(version, flexible)? })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.topic, flexible)?;
        writer.array(&self.partitions, version, flexible)?;
        Ok(())
    }
}
