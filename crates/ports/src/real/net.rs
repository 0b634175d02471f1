use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use crate::{Conn, File, Listener, Net};

/// What epoll and kqueue have; other systems emulate events by polling.
const HAS_EDGE_TRIGGERED_EVENTS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd",
));

/// TCP. Every connection is opened without Nagle's delay.
#[derive(Debug, Default)]
pub struct RealNet;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

impl Net for RealNet {
    fn host_name(&self) -> String {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if name.is_empty() { "localhost".to_owned() } else { name }
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, Arc<dyn Conn>> {
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            let peer_addr = stream.peer_addr()?;
            Ok(Arc::new(RealConn::new(stream, peer_addr)?) as Arc<dyn Conn>)
        })
    }

    fn listen<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, Box<dyn Listener>> {
        Box::pin(async move {
            // Kafka's way to say "all interfaces" is an empty host.
            let host = if host.is_empty() { "0.0.0.0" } else { host };
            let listener = TcpListener::bind((host, port)).await?;
            let local_addr = listener.local_addr()?;
            Ok(Box::new(RealListener { listener, local_addr }) as Box<dyn Listener>)
        })
    }
}

struct RealListener {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Listener for RealListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arc<dyn Conn>>> {
        loop {
            let (stream, peer_addr) = ready!(self.listener.poll_accept(cx))?;
            // One whose client has gone already is no reason to stop accepting for a while.
            if let Ok(conn) = RealConn::new(stream, peer_addr) {
                return Poll::Ready(Ok(Arc::new(conn)));
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

struct RealConn {
    stream: TcpStream,
    peer_addr: SocketAddr,
}

impl RealConn {
    fn new(stream: TcpStream, peer_addr: SocketAddr) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, peer_addr })
    }

    /// Reads once. A read that leaves room in `buf` has drained the socket, and with edge-triggered
    /// events the next bytes are told anew: the socket counts as unreadable from then on, which
    /// saves the read that would only say so.
    fn read_until_drained(&self, buf: &mut BytesMut) -> io::Result<usize> {
        let room = buf.capacity() - buf.len();
        let mut drained = None;
        // The outer call remembers which event it acts on before the read: bytes that arrive
        // behind the read's back are a newer event, and stay told.
        let read = self.stream.try_io(Interest::READABLE, || {
            let count = self.stream.try_read_buf(buf)?;
            if HAS_EDGE_TRIGGERED_EVENTS && 0 < count && count < room {
                drained = Some(count);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        drained.map_or(read, Ok)
    }

    /// Tries `write` until it is done or the socket is truly full.
    fn poll_writing(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, &mut write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Conn for RealConn {
    fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.read_until_drained(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(fd) = file.as_fd() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        self.poll_writing(cx, || {
            let mut from = position;
            Ok(rustix::fs::sendfile(&self.stream, fd, Some(&mut from), len)?)
        })
    }

    fn close(&self) {
        // Already gone is as good as closed.
        let _ = rustix::net::shutdown(&self.stream, Shutdown::Both);
    }
}
