// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–10, flexible 6+.
#[derive(Clone, PartialEq, Debug)]
pub struct OffsetFetchRequest {
    /// Versions 1–7.
    pub group_id: String,
    /// Versions 1–7. Null in versions 2–7.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// Versions 8+.
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Versions 7+.
    pub require_stable: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for OffsetFetchRequest {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            topics: Some(Vec::new()),
            groups: Vec::new(),
            require_stable: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetchRequest";
    const VERSIONS: VersionRange = VersionRange { min: 1, max: 10 };

    fn flexible(version: i16) -> bool {
        version >= 6
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            group_id: if version <= 7 { reader.string(flexible)? } else { String::new() },
            topics: if version <= 7 {
                match reader.nullable_array(version, flexible)? {
                    None if version < 2 => return Err(DecodeError::UnexpectedNull),
                    value => value,
                }
            } else {
                Some(Vec::new())
            },
            groups: if version >= 8 { reader.array(version, flexible)? } else { Vec::new() },
            require_stable: if version >= 7 { reader.bool()? } else { false },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version <= 7 {
            writer.string(&self.group_id, flexible)?;
        } else if !self.group_id.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "OffsetFetchRequest",
                field: "group_id",
                version,
            });
        }
        if version <= 7 {
            if version < 2 && self.topics.is_none() {
                return Err(EncodeError::UnexpectedNull {
                    message: "OffsetFetchRequest",
                    field: "topics",
                    version,
                });
            }
            writer.nullable_array(self.topics.as_deref(), version, flexible)?;
        } else if self.topics.as_ref().is_none_or(|value| !value.is_empty()) {
            return Err(EncodeError::FieldNotInVersion {
                message: "OffsetFetchRequest",
                field: "topics",
                version,
            });
        }
        if version >= 8 {
            writer.array(&self.groups, version, flexible)?;
        } else if !self.groups.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "OffsetFetchRequest",
                field: "groups",
                version,
            });
        }
        if version >= 7 {
            writer.bool(self.require_stable);
        } else if self.require_stable {
            return Err(EncodeError::FieldNotInVersion {
                message: "OffsetFetchRequest",
                field: "require_stable",
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

/// Versions 1–7.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OffsetFetchRequestTopic {
    pub name: String,
    pub partition_indexes: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for OffsetFetchRequestTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=5 => 6,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            partition_indexes: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.array(&self.partition_indexes, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 8+.
#[derive(Clone, PartialEq, Debug)]
pub struct OffsetFetchRequestGroup {
    pub group_id: String,
    /// Versions 9+.
    pub member_id: Option<String>,
    /// Versions 9+.
    pub member_epoch: i32,
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
    pub unknown_tags: UnknownTags,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self {
            group_id: String::new(),
            member_id: None,
            member_epoch: -1,
            topics: Some(Vec::new()),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for OffsetFetchRequestGroup {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=8 => 3,
            _ => 8,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            group_id: reader.string(flexible)?,
            member_id: if version >= 9 { reader.nullable_string(flexible)? } else { None },
            member_epoch: if version >= 9 { reader.i32()? } else { -1 },
            topics: reader.nullable_array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.group_id, flexible)?;
        if version >= 9 {
            writer.nullable_string(self.member_id.as_deref(), flexible)?;
        }
        if version >= 9 {
            writer.i32(self.member_epoch);
        }
        writer.nullable_array(self.topics.as_deref(), version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

/// Versions 8+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OffsetFetchRequestTopics {
    /// Versions 8–9.
    pub name: String,
    /// Versions 10+.
    pub topic_id: Uuid,
    pub partition_indexes: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for OffsetFetchRequestTopics {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=9 => 3,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: if version <= 9 { reader.string(flexible)? } else { String::new() },
            topic_id: if version >= 10 { reader.uuid()? } else { Uuid::ZERO },
            partition_indexes: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version <= 9 {
            writer.string(&self.name, flexible)?;
        }
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partition_indexes, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for OffsetFetchRequest {
    type Response = super::OffsetFetchResponse;
    const KEY: ApiKey = ApiKey::OffsetFetch;
}
