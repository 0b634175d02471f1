// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionChangeRecord {
    pub partition_id: i32,
    pub topic_id: Uuid,
    /// Tag 0.
    pub isr: Option<Vec<i32>>,
    /// Tag 1.
    pub leader: i32,
    /// Tag 2.
    pub replicas: Option<Vec<i32>>,
    /// Tag 3.
    pub removing_replicas: Option<Vec<i32>>,
    /// Tag 4.
    pub adding_replicas: Option<Vec<i32>>,
    /// Tag 5.
    pub leader_recovery_state: i8,
    /// Versions 1+. Tag 8.
    pub directories: Option<Vec<Uuid>>,
    /// Versions 2+. Tag 6.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Versions 2+. Tag 7.
    pub last_known_elr: Option<Vec<i32>>,
    pub unknown_tags: UnknownTags,
}

impl Default for PartitionChangeRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: Uuid::ZERO,
            isr: None,
            leader: -2,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for PartitionChangeRecord {
    const NAME: &'static str = "PartitionChangeRecord";
    const VERSIONS: VersionRange = VersionRange { min: 0, max: 2 };

    fn flexible(_version: i16) -> bool {
        true
    }

    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        let flexible = Self::flexible(version);
        let mut this = Self {
            partition_id: reader.i32()?,
            topic_id: reader.uuid()?,
            isr: None,
            leader: -2,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.isr = reader.nullable_array(version, flexible)?,
                1 => this.leader = reader.i32()?,
                2 => this.replicas = reader.nullable_array(version, flexible)?,
                3 => this.removing_replicas = reader.nullable_array(version, flexible)?,
                4 => this.adding_replicas = reader.nullable_array(version, flexible)?,
                5 => this.leader_recovery_state = reader.i8()?,
                6 if version >= 2 => {
                    this.eligible_leader_replicas = reader.nullable_array(version, flexible)?
                }
                7 if version >= 2 => {
                    this.last_known_elr = reader.nullable_array(version, flexible)?
                }
                8 if version >= 1 => this.directories = reader.nullable_array(version, flexible)?,
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
        writer.i32(self.partition_id);
        writer.uuid(self.topic_id);
        if version < 2 && self.eligible_leader_replicas.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "PartitionChangeRecord",
                field: "eligible_leader_replicas",
                version,
            });
        }
        if version < 2 && self.last_known_elr.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "PartitionChangeRecord",
                field: "last_known_elr",
                version,
            });
        }
        if version < 1 && self.directories.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "PartitionChangeRecord",
                field: "directories",
                version,
            });
        }
        let has_isr = self.isr.is_some();
        let has_leader = self.leader != -2;
        let has_replicas = self.replicas.is_some();
        let has_removing_replicas = self.removing_replicas.is_some();
        let has_adding_replicas = self.adding_replicas.is_some();
        let has_leader_recovery_state = self.leader_recovery_state != -1;
        let has_eligible_leader_replicas = version >= 2 && self.eligible_leader_replicas.is_some();
        let has_last_known_elr = version >= 2 && self.last_known_elr.is_some();
        let has_directories = version >= 1 && self.directories.is_some();
        let mut tags = writer.tags(
            u32::from(has_isr)
                + u32::from(has_leader)
                + u32::from(has_replicas)
                + u32::from(has_removing_replicas)
                + u32::from(has_adding_replicas)
                + u32::from(has_leader_recovery_state)
                + u32::from(has_eligible_leader_replicas)
                + u32::from(has_last_known_elr)
                + u32::from(has_directories),
            &self.unknown_tags,
        );
        if has_isr {
            tags.begin(writer, 0)?;
            writer.nullable_array(self.isr.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_leader {
            tags.begin(writer, 1)?;
            writer.i32(self.leader);
            tags.end(writer);
        }
        if has_replicas {
            tags.begin(writer, 2)?;
            writer.nullable_array(self.replicas.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_removing_replicas {
            tags.begin(writer, 3)?;
            writer.nullable_array(self.removing_replicas.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_adding_replicas {
            tags.begin(writer, 4)?;
            writer.nullable_array(self.adding_replicas.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_leader_recovery_state {
            tags.begin(writer, 5)?;
            writer.i8(self.leader_recovery_state);
            tags.end(writer);
        }
        if has_eligible_leader_replicas {
            tags.begin(writer, 6)?;
            writer.nullable_array(self.eligible_leader_replicas.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_last_known_elr {
            tags.begin(writer, 7)?;
            writer.nullable_array(self.last_known_elr.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_directories {
            tags.begin(writer, 8)?;
            writer.nullable_array(self.directories.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}
