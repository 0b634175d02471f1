// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Element, Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–4, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct RegisterBrokerRecord {
    pub broker_id: i32,
    /// Versions 2+.
    pub is_migrating_zk_broker: bool,
    pub incarnation_id: Uuid,
    pub broker_epoch: i64,
    pub end_points: Vec<BrokerEndpoint>,
    pub features: Vec<BrokerFeature>,
    pub rack: Option<String>,
    pub fenced: bool,
    /// Versions 1+.
    pub in_controlled_shutdown: bool,
    /// Versions 3+. Tag 0.
    pub log_dirs: Vec<Uuid>,
    /// Versions 4+. Tag 1.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
    pub unknown_tags: UnknownTags,
}

impl Default for RegisterBrokerRecord {
    fn default() -> Self {
        Self {
            broker_id: 0,
            is_migrating_zk_broker: false,
            incarnation_id: Uuid::ZERO,
            broker_epoch: 0,
            end_points: Vec::new(),
            features: Vec::new(),
            rack: Some(String::new()),
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for RegisterBrokerRecord {
    const NAME: &'static str = "RegisterBrokerRecord";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 4 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            broker_id: reader.i32()?,
            is_migrating_zk_broker: if version >= 2 { reader.bool()? } else { false },
            incarnation_id: reader.uuid()?,
            broker_epoch: reader.i64()?,
            end_points: reader.array(version, flexible)?,
            features: reader.array(version, flexible)?,
            rack: reader.nullable_string(flexible)?,
            fenced: reader.bool()?,
            in_controlled_shutdown: if version >= 1 { reader.bool()? } else { false },
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 if version >= 3 => this.log_dirs = reader.array(version, flexible)?,
                1 if version >= 4 => {
                    this.cordoned_log_dirs = reader.nullable_array(version, flexible)?
                }
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
        writer.i32(self.broker_id);
        if version >= 2 {
            writer.bool(self.is_migrating_zk_broker);
        } else if self.is_migrating_zk_broker {
            return Err(EncodeError::FieldNotInVersion {
                message: "RegisterBrokerRecord",
                field: "is_migrating_zk_broker",
                version,
            });
        }
        writer.uuid(self.incarnation_id);
        writer.i64(self.broker_epoch);
        writer.array(&self.end_points, version, flexible)?;
        writer.array(&self.features, version, flexible)?;
        writer.nullable_string(self.rack.as_deref(), flexible)?;
        writer.bool(self.fenced);
        if version >= 1 {
            writer.bool(self.in_controlled_shutdown);
        } else if self.in_controlled_shutdown {
            return Err(EncodeError::FieldNotInVersion {
                message: "RegisterBrokerRecord",
                field: "in_controlled_shutdown",
                version,
            });
        }
        if version < 3 && !self.log_dirs.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "RegisterBrokerRecord",
                field: "log_dirs",
                version,
            });
        }
        if version < 4 && self.cordoned_log_dirs.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "RegisterBrokerRecord",
                field: "cordoned_log_dirs",
                version,
            });
        }
        let has_log_dirs = version >= 3 && !self.log_dirs.is_empty();
        let has_cordoned_log_dirs = version >= 4 && self.cordoned_log_dirs.is_some();
        let mut tags = writer
            .tags(u32::from(has_log_dirs) + u32::from(has_cordoned_log_dirs), &self.unknown_tags);
        if has_log_dirs {
            tags.begin(writer, 0)?;
            writer.array(&self.log_dirs, version, flexible)?;
            tags.end(writer);
        }
        if has_cordoned_log_dirs {
            tags.begin(writer, 1)?;
            writer.nullable_array(self.cordoned_log_dirs.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct BrokerEndpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
    pub security_protocol: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for BrokerEndpoint {
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
pub struct BrokerFeature {
    pub name: String,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
    pub unknown_tags: UnknownTags,
}

impl Element for BrokerFeature {
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
