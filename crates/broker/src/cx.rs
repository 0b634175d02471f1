//! What a handler is given: who asks, what time it is, and narrow handles to what it may touch.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use strandline_coordinator::Caller;
use strandline_metadata::Image;
use strandline_quorum::{Reply, Request};
use strandline_store::FileRange;
use strandline_types::{ErrorCode, Now};
use strandline_wire::frame::Incoming;
use strandline_wire::messages::ApiKey;
use tokio::sync::Notify;

use crate::driver::quorum::Leader;
use crate::driver::quorum::rpc::carries_endpoints;
use crate::handles::Handles;
use crate::session::Hangup;

/// One request's surroundings.
pub(crate) struct Cx {
    pub(crate) handles: Arc<Handles>,
    pub(crate) session: Arc<SessionFacts>,
    pub(crate) now: Now,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    /// Empty when the client gave none.
    pub(crate) client_id: String,
    files: Mutex<Vec<FileRange>>,
}

/// What is the same for all requests of one connection.
#[derive(Debug)]
pub(crate) struct SessionFacts {
    /// Name of the listener that the client came in by, such as `PLAINTEXT`.
    pub(crate) listener: String,
    pub(crate) role: ListenerRole,
    pub(crate) peer: SocketAddr,
    pub(crate) queue: RequestQueue,
}

/// Whether a request has arrived behind those that are being served, and whether it must wait.
#[derive(Debug, Default)]
pub(crate) struct RequestQueue {
    has_next: AtomicBool,
    changed: Notify,
    is_held: AtomicBool,
}

/// Keeps the next request from being started, until dropped.
#[must_use = "dropped, it holds nothing"]
pub(crate) struct Hold<'a>(&'a RequestQueue);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::Release);
    }
}

impl RequestQueue {
    /// For a Produce that does not have its place in the log yet.
    pub(crate) fn hold(&self) -> Hold<'_> {
        self.is_held.store(true, Ordering::Release);
        Hold(self)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Acquire)
    }

    pub(crate) fn set_has_next(&self, has_next: bool) {
        if self.has_next.swap(has_next, Ordering::AcqRel) != has_next && has_next {
            self.changed.notify_one();
        }
    }

    /// Completes once there is one.
    pub(crate) async fn has_next(&self) {
        while !self.has_next.load(Ordering::Acquire) {
            self.changed.notified().await;
        }
    }
}

/// Which set of APIs a listener serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListenerRole {
    Broker,
    Controller,
}

impl Cx {
    pub(crate) fn new(
        handles: Arc<Handles>,
        session: Arc<SessionFacts>,
        now: Now,
        incoming: &Incoming,
    ) -> Self {
        Self {
            handles,
            session,
            now,
            api: incoming.api,
            version: incoming.version,
            correlation_id: incoming.correlation_id,
            client_id: incoming.client_id.clone(),
            files: Mutex::default(),
        }
    }

    /// What the metadata say, as this node has applied them.
    pub(crate) fn image(&self) -> Arc<Image> {
        self.handles.image()
    }

    /// Notes a file range for the answer; the id stands for it in the message.
    pub(crate) fn send_file(&self, range: FileRange) -> u32 {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(range);
        files.len() as u32 - 1
    }

    pub(crate) fn take_files(&self) -> Vec<FileRange> {
        std::mem::take(&mut *self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refuses requests that are meant for another cluster.
    pub(crate) fn check_cluster(&self, cluster_id: Option<&str>) -> Result<(), ErrorCode> {
        let is_ours = cluster_id.is_none_or(|id| id == self.handles.identity.cluster_id);
        if is_ours { Ok(()) } else { Err(ErrorCode::INCONSISTENT_CLUSTER_ID) }
    }

    /// Asks this node of the quorum. The leader is as known when the answer was given, or newer, with
    /// its address where the answer can tell it.
    pub(crate) async fn ask_quorum(&self, request: Request) -> Result<(Reply, Leader), Hangup> {
        let reply = self.handles.quorum.ask(request).await;
        let reply = reply.ok_or_else(|| Hangup("the quorum has stopped".into()))?;
        let mut leader = self.handles.quorum.leadership().borrow().leader.clone();
        leader.address = leader.address.filter(|_| carries_endpoints(self.api, self.version));
        Ok((reply, leader))
    }

    /// The answer of the quorum's leader to a client of a broker's listener; `None` when this node
    /// leads, or nobody can be asked, and to other nodes of the quorum, who find the leader themselves.
    pub(crate) async fn ask_leader<Q>(&self, request: &Q) -> Option<Q::Response>
    where
        Q: strandline_wire::messages::Request + Clone,
    {
        let leads = self.handles.quorum.leadership().borrow().is_ready;
        match self.session.role {
            ListenerRole::Broker if !leads => {
                self.handles.controller.ask_leader(request.clone()).await
            }
            ListenerRole::Broker | ListenerRole::Controller => None,
        }
    }

    /// Who asks, as group coordinators want to know it.
    pub(crate) fn caller(&self) -> Caller {
        let client_id = self.client_id.clone();
        Caller { client_id, client_host: self.client_host(), version: self.version }
    }

    /// The client's address as Kafka prints it in group descriptions.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.session.peer.ip())
    }
}
