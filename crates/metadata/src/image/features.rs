//! Which features the cluster has agreed on, and at which level.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use strandline_wire::messages::FeatureLevelRecord;

use crate::{MetadataVersion, Record, Records, version::feature};

/// Finalized levels. A feature that is not named is at level 0. `kraft.version` lives in control
/// records of the quorum and is not here.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Features {
    levels: BTreeMap<String, FeatureLevelRecord>,
}

impl Features {
    /// [`MetadataVersion::MINIMUM`] until the log says otherwise.
    pub fn metadata_version(&self) -> MetadataVersion {
        match self.level(feature::METADATA_VERSION) {
            0 => MetadataVersion::MINIMUM,
            level => MetadataVersion(level),
        }
    }

    /// Whether the log has named a `metadata.version`: an empty log has not.
    pub fn has_metadata_version(&self) -> bool {
        self.levels.contains_key(feature::METADATA_VERSION)
    }

    /// The finalized level, 0 for a feature that is off.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).map_or(0, |record| record.feature_level)
    }

    pub fn elr_enabled(&self) -> bool {
        self.level(feature::ELR_VERSION) > 0
    }

    /// Names and levels, ascending by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        self.levels.iter().map(|(name, record)| (name.as_str(), record.feature_level))
    }

    pub(super) fn apply(&mut self, record: FeatureLevelRecord) -> Result<(), String> {
        if record.feature_level < 0 {
            return Err(format!("{} at level {}", record.name, record.feature_level));
        }
        if record.name == feature::METADATA_VERSION
            && !MetadataVersion(record.feature_level).is_known()
        {
            return Err(format!(
                "metadata.version {} is outside {} to {}, which this version supports",
                record.feature_level,
                MetadataVersion::MINIMUM.0,
                MetadataVersion::LATEST.0,
            ));
        }
        if record.feature_level == 0 {
            self.levels.remove(&record.name);
        } else {
            self.levels.insert(record.name.clone(), record);
        }
        Ok(())
    }

    /// `metadata.version` first: it decides how the rest is read.
    pub(super) fn snapshot(&self, records: &mut Records) {
        let first = self.levels.get(feature::METADATA_VERSION).into_iter();
        let others = self.levels.iter().filter(|(name, _)| *name != feature::METADATA_VERSION);
        records.extend(first.chain(others.map(|(_, r)| r)).cloned().map(Record::from));
    }
}
