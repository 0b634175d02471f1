// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{ApiKey, Element, Message, Request, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 4–18, flexible 12+.
#[derive(Clone, PartialEq, Debug)]
pub struct FetchRequest {
    /// Versions 12+. Tag 0.
    pub cluster_id: Option<String>,
    /// Versions 4–14.
    pub replica_id: i32,
    /// Versions 15+. Tag 1.
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    /// Versions 7+.
    pub session_id: i32,
    /// Versions 7+.
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    /// Versions 7+.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// Versions 11+.
    pub rack_id: String,
    pub unknown_tags: UnknownTags,
}

impl Default for FetchRequest {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 2147483647,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: String::new(),
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for FetchRequest {
    const NAME: &'static str = "FetchRequest";
    const VERSIONS: VersionRange = VersionRange { min: 4, max: 18 };

    fn flexible(version: i16) -> bool {
        version >= 12
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            cluster_id: None,
            replica_id: if version <= 14 { reader.i32()? } else { -1 },
            replica_state: ReplicaState::default(),
            max_wait_ms: reader.i32()?,
            min_bytes: reader.i32()?,
            max_bytes: reader.i32()?,
            isolation_level: reader.i8()?,
            session_id: if version >= 7 { reader.i32()? } else { 0 },
            session_epoch: if version >= 7 { reader.i32()? } else { -1 },
            topics: reader.array(version, flexible)?,
            forgotten_topics_data: if version >= 7 {
                reader.array(version, flexible)?
            } else {
                Vec::new()
            },
            rack_id: if version >= 11 { reader.string(flexible)? } else { String::new() },
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 12 => this.cluster_id = reader.nullable_string(flexible)?,
                    1 if version >= 15 => {
                        this.replica_state = ReplicaState::read(reader, version, flexible)?
                    }
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        if version <= 14 {
            writer.i32(self.replica_id);
        } else if self.replica_id != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchRequest",
                field: "replica_id",
                version,
            });
        }
        writer.i32(self.max_wait_ms);
        writer.i32(self.min_bytes);
        writer.i32(self.max_bytes);
        writer.i8(self.isolation_level);
        if version >= 7 {
            writer.i32(self.session_id);
        }
        if version >= 7 {
            writer.i32(self.session_epoch);
        }
        writer.array(&self.topics, version, flexible)?;
        if version >= 7 {
            writer.array(&self.forgotten_topics_data, version, flexible)?;
        } else if !self.forgotten_topics_data.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchRequest",
                field: "forgotten_topics_data",
                version,
            });
        }
        if version >= 11 {
            writer.string(&self.rack_id, flexible)?;
        }
        if version < 15 && self.replica_state != ReplicaState::default() {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchRequest",
                field: "replica_state",
                version,
            });
        }
        if flexible {
            let has_cluster_id = version >= 12 && self.cluster_id.is_some();
            let has_replica_state = version >= 15 && self.replica_state != ReplicaState::default();
            let mut tags = writer
                .tags(u32::from(has_cluster_id) + u32::from(has_replica_state), &self.unknown_tags);
            if has_cluster_id {
                tags.begin(writer, 0)?;
                writer.nullable_string(self.cluster_id.as_deref(), flexible)?;
                tags.end(writer);
            }
            if has_replica_state {
                tags.begin(writer, 1)?;
                self.replica_state.write(writer, version, flexible)?;
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 15+.
#[derive(Clone, PartialEq, Debug)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_epoch: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1, unknown_tags: UnknownTags::default() }
    }
}

impl Element for ReplicaState {
    fn min_size(_version: i16, _: bool) -> usize {
        13
    }

    fn read(reader: &mut Reader<'_>, _version: i16, _flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            replica_id: reader.i32()?,
            replica_epoch: reader.i64()?,
            unknown_tags: reader.unknown_tags()?,
        })
    }

    fn write(
        &self,
        writer: &mut Writer,
        _version: i16,
        _flexible: bool,
    ) -> Result<(), EncodeError> {
        writer.i32(self.replica_id);
        writer.i64(self.replica_epoch);
        writer.unknown_tags(&self.unknown_tags)?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct FetchTopic {
    /// Versions 4–12.
    pub topic: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
    pub unknown_tags: UnknownTags,
}

impl Element for FetchTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=11 => 6,
            12 => 3,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic: if version <= 12 { reader.string(flexible)? } else { String::new() },
            topic_id: if version >= 13 { reader.uuid()? } else { Uuid::ZERO },
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version <= 12 {
            writer.string(&self.topic, flexible)?;
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct FetchPartition {
    pub partition: i32,
    /// Versions 9+.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// Versions 12+.
    pub last_fetched_epoch: i32,
    /// Versions 5+.
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    /// Versions 17+. Tag 0.
    pub replica_directory_id: Uuid,
    /// Versions 18+. Tag 1.
    pub high_watermark: i64,
    pub unknown_tags: UnknownTags,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: Uuid::ZERO,
            high_watermark: 9223372036854775807,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Element for FetchPartition {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=4 => 16,
            5..=8 => 24,
            9..=11 => 28,
            _ => 33,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        let mut this = Self {
            partition: reader.i32()?,
            current_leader_epoch: if version >= 9 { reader.i32()? } else { -1 },
            fetch_offset: reader.i64()?,
            last_fetched_epoch: if version >= 12 { reader.i32()? } else { -1 },
            log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
            partition_max_bytes: reader.i32()?,
            replica_directory_id: Uuid::ZERO,
            high_watermark: 9223372036854775807,
            unknown_tags: UnknownTags::default(),
        };
        if flexible {
            let mut tags = reader.tags()?;
            while let Some(tag) = reader.next_tag(&mut tags)? {
                match tag {
                    0 if version >= 17 => this.replica_directory_id = reader.uuid()?,
                    1 if version >= 18 => this.high_watermark = reader.i64()?,
                    _ => reader.keep_tag(&mut this.unknown_tags, tag)?,
                }
            }
        }
        Ok(this)
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        writer.i32(self.partition);
        if version >= 9 {
            writer.i32(self.current_leader_epoch);
        }
        writer.i64(self.fetch_offset);
        if version >= 12 {
            writer.i32(self.last_fetched_epoch);
        } else if self.last_fetched_epoch != -1 {
            return Err(EncodeError::FieldNotInVersion {
                message: "FetchRequest",
                field: "last_fetched_epoch",
                version,
            });
        }
        if version >= 5 {
            writer.i64(self.log_start_offset);
        }
        writer.i32(self.partition_max_bytes);
        if flexible {
            let has_replica_directory_id = version >= 17 && self.replica_directory_id != Uuid::ZERO;
            let has_high_watermark = version >= 18 && self.high_watermark != 9223372036854775807;
            let mut tags = writer.tags(
                u32::from(has_replica_directory_id) + u32::from(has_high_watermark),
                &self.unknown_tags,
            );
            if has_replica_directory_id {
                tags.begin(writer, 0)?;
                writer.uuid(self.replica_directory_id);
                tags.end(writer);
            }
            if has_high_watermark {
                tags.begin(writer, 1)?;
                writer.i64(self.high_watermark);
                tags.end(writer);
            }
            tags.finish(writer);
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

/// Versions 7+.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ForgottenTopic {
    /// Versions 7–12.
    pub topic: String,
    /// Versions 13+.
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
    pub unknown_tags: UnknownTags,
}

impl Element for ForgottenTopic {
    fn min_size(version: i16, _: bool) -> usize {
        match version {
            ..=11 => 6,
            12 => 3,
            _ => 18,
        }
    }

    fn read(reader: &mut Reader<'_>, version: i16, flexible: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            topic: if version <= 12 { reader.string(flexible)? } else { String::new() },
            topic_id: if version >= 13 { reader.uuid()? } else { Uuid::ZERO },
            partitions: reader.array(version, flexible)?,
            unknown_tags: if flexible { reader.unknown_tags()? } else { UnknownTags::default() },
        })
    }

    fn write(&self, writer: &mut Writer, version: i16, flexible: bool) -> Result<(), EncodeError> {
        if version <= 12 {
            writer.string(&self.topic, flexible)?;
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions, version, flexible)?;
        if flexible {
            writer.unknown_tags(&self.unknown_tags)?;
        } else if !self.unknown_tags.is_empty() {
            return Err(EncodeError::TagsNotInVersion);
        }
        Ok(())
    }
}

impl Request for FetchRequest {
    type Response = super::FetchResponse;
    const KEY: ApiKey = ApiKey::Fetch;
}
