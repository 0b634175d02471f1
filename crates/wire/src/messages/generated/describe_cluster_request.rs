// Written by `cargo xtask codegen` from crates/wire/tables. Change those.

use crate::messages::{ApiKey, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    /// Versions 1+.
    pub endpoint_type: i8,
    /// Versions 2+.
    pub include_fenced_brokers: bool,
    pub unknown_tags: UnknownTags,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: false,
            endpoint_type: 1,
            include_fenced_brokers: false,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for DescribeClusterRequest {
    const NAME: &'static str = "DescribeClusterRequest";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Ok(Self {
            include_cluster_authorized_operations: reader.bool()?,
            endpoint_type: if version >= 1 { reader.i8()? } else { 1 },
            include_fenced_brokers: if version >= 2 { reader.bool()? } else { false },
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        writer.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            writer.i8(self.endpoint_type);
        } else if self.endpoint_type != 1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeClusterRequest",
                field: "endpoint_type",
                version,
            });
        }
        if version >= 2 {
            writer.bool(self.include_fenced_brokers);
        } else if self.include_fenced_brokers {
            return Err(EncodeError::FieldNotInVersion {
                message: "DescribeClusterRequest",
                field: "include_fenced_brokers",
                version,
            });
        }
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

impl Request for DescribeClusterRequest {
    type Response = super::DescribeClusterResponse;
    const KEY: ApiKey = ApiKey::DescribeCluster;
}
