// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 1–3, flexible 2+.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateDelegationTokenRequest {
    /// Versions 3+.
    pub owner_principal_type: Option<String>,
    /// Versions 3+.
    pub owner_principal_name: Option<String>,
    pub renewers: Vec<CreatableRenewers>,
    pub max_lifetime_ms: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for CreateDelegationTokenRequest {
    fn default() -> Self {
        Self {
            owner_principal_type: Some(String::new()),
            owner_principal_name: Some(String::new()),
            renewers: Vec::new(),
            max_lifetime_ms: 0,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for CreateDelegationTokenRequest {
    const NAME: &'static str = "CreateDelegationTokenRequest";
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
            owner_principal_type: if version >= 3 {
                reader.nullable_string(flexible)?
            } else {
                Some(String::new())
            },
            owner_principal_name: if version >= 3 {
                reader.nullable_string(flexible)?
            } else {
                Some(String::new())
            },
            renewers: reader.array(version, flexible)?,
            max_lifetime_ms: reader.i64()?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 3 {
            writer.nullable_string(self.owner_principal_type.as_deref(), flexible)?;
        } else if self.owner_principal_type.as_ref().is_none_or(|value| !value.is_empty()) {
            return Err(EncodeError::FieldNotInVersion {
                message: "CreateDelegationTokenRequest",
                field: "owner_principal_type",
                version,
            });
        }
        if version >= 3 {
            writer.nullable_string(self.owner_principal_name.as_deref(), flexible)?;
        } else if self.owner_principal_name.as_ref().is_none_or(|value| !value.is_empty()) {
            return Err(EncodeError::FieldNotInVersion {
                message: "CreateDelegationTokenRequest",
                field: "owner_principal_name",
                version,
            });
        }
        writer.array(&self.renewers, version, flexible)?;
        writer.i64(self.max_lifetime_ms);
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct CreatableRenewers {
    pub principal_type: String,
    pub principal_name: String,
    pub unknown_tags: UnknownTags,
}

impl Element for CreatableRenewers {
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

impl Request for CreateDelegationTokenRequest {
    type Response = super::CreateDelegationTokenResponse;
    const KEY: ApiKey = ApiKey::CreateDelegationToken;
}
