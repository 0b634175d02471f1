//! Finalized features: a node must support every level that its metadata finalizes.

use std::collections::BTreeMap;

use bytes::Bytes;
use strandline_metadata::{FeatureRange, Record};

/// The type of FeatureLevelRecord behind frame version 1.
const FEATURE_LEVEL_FRAME: [u8; 2] = [1, 12];

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{name} is finalized at level {level}, and this version supports {supported}")]
pub(crate) struct UnsupportedFeature {
    pub(crate) name: String,
    pub(crate) level: i16,
    pub(crate) supported: String,
}

/// The levels that records finalize, the later ones over the earlier ones.
#[derive(Default)]
pub(super) struct FinalizedFeatures(BTreeMap<String, i16>);

impl FinalizedFeatures {
    pub(super) fn read<'a>(&mut self, values: impl IntoIterator<Item = &'a Bytes>) {
        for value in values {
            if value.starts_with(&FEATURE_LEVEL_FRAME)
                && let Ok(Record::FeatureLevel(record)) = Record::decode(value)
            {
                self.0.insert(record.name, record.feature_level);
            }
        }
    }

    pub(super) fn check(&self, supported: &[FeatureRange]) -> Result<(), UnsupportedFeature> {
        let mut levels = self.0.iter().map(|(name, level)| (name.as_str(), *level));
        levels.find_map(|level| unsupported(level, supported)).map_or(Ok(()), Err)
    }
}

/// What is wrong with one finalized level, if anything.
pub(crate) fn unsupported(
    (name, level): (&str, i16),
    supported: &[FeatureRange],
) -> Option<UnsupportedFeature> {
    let range = supported.iter().find(|range| range.name == name);
    // Level 0 says that the feature is off.
    if level == 0 || range.is_some_and(|range| range.contains(level)) {
        return None;
    }
    let supported = match range {
        Some(range) if range.max == 0 => "only level 0".into(),
        Some(range) => format!("levels {} to {}", range.min, range.max),
        None => "no level of it".into(),
    };
    Some(UnsupportedFeature { name: name.to_owned(), level, supported })
}
