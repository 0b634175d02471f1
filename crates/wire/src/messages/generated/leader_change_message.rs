// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–1, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LeaderChangeMessage {
    pub version: i16,
    pub leader_id: i32,
    pub voters: Vec<Voter>,
    pub granting_voters: Vec<Voter>,
    pub unknown_tags: UnknownTags,
}

impl Message for LeaderChangeMessage {
    const NAME: &'static str = "LeaderChangeMessage";
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
            version: reader.i16()?,
            leader_id: reader.i32()?,
            voters: reader.array(version, flexible)?,
            granting_voters: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i16(self.version);
        writer.i32(self.leader_id);
        writer.array(&self.voters, version, flexible)?;
        writer.array(&self.granting_voters, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Voter {
    pub voter_id: i32,
    /// Versions 1+.
    pub voter_directory_id: Uuid,
    pub unknown_tags: UnknownTags,
}

impl Element for Voter {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=0 => 5,
            _ => 21,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            voter_id: reader.i32()?,
            voter_directory_id: if version >= 1 { reader.uuid()? } else { Uuid::ZERO },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, _flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.voter_id);
        if version >= 1 {
            writer.uuid(self.voter_directory_id);
        } else if self.voter_directory_id != Uuid::ZERO {
            return Err(EncodeError::FieldNotInVersion {
                message: "LeaderChangeMessage",
                field: "voter_directory_id",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
