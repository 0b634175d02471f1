// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–13, flexible 9+.
#[derive(Clone, PartialEq, Debug)]
pub struct MetadataRequest {
    /// Null in versions 1+.
    pub topics: Option<Vec<MetadataRequestTopic>>,
    /// Versions 4+.
    pub allow_auto_topic_creation: bool,
    /// Versions 8–10.
    pub include_cluster_authorized_operations: bool,
    /// Versions 8+.
    pub include_topic_authorized_operations: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for MetadataRequest {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for MetadataRequest {
    const NAME: &'static str = "MetadataRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 13 };

    fn flexible(version: i16) -> bool {
        version >= 9
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            topics: match reader.nullable_array(version, flexible)? {
                None if version < 1 => return Err(DecodeError::UnexpectedNull),
                value => value,
            },
            allow_auto_topic_creation: if version >= 4 { reader.bool()? } else { true },
            include_cluster_authorized_operations: if (8..=10).contains(&version) {
                reader.bool()?
            } else {
                false
            },
            include_topic_authorized_operations: if version >= 8 { reader.bool()? } else { false },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version < 1 && self.topics.is_none() {
            return Err(EncodeError::UnexpectedNull {
                message: "MetadataRequest",
                field: "topics",
                version,
            });
        }
        writer.nullable_array(self.topics.as_deref(), version, flexible)?;
        if version >= 4 {
            writer.bool(self.allow_auto_topic_creation);
        } else if !self.allow_auto_topic_creation {
            return Err(EncodeError::FieldNotInVersion {
                message: "MetadataRequest",
                field: "allow_auto_topic_creation",
                version,
            });
        }
        if (8..=10).contains(&version) {
            writer.bool(self.include_cluster_authorized_operations);
        } else if self.include_cluster_authorized_operations {
            return Err(EncodeError::FieldNotInVersion {
                message: "MetadataRequest",
                field: "include_cluster_authorized_operations",
                version,
            });
        }
        if version >= 8 {
            writer.bool(self.include_topic_authorized_operations);
        } else if self.include_topic_authorized_operations {
            return Err(EncodeError::FieldNotInVersion {
                message: "MetadataRequest",
                field: "include_topic_authorized_operations",
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

#[derive(Clone, PartialEq, Debug)]
pub struct MetadataRequestTopic {
    /// Versions 10+.
    pub topic_id: Uuid,
    /// Null in versions 10+.
    pub name: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Default for MetadataRequestTopic {
    fn default() -> Self {
        Self {
            topic_id: Uuid::ZERO,
            name: Some(String::new()),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for MetadataRequestTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=9 => 2,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic_id: if version >= 10 { reader.uuid()? } else { Uuid::ZERO },
            name: match reader.nullable_string(flexible)? {
                None if version < 10 => return Err(DecodeError::UnexpectedNull),
                value => value,
            },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        if version < 10 && self.name.is_none() {
            return Err(EncodeError::UnexpectedNull {
                message: "MetadataRequest",
                field: "name",
                version,
            });
        }
        writer.nullable_string(self.name.as_deref(), flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for MetadataRequest {
    type Response = super::MetadataResponse;
    const KEY: ApiKey = ApiKey::Metadata;
}
