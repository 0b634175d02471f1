//! One connection to one broker: requests go out as they come, answers come back in their order.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use strandline_ports::{Clock, Conn, Lane, World, timeout};
use strandline_wire::frame;
use strandline_wire::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, Request};
use strandline_wire::{Chunk, DecodeError};
use tokio::sync::{Notify, oneshot};

use crate::error::CallError;
use crate::sync::lock;
use crate::versions::Versions;

/// Reads start with room for this; larger frames grow it as their bytes arrive.
const READ_BYTES: usize = 16 << 10;
/// Pieces of one gathering write.
const WRITE_PIECES_MAX: usize = 64;

/// How to talk to a broker.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    pub client_id: String,
    pub connect_timeout: Duration,
    /// Waiting longer for an answer closes the connection.
    pub request_timeout: Duration,
    /// A larger answer closes the connection.
    pub response_bytes_max: u32,
    /// Which lane runs the connection's tasks.
    pub lane: Lane,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            client_id: "strandline".into(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            response_bytes_max: 128 << 20,
            lane: Lane::Data,
        }
    }
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    ByUs,
    ByPeer,
    Failed(String),
    /// The broker sent something that no broker sends.
    Nonsense(String),
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByUs => f.write_str("this client closed it"),
            Self::ByPeer => f.write_str("the broker closed it"),
            Self::Failed(error) => f.write_str(error),
            Self::Nonsense(what) => write!(f, "the other end is no Kafka broker: {what}"),
        }
    }
}

/// A handle on an open connection; clones share it, and it closes with the last of them.
#[derive(Clone)]
pub struct Connection(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    versions: Versions,
}

struct Shared {
    address: String,
    config: ConnectionConfig,
    conn: Arc<dyn Conn>,
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    /// Something to write, or the end.
    to_write: Notify,
    /// Wakes all who wait for the end.
    ended: Notify,
}

#[derive(Default)]
struct Queue {
    next_correlation_id: i32,
    outgoing: VecDeque<Bytes>,
    /// Who waits for an answer, in the order of the requests.
    waiting: VecDeque<(i32, oneshot::Sender<Bytes>)>,
    /// Who waits for what is outgoing to be written.
    unwritten: Vec<oneshot::Sender<()>>,
    closed: Option<Closed>,
}

/// What a request is awaited for.
enum Waiter {
    Answered(oneshot::Sender<Bytes>),
    Written(oneshot::Sender<()>),
}

/// An answer that is on its way.
#[must_use = "an answer that nobody awaits is thrown away"]
pub struct Answer<R> {
    /// Keeps the connection open until the answer is there.
    connection: Connection,
    version: i16,
    timeout: Duration,
    receiver: oneshot::Receiver<Bytes>,
    request: PhantomData<fn() -> R>,
}

/// A request without an answer that is on its way.
#[must_use = "a connection that nobody keeps is closed, whatever is still to be written"]
pub struct Unanswered {
    connection: Connection,
    receiver: oneshot::Receiver<()>,
}

impl Connection {
    /// Connects and learns which versions the broker serves.
    pub async fn open(
        world: &World,
        host: &str,
        port: u16,
        config: ConnectionConfig,
    ) -> Result<Self, CallError> {
        let address = format!("{host}:{port}");
        let deadline = world.clock.now().instant + config.connect_timeout;
        let unreachable =
            |reason: String| CallError::Unreachable { address: address.clone(), reason };
        let conn = timeout(&*world.clock, deadline, world.net.connect(host, port))
            .await
            .map_err(|_| unreachable(format!("no answer within {:?}", config.connect_timeout)))?
            .map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => CallError::Refused { address: address.clone() },
                _ => unreachable(error.to_string()),
            })?;
        let lane = config.lane;
        let shared = Arc::new(Shared {
            address,
            config,
            conn,
            clock: Arc::clone(&world.clock),
            queue: Mutex::default(),
            to_write: Notify::new(),
            ended: Notify::new(),
        });
        world.spawn.spawn(lane, Box::pin(write_frames(Arc::clone(&shared))));
        world.spawn.spawn(lane, Box::pin(read_frames(Arc::clone(&shared))));
        // Until the versions are known the handle knows none, and closes what it opened if it fails.
        let mut connection = Self(Arc::new(Handle { shared, versions: Versions::default() }));
        let response = connection.ask_versions().await?;
        let versions = Versions::of(&response);
        let handle = Arc::get_mut(&mut connection.0).expect("nobody else has this handle yet");
        handle.versions = versions;
        Ok(connection)
    }

    /// Asks in our newest version; a broker that lacks it answers in version 0 with those it has.
    async fn ask_versions(&self) -> Result<ApiVersionsResponse, CallError> {
        let request = ApiVersionsRequest {
            client_software_name: "strandline".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..Default::default()
        };
        let newest = ApiKey::ApiVersions.versions().max;
        // A part of connecting: a process that stands still is connected to all the same.
        let within = self.0.shared.config.connect_timeout;
        let frame = self.start_at::<ApiVersionsRequest>(&request, newest, within)?.frame().await?;
        if !frame::refuses_api_versions(&frame) {
            return self.decode::<ApiVersionsRequest>(&frame, newest);
        }
        let refusal = self.decode::<ApiVersionsRequest>(&frame, 0)?;
        let version = Versions::of(&refusal).highest_common(ApiKey::ApiVersions).unwrap_or(0);
        let request = if version >= 3 { request } else { ApiVersionsRequest::default() };
        self.start_at::<ApiVersionsRequest>(&request, version, within)?.receive().await
    }

    pub fn address(&self) -> &str {
        &self.0.shared.address
    }

    pub fn versions(&self) -> &Versions {
        &self.0.versions
    }

    pub fn is_open(&self) -> bool {
        lock(&self.0.shared.queue).closed.is_none()
    }

    pub fn close(&self) {
        self.0.shared.close(Closed::ByUs);
    }

    /// Waits until the connection has ended, whoever ended it.
    pub async fn closed(&self) {
        let ended = self.0.shared.ended.notified();
        let mut ended = std::pin::pin!(ended);
        // Whoever enables first misses no end.
        ended.as_mut().enable();
        if self.is_open() {
            ended.await;
        }
    }

    /// Sends a request in the highest version both sides know, and waits for its answer.
    pub async fn call<R: Request>(&self, request: R) -> Result<R::Response, CallError> {
        self.call_with(|_| request).await
    }

    /// Like [`Connection::call`], for requests whose content depends on the version.
    pub async fn call_with<R: Request>(
        &self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, CallError> {
        self.start(build, i16::MAX, self.0.shared.config.request_timeout)?.receive().await
    }

    /// Puts a request, in a version up to `version_max`, behind those sent before. The order of
    /// these calls is the order on the wire, however the answers are awaited.
    pub fn start<R: Request>(
        &self,
        build: impl FnOnce(i16) -> R,
        version_max: i16,
        timeout: Duration,
    ) -> Result<Answer<R>, CallError> {
        let version = self.version_of(R::KEY, version_max)?;
        self.start_at(&build(version), version, timeout)
    }

    /// Like [`Connection::start`], for a request that has no answer: Produce with `acks=0`.
    pub fn send_unanswered<R: Request>(
        &self,
        build: impl FnOnce(i16) -> R,
        version_max: i16,
    ) -> Result<Unanswered, CallError> {
        let version = self.version_of(R::KEY, version_max)?;
        let (sender, receiver) = oneshot::channel();
        self.0.shared.enqueue(&build(version), version, Waiter::Written(sender))?;
        let connection = self.clone();
        Ok(Unanswered { connection, receiver })
    }

    fn version_of(&self, api: ApiKey, version_max: i16) -> Result<i16, CallError> {
        let none = || CallError::NoCommonVersion { address: self.address().into(), api };
        let highest = self.versions().highest_common(api).ok_or_else(none)?.min(version_max);
        let lowest = self.versions().served(api.code()).map_or(0, |range| range.min);
        if highest < lowest { Err(none()) } else { Ok(highest) }
    }

    fn start_at<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<Answer<R>, CallError> {
        let (sender, receiver) = oneshot::channel();
        self.0.shared.enqueue(request, version, Waiter::Answered(sender))?;
        let connection = self.clone();
        Ok(Answer { connection, version, timeout, receiver, request: PhantomData })
    }

    fn decode<R: Request>(&self, frame: &Bytes, version: i16) -> Result<R::Response, CallError> {
        frame::decode_response::<R>(frame, version).map_err(|error| {
            self.0.shared.close(Closed::Nonsense(format!("{}: {error}", R::KEY)));
            CallError::Malformed { address: self.address().into(), api: R::KEY, error }
        })
    }
}

impl Unanswered {
    /// Waits until the system has taken it, which is all that can be known.
    pub async fn written(self) -> Result<(), CallError> {
        self.receiver.await.map_err(|_| self.connection.0.shared.closed_error())
    }
}

impl<R: Request> Answer<R> {
    /// Waits for the answer.
    pub async fn receive(self) -> Result<R::Response, CallError> {
        let (connection, version) = (self.connection.clone(), self.version);
        let frame = self.frame().await?;
        connection.decode::<R>(&frame, version)
    }

    /// The version that the request went out in.
    pub fn version(&self) -> i16 {
        self.version
    }

    async fn frame(self) -> Result<Bytes, CallError> {
        let shared = &self.connection.0.shared;
        let deadline = shared.clock.now().instant + self.timeout;
        match timeout(&*shared.clock, deadline, self.receiver).await {
            Ok(Ok(frame)) => Ok(frame),
            Ok(Err(_)) => Err(shared.closed_error()),
            Err(_) => {
                // Answers behind this one would wait as well: a new connection serves better.
                shared.close(Closed::ByUs);
                let address = shared.address.clone();
                Err(CallError::TimedOut { address, api: R::KEY, after: self.timeout })
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(Closed::ByUs);
    }
}

impl Shared {
    fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        waiter: Waiter,
    ) -> Result<(), CallError> {
        let mut queue = lock(&self.queue);
        if queue.closed.is_some() {
            drop(queue);
            return Err(self.closed_error());
        }
        let id = queue.next_correlation_id;
        let frame = frame::request(request, version, id, Some(&self.config.client_id))
            .map_err(|error| CallError::Unspeakable { api: R::KEY, version, error })?;
        queue.next_correlation_id = id.wrapping_add(1);
        queue.outgoing.extend(frame.chunks.into_iter().filter_map(|chunk| match chunk {
            Chunk::Bytes(bytes) => Some(bytes),
            Chunk::External { .. } => None,
        }));
        match waiter {
            Waiter::Answered(answer) => queue.waiting.push_back((id, answer)),
            Waiter::Written(written) => queue.unwritten.push(written),
        }
        drop(queue);
        self.to_write.notify_one();
        Ok(())
    }

    /// Moves what is to be written, and who waits for that; `None` at the end.
    fn take_outgoing(&self, pieces: &mut VecDeque<Bytes>) -> Option<Vec<oneshot::Sender<()>>> {
        let mut queue = lock(&self.queue);
        pieces.append(&mut queue.outgoing);
        let unwritten = std::mem::take(&mut queue.unwritten);
        queue.closed.is_none().then_some(unwritten)
    }

    fn deliver(&self, frame: Bytes) -> Result<(), Closed> {
        let nonsense = |error: DecodeError| Closed::Nonsense(error.to_string());
        let id = frame::correlation_id(&frame).map_err(nonsense)?;
        let (expected, answer) = lock(&self.queue)
            .waiting
            .pop_front()
            .ok_or_else(|| Closed::Nonsense(format!("answer {id} to no request")))?;
        if id != expected {
            return Err(Closed::Nonsense(format!("answer {id} in the place of {expected}")));
        }
        // Whoever asked may have gone.
        let _ = answer.send(frame);
        Ok(())
    }

    /// The first reason stays.
    fn close(&self, reason: Closed) {
        let mut queue = lock(&self.queue);
        if queue.closed.is_none() {
            queue.closed = Some(reason);
        }
        queue.outgoing.clear();
        queue.waiting.clear();
        queue.unwritten.clear();
        drop(queue);
        self.conn.close();
        self.to_write.notify_one();
        self.ended.notify_waiters();
    }

    fn closed_error(&self) -> CallError {
        let reason = lock(&self.queue).closed.clone().unwrap_or(Closed::ByPeer);
        CallError::Closed { address: self.address.clone(), reason }
    }
}

async fn write_frames(shared: Arc<Shared>) {
    let mut pieces = VecDeque::new();
    while let Some(unwritten) = shared.take_outgoing(&mut pieces) {
        if pieces.is_empty() {
            shared.to_write.notified().await;
            continue;
        }
        if let Err(error) = write_pieces(&*shared.conn, &mut pieces).await {
            return shared.close(Closed::Failed(error.to_string()));
        }
        for waiter in unwritten {
            // Whoever asked may have gone.
            let _ = waiter.send(());
        }
    }
}

async fn write_pieces(conn: &dyn Conn, pieces: &mut VecDeque<Bytes>) -> io::Result<()> {
    while !pieces.is_empty() {
        let mut written = poll_fn(|cx| {
            let slices: Vec<IoSlice<'_>> =
                pieces.iter().take(WRITE_PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            conn.poll_write(cx, &slices)
        })
        .await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(piece) = pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                break;
            }
            written -= piece.len();
            pieces.pop_front();
        }
    }
    Ok(())
}

async fn read_frames(shared: Arc<Shared>) {
    let mut frames = Frames::default();
    let reason = loop {
        match frames.next(shared.config.response_bytes_max) {
            Ok(Some(frame)) => match shared.deliver(frame) {
                Ok(()) => continue,
                Err(reason) => break reason,
            },
            Ok(None) => {}
            Err(error) => break Closed::Nonsense(error.to_string()),
        }
        match frames.read_some(&*shared.conn).await {
            Ok(0) => break Closed::ByPeer,
            Ok(_) => {}
            Err(error) => break Closed::Failed(error.to_string()),
        }
    };
    shared.close(reason);
}

/// What arrives, cut into frames.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
    /// With its size. The next one is likely as large: room for all of it at once saves copies of
    /// what has arrived into ever larger buffers.
    last_frame_bytes: usize,
}

impl Frames {
    /// Takes a whole frame off the front, without its size.
    fn next(&mut self, bytes_max: u32) -> Result<Option<Bytes>, frame::FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<{ frame::SIZE_BYTES }>() else {
            return Ok(None);
        };
        let size = frame::size(*prefix, bytes_max)? as usize;
        let whole = frame::SIZE_BYTES + size;
        if self.buffer.len() < whole {
            // A size is believed as its bytes come in, or as far as the last one was true.
            let missing = whole - self.buffer.len();
            self.buffer.reserve(missing.min(self.buffer.len().max(self.expected_bytes())));
            return Ok(None);
        }
        self.last_frame_bytes = whole;
        self.buffer.advance(frame::SIZE_BYTES);
        Ok(Some(self.buffer.split_to(size).freeze()))
    }

    async fn read_some(&mut self, conn: &dyn Conn) -> io::Result<usize> {
        if self.buffer.is_empty() {
            poll_fn(|cx| conn.poll_readable(cx)).await?;
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve(self.expected_bytes());
        }
        poll_fn(|cx| conn.poll_read(cx, &mut self.buffer)).await
    }

    fn expected_bytes(&self) -> usize {
        self.last_frame_bytes.max(READ_BYTES)
    }
}
