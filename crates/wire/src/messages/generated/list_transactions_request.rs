// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct ListTransactionsRequest {
    pub state_filters: Vec<String>,
    pub producer_id_filters: Vec<i64>,
    /// Versions 1+.
    pub duration_filter: i64,
    /// Versions 2+.
    pub transactional_id_pattern: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Default for ListTransactionsRequest {
    fn default() -> Self {
        Self {
            state_filters: Vec::new(),
            producer_id_filters: Vec::new(),
            duration_filter: -1,
            transactional_id_pattern: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for ListTransactionsRequest {
    const NAME: &'static str = "ListTransactionsRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            state_filters: reader.array(version, flexible)?,
            producer_id_filters: reader.array(version, flexible)?,
            duration_filter: if version >= 1 { reader.i64()? } else { -1 },
            transactional_id_pattern: if version >= 2 {
                reader.nullable_string(flexible)?
            } else {
                None
            },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.array(&self.state_filters, version, flexible)?;
        writer.array(&self.producer_id_filters, version, flexible)?;
        if version >= 1 {
            writer.i64(self.duration_filter);
        } else if self.duration_filter != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "ListTransactionsRequest",
                field: "duration_filter",
                version,
            });
        }
        if version >= 2 {
            writer.nullable_string(self.transactional_id_pattern.as_deref(), flexible)?;
        } else if self.transactional_id_pattern.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "ListTransactionsRequest",
                field: "transactional_id_pattern",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for ListTransactionsRequest {
    type Response = super::ListTransactionsResponse;
    const KEY: ApiKey = ApiKey::ListTransactions;
}
