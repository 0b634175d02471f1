// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::{Element, Message, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–3.
#[derive(Clone, PartialEq, Debug)]
pub struct ConsumerProtocolSubscription {
    pub topics: Vec<String>,
    pub user_data: Option<Bytes>,
    /// Versions 1+.
    pub owned_partitions: Vec<TopicPartition>,
    /// Versions 2+.
    pub generation_id: i32,
    /// Versions 3+.
    pub rack_id: Option<String>,
}

impl Default for ConsumerProtocolSubscription {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            user_data: None,
            owned_partitions: Vec::new(),
            generation_id: -1,
            rack_id: None,
        }
    }
}

impl Message for ConsumerProtocolSubscription {
    const NAME: &'static str = "ConsumerProtocolSubscription";
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
            topics: reader.array(version, flexible)?,
            user_data: reader.nullable_bytes(flexible)?,
            owned_partitions: if version >= 1 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            generation_id: if version >= 2 { reader.i32()? } else { -1 },
            rack_id: if version >= 3 { reader.nullable_string(flexible)? } else { None },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = false;
        writer.array(&self.topics, version, flexible)?;
        writer.nullable_bytes(self.user_data.as_deref(), flexible)?;
        if version >= 1 {
            writer.array(&self.owned_partitions, version, flexible)?;
        }
        if version >= 2 {
            writer.i32(self.generation_id);
        }
        if version >= 3 {
            writer.nullable_string(self.rack_id.as_deref(), flexible)?;
        }
        Ok(())
    }
}

/// Versions 1+.
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
