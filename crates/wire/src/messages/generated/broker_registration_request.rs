// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–4, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerRegistrationRequest {
    pub broker_id: i32,
    pub cluster_id: String,
    pub incarnation_id: Uuid,
    pub listeners: Vec<Listener>,
    pub features: Vec<Feature>,
    pub rack: Option<String>,
    /// Versions 1+.
    pub is_migrating_zk_broker: bool,
    /// Versions 2+.
    pub log_dirs: Vec<Uuid>,
    /// Versions 3+.
    pub previous_broker_epoch: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for BrokerRegistrationRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            cluster_id: String::new(),
            incarnation_id: Uuid::ZERO,
            listeners: Vec::new(),
            features: Vec::new(),
            rack: Some(String::new()),
            is_migrating_zk_broker: false,
            log_dirs: Vec::new(),
            previous_broker_epoch: -1,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for BrokerRegistrationRequest {
    const NAME: &'static str = "BrokerRegistrationRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 4 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        Ok(Self {
            broker_id: reader.i32()?,
            cluster_id: reader.string(flexible)?,
            incarnation_id: reader.uuid()?,
            listeners: reader.array(version, flexible)?,
            features: reader.array(version, flexible)?,
            rack: reader.nullable_string(flexible)?,
            is_migrating_zk_broker: if version >= 1 { reader.bool()? } else { false },
            log_dirs: if version >= 2 { reader.array(version, flexible)? } else { Vec::new() },
            previous_broker_epoch: if version >= 3 { reader.i64()? } else { -1 },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.i32(self.broker_id);
        writer.string(&self.cluster_id, flexible)?;
        writer.uuid(self.incarnation_id);
        writer.array(&self.listeners, version, flexible)?;
        writer.array(&self.features, version, flexible)?;
        writer.nullable_string(self.rack.as_deref(), flexible)?;
        if version >= 1 {
            writer.bool(self.is_migrating_zk_broker);
        } else if self.is_migrating_zk_broker {
            return Err(EncodeError::FieldNotInVersion {
                message: "BrokerRegistrationRequest",
                field: "is_migrating_zk_broker",
                version,
            });
        }
        if version >= 2 {
            writer.array(&self.log_dirs, version, flexible)?;
        }
        if version >= 3 {
            writer.i64(self.previous_broker_epoch);
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
    pub security_protocol: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for Listener {
    fn min_size(_version: i16, _: bool) -> usize {
        7
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            host: reader.string(flexible)?,
            port: reader.u16()?,
            security_protocol: reader.i16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.string(&self.host, flexible)?;
        writer.u16(self.port);
        writer.i16(self.security_protocol);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Feature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for Feature {
    fn min_size(_version: i16, _: bool) -> usize {
        6
    }

    fn read(reader: &mut Reader<'_>, _version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.string(flexible)?,
            min_supported_version: reader.i16()?,
            max_supported_version: reader.i16()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(&self, writer: &mut Writer, _version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.string(&self.name, flexible)?;
        writer.i16(self.min_supported_version);
        writer.i16(self.max_supported_version);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for BrokerRegistrationRequest {
    type Response = super::BrokerRegistrationResponse;
    const KEY: ApiKey = ApiKey::BrokerRegistration;
}
