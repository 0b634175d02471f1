// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct ConsumerGroupHeartbeatRequest {
    pub group_id: String,
    pub member_id: String,
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Option<Vec<String>>,
    /// Versions 1+.
    pub subscribed_topic_regex: Option<String>,
    pub server_assignor: Option<String>,
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    pub unknown_tags: UnknownTags,
}

impl Default for ConsumerGroupHeartbeatRequest {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            member_id: String::new(),
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for ConsumerGroupHeartbeatRequest {
    const NAME: &'static str = "ConsumerGroupHeartbeatRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 1 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            group_id: reader.string(flexible)?,
            member_id: reader.string(flexible)?,
            member_epoch: reader.i32()?,
            instance_id: reader.nullable_string(flexible)?,
            rack_id: reader.nullable_string(flexible)?,
            rebalance_timeout_ms: reader.i32()?,
            subscribed_topic_names: reader.nullable_array(version, flexible)?,
            subscribed_topic_regex: if version >= 1 {
                reader.nullable_string(flexible)?
            } else {
                None
            },
            server_assignor: reader.nullable_string(flexible)?,
            topic_partitions: reader.nullable_array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.string(&self.group_id, flexible)?;
        writer.string(&self.member_id, flexible)?;
        writer.i32(self.member_epoch);
        writer.nullable_string(self.instance_id.as_deref(), flexible)?;
        writer.nullable_string(self.rack_id.as_deref(), flexible)?;
        writer.i32(self.rebalance_timeout_ms);
        writer.nullable_array(self.subscribed_topic_names.as_deref(), version, flexible)?;
        if version >= 1 {
            writer.nullable_string(self.subscribed_topic_regex.as_deref(), flexible)?;
        } else if self.subscribed_topic_regex.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "ConsumerGroupHeartbeatRequest",
                field: "subscribed_topic_regex",
                version,
            });
        }
        writer.nullable_string(self.server_assignor.as_deref(), flexible)?;
        writer.nullable_array(self.topic_partitions.as_deref(), version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for TopicPartitions {
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

impl Request for ConsumerGroupHeartbeatRequest {
    type Response = super::ConsumerGroupHeartbeatResponse;
    const KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
}
