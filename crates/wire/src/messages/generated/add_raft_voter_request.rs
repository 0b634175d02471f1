// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct AddRaftVoterRequest {
    pub cluster_id: Option<String>,
    pub timeout_ms: i32,
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub listeners: Vec<Listener>,
    /// Versions 1+.
    pub ack_when_committed: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for AddRaftVoterRequest {
    fn default() -> Self {
        Self {
            cluster_id: Some(String::new()),
            timeout_ms: 0,
            voter_id: 0,
            voter_directory_id: Uuid::ZERO,
            listeners: Vec::new(),
            ack_when_committed: true,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for AddRaftVoterRequest {
    const NAME: &'static str = "AddRaftVoterRequest";
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
            cluster_id: reader.nullable_string(flexible)?,
            timeout_ms: reader.i32()?,
            voter_id: reader.i32()?,
            voter_directory_id: reader.uuid()?,
            listeners: reader.array(version, flexible)?,
            ack_when_committed: if version >= 1 { reader.bool()? } else { true },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_string(self.cluster_id.as_deref(), flexible)?;
        writer.i32(self.timeout_ms);
        writer.i32(self.voter_id);
        writer.uuid(self.voter_directory_id);
        writer.array(&self.listeners, version, flexible)?;
        if version >= 1 {
            writer.bool(self.ack_when_committed);
        } else if !self.ack_when_committed {
            return Err(EncodeError::FieldNotInVersion {
                message: "AddRaftVoterRequest",
                field: "ack_when_committed",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listener {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub unknown_tags: UnknownTags,
}

impl Element for Listener {
    fn min_size(_version: i16, _: bool) -> usize {
        5
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            host: reader.string(flexible)?,
            port: reader.u16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.string(&self.host, flexible)?;
        writer.u16(self.port);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for AddRaftVoterRequest {
    type Response = super::AddRaftVoterResponse;
    const KEY: ApiKey = ApiKey::AddRaftVoter;
}
