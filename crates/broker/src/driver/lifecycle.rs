//! This broker's place in the cluster: registers it, says by heartbeats that it lives, and takes
//! leave when it stops.

use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::Image;
use strandline_metadata::controller::Refusal;
use strandline_ports::watch;
use strandline_ports::{Clock, TimedOut, timeout};
use strandline_types::{BrokerEpoch, ErrorCode, Uuid};
use strandline_wire::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest,
    BrokerRegistrationResponse, broker_registration_request,
};

use super::controller::ControllerHandle;
use super::registration::own_facts;
use crate::dirs::Dirs;
use crate::handles::Identity;

/// The session of a broker's earlier process ends in its own time.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// So many heartbeats in a row without an answer are worth a line.
const MISSED_WORTH_TELLING: u32 = 4;
/// A stopping broker waits so long for an answer of the controller: enough for an election.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(3);
/// Between two questions whether it may go.
const LEAVE_PAUSE: Duration = Duration::from_millis(20);

/// Why the cluster does not take this node.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error("the controller refused to register this node: {0}")]
    Refused(ErrorCode),
    #[error("no controller is active, or the active one cannot be reached")]
    NoController(#[from] Refusal),
    #[error("the metadata log has stopped")]
    MetadataStopped,
}

impl JoinError {
    /// Whether asking again later may help. A broker that dies and is back before its session has
    /// ended is taken for two brokers until then.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NoController(_) => true,
            Self::MetadataStopped => false,
            Self::Refused(code) => {
                *code == ErrorCode::DUPLICATE_BROKER_REGISTRATION || code.is_retriable()
            }
        }
    }
}

/// A bound listener as others reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Advertised {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// PLAINTEXT, the only protocol served.
pub(super) const PLAINTEXT: i16 = 0;

/// What this node tells the controller of itself.
pub(crate) struct Lifecycle {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) controller: ControllerHandle,
    pub(crate) identity: Identity,
    pub(crate) rack: Option<String>,
    pub(crate) dirs: Arc<Dirs>,
    /// What this node has done of the metadata.
    pub(crate) applied: watch::Receiver<Arc<Image>>,
    pub(crate) broker_epoch: watch::Sender<BrokerEpoch>,
    pub(crate) heartbeat_interval: Duration,
}

impl Lifecycle {
    /// `previous` is the epoch of the last clean stop, −1 without one: it proves that nothing this
    /// broker had is lost.
    pub(crate) async fn register_broker(
        &self,
        listeners: &[Advertised],
        previous: BrokerEpoch,
    ) -> Result<(), JoinError> {
        let (listeners, features) = own_facts!(broker_registration_request, listeners);
        let request = BrokerRegistrationRequest {
            broker_id: self.identity.node_id.get(),
            cluster_id: self.identity.cluster_id.clone(),
            incarnation_id: self.identity.incarnation_id,
            listeners,
            features,
            rack: self.rack.clone(),
            log_dirs: self.dirs.online(),
            previous_broker_epoch: previous.get(),
            ..Default::default()
        };
        let response: BrokerRegistrationResponse = self.controller.ask(request).await?;
        accept(response.error_code)?;
        self.broker_epoch.send_replace(BrokerEpoch(response.broker_epoch));
        Ok(())
    }

    /// One heartbeat. The controller takes the fence away once this node has applied its own
    /// registration.
    pub(crate) async fn heartbeat(&self) -> Result<BrokerHeartbeatResponse, JoinError> {
        self.beat(false).await
    }

    async fn beat(&self, want_shut_down: bool) -> Result<BrokerHeartbeatResponse, JoinError> {
        let applied = self.applied.borrow().offset;
        let request = BrokerHeartbeatRequest {
            broker_id: self.identity.node_id.get(),
            broker_epoch: self.broker_epoch.borrow().get(),
            current_metadata_offset: applied.map_or(-1, |offset| offset.get()),
            want_fence: false,
            want_shut_down,
            offline_log_dirs: self.dirs.offline().filter_map(|dir| dir.id).collect(),
            cordoned_log_dirs: self.cordoned(),
            ..Default::default()
        };
        let response: BrokerHeartbeatResponse = self.controller.ask(request).await?;
        accept(response.error_code)?;
        Ok(response)
    }

    /// Before the first image is applied nobody knows what a person has cordoned at run time: to say
    /// "nothing" then would take it back.
    fn cordoned(&self) -> Option<Vec<Uuid>> {
        let applied = self.applied.borrow();
        let knows = applied.offset.is_some()
            && applied.features.metadata_version().supports_cordoned_directories();
        knows.then(|| self.dirs.cordoned())
    }

    /// Waits until the controller has taken the fence away, and this node knows. It beats on
    /// meanwhile: what there is to be applied first may take longer than a session, and whoever is
    /// silent for so long is fenced again.
    pub(crate) async fn become_available(&self) -> Result<(), JoinError> {
        let mut applied = self.applied.clone();
        let is_available = |image: &Arc<Image>| {
            let me = image.cluster.broker(self.identity.node_id);
            me.is_some_and(|broker| !broker.is_fenced())
        };
        loop {
            // A controller that has gone silent is no reason to be silent: see `keep_alive`.
            let deadline = self.clock.now().instant + self.heartbeat_interval;
            let response = match timeout(&*self.clock, deadline, self.heartbeat()).await {
                Ok(Err(error)) if error.may_pass() => {
                    self.clock.sleep(RETRY_PAUSE).await;
                    continue;
                }
                Ok(answered) => answered?,
                Err(TimedOut) => continue,
            };
            let news = async {
                if response.is_fenced {
                    // Applied too little yet: the next image is the next chance.
                    applied.changed().await.map(|()| false)
                } else {
                    applied.wait_for(is_available).await.map(|_| true)
                }
            };
            let deadline = self.clock.now().instant + self.heartbeat_interval;
            match timeout(&*self.clock, deadline, news).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) | Err(TimedOut) => {}
                Ok(Err(_)) => return Err(JoinError::MetadataStopped),
            }
        }
    }

    /// Says that this node lives, until the world ends.
    pub(crate) async fn keep_alive(self: Arc<Self>) {
        let mut missed = 0;
        // The first follows at once upon the one that took the fence away.
        let mut heard_in = self.controller.leader_epoch();
        loop {
            // The controller answers once what concerns this broker has committed. It counts the
            // question already: a disk that makes it wait is no reason to be fenced.
            let epoch = self.controller.leader_epoch();
            let deadline = self.clock.now().instant + self.heartbeat_interval;
            match timeout(&*self.clock, deadline, self.heartbeat()).await {
                Ok(Ok(_)) => {
                    missed = 0;
                    // A controller that has heard a broker only once takes it for one that beats
                    // slowly: were it to fall silent now, it would be waited for too long. Which one
                    // has answered is not known when there was an election meanwhile.
                    let is_known = heard_in == epoch && self.controller.leader_epoch() == epoch;
                    heard_in = epoch;
                    if !is_known {
                        continue;
                    }
                }
                Ok(Err(error)) => tracing::warn!(%error, "heartbeat failed"),
                Err(TimedOut) => {
                    missed += 1;
                    if missed % MISSED_WORTH_TELLING == 0 {
                        tracing::warn!(missed, "the controller does not answer heartbeats");
                    }
                }
            }
            // Nothing new is to land in a directory for another interval once it is cordoned.
            tokio::select! {
                biased;
                () = self.clock.sleep(self.heartbeat_interval) => {}
                () = self.dirs.cordon_changed() => {}
            }
        }
    }

    /// Hands over what this broker leads. Without another broker there is nobody to hand over to:
    /// the controller says at once that it may go.
    pub(crate) async fn leave(&self, patience: Duration) {
        let deadline = self.clock.now().instant + patience;
        let leaving = async {
            loop {
                let soon = self.clock.now().instant + CONTROLLER_PATIENCE;
                match timeout(&*self.clock, soon, self.beat(true)).await {
                    Ok(Ok(response)) if response.should_shut_down => return,
                    Ok(Ok(_)) => self.clock.sleep(LEAVE_PAUSE).await,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the controller does not let this broker go");
                        return;
                    }
                    // The last to be stopped have no majority left that could.
                    Err(TimedOut) => {
                        tracing::warn!("no controller answers: this broker goes without its leave");
                        return;
                    }
                }
            }
        };
        if let Err(TimedOut) = timeout(&*self.clock, deadline, leaving).await {
            tracing::warn!("the controller does not let this broker go in time");
        }
    }
}

pub(super) fn accept(error_code: ErrorCode) -> Result<(), JoinError> {
    match error_code {
        ErrorCode::NONE => Ok(()),
        error_code => Err(JoinError::Refused(error_code)),
    }
}
