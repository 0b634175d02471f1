//! The features that ApiVersions tells of.

use alloc::vec::Vec;

use strandline_wire::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};

use crate::version::feature;
use crate::{FeatureRange, Image};

/// Versions of the request below 4 cannot say that a feature's lowest level is 0: such features are
/// left out there.
pub fn supported_features(
    ranges: &[FeatureRange],
    request_version: i16,
) -> Vec<SupportedFeatureKey> {
    let sayable = ranges.iter().filter(|range| request_version >= 4 || range.min > 0);
    let keys = sayable.map(|range| SupportedFeatureKey {
        name: range.name.into(),
        min_version: range.min,
        max_version: range.max,
        ..Default::default()
    });
    keys.collect()
}

/// What the cluster has agreed on, and the offset of the image that says so (the epoch that clients
/// compare, −1 before there is one).
pub fn finalized_features(image: &Image, kraft_version: i16) -> (i64, Vec<FinalizedFeatureKey>) {
    let key = |name: &str, level: i16| FinalizedFeatureKey {
        name: name.into(),
        max_version_level: level,
        min_version_level: level,
        ..Default::default()
    };
    let mut keys: Vec<_> = image.features.iter().map(|(name, level)| key(name, level)).collect();
    if kraft_version > 0 {
        keys.push(key(feature::KRAFT_VERSION, kraft_version));
    }
    (image.offset.map_or(-1, |offset| offset.get()), keys)
}
