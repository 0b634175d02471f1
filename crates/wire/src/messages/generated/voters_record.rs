// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct VotersRecord {
    pub version: i16,
    pub voters: Vec<Voter>,
    pub unknown_tags: UnknownTags,
}

impl Message for VotersRecord {
    const NAME: &'static str = "VotersRecord";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 0 };

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
            voters: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i16(self.version);
        writer.array(&self.voters, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Voter {
    pub voter_id: i32,
    pub voter_directory_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub kraft_version_feature: KRaftVersionFeature,
    pub unknown_tags: UnknownTags,
}

impl Element for Voter {
    fn min_size(_version: i16, _: bool) -> usize {
        27
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            voter_id: reader.i32()?,
            voter_directory_id: reader.uuid()?,
            endpoints: reader.array(version, flexible)?,
            kraft_version_feature: KRaftVersionFeature::read(reader, version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.voter_id);
        writer.uuid(self.voter_directory_id);
        writer.array(&self.endpoints, version, flexible)?;
        self.kraft_version_feature.write(writer, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub unknown_tags: UnknownTags,
}

impl Element for Endpoint {
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

#[derive(Clone, PartialEq, Debug, Default)]
pub struct KRaftVersionFeature {
    pub min_supported_version: i16,
    pub max_supported_version: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for KRaftVersionFeature {
    fn min_size(_version: i16, _: bool) -> usize {
        5
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            min_supported_version: reader.i16()?,
            max_supported_version: reader.i16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i16(self.min_supported_version);
        writer.i16(self.max_supported_version);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
