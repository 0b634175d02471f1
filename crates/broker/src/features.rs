//! Which features, at which levels, this version serves. A directory whose finalized levels lie
//! outside is refused at start: a broker must honestly support every finalized feature.

use strandline_metadata::{FeatureRange, MetadataVersion, feature};

pub(crate) const SUPPORTED: &[FeatureRange] = &[
    FeatureRange::new(
        feature::METADATA_VERSION,
        MetadataVersion::MINIMUM.0,
        MetadataVersion::LATEST.0,
    ),
    FeatureRange::new(feature::KRAFT_VERSION, 0, 1),
    FeatureRange::new(feature::TRANSACTION_VERSION, 0, 2),
    FeatureRange::new(feature::GROUP_VERSION, 0, 0),
    FeatureRange::new(feature::ELR_VERSION, 0, 1),
    FeatureRange::new(feature::SHARE_VERSION, 0, 0),
    FeatureRange::new(feature::STREAMS_VERSION, 0, 0),
];

/// The levels of a cluster that this version formats, `metadata.version` first.
pub(crate) const NEW_CLUSTER: &[(&str, i16)] =
    &[(feature::METADATA_VERSION, MetadataVersion::LATEST.0), (feature::ELR_VERSION, 1)];
