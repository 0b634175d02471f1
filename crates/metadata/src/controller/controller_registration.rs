//! ControllerRegistration: a controller says where it listens and what it understands (KIP-919).

use strandline_types::ErrorCode;
use strandline_wire::messages::{
    ControllerRegistrationRequest, ControllerRegistrationResponse, RegisterControllerRecord,
    register_controller_record::{ControllerEndpoint, ControllerFeature},
};

use super::context::Context;
use crate::{Record, Records};

pub(super) fn decide(
    cx: &Context<'_>,
    request: ControllerRegistrationRequest,
    records: &mut Records,
) -> ControllerRegistrationResponse {
    if !cx.version().supports_controller_registration() {
        return ControllerRegistrationResponse {
            error_code: ErrorCode::UNSUPPORTED_VERSION,
            error_message: Some("the cluster's metadata.version is too old for this".into()),
            ..Default::default()
        };
    }
    let endpoints = request.listeners.into_iter().map(|listener| ControllerEndpoint {
        name: listener.name,
        host: listener.host,
        port: listener.port,
        security_protocol: listener.security_protocol,
        ..Default::default()
    });
    let features = request.features.into_iter().map(|feature| ControllerFeature {
        name: feature.name,
        min_supported_version: feature.min_supported_version,
        max_supported_version: feature.max_supported_version,
        ..Default::default()
    });
    records.push(Record::from(RegisterControllerRecord {
        controller_id: request.controller_id,
        incarnation_id: request.incarnation_id,
        zk_migration_ready: request.zk_migration_ready,
        end_points: endpoints.collect(),
        features: features.collect(),
        ..Default::default()
    }));
    ControllerRegistrationResponse { error_message: None, ..Default::default() }
}
