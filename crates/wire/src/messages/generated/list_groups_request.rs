// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–5, flexible 3+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ListGroupsRequest {
    /// Versions 4+.
    pub states_filter: Vec<String>,
    /// Versions 5+.
    pub types_filter: Vec<String>,
    pub unknown_tags: UnknownTags,
}

impl Message for ListGroupsRequest {
    const NAME: &'static str = "ListGroupsRequest";
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
            states_filter: if version >= 4 { reader.array(version, flexible)? } else { Vec::new() },
            types_filter: if version >= 5 { reader.array(version, flexible)? } else { Vec::new() },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 4 {
            writer.array(&self.states_filter, version, flexible)?;
        } else if !self.states_filter.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "ListGroupsRequest",
                field: "states_filter",
                version,
            });
        }
        if version >= 5 {
            writer.array(&self.types_filter, version, flexible)?;
        } else if !self.types_filter.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "ListGroupsRequest",
                field: "types_filter",
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

impl Request for ListGroupsRequest {
    type Response = super::ListGroupsResponse;
    const KEY: ApiKey = ApiKey::ListGroups;
}
