// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::ErrorCode;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UpdateRaftVoterResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    /// Tag 0.
    pub current_leader: CurrentLeader,
    pub unknown_tags: UnknownTags,
}

impl Message for UpdateRaftVoterResponse {
    const NAME: &'static str = "UpdateRaftVoterResponse";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            throttle_time_ms: reader.i32()?,
            error_code: reader.error_code()?,
            current_leader: CurrentLeader::default(),
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.current_leader = CurrentLeader::read(reader, version, flexible)?,
                _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.throttle_time_ms);
        writer.error_code(self.error_code);
        let has_current_leader = self.current_leader != CurrentLeader::default();
        let mut tags = writer.tags(u32::from(has_current_leader), &self.unknown_tags);
        if has_current_leader {
            tags.begin(writer, 0)?;
            self.current_leader.write(writer, version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct CurrentLeader {
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub host: String,
    pub port: i32,
    pub unknown_tags: UnknownTags,
}

impl Default for CurrentLeader {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
            host: String::new(),
            port: 0,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for CurrentLeader {
    fn min_size(_version: i16, _: bool) -> usize {
        14
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            leader_id: reader.i32()?,
            leader_epoch: reader.i32()?,
            host: reader.string(flexible)?,
            port: reader.i32()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.string(&self.host, flexible)?;
        writer.i32(self.port);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
