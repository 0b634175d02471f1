//! Accepts connections on one listener and gives each a session.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use strandline_ports::{Conn, Lane, Listener, World};

use crate::cx::{ListenerRole, RequestQueue, SessionFacts};
use crate::dispatch::Dispatcher;
use crate::handles::Handles;
use crate::metrics::{ListenerMetrics, OpenConnection};
use crate::session::{Activity, Connections, End, RequestMemory, Serve, Session, SessionEnd};

/// After a failed accept (no file descriptor left, most likely) the next try waits this long.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Where connections come in.
pub(crate) struct Reception {
    pub(crate) world: World,
    pub(crate) connections: Connections,
    pub(crate) memory: RequestMemory,
    pub(crate) frame_max_bytes: usize,
    /// Sessions of the controller run on the control plane.
    pub(crate) lane: Lane,
}

impl Reception {
    /// Accepts until the connections are closed; each is served by what `server` makes for it.
    pub(crate) async fn accept<S: Serve + Unpin + 'static>(
        &self,
        name: &str,
        listener: &dyn Listener,
        server: impl Fn(SocketAddr, Arc<Activity>) -> S,
    ) {
        let connections = self.connections.clone();
        let mut closed = pin!(connections.closed());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut closed => return,
                accepted = poll_fn(|cx| listener.poll_accept(cx)) => accepted,
            };
            match accepted {
                Ok(conn) => self.open(name, conn, &server),
                Err(error) => {
                    tracing::warn!(listener = name, %error, "cannot accept a connection");
                    self.world.clock.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn open<S: Serve + Unpin + 'static>(
        &self,
        name: &str,
        conn: Arc<dyn Conn>,
        server: &impl Fn(SocketAddr, Arc<Activity>) -> S,
    ) {
        let peer = conn.peer_addr();
        let now = self.world.clock.now();
        let registered = match self.connections.register(now.instant, &conn) {
            Ok(registered) => registered,
            Err(full) => {
                tracing::warn!(%peer, listener = name, "refused a connection: {full}");
                conn.close();
                return;
            }
        };
        let activity = Arc::clone(&registered.activity);
        let server = server(peer, Arc::clone(&activity));
        let session = Session::new(conn, server, activity, &self.memory, self.frame_max_bytes);
        self.world.spawn.spawn(
            self.lane,
            Box::pin(async move {
                let end = session.run().await;
                drop(registered);
                log_end(peer, &end);
            }),
        );
    }

    pub(crate) fn close(&self) {
        self.connections.close_all();
    }
}

/// One bound address and what its sessions share.
pub(crate) struct Acceptor {
    pub(crate) reception: Reception,
    pub(crate) handles: Arc<Handles>,
    /// Name of the listener, such as `PLAINTEXT`.
    pub(crate) name: String,
    pub(crate) role: ListenerRole,
    pub(crate) metrics: Arc<ListenerMetrics>,
}

impl Acceptor {
    /// Accepts until the node stops.
    pub(crate) async fn run(self, listener: Box<dyn Listener>) {
        let server = |peer, activity| {
            let (listener, role) = (self.name.clone(), self.role);
            let queue = RequestQueue::default();
            let session = Arc::new(SessionFacts { listener, role, peer, queue });
            let counted = OpenConnection::new(&self.metrics);
            Dispatcher::new(Arc::clone(&self.handles), session, activity, counted)
        };
        self.reception.accept(&self.name, &*listener, server).await;
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
