// Written by `cargo xtask codegen` from crates/wire/tables. Change those.
use strandline_types::Uuid;

use crate::messages::{Message, UnknownTags, VersionRange};
use crate::{DecodeError, EncodeError, Reader, Writer};

/// Versions 0–2, flexible 0+.
#[derive(Clone, PartialEq, Debug)]
pub struct PartitionRecord {
    pub partition_id: i32,
    pub topic_id: Uuid,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub leader: i32,
    /// Tag 0.
    pub leader_recovery_state: i8,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// Versions 1+.
    pub directories: Vec<Uuid>,
    /// Versions 2+. Tag 1.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// Versions 2+. Tag 2.
    pub last_known_elr: Option<Vec<i32>>,
    pub unknown_tags: UnknownTags,
}

impl Default for PartitionRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: Uuid::ZERO,
            replicas: Vec::new(),
            isr: Vec::new(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: -1,
            leader_recovery_state: 0,
            leader_epoch: -1,
            partition_epoch: -1,
            directories: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tags: UnknownTags::default(),
        }
    }
}

impl Message for PartitionRecord {
    const NAME: &'static str = "PartitionRecord";
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
            replicas: reader.array(version, flexible)?,
            isr: reader.array(version, flexible)?,
            removing_replicas: reader.array(version, flexible)?,
            adding_replicas: reader.array(version, flexible)?,
            leader: reader.i32()?,
            leader_recovery_state: 0,
            leader_epoch: reader.i32()?,
            partition_epoch: reader.i32()?,
            directories: if version >= 1 { reader.array(version, flexible)? } else { Vec::new() },
            eligible_leader_replicas: None,
            last_known_elr: None,
            unknown_tags: UnknownTags::default(),
        };
        let mut tags = reader.tags()?;
        while let Some(tag) = reader.next_tag(&mut tags)? {
            match tag {
                0 => this.leader_recovery_state = reader.i8()?,
                1 if version >= 2 => {
                    this.eligible_leader_replicas = reader.nullable_array(version, flexible)?
                }
                2 if version >= 2 => {
                    this.last_known_elr = reader.nullable_array(version, flexible)?
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
        writer.i32(self.partition_id);
        writer.uuid(self.topic_id);
        writer.array(&self.replicas, version, flexible)?;
        writer.array(&self.isr, version, flexible)?;
        writer.array(&self.removing_replicas, version, flexible)?;
        writer.array(&self.adding_replicas, version, flexible)?;
        writer.i32(self.leader);
        writer.i32(self.leader_epoch);
        writer.i32(self.partition_epoch);
        if version >= 1 {
            writer.array(&self.directories, version, flexible)?;
        } else if !self.directories.is_empty() {
            return Err(EncodeError::FieldNotInVersion {
                message: "PartitionRecord",
                field: "directories",
                version,
            });
        }
        if version < 2 && self.eligible_leader_replicas.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "PartitionRecord",
                field: "eligible_leader_replicas",
                version,
            });
        }
        if version < 2 && self.last_known_elr.is_some() {
            return Err(EncodeError::FieldNotInVersion {
                message: "PartitionRecord",
                field: "last_known_elr",
                version,
            });
        }
        let has_leader_recovery_state = self.leader_recovery_state != 0;
        let has_eligible_leader_replicas = version >= 2 && self.eligible_leader_replicas.is_some();
        let has_last_known_elr = version >= 2 && self.last_known_elr.is_some();
        let mut tags = writer.tags(
            u32::from(has_leader_recovery_state)
                + u32::from(has_eligible_leader_replicas)
                + u32::from(has_last_known_elr),
            &self.unknown_tags,
        );
        if has_leader_recovery_state {
            tags.begin(writer, 0)?;
            writer.i8(self.leader_recovery_state);
            tags.end(writer);
        }
        if has_eligible_leader_replicas {
            tags.begin(writer, 1)?;
            writer.nullable_array(self.eligible_leader_replicas.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        if has_last_known_elr {
            tags.begin(writer, 2)?;
            writer.nullable_array(self.last_known_elr.as_deref(), version, flexible)?;
            tags.end(writer);
        }
        tags.finish(writer);
        Ok(())
    }
}
