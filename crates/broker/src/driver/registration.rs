//! Makes this node's controller known to the others (KIP-919): where it is reached, and which
//! features it supports.

use strandline_wire::messages::{
    ControllerRegistrationRequest, ControllerRegistrationResponse, controller_registration_request,
};

use super::controller::ControllerHandle;
use super::lifecycle::{Advertised, JoinError, PLAINTEXT, accept};
use crate::features;
use crate::handles::Identity;

pub(crate) struct ControllerRegistration {
    pub(crate) controller: ControllerHandle,
    pub(crate) identity: Identity,
    pub(crate) listeners: Vec<Advertised>,
}

impl ControllerRegistration {
    /// Asks once.
    ///
    /// # Errors
    /// When there is no active controller, or it refuses.
    pub(crate) async fn register(&self) -> Result<(), JoinError> {
        let listeners = self.listeners.iter().map(|it| controller_registration_request::Listener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: PLAINTEXT,
            ..Default::default()
        });
        let features =
            features::SUPPORTED.iter().map(|range| controller_registration_request::Feature {
                name: range.name.into(),
                min_supported_version: range.min,
                max_supported_version: range.max,
                ..Default::default()
            });
        let request = ControllerRegistrationRequest {
            controller_id: self.identity.node_id.get(),
            incarnation_id: self.identity.incarnation_id,
            listeners: listeners.collect(),
            features: features.collect(),
            ..Default::default()
        };
        let response: ControllerRegistrationResponse = self.controller.ask(request).await?;
        accept(response.error_code)
    }
}
