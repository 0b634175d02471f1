//! Stream connections as a port. Polled through `&self`, so one task can wait for the next
//! request and push out an answer at the same time, without a split or a second wake-up.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::File;

type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Arc<dyn Conn>>> + Send + 'a>>;
type Listening<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Listener>>> + Send + 'a>>;

/// One node's access to the network.
pub trait Net: Send + Sync {
    /// Resolves `host` and connects to the first address that answers.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a>;
    /// Port 0 takes any free one.
    fn listen<'a>(&'a self, host: &'a str, port: u16) -> Listening<'a>;
    /// What other machines call this one.
    fn host_name(&self) -> String {
        "localhost".to_owned()
    }
}

pub trait Listener: Send + Sync {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Arc<dyn Conn>>>;
    fn local_addr(&self) -> SocketAddr;
}

/// One connection. At most one task polls reads and one polls writes; they may be the same.
/// Dropping it closes it.
pub trait Conn: Send + Sync {
    fn peer_addr(&self) -> SocketAddr;
    /// Ready when a read is worth a buffer: bytes are there, or the end, or an error. May be wrong
    /// now and then. An idle connection waits here and owns no buffer.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Appends what has arrived, up to the spare capacity of `buf`, which must not be empty.
    /// 0 bytes: the peer has finished sending.
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>>;
    /// May write less than all.
    fn poll_write(&self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;
    /// Sends up to `len` bytes of `file` from `position`, without a copy where the platform can.
    /// The range must be in memory already: a cold page would block the thread. 0 bytes: the file
    /// has become shorter.
    fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: &dyn File,
        position: u64,
        len: usize,
    ) -> Poll<io::Result<usize>>;
    /// Ends both directions now; pending and later polls see the end.
    fn close(&self);
}
