//! Accepts connections on one listener and gives each a session.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use strandline_ports::{Conn, Lane, Listener, World};

use crate::cx::{ListenerRole, RequestQueue, SessionFacts};
use crate::dispatch::Dispatcher;
use crate::handles::Handles;
use crate::metrics::{ListenerMetrics, OpenConnection};
use crate::session::{Connections, End, RequestMemory, Session, SessionEnd};

/// After a failed accept (no file descriptor left, most likely) the next try waits this long.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// One bound address and what its sessions share.
pub(crate) struct Acceptor {
    pub(crate) world: World,
    pub(crate) handles: Arc<Handles>,
    pub(crate) connections: Connections,
    pub(crate) memory: RequestMemory,
    pub(crate) frame_max_bytes: usize,
    /// Name of the listener, such as `PLAINTEXT`.
    pub(crate) name: String,
    pub(crate) role: ListenerRole,
    pub(crate) metrics: Arc<ListenerMetrics>,
}

impl Acceptor {
    /// Accepts until the node stops. Sessions of the controller run on the control plane.
    pub(crate) async fn run(self, listener: Box<dyn Listener>) {
        let lane = match self.role {
            ListenerRole::Broker => Lane::Data,
            ListenerRole::Controller => Lane::Control,
        };
        let connections = self.connections.clone();
        let mut closed = pin!(connections.closed());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closed => return,
                accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
            };
            match accepted {
                Ok(conn) => self.open(lane, conn),
                Err(error) => {
                    tracing::warn!(listener = self.name, %error, "cannot accept a connection");
                    self.world.clock.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn open(&self, lane: Lane, conn: Arc<dyn Conn>) {
        let peer = conn.peer_addr();
        let now = self.world.clock.now();
        let registered = match self.connections.register(now.instant, &conn) {
            Ok(registered) => registered,
            Err(full) => {
                tracing::warn!(%peer, listener = self.name, "refused a connection: {full}");
                conn.close();
                return;
            }
        };
        let counted = OpenConnection::new(&self.metrics);
        let session = Arc::new(SessionFacts {
            listener: self.name.clone(),
            role: self.role,
            peer,
            queue: RequestQueue::default(),
        });
        let dispatcher =
            Dispatcher::new(Arc::clone(&self.handles), session, Arc::clone(&registered.activity));
        let activity = Arc::clone(&registered.activity);
        let session = Session::new(conn, dispatcher, activity, &self.memory, self.frame_max_bytes);
        self.world.spawn.spawn(
            lane,
            Box::pin(async move {
                let end = session.run().await;
                drop((registered, counted));
                log_end(peer, &end);
            }),
        );
    }
}

/// A client that goes away is no news; one that sends nonsense gets one line.
fn log_end(peer: std::net::SocketAddr, end: &SessionEnd) {
    match end {
        SessionEnd::Client(End::Closed) => tracing::debug!(%peer, "client closed the connection"),
        // The sweep has said why.
        SessionEnd::Client(End::Abandoned) => {}
        SessionEnd::Client(End::BadSize(size)) => {
            tracing::warn!(%peer, size, "closed: a frame of this size is not allowed");
        }
        SessionEnd::Hangup(reason) => tracing::warn!(%peer, "closed: {}", reason.0),
        SessionEnd::Client(End::Torn) => tracing::debug!(%peer, "client left inside a request"),
        SessionEnd::Client(End::Io(error)) | SessionEnd::Write(error) => {
            tracing::debug!(%peer, %error, "connection lost");
        }
    }
}
