// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct ConsumerGroupMemberMetadataValue {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    pub subscribed_topic_regex: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub server_assignor: Option<String>,
    /// Tag 0.
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
    pub unknown_tags: UnknownTags,
}

impl Default for ConsumerGroupMemberMetadataValue {
    fn default() -> Self {
        Self {
            instance_id: Some(String::new()),
            rack_id: Some(String::new()),
            client_id: String::new(),
            client_host: String::new(),
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: Some(String::new()),
            rebalance_timeout_ms: -1,
            server_assignor: Some(String::new()),
            classic_member_metadata: Some(ClassicMemberMetadata::default()),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for ConsumerGroupMemberMetadataValue {
    const NAME: &'static str = "ConsumerGroupMemberMetadataValue";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            instance_id: reader.nullable_string(flexible)?,
            rack_id: reader.nullable_string(flexible)?,
            client_id: reader.string(flexible)?,
            client_host: reader.string(flexible)?,
            subscribed_topic_names: reader.array(version, flexible)?,
            subscribed_topic_regex: reader.nullable_string(flexible)?,
            rebalance_timeout_ms: reader.i32()?,
            server_assignor: reader.nullable_string(flexible)?,
            classic_member_metadata: Some(ClassicMemberMetadata::default()),
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => {
                    this.classic_member_metadata = if reader.tag_present()? {
                        Some(ClassicMemberMetadata::read(reader, version, flexible)?)
                    } else {
                        None
                    }
                }
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_string(self.instance_id.as_deref(), flexible)?;
        writer.nullable_string(self.rack_id.as_deref(), flexible)?;
        writer.string(&self.client_id, flexible)?;
        writer.string(&self.client_host, flexible)?;
        writer.array(&self.subscribed_topic_names, version, flexible)?;
        writer.nullable_string(self.subscribed_topic_regex.as_deref(), flexible)?;
        writer.i32(self.rebalance_timeout_ms);
        writer.nullable_string(self.server_assignor.as_deref(), flexible)?;
        let has_classic_member_metadata =
            self.classic_member_metadata != Some(ClassicMemberMetadata::default());
        let mut tags = writer.tags(u32::from(has_classic_member_metadata), &self.unknown_tags);
        if has_classic_member_metadata {
            tags.begin(writer, 0)?;
            writer.tag_present(self.classic_member_metadata.is_some());
            if let Some(value) = &self.classic_member_metadata {
                value.write(writer, version, flexible)?;
            }
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct ClassicMemberMetadata {
    pub session_timeout_ms: i32,
    pub supported_protocols: Vec<ClassicProtocol>,
    pub unknown_tags: UnknownTags,
}

impl Element for ClassicMemberMetadata {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            session_timeout_ms: reader.i32()?,
            supported_protocols: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.session_timeout_ms);
        writer.array(&self.supported_protocols, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct ClassicProtocol {
    pub name: String,
    pub metadata: Bytes,
    pub unknown_tags: UnknownTags,
}

impl Element for ClassicProtocol {
    fn min_size(_version: i16, _: bool) -> usize {
        3
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            metadata: reader.bytes(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.bytes(&self.metadata, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
