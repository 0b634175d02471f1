//! The way to the active controller, wherever it is: in this process, or on the node that leads the
//! quorum.

use std::sync::Arc;
use std::time::Duration;

use strandline_config::HostPort;
use strandline_metadata::Image;
use strandline_metadata::controller::{Refusal, Request, Response};
use strandline_ports::{World, timeout, watch};
use strandline_types::{ErrorCode, Instant, LeaderEpoch, NodeId};
use strandline_wire::messages::{self, Request as WireRequest};
use tokio::sync::{mpsc, oneshot};

use super::Reply;
use crate::driver::links::Links;
use crate::driver::quorum::Leadership;
use crate::driver::sentinel::{Incarnation, Sentinel};

/// A request waits so long for a controller to become active before it is refused.
const ACTIVATION_WAIT: Duration = Duration::from_secs(30);
const ACTIVATION_RETRY: Duration = Duration::from_millis(20);

/// An answer that can say that it comes from a node that is not the active controller.
pub(crate) trait ControllerAnswer {
    /// The error of the request, or of the first thing in it.
    fn first_error(&self) -> ErrorCode;
}

macro_rules! answers {
    ($($response:ident: $($field:ident)?;)+) => {
        $(impl ControllerAnswer for messages::$response {
            fn first_error(&self) -> ErrorCode {
                answers!(@ self $($field)?)
            }
        })+
    };
    (@ $self:ident) => { $self.error_code };
    (@ $self:ident $field:ident) => {
        $self.$field.first().map_or(ErrorCode::NONE, |first| first.error_code)
    };
}

answers! {
    AddRaftVoterResponse:;
    AllocateProducerIdsResponse:;
    AlterConfigsResponse: responses;
    AlterPartitionReassignmentsResponse:;
    AlterPartitionResponse:;
    AssignReplicasToDirsResponse:;
    BrokerHeartbeatResponse:;
    BrokerRegistrationResponse:;
    ControllerRegistrationResponse:;
    CreatePartitionsResponse: results;
    CreateTopicsResponse: topics;
    DeleteTopicsResponse: responses;
    ElectLeadersResponse:;
    IncrementalAlterConfigsResponse: responses;
    ListPartitionReassignmentsResponse:;
    RemoveRaftVoterResponse:;
    UnregisterBrokerResponse:;
    UpdateFeaturesResponse:;
}

impl ControllerAnswer for messages::DescribeQuorumResponse {
    fn first_error(&self) -> ErrorCode {
        let of_log = self.topics.first().and_then(|topic| topic.partitions.first());
        let of_log = of_log.map_or(ErrorCode::NONE, |partition| partition.error_code);
        if self.error_code.is_none() { of_log } else { self.error_code }
    }
}

/// What the rest of the node holds of the controller.
#[derive(Clone)]
pub(crate) struct ControllerHandle {
    pub(super) requests: mpsc::UnboundedSender<(Request, Reply)>,
    pub(super) gone: mpsc::UnboundedSender<Incarnation>,
    pub(super) image: watch::Receiver<Arc<Image>>,
    pub(super) is_active: watch::Receiver<bool>,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) links: Links,
    /// What clients ask may take long: it must not keep this node's own heartbeats waiting.
    pub(super) relays: Links,
    pub(super) world: World,
    pub(super) node_id: NodeId,
}

impl ControllerHandle {
    /// Asks the active controller; waits while there is none.
    pub(crate) async fn ask<Q>(&self, request: Q) -> Result<Q::Response, Refusal>
    where
        Q: WireRequest + Into<Request> + Clone,
        Q::Response: TryFrom<Response, Error = Response> + ControllerAnswer,
    {
        let deadline = self.world.clock.now().instant + ACTIVATION_WAIT;
        let mut is_active = self.is_active.clone();
        let mut leadership = self.leadership.clone();
        loop {
            let was_active = *is_active.borrow_and_update();
            let leader = leadership.borrow_and_update().leader.clone();
            let is_elsewhere = leader.id != Some(self.node_id) && !was_active;
            let answer = match leader.address.filter(|_| is_elsewhere) {
                Some(address) => self.ask_remote(&address, request.clone()).await,
                None => self.ask_local(request.clone()).await,
            };
            match answer {
                Ok(response) => return Ok(response),
                Err(refusal) if self.world.clock.now().instant >= deadline => return Err(refusal),
                Err(Refusal::NotController) => {
                    let pause = self.world.clock.now().instant + ACTIVATION_RETRY;
                    self.wait_for_change(&mut is_active, &mut leadership, pause).await;
                }
            }
        }
    }

    /// Whoever asks again at once would ask for nothing: something must change, or a moment pass.
    async fn wait_for_change(
        &self,
        is_active: &mut watch::Receiver<bool>,
        leadership: &mut watch::Receiver<Leadership>,
        until: Instant,
    ) {
        let clock = &*self.world.clock;
        let active = std::pin::pin!(is_active.changed());
        let leader = std::pin::pin!(leadership.changed());
        // A sender that is gone says nothing new: the node is stopping.
        let either = async {
            let gone = tokio::select! {
                biased;
                changed = active => changed.is_err(),
                changed = leader => changed.is_err(),
            };
            if gone {
                std::future::pending::<()>().await;
            }
        };
        let _ = timeout(clock, until, either).await;
    }

    /// Asks this node's controller.
    pub(crate) async fn ask_local<Q>(&self, request: Q) -> Result<Q::Response, Refusal>
    where
        Q: WireRequest + Into<Request>,
        Q::Response: TryFrom<Response, Error = Response>,
    {
        let (reply, answer) = oneshot::channel();
        // Both ends fail only when the node stops, and with it whoever asked.
        if self.requests.send((request.into(), reply)).is_err() {
            return Err(Refusal::NotController);
        }
        let response = answer.await.unwrap_or(Err(Refusal::NotController))?;
        Ok(Q::Response::try_from(response).unwrap_or_else(|other| {
            unreachable!("the controller answered {other:?} to another request")
        }))
    }

    /// Asks the leader of the quorum what only it knows; `None` when it is this node, or out of reach.
    pub(crate) async fn ask_leader<Q: WireRequest>(&self, request: Q) -> Option<Q::Response> {
        let leader = self.leadership.borrow().leader.clone();
        let address = leader.address.filter(|_| leader.id != Some(self.node_id))?;
        let connection = self.relays.connection(&address).await.ok()?;
        connection.call(request).await.ok()
    }

    async fn ask_remote<Q>(&self, address: &HostPort, request: Q) -> Result<Q::Response, Refusal>
    where
        Q: WireRequest,
        Q::Response: ControllerAnswer,
    {
        let asked = async {
            let connection = self.links.connection(address).await?;
            connection.call(request).await
        };
        match asked.await {
            Ok(response) if response.first_error() == ErrorCode::NOT_CONTROLLER => {
                Err(Refusal::NotController)
            }
            Ok(response) => Ok(response),
            Err(error) => {
                tracing::debug!(%error, "the controller gave no answer");
                Err(Refusal::NotController)
            }
        }
    }

    /// Watches over the brokers for this node's controller; they are reached by `listener`.
    pub(crate) fn sentinel(&self, listener: &str) -> Sentinel {
        Sentinel {
            world: self.world.clone(),
            node_id: self.node_id,
            links: self.links.clone(),
            listener: listener.to_owned(),
            images: self.image.clone(),
            is_active: self.is_active.clone(),
            gone: self.gone.clone(),
        }
    }

    /// One whose requests a test answers.
    #[cfg(test)]
    pub(crate) fn answered_by_test(
        world: World,
    ) -> (Self, mpsc::UnboundedReceiver<(Request, Reply)>, watch::Sender<Leadership>) {
        let (requests, asked) = mpsc::unbounded_channel();
        let (_, image) = watch::channel(Arc::new(Image::default()));
        let (_, is_active) = watch::channel(true);
        let (elect, leadership) = watch::channel(Leadership::default());
        let links = Links::new(world.clone(), strandline_client::ConnectionConfig::default());
        let (gone, _) = mpsc::unbounded_channel();
        let node_id = NodeId(1);
        let relays = links.clone();
        let handle =
            Self { requests, gone, image, is_active, leadership, links, relays, world, node_id };
        (handle, asked, elect)
    }

    /// Of the quorum, as this node knows it.
    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        self.leadership.borrow().epoch
    }

    /// Every committed image, the latest first.
    pub(crate) fn watch_image(&self) -> watch::Receiver<Arc<Image>> {
        self.image.clone()
    }
}
