//! The answer of a disk operation that is usually there at once.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// Ready inline when the operation was done on the caller's thread; otherwise a writer thread (or
/// the simulator) completes it later. Dropping it does not cancel the operation.
#[derive(Debug)]
#[must_use = "an operation that failed must fault the log dir"]
pub struct Completion(State);

#[derive(Debug)]
enum State {
    Ready(Option<io::Result<()>>),
    Waiting(oneshot::Receiver<io::Result<()>>),
}

/// The other end of a waiting [`Completion`]. Dropped unused, the operation counts as failed.
#[derive(Debug)]
pub struct Completer(oneshot::Sender<io::Result<()>>);

impl Completion {
    pub fn ready(result: io::Result<()>) -> Self {
        Self(State::Ready(Some(result)))
    }

    pub fn waiting() -> (Completer, Self) {
        let (sender, receiver) = oneshot::channel();
        (Completer(sender), Self(State::Waiting(receiver)))
    }
}

impl Completer {
    pub fn complete(self, result: io::Result<()>) {
        // The waiter may have gone: the operation still happened.
        let _ = self.0.send(result);
    }
}

impl Future for Completion {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Ready(result) => Poll::Ready(
                result.take().unwrap_or_else(|| Err(io::Error::other("completion polled twice"))),
            ),
            State::Waiting(receiver) => Pin::new(receiver).poll(cx).map(|answer| {
                answer.unwrap_or_else(|_| Err(io::Error::other("the disk writer has gone")))
            }),
        }
    }
}
