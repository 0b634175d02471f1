//! Makes this node's controller known to the others (KIP-919): where it is reached, and which
//! features it supports.

use std::time::Duration;

use strandline_ports::Clock;
use strandline_wire::messages::{
    ControllerRegistrationRequest, ControllerRegistrationResponse, controller_registration_request,
};

use super::controller::ControllerHandle;
use super::lifecycle::{Advertised, JoinError, accept};
use crate::handles::Identity;

/// What a registration says of a node in the types of its own message: the listeners, and the
/// features that are supported.
macro_rules! own_facts {
    ($message:ident, $listeners:expr) => {{
        let listeners = $listeners.iter().map(|it| $message::Listener {
            name: it.name.clone(),
            host: it.host.clone(),
            port: it.port,
            security_protocol: $crate::driver::lifecycle::PLAINTEXT,
            ..Default::default()
        });
        let features = $crate::features::SUPPORTED.iter().map(|range| $message::Feature {
            name: range.name.into(),
            min_supported_version: range.min,
            max_supported_version: range.max,
            ..Default::default()
        });
        (listeners.collect(), features.collect())
    }};
}
pub(super) use own_facts;

pub(crate) struct ControllerRegistration {
    pub(crate) controller: ControllerHandle,
    pub(crate) identity: Identity,
    pub(crate) listeners: Vec<Advertised>,
}

/// Between two questions.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// What was refused is so again, until somebody has done something about it.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

impl ControllerRegistration {
    /// Asks until it is registered. Nothing waits for that: without a majority there is nobody who
    /// could, and this controller may be the one that is missing.
    pub(crate) async fn run(self, clock: &dyn Clock) {
        loop {
            let pause = match self.register().await {
                Ok(()) => return,
                Err(error) if error.may_pass() => {
                    tracing::warn!(%error, "this controller is not registered yet: is a majority of the voters up?");
                    RETRY_PAUSE
                }
                Err(error) => {
                    tracing::error!(%error, "this controller cannot be registered");
                    REFUSED_PAUSE
                }
            };
            clock.sleep(pause).await;
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// When there is no active controller, or it refuses.
    pub(crate) async fn register(&self) -> Result<(), JoinError> {
        let (listeners, features) = own_facts!(controller_registration_request, self.listeners);
        let request = ControllerRegistrationRequest {
            controller_id: self.identity.node_id.get(),
            incarnation_id: self.identity.incarnation_id,
            listeners,
            features,
            ..Default::default()
        };
        let response: ControllerRegistrationResponse = self.controller.ask(request).await?;
        accept(response.error_code)
    }
}
