//! The first records of a new cluster, and the cleaning up after a bootstrap that was cut short.

use alloc::collections::BTreeMap;

use strandline_wire::messages::{
    AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord,
};

use super::context::Context;
use super::update_features::{begin_elr, level_record};
use crate::version::feature;
use crate::{Record, Records};

/// What the format step leaves for the first active controller: one record per feature above
/// level 0, `metadata.version` first.
pub fn feature_records(levels: &BTreeMap<&str, i16>) -> Records {
    let first = levels.get_key_value(feature::METADATA_VERSION).into_iter();
    let others = levels.iter().filter(|(name, _)| **name != feature::METADATA_VERSION);
    let all = first.chain(others).filter(|(_, level)| **level > 0);
    all.map(|(name, level)| level_record(name, *level)).collect()
}

/// What a controller writes first when it becomes active. The new cluster's records form one
/// transaction: no broker may see half of them.
pub(super) fn decide(cx: &Context<'_>, records: &mut Records) {
    if cx.image.in_transaction() {
        records.push(Record::from(AbortTransactionRecord {
            reason: Some("the controller that began it is gone".into()),
            ..Default::default()
        }));
    }
    if cx.image.features.has_metadata_version() {
        return;
    }
    let levels = cx.settings.bootstrap.iter().filter_map(|record| match record {
        Record::FeatureLevel(level) => Some((level.name.as_str(), level.feature_level)),
        _ => None,
    });
    let levels: BTreeMap<&str, i16> = levels.collect();
    let level = |name: &str| levels.get(name).copied().unwrap_or(0);
    let version = crate::MetadataVersion(level(feature::METADATA_VERSION));
    if version.supports_transactions() {
        records.push(Record::from(BeginTransactionRecord {
            name: Some("Bootstrap records".into()),
            ..Default::default()
        }));
    }
    records.extend(cx.settings.bootstrap.iter().cloned());
    if level(feature::ELR_VERSION) > 0 {
        begin_elr(cx, records);
    }
    if version.supports_transactions() {
        records.push(Record::from(EndTransactionRecord::default()));
    }
}
