//! Reads frames from a connection: a 4-byte size, then that many bytes.
//!
//! The bytes of a frame stay where the socket put them: requests borrow them, and record batches
//! are written to the log from this very buffer. An idle connection owns no buffer at all.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use strandline_ports::Conn;
use strandline_wire::messages::ApiKey;

use super::budget::{Abandoned, Charge, Charging, RequestMemory};
use super::connections::Activity;

/// The first read of a frame takes at least this much, so that small requests need one call.
const FIRST_READ_BYTES: usize = 4 * 1024;
/// A frame is charged for at least this much; most are smaller.
const FIRST_CHARGE_BYTES: usize = 16 * 1024;
/// A frame's buffer is never reserved further ahead of the bytes that have arrived than this: a
/// size that was only declared costs nothing.
const RESERVE_AHEAD_BYTES: usize = 1024 * 1024;
const SIZE_BYTES: usize = 4;
/// What a frame begins with.
const API_KEY_BYTES: usize = 2;
/// Room that is left when a frame has been read: only a read that does not fill its buffer proves
/// that nothing more is there, and it may bring the size of the frame behind.
const BEYOND_BYTES: usize = SIZE_BYTES;

/// A request as it came from the socket, without the size.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) charge: Charge,
}

/// Why no further frame comes.
#[derive(Debug)]
pub(crate) enum End {
    /// The client has closed the connection between two frames.
    Closed,
    /// The client has closed the connection inside a frame.
    Torn,
    /// A size that is negative or above `socket.request.max.bytes`.
    BadSize(i32),
    Io(io::Error),
    /// Closed from here while it waited for its share of the budget.
    Abandoned,
}

pub(crate) struct Inbox {
    buf: BytesMut,
    activity: Arc<Activity>,
    charging: Charging,
    /// The charge of the frame that is being read.
    charge: Option<Charge>,
    frame_max_bytes: usize,
    /// The size of the last frame with its prefix: the next one is likely as large, and then one
    /// buffer of the right size takes it in one read. A buffer that grows with the frame would be
    /// copied each time.
    last_frame_bytes: usize,
}

impl Inbox {
    pub(crate) fn new(
        memory: &RequestMemory,
        activity: Arc<Activity>,
        frame_max_bytes: usize,
    ) -> Self {
        Self {
            buf: BytesMut::new(),
            charging: memory.charging(Arc::clone(&activity)),
            activity,
            charge: None,
            frame_max_bytes,
            last_frame_bytes: 0,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        conn: &dyn Conn,
    ) -> Poll<Result<Frame, End>> {
        loop {
            let len = self.frame_len().map_err(End::BadSize)?;
            if let Some(len) = len.filter(|len| self.shows_its_api(*len)) {
                let charged =
                    ready!(self.poll_charge(cx, len)).map_err(|Abandoned| End::Abandoned)?;
                let total = SIZE_BYTES + len;
                if self.buf.len() >= total {
                    self.activity.frame_done();
                    return Poll::Ready(Ok(self.take_frame(total)));
                }
                let missing = SIZE_BYTES + charged - self.buf.len();
                self.buf.reserve(missing.min(RESERVE_AHEAD_BYTES) + BEYOND_BYTES);
                self.activity.frame_goes_on();
            } else {
                if self.buf.is_empty() {
                    ready!(conn.poll_readable(cx)).map_err(End::Io)?;
                }
                self.buf.reserve(self.expected_bytes().max(FIRST_READ_BYTES) + BEYOND_BYTES);
            }
            ready!(self.poll_fill(cx, conn))?;
        }
    }

    /// What the next frame is expected to take.
    fn expected_bytes(&self) -> usize {
        self.last_frame_bytes.min(RESERVE_AHEAD_BYTES)
    }

    /// Charges what has arrived of a frame of `len` bytes, and ahead of it as much again, or as
    /// much as this connection's last frame took. Gives what is charged: all of a frame that is
    /// there, else more than is there.
    fn poll_charge(&mut self, cx: &mut Context<'_>, len: usize) -> Poll<Result<usize, Abandoned>> {
        let arrived = (self.buf.len() - SIZE_BYTES).min(len);
        let charged = self.charge.as_ref().map_or(0, Charge::bytes);
        if self.charge.is_some() && (charged > arrived || charged == len) {
            return Poll::Ready(Ok(charged));
        }
        let ahead = self.expected_bytes().max(FIRST_CHARGE_BYTES);
        let bytes = (2 * arrived).max(ahead).min(len);
        let reserve_for = (!self.is_produce()).then_some(len);
        ready!(self.charging.poll_charge(cx, &mut self.charge, bytes, reserve_for))?;
        Poll::Ready(Ok(bytes))
    }

    /// Whether so much of the frame is there that its kind is known.
    fn shows_its_api(&self, len: usize) -> bool {
        self.buf.len() >= SIZE_BYTES + len.min(API_KEY_BYTES)
    }

    fn is_produce(&self) -> bool {
        self.buf[SIZE_BYTES..].starts_with(&ApiKey::Produce.code().to_be_bytes())
    }

    /// The declared length of the frame at the start of the buffer, once its size is there.
    fn frame_len(&self) -> Result<Option<usize>, i32> {
        let Some(size) = self.buf.first_chunk::<SIZE_BYTES>() else { return Ok(None) };
        let size = i32::from_be_bytes(*size);
        match usize::try_from(size) {
            Ok(len) if len <= self.frame_max_bytes => Ok(Some(len)),
            _ => Err(size),
        }
    }

    /// A frame that fills less than half of its buffer is copied out of it: the tail cache keeps
    /// what it holds alive, and one batch of 100 bytes would keep 4 KiB.
    fn take_frame(&mut self, total: usize) -> Frame {
        self.last_frame_bytes = total;
        let bytes = if total < self.buf.capacity() / 2 {
            let bytes = Bytes::copy_from_slice(&self.buf[SIZE_BYTES..total]);
            self.buf.advance(total);
            bytes
        } else {
            self.buf.split_to(total).freeze().split_off(SIZE_BYTES)
        };
        if self.buf.is_empty() {
            // What is left of the buffer would stay with an idle connection.
            self.buf = BytesMut::new();
        }
        let charge = self.charge.take().expect("a frame is charged before it is taken");
        Frame { bytes, charge }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, conn: &dyn Conn) -> Poll<Result<(), End>> {
        let was_empty = self.buf.is_empty();
        let read = conn.poll_read(cx, &mut self.buf);
        if read.is_pending() && was_empty {
            self.buf = BytesMut::new();
        }
        Poll::Ready(match ready!(read) {
            Ok(0) if was_empty => Err(End::Closed),
            Ok(0) => Err(End::Torn),
            Ok(_) => Ok(()),
            Err(error) => Err(End::Io(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::IoSlice;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::{Mutex, PoisonError};
    use std::task::Waker;

    use strandline_ports::File;

    /// Everything that the client will ever send is there already.
    struct Stream(Mutex<(BytesMut, usize)>);

    impl Stream {
        fn of(frames: &[usize]) -> Self {
            let mut bytes = BytesMut::new();
            for &len in frames {
                bytes.extend_from_slice(&(len as u32).to_be_bytes());
                bytes.resize(bytes.len() + len, 7);
            }
            Self(Mutex::new((bytes, 0)))
        }

        fn reads(&self) -> usize {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).1
        }
    }

    impl Conn for Stream {
        fn peer_addr(&self) -> SocketAddr {
            (Ipv4Addr::LOCALHOST, 1).into()
        }

        fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_read(&self, _: &mut Context<'_>, buf: &mut BytesMut) -> Poll<io::Result<usize>> {
            let mut inner = self.0.lock().unwrap();
            let count = (buf.capacity() - buf.len()).min(inner.0.len());
            buf.extend_from_slice(&inner.0.split_to(count));
            inner.1 += 1;
            Poll::Ready(Ok(count))
        }

        fn poll_write(&self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            unreachable!("an inbox does not write")
        }

        fn poll_send_file(
            &self,
            _: &mut Context<'_>,
            _: &dyn File,
            _: u64,
            _: usize,
        ) -> Poll<io::Result<usize>> {
            unreachable!("an inbox does not write")
        }

        fn close(&self) {}
    }

    /// Takes all frames, each answered before the next one is read; how many reads that took.
    fn reads_of(frames: &[usize]) -> usize {
        let stream = Stream::of(frames);
        let memory = RequestMemory::new(1 << 20);
        let mut inbox = Inbox::new(&memory, Arc::default(), 1 << 20);
        let cx = &mut Context::from_waker(Waker::noop());
        for &len in frames {
            let Poll::Ready(Ok(frame)) = inbox.poll_frame(cx, &stream) else {
                panic!("a frame of {len} bytes is there")
            };
            assert_eq!(frame.bytes, vec![7; len]);
            assert_eq!(frame.charge.bytes(), len);
        }
        assert_eq!(memory.available_bytes(), 1 << 20);
        stream.reads()
    }

    #[test]
    fn frames_that_are_as_large_as_the_one_before_take_one_read_each() {
        let large = 64 * 1024;
        let first = reads_of(&[large]);
        assert_eq!(reads_of(&[large; 10]), first + 9);
        assert_eq!(reads_of(&[100]), 1);
        // Many small ones come by one read.
        assert_eq!(reads_of(&[100; 30]), 1);
    }

    #[test]
    fn frames_of_all_sizes_come_whole() {
        let sizes = [0, 1, 5_000, 100, 200_000, 64, 16_384, 70_000, 70_000, 3, 400_000, 12];
        assert!(reads_of(&sizes) >= sizes.len() / 2);
    }
}
