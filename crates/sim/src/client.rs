//! A client of frames: says exactly what a test wants said, one connection at a time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use strandline_ports::{Conn, TimedOut, World, timeout};
use strandline_wire::frame::{self, SIZE_BYTES};
use strandline_wire::messages::Request;
use strandline_wire::{DecodeError, EncodeError};

/// Longer than any fault of a scenario lasts.
const PATIENCE: Duration = Duration::from_secs(40);
const FRAME_MAX_BYTES: u32 = 64 * 1024 * 1024;

/// Why there is no answer. The connection is gone then.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
    #[error("the answer belongs to another request: {got} instead of {expected}")]
    OutOfOrder { expected: i32, got: i32 },
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("malformed answer: {0}")]
    Decode(#[from] DecodeError),
    #[error("malformed frame: {0}")]
    Frame(#[from] frame::FrameError),
}

/// Connects when it has something to say.
pub struct Client {
    world: World,
    port: u16,
    name: String,
    next_id: i32,
    connection: Option<Connection>,
}

struct Connection {
    conn: Arc<dyn Conn>,
    received: BytesMut,
    /// Correlation ids of what was asked, oldest first.
    unanswered: VecDeque<i32>,
}

impl Client {
    pub fn new(world: World, port: u16, name: &str) -> Self {
        Self { world, port, name: name.into(), next_id: 0, connection: None }
    }

    /// From now on it speaks to whoever listens there.
    pub fn turn_to(&mut self, port: u16) {
        if port != self.port {
            self.port = port;
            self.hang_up();
        }
    }

    /// Connects, unless it is connected.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(&mut self) -> Result<(), ClientError> {
        self.connected().await?;
        Ok(())
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the broker says nothing for too long.
    pub async fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        self.send(request, version).await?;
        self.receive::<R>(version).await
    }

    /// Sends one request; its answer is received later, after those of earlier requests.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        self.next_id += 1;
        let id = self.next_id;
        let framed = frame::request(request, version, id, Some(&self.name))?;
        let bytes = framed.contiguous().expect("a client sends from memory");
        let sent = async {
            let connection = self.connected().await?;
            write_all(&*connection.conn, bytes).await?;
            connection.unanswered.push_back(id);
            Ok(())
        };
        let sent = sent.await;
        self.hang_up_on_error(sent)
    }

    /// The answer to the oldest request that has none.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, ClientError> {
        let clock = Arc::clone(&self.world.clock);
        let deadline = clock.now().instant + PATIENCE;
        let answer = async {
            let lost = io::Error::from(io::ErrorKind::NotConnected);
            let connection = self.connection.as_mut().ok_or(lost)?;
            let expected = connection.unanswered.pop_front().expect("something was asked");
            let frame = connection.next_frame().await?;
            let got = frame::correlation_id(&frame)?;
            if got != expected {
                return Err(ClientError::OutOfOrder { expected, got });
            }
            Ok(frame::decode_response::<R>(&frame, version)?)
        };
        let answer = match timeout(&*clock, deadline, answer).await {
            Ok(answer) => answer,
            Err(TimedOut) => Err(ClientError::TimedOut),
        };
        self.hang_up_on_error(answer)
    }

    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    fn hang_up_on_error<T>(&mut self, result: Result<T, ClientError>) -> Result<T, ClientError> {
        if result.is_err() {
            self.connection = None;
        }
        result
    }

    async fn connected(&mut self) -> io::Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection {
                conn: self.world.net.connect("127.0.0.1", self.port).await?,
                received: BytesMut::new(),
                unanswered: VecDeque::new(),
            },
        };
        Ok(self.connection.insert(connection))
    }
}

impl Connection {
    async fn next_frame(&mut self) -> Result<Bytes, ClientError> {
        self.fill(SIZE_BYTES).await?;
        let prefix = *self.received.first_chunk().expect("as many were filled");
        let size = frame::size(prefix, FRAME_MAX_BYTES)? as usize;
        self.fill(SIZE_BYTES + size).await?;
        self.received.advance(SIZE_BYTES);
        Ok(self.received.split_to(size).freeze())
    }

    async fn fill(&mut self, len: usize) -> io::Result<()> {
        while self.received.len() < len {
            self.received.reserve(len.max(4096) - self.received.len());
            let count = poll_fn(|cx| self.conn.poll_read(cx, &mut self.received)).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

async fn write_all(conn: &dyn Conn, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| conn.poll_write(cx, &[IoSlice::new(&bytes)])).await?;
        bytes.advance(count);
    }
    Ok(())
}
