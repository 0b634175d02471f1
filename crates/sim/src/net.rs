//! A simulated network of reliable, ordered streams that are late, stall, and break.
//!
//! Every node listens on its own ports of one shared host name space: `127.0.0.1:9092` is whoever
//! listens there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use strandline_ports::{Conn, File, Listener, Net};
use strandline_types::Instant;

use crate::executor::Sim;
use crate::node::NodeId;

/// Bytes that one direction of a stream holds before its writer waits.
const PIPE_BYTES: usize = 256 * 1024;
/// How often somebody tries to connect who hears nothing.
const KNOCK_INTERVAL: Duration = Duration::from_millis(500);

/// What the network does to streams, per event.
#[derive(Clone, Copy, Debug)]
pub struct NetFaults {
    pub delay_min: Duration,
    pub delay_max: Duration,
    /// One write in so many breaks its connection; 0: none.
    pub reset_one_in: u64,
}

impl NetFaults {
    pub const CALM: Self = Self {
        delay_min: Duration::from_micros(20),
        delay_max: Duration::from_micros(200),
        reset_one_in: 0,
    };
}

/// All streams and listeners; clones share it.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    faults: NetFaults,
    next_port: u16,
    listeners: BTreeMap<u16, Arc<Mutex<Backlog>>>,
    /// Pairs of nodes between which nothing arrives, in that direction.
    cut: BTreeSet<(NodeId, NodeId)>,
    streams: Vec<Arc<Mutex<Stream>>>,
    sent_bytes: u64,
}

struct Backlog {
    node: NodeId,
    conns: VecDeque<Arc<dyn Conn>>,
    waker: Option<Waker>,
    closed: bool,
}

/// Both directions of one connection: `pipes[0]` flows from the connecting side.
struct Stream {
    nodes: [NodeId; 2],
    pipes: [Pipe; 2],
    broken: bool,
}

#[derive(Default)]
struct Pipe {
    arrived: BytesMut,
    /// Sent and not arrived yet.
    in_flight_bytes: usize,
    /// The next bytes arrive no earlier: streams do not reorder.
    arrives_after: Instant,
    finished: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// What was sent before the end arrives before the end.
    fn has_ended(&self) -> bool {
        self.finished && self.in_flight_bytes == 0
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Stream {
    fn break_now(&mut self) {
        self.broken = true;
        self.pipes.iter_mut().for_each(Pipe::wake);
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    pub fn new(faults: NetFaults) -> Self {
        let shared = Shared {
            faults,
            next_port: 20_000,
            listeners: BTreeMap::new(),
            cut: BTreeSet::new(),
            streams: Vec::new(),
            sent_bytes: 0,
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    pub fn set_faults(&self, faults: NetFaults) {
        lock(&self.shared).faults = faults;
    }

    /// All that was ever sent by anybody.
    pub fn sent_bytes(&self) -> u64 {
        lock(&self.shared).sent_bytes
    }

    /// Stops what flows from one node to another, until [`Network::heal`].
    pub fn cut(&self, from: NodeId, to: NodeId) {
        lock(&self.shared).cut.insert((from, to));
    }

    /// Everything flows again; connections that were cut in the middle are broken.
    pub fn heal(&self) {
        let mut shared = lock(&self.shared);
        let cut = std::mem::take(&mut shared.cut);
        for stream in &shared.streams {
            let mut stream = lock(stream);
            let [a, b] = stream.nodes;
            if cut.contains(&(a, b)) || cut.contains(&(b, a)) {
                stream.break_now();
            }
        }
    }

    pub(crate) fn drop_node(&self, node: NodeId) {
        let mut shared = lock(&self.shared);
        shared.listeners.retain(|_, backlog| lock(backlog).node != node);
        for stream in &shared.streams {
            let mut stream = lock(stream);
            if stream.nodes.contains(&node) {
                stream.break_now();
            }
        }
        shared.streams.retain(|stream| !lock(stream).broken);
    }

    fn delay(&self, sim: &Sim) -> Duration {
        let faults = lock(&self.shared).faults;
        let (low, high) = (faults.delay_min.as_nanos() as u64, faults.delay_max.as_nanos() as u64);
        Duration::from_nanos(sim.draw(|rng| rng.between(low, high)))
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        lock(&self.shared).cut.contains(&(from, to))
    }

    fn resets_now(&self, sim: &Sim) -> bool {
        let one_in = lock(&self.shared).faults.reset_one_in;
        sim.draw(|rng| rng.one_in(one_in))
    }
}

/// One node's network port.
pub(crate) struct SimNet {
    sim: Sim,
    network: Network,
    node: NodeId,
}

impl SimNet {
    pub(crate) fn new(sim: Sim, network: Network, node: NodeId) -> Self {
        Self { sim, network, node }
    }

    fn is_cut_from(&self, port: u16) -> bool {
        let backlog = lock(&self.network.shared).listeners.get(&port).cloned();
        backlog.is_some_and(|backlog| {
            let server = lock(&backlog).node;
            self.network.is_cut(self.node, server) || self.network.is_cut(server, self.node)
        })
    }

    fn open(&self, port: u16) -> io::Result<Arc<dyn Conn>> {
        let mut shared = lock(&self.network.shared);
        let backlog = shared.listeners.get(&port).cloned();
        let backlog = backlog.ok_or(io::ErrorKind::ConnectionRefused)?;
        let server = lock(&backlog).node;
        let stream = Arc::new(Mutex::new(Stream {
            nodes: [self.node, server],
            pipes: [Pipe::default(), Pipe::default()],
            broken: false,
        }));
        shared.streams.push(Arc::clone(&stream));
        drop(shared);
        let end = |side, peer_port| SimConn {
            sim: self.sim.clone(),
            network: self.network.clone(),
            stream: Arc::clone(&stream),
            side,
            peer_addr: address(peer_port),
        };
        let mut backlog = lock(&backlog);
        backlog.conns.push_back(Arc::new(end(1, 40_000)));
        if let Some(waker) = backlog.waker.take() {
            waker.wake();
        }
        Ok(Arc::new(end(0, port)))
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

impl Net for SimNet {
    fn connect<'a>(&'a self, _host: &'a str, port: u16) -> Boxed<'a, Arc<dyn Conn>> {
        Box::pin(async move {
            loop {
                let delay = self.network.delay(&self.sim);
                elapse(&self.sim, self.node, delay).await;
                if !self.is_cut_from(port) {
                    return self.open(port);
                }
                // Whoever knocks hears nothing, and knocks again.
                elapse(&self.sim, self.node, KNOCK_INTERVAL).await;
            }
        })
    }

    fn listen<'a>(&'a self, _host: &'a str, port: u16) -> Boxed<'a, Box<dyn Listener>> {
        Box::pin(async move {
            let mut shared = lock(&self.network.shared);
            let port = if port == 0 {
                shared.next_port += 1;
                shared.next_port
            } else {
                port
            };
            if shared.listeners.contains_key(&port) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let backlog = Arc::new(Mutex::new(Backlog {
                node: self.node,
                conns: VecDeque::new(),
                waker: None,
                closed: false,
            }));
            shared.listeners.insert(port, Arc::clone(&backlog));
            let network = self.network.clone();
            Ok(Box::new(SimListener { network, backlog, port }) as Box<dyn Listener>)
        })
    }
}

async fn elapse(sim: &Sim, node: NodeId, delay: Duration) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    sim.after(node, delay, Box::new(move || sender.send(()).unwrap_or_default()));
    // An error means that the node has crashed, and this task with it.
    let _ = receiver.await;
}

struct SimListener {
    network: Network,
    backlog: Arc<Mutex<Backlog>>,
    port: u16,
}

impl Listener for SimListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arc<dyn Conn>>> {
        let mut backlog = lock(&self.backlog);
        if backlog.closed {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        match backlog.conns.pop_front() {
            Some(conn) => Poll::Ready(Ok(conn)),
            None => {
                backlog.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        address(self.port)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        lock(&self.backlog).closed = true;
        let mut shared = lock(&self.network.shared);
        if shared.listeners.get(&self.port).is_some_and(|now| Arc::ptr_eq(now, &self.backlog)) {
            shared.listeners.remove(&self.port);
        }
    }
}

struct SimConn {
    sim: Sim,
    network: Network,
    stream: Arc<Mutex<Stream>>,
    side: usize,
    peer_addr: SocketAddr,
}

impl SimConn {
    /// Puts bytes on the wire; they arrive later, behind those sent before.
    fn send(&self, bytes: BytesMut) {
        let delay = self.network.delay(&self.sim);
        lock(&self.network.shared).sent_bytes += bytes.len() as u64;
        let (side, stream) = (self.side, Arc::clone(&self.stream));
        let (at, from, to) = {
            let mut stream = lock(&self.stream);
            let (from, to) = (stream.nodes[side], stream.nodes[1 - side]);
            let pipe = &mut stream.pipes[side];
            pipe.in_flight_bytes += bytes.len();
            pipe.arrives_after = pipe.arrives_after.max(self.sim.now() + delay);
            (pipe.arrives_after, from, to)
        };
        let network = self.network.clone();
        let deliver = move || {
            if network.is_cut(from, to) {
                return;
            }
            let pipe = &mut lock(&stream).pipes[side];
            pipe.in_flight_bytes -= bytes.len();
            pipe.arrived.extend_from_slice(&bytes);
            pipe.wake();
        };
        // What is on the wire arrives even when its sender dies.
        self.sim.at(NodeId::OUTSIDE, at, Box::new(deliver));
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.network.resets_now(&self.sim) {
            lock(&self.stream).break_now();
        }
        let mut stream = lock(&self.stream);
        if stream.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let pipe = &mut stream.pipes[self.side];
        if pipe.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match PIPE_BYTES.saturating_sub(pipe.in_flight_bytes + pipe.arrived.len()) {
            0 => {
                pipe.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(Ok(room)),
        }
    }
}

impl Conn for SimConn {
    fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = lock(&self.stream);
        let broken = stream.broken;
        let pipe = &mut stream.pipes[1 - self.side];
        if broken || pipe.has_ended() || !pipe.arrived.is_empty() {
            return Poll::Ready(Ok(()));
        }
        pipe.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        let mut stream = lock(&self.stream);
        let broken = stream.broken;
        let pipe = &mut stream.pipes[1 - self.side];
        if pipe.arrived.is_empty() {
            if broken {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if pipe.has_ended() {
                return Poll::Ready(Ok(0));
            }
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let spare = (buf.capacity() - buf.len()).max(1);
        // Short reads happen: the peer's writes need not arrive as they were made.
        let limit = pipe.arrived.len().min(spare);
        let count = self.sim.draw(|rng| match rng.one_in(4) {
            true => rng.between(1, limit as u64) as usize,
            false => limit,
        });
        buf.extend_from_slice(&pipe.arrived[..count]);
        pipe.arrived.advance(count);
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let room = std::task::ready!(self.poll_room(cx))?;
        let mut bytes = BytesMut::new();
        for piece in pieces {
            let step = piece.len().min(room - bytes.len());
            bytes.extend_from_slice(&piece[..step]);
        }
        let count = bytes.len();
        self.send(bytes);
        Poll::Ready(Ok(count))
    }

    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let room = std::task::ready!(self.poll_room(cx))?;
        let mut bytes = BytesMut::zeroed(len.min(room));
        let count = file.read_at(position, &mut bytes)?;
        bytes.truncate(count);
        self.send(bytes);
        Poll::Ready(Ok(count))
    }

    fn close(&self) {
        let mut stream = lock(&self.stream);
        for pipe in &mut stream.pipes {
            pipe.finished = true;
            pipe.wake();
        }
    }
}

impl Drop for SimConn {
    fn drop(&mut self) {
        self.close();
    }
}
