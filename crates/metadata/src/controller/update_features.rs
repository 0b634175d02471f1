//! UpdateFeatures: the cluster agrees on another level of a feature, if every node understands it.
//! All of a request's features change, or none.

use alloc::format;
use alloc::string::String;

use strandline_types::ErrorCode;
use strandline_wire::messages::{
    ClearElrRecord, ConfigRecord, FeatureLevelRecord, UpdateFeaturesRequest,
    UpdateFeaturesResponse, update_features_request::FeatureUpdateKey,
    update_features_response::UpdatableFeatureResult,
};

use super::context::{Context, Denied, duplicates};
use crate::image::ResourceType;
use crate::version::feature;
use crate::{MetadataVersion, Record, Records};

#[derive(Clone, Copy, PartialEq, Eq)]
enum UpgradeType {
    Upgrade,
    SafeDowngrade,
    UnsafeDowngrade,
}

impl UpgradeType {
    /// Version 0 of the request has a flag instead.
    fn of(update: &FeatureUpdateKey) -> Option<Self> {
        match update.upgrade_type {
            1 if update.allow_downgrade => Some(Self::SafeDowngrade),
            1 => Some(Self::Upgrade),
            2 => Some(Self::SafeDowngrade),
            3 => Some(Self::UnsafeDowngrade),
            _ => None,
        }
    }
}

pub(super) fn decide(
    cx: &Context<'_>,
    request: UpdateFeaturesRequest,
    records: &mut Records,
) -> UpdateFeaturesResponse {
    match update_all(cx, &request) {
        Ok(mut updated) => {
            if !request.validate_only {
                records.append(&mut updated);
            }
            let results =
                request.feature_updates.into_iter().map(|update| UpdatableFeatureResult {
                    feature: update.feature,
                    error_message: None,
                    ..Default::default()
                });
            UpdateFeaturesResponse {
                results: results.collect(),
                error_message: None,
                ..Default::default()
            }
        }
        Err(denied) => UpdateFeaturesResponse {
            error_code: denied.code,
            error_message: denied.message,
            ..Default::default()
        },
    }
}

fn update_all(cx: &Context<'_>, request: &UpdateFeaturesRequest) -> Result<Records, Denied> {
    let names = request.feature_updates.iter().map(|update| update.feature.as_str());
    if let Some(name) = duplicates(names).first() {
        let text = format!("feature {name} is named twice");
        return Err(Denied::new(ErrorCode::INVALID_REQUEST, text));
    }
    let mut records = Records::new();
    for update in &request.feature_updates {
        update_one(cx, update, &mut records).map_err(|why| {
            let text = format!("no feature was changed: {why}");
            Denied::new(ErrorCode::INVALID_UPDATE_VERSION, text)
        })?;
    }
    Ok(records)
}

fn update_one(
    cx: &Context<'_>,
    update: &FeatureUpdateKey,
    records: &mut Records,
) -> Result<(), String> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    let deny = |why: String| Err(format!("{name} cannot go to level {level}: {why}"));
    let Some(upgrade_type) = UpgradeType::of(update) else {
        return deny("the upgrade type is none of 1 to 3".into());
    };
    if level < 0 {
        return deny("levels begin at 0".into());
    }
    if let Some(why) = not_supported(cx, name, level) {
        return deny(why);
    }
    let present = match name {
        feature::METADATA_VERSION => cx.version().0,
        feature::KRAFT_VERSION => cx.kraft_version,
        _ => cx.image.features.level(name),
    };
    if level < present && upgrade_type == UpgradeType::Upgrade {
        return deny(format!("it is at level {present}, and no downgrade was asked for"));
    }
    if level > present && upgrade_type != UpgradeType::Upgrade {
        return deny(format!("it is at level {present}, and a downgrade was asked for"));
    }
    match name {
        // Its level stands in the quorum's own records, not among these.
        feature::KRAFT_VERSION if level < present => {
            deny(format!("it never goes back from level {present}"))
        }
        feature::KRAFT_VERSION if level > present => {
            deny("the voters of this quorum are static".into())
        }
        feature::KRAFT_VERSION => Ok(()),
        feature::METADATA_VERSION => update_metadata_version(cx, level, upgrade_type, records),
        _ => {
            records.push(level_record(name, level));
            if name == feature::ELR_VERSION && level > 0 && present == 0 {
                begin_elr(cx, records);
            }
            Ok(())
        }
    }
}

pub(super) fn level_record(name: &str, level: i16) -> Record {
    Record::from(FeatureLevelRecord {
        name: name.into(),
        feature_level: level,
        ..Default::default()
    })
}

fn update_metadata_version(
    cx: &Context<'_>,
    level: i16,
    upgrade_type: UpgradeType,
    records: &mut Records,
) -> Result<(), String> {
    let present = cx.version();
    let wanted = MetadataVersion(level);
    if wanted < present && present.has_records_unknown_to(wanted) {
        let why = match upgrade_type {
            UpgradeType::UnsafeDowngrade => "records cannot be dropped to allow it",
            _ => "there may be records that only the later level knows",
        };
        return Err(format!("metadata.version cannot go from {} to {level}: {why}", present.0));
    }
    records.push(level_record(feature::METADATA_VERSION, level));
    Ok(())
}

/// Eligibility needs one minimum ISR that everybody knows: the default becomes a record, and
/// whatever brokers had of their own goes.
pub(super) fn begin_elr(cx: &Context<'_>, records: &mut Records) {
    const KEY: &str = "min.insync.replicas";
    let setting = |name: &str, value: Option<String>| {
        Record::from(ConfigRecord {
            resource_type: ResourceType::BROKER.0,
            resource_name: name.into(),
            name: KEY.into(),
            value,
            ..Default::default()
        })
    };
    let set = |name: &str| {
        let mut resources = cx.image.configs.resources();
        resources.any(|(resource, settings)| {
            resource.resource_type == ResourceType::BROKER
                && resource.name == name
                && settings.get(KEY).is_some()
        })
    };
    if !set("") {
        let own = cx.settings.config.layers.fixed.get(KEY).cloned();
        records.push(setting("", Some(own.unwrap_or_else(|| "1".into()))));
    }
    for (resource, settings) in cx.image.configs.resources() {
        let is_broker = resource.resource_type == ResourceType::BROKER && !resource.name.is_empty();
        if is_broker && settings.get(KEY).is_some() {
            records.push(setting(&resource.name, None));
        }
    }
    if !cx.image.topics.is_empty() {
        records.push(Record::from(ClearElrRecord::default()));
    }
}

/// Which node does not understand the level, and what it does understand.
fn not_supported(cx: &Context<'_>, name: &str, level: i16) -> Option<String> {
    let only = |who: String, min: i16, max: i16| match (min, max) {
        (0, 0) => format!("{who} does not know it"),
        _ => format!("{who} knows levels {min} to {max}"),
    };
    let local = cx.settings.supported_features.iter().find(|range| range.name == name);
    let (min, max) = local.map_or((0, 0), |range| (range.min, range.max));
    if level < min || level > max || local.is_none() {
        return Some(only(format!("this controller ({})", cx.settings.config.node_id), min, max));
    }
    for broker in cx.image.cluster.brokers() {
        let (min, max) = broker.feature_range(name);
        if level < min || level > max {
            return Some(only(format!("broker {}", broker.id()), min, max));
        }
    }
    let others = cx.image.cluster.controllers();
    for controller in others.filter(|c| c.controller_id != cx.settings.config.node_id.get()) {
        let range = controller.features.iter().find(|f| f.name == name);
        let (min, max) =
            range.map_or((0, 0), |f| (f.min_supported_version, f.max_supported_version));
        if level < min || level > max {
            return Some(only(format!("controller {}", controller.controller_id), min, max));
        }
    }
    None
}
