// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamsGroupMemberMetadataValue {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub topology_epoch: i32,
    pub process_id: String,
    pub user_endpoint: Option<Endpoint>,
    pub client_tags: Vec<KeyValue>,
    pub unknown_tags: UnknownTags,
}

impl Default for StreamsGroupMemberMetadataValue {
    fn default() -> Self {
        Self {
            instance_id: Some(String::new()),
            rack_id: Some(String::new()),
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: -1,
            topology_epoch: 0,
            process_id: String::new(),
            user_endpoint: None,
            client_tags: Vec::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for StreamsGroupMemberMetadataValue {
    const NAME: &'static str = "StreamsGroupMemberMetadataValue";
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
            instance_id: reader.nullable_string(flexible)?,
            rack_id: reader.nullable_string(flexible)?,
            client_id: reader.string(flexible)?,
            client_host: reader.string(flexible)?,
            rebalance_timeout_ms: reader.i32()?,
            topology_epoch: reader.i32()?,
            process_id: reader.string(flexible)?,
            user_endpoint: if reader.present()? {
                Some(Endpoint::read(reader, version, flexible)?)
            } else {
                None
            },
            client_tags: reader.array(version, flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.nullable_string(self.instance_id.as_deref(), flexible)?;
        writer.nullable_string(self.rack_id.as_deref(), flexible)?;
        writer.string(&self.client_id, flexible)?;
        writer.string(&self.client_host, flexible)?;
        writer.i32(self.rebalance_timeout_ms);
        writer.i32(self.topology_epoch);
        writer.string(&self.process_id, flexible)?;
        writer.present(self.user_endpoint.is_some());
        if let Some(value) = &self.user_endpoint {
            value.write(writer, version, flexible)?;
        }
        writer.array(&self.client_tags, version, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    pub unknown_tags: UnknownTags,
}

impl Element for Endpoint {
    fn min_size(_version: i16, _: bool) -> usize {
        4
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            host: reader.string(flexible)?,
            port: reader.u16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.host, flexible)?;
        writer.u16(self.port);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct KeyValue {
    pub key: String,
    pub value: String,
    pub unknown_tags: UnknownTags,
}

impl Element for KeyValue {
    fn min_size(_version: i16, _: bool) -> usize {
        3
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            key: reader.string(flexible)?,
            value: reader.string(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.key, flexible)?;
        writer.string(&self.value, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}
