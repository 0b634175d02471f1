// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–6, flexible 5+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DescribeGroupsRequest {
    pub groups: Vec<String>,
    /// Versions 3+.
    pub include_authorized_operations: bool,
    pub unknown_tags: UnknownTags,
}

impl Message for DescribeGroupsRequest {
    const NAME: &'static str = "DescribeGroupsRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 6 };

    fn flexible(version: i16) -> bool {
        version >= 5
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            groups: reader.array(version, flexible)?,
            include_authorized_operations: if version >= 3 { reader.bool()? } else { false },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.array(&self.groups, version, flexible)?;
        if version >= 3 {
            writer.bool(self.include_authorized_operations);
        } else if self.include_authorized_operations {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeGroupsRequest",
                field: "include_authorized_operations",
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

impl Request for DescribeGroupsRequest {
    type Response = super::DescribeGroupsResponse;
    const KEY: ApiKey = ApiKey::DescribeGroups;
}
