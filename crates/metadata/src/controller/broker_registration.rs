//! BrokerRegistration: a broker joins, or says again who it is.
//!
//! The broker epoch is the offset of the registration record. A second broker under the same id is
//! refused while the first one's session lives (KIP-631), unless it holds a log directory of the
//! first, which is silent: a process locks its directories, so the first is no more. A copy of a
//! directory has the same id; its owner is refused as long as the first is heard. One that comes back
//! without proof of a clean stop leaves ISRs and ELRs, because what it had may be lost (KIP-966).

use alloc::format;

use strandline_types::{BrokerEpoch, ErrorCode, NodeId, Uuid};
use strandline_wire::messages::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, RegisterBrokerRecord,
    broker_registration_request::Feature,
    register_broker_record::{BrokerEndpoint, BrokerFeature},
};

use super::context::{Context, Denied, Shift};
use super::heartbeats::Heartbeats;
use crate::image::Broker;
use crate::version::feature;
use crate::{MetadataVersion, Record, Records};

pub(super) fn decide(
    cx: &Context<'_>,
    heartbeats: &mut Heartbeats,
    request: BrokerRegistrationRequest,
    records: &mut Records,
) -> BrokerRegistrationResponse {
    match register(cx, heartbeats, request, records) {
        Ok(epoch) => BrokerRegistrationResponse { broker_epoch: epoch.get(), ..Default::default() },
        Err(denied) => BrokerRegistrationResponse {
            error_code: denied.code,
            broker_epoch: BrokerEpoch::NONE.get(),
            ..Default::default()
        },
    }
}

fn register(
    cx: &Context<'_>,
    heartbeats: &mut Heartbeats,
    request: BrokerRegistrationRequest,
    records: &mut Records,
) -> Result<BrokerEpoch, Denied> {
    let id = NodeId(request.broker_id);
    let existing = cx.image.cluster.broker(id);
    check_cluster(cx, &request)?;
    check_incarnation(cx, heartbeats, existing, &request)?;
    check_directories(cx, &request)?;
    let mut record = RegisterBrokerRecord {
        broker_id: request.broker_id,
        incarnation_id: request.incarnation_id,
        rack: request.rack.clone(),
        end_points: request
            .listeners
            .iter()
            .map(|listener| BrokerEndpoint {
                name: listener.name.clone(),
                host: listener.host.clone(),
                port: listener.port,
                security_protocol: listener.security_protocol,
                ..Default::default()
            })
            .collect(),
        features: checked_features(cx, &request)?,
        ..Default::default()
    };
    if cx.version().records_directories() {
        record.log_dirs = request.log_dirs.clone();
        record.log_dirs.sort_unstable();
    }
    let amended = existing.filter(|broker| broker.incarnation_id() == request.incarnation_id);
    if let Some(broker) = amended {
        record.broker_epoch = broker.epoch().get();
        record.fenced = broker.is_fenced();
        record.in_controlled_shutdown = broker.in_controlled_shutdown();
        record.cordoned_log_dirs = broker.registration().cordoned_log_dirs.clone();
    } else {
        let stopped_cleanly =
            existing.is_none_or(|broker| broker.epoch().get() == request.previous_broker_epoch);
        leave_partitions(cx, id, stopped_cleanly, records);
        record.broker_epoch = cx.next_offset.get();
        record.fenced = true;
        heartbeats.forget(id);
    }
    let epoch = BrokerEpoch(record.broker_epoch);
    heartbeats.register(cx.now.instant, id, epoch, record.fenced);
    records.push(Record::from(record));
    Ok(epoch)
}

fn check_cluster(cx: &Context<'_>, request: &BrokerRegistrationRequest) -> Result<(), Denied> {
    if request.cluster_id != cx.settings.cluster_id {
        let (ours, theirs) = (&cx.settings.cluster_id, &request.cluster_id);
        let text = format!("this is cluster {ours}, not {theirs}");
        return Err(Denied::new(ErrorCode::INCONSISTENT_CLUSTER_ID, text));
    }
    if request.is_migrating_zk_broker {
        let text = "brokers that use ZooKeeper cannot register";
        return Err(Denied::new(ErrorCode::BROKER_ID_NOT_REGISTERED, text));
    }
    // −1 as a leader means that there is none.
    if request.broker_id < 0 {
        let text = format!("{} cannot be the id of a broker", request.broker_id);
        return Err(Denied::new(ErrorCode::INVALID_REGISTRATION, text));
    }
    Ok(())
}

fn check_incarnation(
    cx: &Context<'_>,
    heartbeats: &Heartbeats,
    existing: Option<&Broker>,
    request: &BrokerRegistrationRequest,
) -> Result<(), Denied> {
    let Some(broker) = existing else { return Ok(()) };
    let is_live = heartbeats.has_valid_session(cx.now.instant, broker.id(), broker.epoch());
    let is_another = broker.incarnation_id() != request.incarnation_id;
    let has_ended = request.log_dirs.iter().any(|dir| broker.log_dirs().contains(dir))
        && !heartbeats.is_beating(cx.now.instant, broker.id(), broker.epoch());
    // One that is shutting down may be replaced before its session ends.
    if is_live && is_another && !has_ended && !broker.in_controlled_shutdown() {
        let text = format!("broker {} is alive under another incarnation", broker.id());
        return Err(Denied::new(ErrorCode::DUPLICATE_BROKER_REGISTRATION, text));
    }
    Ok(())
}

fn check_directories(cx: &Context<'_>, request: &BrokerRegistrationRequest) -> Result<(), Denied> {
    if !cx.version().records_directories() {
        return Ok(());
    }
    let invalid = |text| Err(Denied::new(ErrorCode::INVALID_REGISTRATION, text));
    let dirs = &request.log_dirs;
    if dirs.is_empty() {
        return invalid("no log directories are named".into());
    }
    // The first hundred ids mean something else in a partition's list of directories.
    if dirs.iter().any(|dir| u128::from_be_bytes(dir.0) < 100) {
        return invalid("a log directory has a reserved id".into());
    }
    if !super::context::duplicates(dirs.iter().copied()).is_empty() {
        return invalid("a log directory is named twice".into());
    }
    let taken = |dir: &Uuid| {
        let mut others = cx.image.cluster.brokers().filter(|b| b.id().get() != request.broker_id);
        others.find(|other| other.log_dirs().contains(dir))
    };
    match dirs.iter().find_map(|dir| taken(dir).map(|other| (dir, other.id()))) {
        Some((dir, other)) => invalid(format!("broker {other} has log directory {dir}")),
        None => Ok(()),
    }
}

/// The broker's features, if it understands everything the cluster has agreed on.
fn checked_features(
    cx: &Context<'_>,
    request: &BrokerRegistrationRequest,
) -> Result<alloc::vec::Vec<BrokerFeature>, Denied> {
    let mut features: alloc::vec::Vec<BrokerFeature> = request
        .features
        .iter()
        .map(|Feature { name, min_supported_version, max_supported_version, .. }| BrokerFeature {
            name: name.clone(),
            min_supported_version: *min_supported_version,
            max_supported_version: *max_supported_version,
            ..Default::default()
        })
        .collect();
    if !features.iter().any(|f| f.name == feature::METADATA_VERSION) {
        features.push(BrokerFeature {
            name: feature::METADATA_VERSION.into(),
            min_supported_version: MetadataVersion::MINIMUM.0,
            max_supported_version: MetadataVersion::MINIMUM.0,
            ..Default::default()
        });
    }
    for (name, level) in cx.image.features.iter() {
        let range = features.iter().find(|f| f.name == name);
        let (min, max) =
            range.map_or((0, 0), |f| (f.min_supported_version, f.max_supported_version));
        if level < min || level > max {
            let text = format!(
                "the cluster is at level {level} of {name}, the broker understands {min} to {max}"
            );
            return Err(Denied::new(ErrorCode::UNSUPPORTED_VERSION, text));
        }
    }
    Ok(features)
}

/// What the previous incarnation was to the partitions, the new one is not.
fn leave_partitions(cx: &Context<'_>, id: NodeId, stopped_cleanly: bool, records: &mut Records) {
    if cx.image.features.elr_enabled() && !stopped_cleanly {
        let shift = Shift { lost: Some(id), ..Shift::default() };
        cx.shift_partitions(shift, |p| p.isr.contains(&id) || p.elr.contains(&id), records);
    } else {
        let shift = Shift { leaving: Some(id), ..Shift::default() };
        cx.shift_partitions(shift, |p| p.isr.contains(&id), records);
    }
}
