// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use bytes::Bytes;
use strandline_types::Uuid;

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0, flexible 0+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PushTelemetryRequest {
    pub client_instance_id: Uuid,
    pub subscription_id: i32,
    pub terminating: bool,
    pub compression_type: i8,
    pub metrics: Bytes,
    pub unknown_tags: UnknownTags,
}

impl Message for PushTelemetryRequest {
    const NAME: &'static str = "PushTelemetryRequest";
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
            client_instance_id: reader.uuid()?,
            subscription_id: reader.i32()?,
            terminating: reader.bool()?,
            compression_type: reader.i8()?,
            metrics: reader.bytes(flexible)?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        writer.uuid(self.client_instance_id);
        writer.i32(self.subscription_id);
        writer.bool(self.terminating);
        writer.i8(self.compression_type);
        writer.bytes(&self.metrics, flexible)?;
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for PushTelemetryRequest {
    type Response = super::PushTelemetryResponse;
    const KEY: ApiKey = ApiKey::PushTelemetry;
}
