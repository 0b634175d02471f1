//! All connections of one broker: how many there are, which are idle, and how to end them.
//!
//! Limits follow `max.connections`, `max.connections.per.ip` and `connections.max.idle.ms`. One
//! sweep looks after every connection, so that an idle one costs no timer of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_ports::{Clock, Conn};
use strandline_types::Instant;
use tokio::sync::watch;

/// How many connections are let in, and for how long they may be idle.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) total: usize,
    pub(crate) per_ip: usize,
    /// Addresses with a limit of their own.
    pub(crate) per_ip_overrides: BTreeMap<IpAddr, usize>,
    pub(crate) idle: Duration,
}

/// The registry; clones share it.
#[derive(Clone)]
pub(crate) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    limits: ConnectionLimits,
    open: Mutex<Open>,
    /// True from the moment on when nobody is let in any more.
    is_closed: watch::Sender<bool>,
}

#[derive(Default)]
struct Open {
    next_id: u64,
    by_id: BTreeMap<u64, Entry>,
    by_ip: BTreeMap<IpAddr, usize>,
}

struct Entry {
    conn: Arc<dyn Conn>,
    activity: Arc<Activity>,
}

/// When a connection last did something.
#[derive(Debug, Default)]
pub(crate) struct Activity(AtomicU64);

impl Activity {
    pub(crate) fn touch(&self, now: Instant) {
        self.0.store(now.as_nanos(), Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// One open connection; dropping it makes room for another.
pub(crate) struct Registered {
    connections: Connections,
    id: u64,
    ip: IpAddr,
    pub(crate) activity: Arc<Activity>,
}

/// What keeps a new connection out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Full {
    #[error("max.connections are open")]
    Total,
    #[error("max.connections.per.ip are open from this address")]
    PerIp,
    #[error("the node is stopping")]
    Stopping,
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        let is_closed = watch::Sender::new(false);
        Self { shared: Arc::new(Shared { limits, open: Mutex::default(), is_closed }) }
    }

    pub(crate) fn register(&self, now: Instant, conn: &Arc<dyn Conn>) -> Result<Registered, Full> {
        let ip = conn.peer_addr().ip();
        let limits = &self.shared.limits;
        let mut open = self.lock();
        if *self.shared.is_closed.borrow() {
            return Err(Full::Stopping);
        }
        if open.by_id.len() >= limits.total {
            return Err(Full::Total);
        }
        let from_ip = open.by_ip.entry(ip).or_default();
        if *from_ip >= limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip) {
            return Err(Full::PerIp);
        }
        *from_ip += 1;
        let id = open.next_id;
        open.next_id += 1;
        let activity = Arc::new(Activity::default());
        activity.touch(now);
        let entry = Entry { conn: Arc::clone(conn), activity: Arc::clone(&activity) };
        open.by_id.insert(id, entry);
        Ok(Registered { connections: self.clone(), id, ip, activity })
    }

    /// Closes whatever has been idle for too long; their sessions then end by themselves. Returns
    /// how many those were.
    pub(crate) fn close_idle(&self, now: Instant) -> usize {
        let idle = self.shared.limits.idle;
        let open = self.lock();
        let stale = open.by_id.values().filter(|entry| now.since(entry.activity.last()) >= idle);
        stale.map(|entry| entry.conn.close()).count()
    }

    /// Ends every connection, and lets nobody in any more.
    pub(crate) fn close_all(&self) {
        let open = self.lock();
        self.shared.is_closed.send_replace(true);
        for entry in open.by_id.values() {
            entry.conn.close();
        }
    }

    /// Resolves once nobody is let in any more.
    pub(crate) async fn closed(&self) {
        let mut is_closed = self.shared.is_closed.subscribe();
        // The sender lives as long as `self`.
        let _ = is_closed.wait_for(|is_closed| *is_closed).await;
    }

    /// Sweeps for idle connections until the world ends.
    pub(crate) async fn sweep(self, clock: Arc<dyn Clock>) {
        let pause = (self.shared.limits.idle / 4).clamp(Duration::from_millis(50), SWEEP_MAX);
        loop {
            clock.sleep(pause).await;
            let closed = self.close_idle(clock.now().instant);
            if closed > 0 {
                tracing::debug!(closed, "closed idle connections");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SWEEP_MAX: Duration = Duration::from_secs(30);

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.by_id.remove(&self.id);
        if let Some(count) = open.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.by_ip.remove(&self.ip);
            }
        }
    }
}
