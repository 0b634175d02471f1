// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–6, flexible 3+.
#[derive(Clone, PartialEq, Debug)]
pub struct FindCoordinatorResponse {
    /// Versions 1+.
    pub throttle_time_ms: i32,
    /// Versions 0–3.
    pub error_code: ErrorCode,
    /// Versions 1–3.
    pub error_message: Option<String>,
    /// Versions 0–3.
    pub node_id: i32,
    /// Versions 0–3.
    pub host: String,
    /// Versions 0–3.
    pub port: i32,
    /// Versions 4+.
    pub coordinators: Vec<Coordinator>,
    pub unknown_tags: UnknownTags,
}

impl Default for FindCoordinatorResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::NONE,
            error_message: Some(String::new()),
            node_id: 0,
            host: String::new(),
            port: 0,
            coordinators: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for FindCoordinatorResponse {
    const NAME: &'static str = "FindCoordinatorResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 6 };

    fn flexible(version: i16) -> bool {
        version >= 3
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            throttle_time_ms: if version >= 1 { reader.i32()? } else { 0 },
            error_code: if version <= 3 { reader.error_code()? } else { ErrorCode::NONE },
            error_message: if (1..=3).contains(&version) {
                reader.nullable_string(flexible)?
            } else {
                Some(String::new())
            },
            node_id: if version <= 3 { reader.i32()? } else { 0 },
            host: if version <= 3 { reader.string(flexible)? } else { String::new() },
            port: if version <= 3 { reader.i32()? } else { 0 },
            coordinators: if version >= 4 { reader.array(version, flexible)? } else { Vec::new() },
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            writer.error_code(self.error_code);
        } else if self.error_code != ErrorCode::NONE {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorResponse",
                field: "error_code",
                version,
            });
        }
        if (1..=3).contains(&version) {
            writer.nullable_string(self.error_message.as_deref(), flexible)?;
        }
        if version <= 3 {
            writer.i32(self.node_id);
        } else if self.node_id != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorResponse",
                field: "node_id",
                version,
            });
        }
        if version <= 3 {
            writer.string(&self.host, flexible)?;
        } else if !self.host.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorResponse",
                field: "host",
                version,
            });
        }
        if version <= 3 {
            writer.i32(self.port);
        } else if self.port != 0 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorResponse",
                field: "port",
                version,
            });
        }
        if version >= 4 {
            writer.array(&self.coordinators, version, flexible)?;
        } else if !self.coordinators.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FindCoordinatorResponse",
                field: "coordinators",
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

/// Versions 4+.
#[derive(Clone, PartialEq, Debug)]
pub struct Coordinator {
    pub key: String,
    pub node_id: i32,
    pub host: String,
    pub port: i32,
    pub error_code: ErrorCode,
    pub error_message: Option<String>,
    pub unknown_tags: UnknownTags,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            key: String::new(),
            node_id: 0,
            host: String::new(),
            port: 0,
            error_code: ErrorCode::NONE,
            error_message: Some(String::new()),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for Coordinator {
    fn min_size(_version: i16, _: bool) -> usize {
        14
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            key: reader.string(flexible)?,
            node_id: reader.i32()?,
            host: reader.string(flexible)?,
            port: reader.i32()?,
            error_code: reader.error_code()?,
            error_message: reader.nullable_string(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.key, flexible)?;
        writer.i32(self.node_id);
        writer.string(&self.host, flexible)?;
        writer.i32(self.port);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref(), flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
