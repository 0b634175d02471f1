//! Writes answers to a connection: gathered buffers in one call, file ranges by sendfile.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use strandline_ports::{Conn, File};

/// Most systems take 1,024 buffers in one call; an answer rarely has more than a few dozen.
const GATHER_MAX: usize = 64;

/// A stretch of an answer.
pub(crate) enum Piece {
    Bytes(Bytes),
    /// In memory already (the reader has seen to that), sent without passing through user space.
    FileRange {
        file: Arc<dyn File>,
        position: u64,
        len: usize,
    },
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::FileRange { len, .. } => *len,
        }
    }
}

/// What is still to be sent, in order.
#[derive(Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Piece>,
    queued_bytes: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, piece: Piece) {
        if piece.len() > 0 {
            self.queued_bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Sends until nothing is left. `Pending` while the client does not read.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        conn: &dyn Conn,
    ) -> Poll<io::Result<()>> {
        while let Some(front) = self.pieces.front() {
            let sent = match front {
                Piece::FileRange { file, position, len } => {
                    let sent = ready!(conn.poll_send_file(cx, &**file, *position, *len))?;
                    if sent == 0 {
                        // The log was truncated under a reader. The size of the answer is already
                        // on the wire, so only the end of the connection can tell the client.
                        let error = io::Error::other("a file range was cut short while being sent");
                        return Poll::Ready(Err(error));
                    }
                    sent
                }
                Piece::Bytes(_) => {
                    let mut slices = [IoSlice::new(&[]); GATHER_MAX];
                    let count = self.gather(&mut slices);
                    let sent = ready!(conn.poll_write(cx, &slices[..count]))?;
                    if sent == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    sent
                }
            };
            self.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let buffers = self.pieces.iter().map_while(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::FileRange { .. } => None,
        });
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(buffers) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut sent: usize) {
        self.queued_bytes -= sent;
        while sent > 0 {
            let Some(front) = self.pieces.front_mut() else { return };
            let step = sent.min(front.len());
            match front {
                Piece::Bytes(bytes) => bytes.advance(step),
                Piece::FileRange { position, len, .. } => {
                    *position += step as u64;
                    *len -= step;
                }
            }
            sent -= step;
            if front.len() == 0 {
                self.pieces.pop_front();
            }
        }
    }
}
