// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–3, flexible 2+.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribeDelegationTokenRequest {
    pub owners: Option<Vec<DescribeDelegationTokenOwner>>,
    pub unknown_tags: UnknownTags,
}

impl Default for DescribeDelegationTokenRequest {
    fn default() -> Self {
        Self { owners: Some(Vec::new()), unknown_tags: UnknownTags::default() }
    }
}

impl Message for DescribeDelegationTokenRequest {
    const NAME: &'static str = "DescribeDelegationTokenRequest";
    const VERSIONS: VersionRange = VersionRange { min: 1, max: 3 };

    fn flexible(version: i16) -> bool {
        version >= 2
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            owners: reader.nullable_array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_array(self.owners.as_deref(), version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct DescribeDelegationTokenOwner {
    pub principal_type: String,
    pub principal_name: String,
    pub unknown_tags: UnknownTags,
}

impl Element for DescribeDelegationTokenOwner {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=1 => 4,
            _ => 3,
        }
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            principal_type: reader.string(flexible)?,
            principal_name: reader.string(flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.principal_type, flexible)?;
        writer.string(&self.principal_name, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for DescribeDelegationTokenRequest {
    type Response = super::DescribeDelegationTokenResponse;
    const KEY: ApiKey = ApiKey::DescribeDelegationToken;
}
