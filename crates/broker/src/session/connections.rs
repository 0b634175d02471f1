//! All connections of one broker: how many there are, which are idle, and how to end them.
//!
//! Limits follow `max.connections`, `max.connections.per.ip` and `connections.max.idle.ms`. One
//! sweep looks after every connection, so that an idle one costs no timer of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strandline_config::NetworkSettings;
use strandline_ports::watch;
use strandline_ports::{Clock, Conn};
use strandline_types::Instant;
use tokio::sync::Notify;

/// How many connections are let in, and for how long they may be idle.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) total: usize,
    pub(crate) per_ip: usize,
    /// Addresses with a limit of their own.
    pub(crate) per_ip_overrides: BTreeMap<IpAddr, usize>,
    pub(crate) idle: Duration,
}

impl ConnectionLimits {
    pub(crate) fn of(network: &NetworkSettings) -> Self {
        Self {
            total: network.max_connections.max(0) as usize,
            per_ip: network.max_connections_per_ip.max(0) as usize,
            per_ip_overrides: per_ip_overrides(&network.max_connections_per_ip_overrides),
            idle: match network.max_idle_ms {
                Some(ms) => Duration::from_millis(ms.max(0) as u64),
                None => Duration::MAX,
            },
        }
    }
}

/// Addresses as numbers, and `localhost`: other names are not looked up.
fn per_ip_overrides(overrides: &[(String, i32)]) -> BTreeMap<IpAddr, usize> {
    let mut by_ip = BTreeMap::new();
    for (host, count) in overrides {
        let count = (*count).max(0) as usize;
        match (host.as_str(), host.parse()) {
            (_, Ok(ip)) => _ = by_ip.insert(ip, count),
            ("localhost", _) => {
                by_ip.insert(Ipv4Addr::LOCALHOST.into(), count);
                by_ip.insert(Ipv6Addr::LOCALHOST.into(), count);
            }
            _ => tracing::warn!(
                host,
                "max.connections.per.ip.overrides takes addresses, not names: ignored"
            ),
        }
    }
    by_ip
}

/// The registry; clones share it.
#[derive(Clone)]
pub(crate) struct Connections {
    shared: Arc<Shared>,
}

struct Shared {
    open: Mutex<Open>,
    /// True from the moment on when nobody is let in any more.
    is_closed: watch::Sender<bool>,
}

struct Open {
    limits: ConnectionLimits,
    next_id: u64,
    by_id: BTreeMap<u64, Entry>,
    by_ip: BTreeMap<IpAddr, usize>,
}

struct Entry {
    conn: Arc<dyn Conn>,
    activity: Arc<Activity>,
    /// What the sweep saw of the frame that is arriving, and since when it has been so.
    standstill: (u64, Instant),
}

impl Entry {
    fn close(&self) {
        self.conn.close();
        self.activity.abandon();
    }

    /// Whether a frame has begun and not gone on for too long.
    fn stands_still(&mut self, now: Instant) -> bool {
        let reads = self.activity.frame_reads.load(Ordering::Relaxed);
        if !self.activity.is_amid_frame.load(Ordering::Relaxed) || reads != self.standstill.0 {
            self.standstill = (reads, now);
        }
        now.since(self.standstill.1) >= FRAME_PATIENCE
    }
}

/// When a connection last did something, and whether it stands still amid a frame.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    last_request: AtomicU64,
    /// Reads that left a frame unfinished, of all frames: two of the same size must not look like
    /// one that does not go on. No clock is read for it.
    frame_reads: AtomicU64,
    is_amid_frame: AtomicBool,
    abandoned: Notify,
}

impl Activity {
    pub(crate) fn touch(&self, now: Instant) {
        self.last_request.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// A part of a frame is there, and the rest is awaited.
    pub(crate) fn frame_goes_on(&self) {
        self.frame_reads.fetch_add(1, Ordering::Relaxed);
        self.is_amid_frame.store(true, Ordering::Relaxed);
    }

    pub(crate) fn frame_done(&self) {
        self.is_amid_frame.store(false, Ordering::Relaxed);
    }

    /// The connection is closed: whatever it waits for is no use any more.
    pub(crate) fn abandon(&self) {
        self.abandoned.notify_one();
    }

    pub(crate) async fn abandoned(&self) {
        self.abandoned.notified().await;
    }

    fn last(&self) -> Instant {
        Instant::from_nanos(self.last_request.load(Ordering::Relaxed))
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
        let open = Open { limits, next_id: 0, by_id: BTreeMap::new(), by_ip: BTreeMap::new() };
        Self { shared: Arc::new(Shared { open: Mutex::new(open), is_closed }) }
    }

    /// From now on these hold. Who is in already stays.
    pub(crate) fn limit(&self, limits: ConnectionLimits) {
        self.lock().limits = limits;
    }

    pub(crate) fn register(&self, now: Instant, conn: &Arc<dyn Conn>) -> Result<Registered, Full> {
        let ip = conn.peer_addr().ip();
        let mut open = self.lock();
        let open = &mut *open;
        if *self.shared.is_closed.borrow() {
            return Err(Full::Stopping);
        }
        if open.by_id.len() >= open.limits.total {
            return Err(Full::Total);
        }
        let from_ip = open.by_ip.entry(ip).or_default();
        let limits = &open.limits;
        if *from_ip >= limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip) {
            return Err(Full::PerIp);
        }
        *from_ip += 1;
        let id = open.next_id;
        open.next_id += 1;
        let activity = Arc::new(Activity::default());
        activity.touch(now);
        let entry =
            Entry { conn: Arc::clone(conn), activity: Arc::clone(&activity), standstill: (0, now) };
        open.by_id.insert(id, entry);
        Ok(Registered { connections: self.clone(), id, ip, activity })
    }

    /// Closes whatever has been idle for too long; their sessions then end by themselves. Returns
    /// how many those were.
    pub(crate) fn close_idle(&self, now: Instant) -> usize {
        let open = self.lock();
        let idle = open.limits.idle;
        let stale = open.by_id.values().filter(|entry| now.since(entry.activity.last()) >= idle);
        stale.map(Entry::close).count()
    }

    /// Closes whatever keeps its share of the budget for a frame that does not come.
    fn close_standing_still(&self, now: Instant) {
        let mut open = self.lock();
        for entry in open.by_id.values_mut() {
            if !entry.stands_still(now) {
                continue;
            }
            let peer = entry.conn.peer_addr();
            tracing::warn!(%peer, "closed: a request did not arrive in full");
            entry.close();
        }
    }

    /// Ends every connection, and lets nobody in any more.
    pub(crate) fn close_all(&self) {
        let open = self.lock();
        self.shared.is_closed.send_replace(true);
        open.by_id.values().for_each(Entry::close);
    }

    /// Resolves once nobody is let in any more.
    pub(crate) async fn closed(&self) {
        let mut is_closed = self.shared.is_closed.subscribe();
        // The sender lives as long as `self`.
        let _ = is_closed.wait_for(|is_closed| *is_closed).await;
    }

    /// Sweeps for idle connections until the world ends.
    pub(crate) async fn sweep(self, clock: Arc<dyn Clock>) {
        let pause = (self.lock().limits.idle / 4).clamp(Duration::from_millis(50), SWEEP_MAX);
        loop {
            clock.sleep(pause).await;
            let now = clock.now().instant;
            self.close_standing_still(now);
            let closed = self.close_idle(now);
            if closed > 0 {
                tracing::debug!(closed, "closed idle connections");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SWEEP_MAX: Duration = Duration::from_secs(5);
/// How long a frame that has begun may not go on.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, IoSlice};
    use std::net::SocketAddr;
    use std::task::{Context, Poll};

    use bytes::BytesMut;
    use strandline_ports::File;

    /// Says whether it was closed.
    #[derive(Default)]
    struct Line(AtomicBool);

    impl Conn for Line {
        fn peer_addr(&self) -> SocketAddr {
            (Ipv4Addr::LOCALHOST, 1).into()
        }

        fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_read(&self, _: &mut Context<'_>, _: &mut BytesMut) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write(&self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_send_file(
            &self,
            _: &mut Context<'_>,
            _: &dyn File,
            _: u64,
            _: usize,
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn close(&self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What arrives before each sweep, for a minute; whether the connection outlives it.
    fn survives(arrives: impl Fn(&Activity)) -> bool {
        let limits = ConnectionLimits {
            total: 1,
            per_ip: 1,
            per_ip_overrides: BTreeMap::new(),
            idle: Duration::MAX,
        };
        let connections = Connections::new(limits);
        let line = Arc::new(Line::default());
        let conn: Arc<dyn Conn> = line.clone();
        let registered = connections.register(Instant::ZERO, &conn).unwrap();
        registered.activity.frame_goes_on();
        for second in (0..60).step_by(5) {
            arrives(&registered.activity);
            connections.close_standing_still(Instant::ZERO + Duration::from_secs(second));
        }
        !line.0.load(Ordering::Relaxed)
    }

    #[test]
    fn only_a_frame_that_does_not_go_on_is_given_up() {
        assert!(!survives(|_| ()));
        assert!(survives(Activity::frame_goes_on));
        assert!(survives(Activity::frame_done));
        // Frames that take two reads each, seen between the two every time.
        assert!(survives(|activity| {
            activity.frame_done();
            activity.frame_goes_on();
        }));
    }
}
