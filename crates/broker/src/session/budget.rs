//! One budget for all request bytes in flight over all connections.
//!
//! A frame is charged in full before its body is read and released once it is answered, so that
//! neither many clients nor large frames can make the broker grow past the budget: a connection
//! that does not get its share is simply not read from, and TCP slows the client down.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Bytes of one frame, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    _permit: OwnedSemaphorePermit,
}

/// The broker-wide budget; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct RequestMemory {
    bytes: Arc<Semaphore>,
    capacity_bytes: usize,
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// One connection's place in the queue for the budget.
pub(crate) struct Charging {
    memory: RequestMemory,
    waiting: Option<Waiting>,
}

impl RequestMemory {
    /// `capacity_bytes` must be at least the largest frame that is let in, or that frame would
    /// wait forever.
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        let capacity_bytes = capacity_bytes.min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(capacity_bytes)), capacity_bytes }
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    pub(crate) fn available_bytes(&self) -> usize {
        self.bytes.available_permits()
    }

    pub(crate) fn charging(&self) -> Charging {
        Charging { memory: self.clone(), waiting: None }
    }
}

impl Charging {
    /// Charges `len` bytes, first come first served. After `Pending`, ask again with the same `len`.
    pub(crate) fn poll_charge(&mut self, cx: &mut Context<'_>, len: u32) -> Poll<Charge> {
        let permit = match &mut self.waiting {
            Some(waiting) => ready!(waiting.as_mut().poll(cx)),
            None => match Arc::clone(&self.memory.bytes).try_acquire_many_owned(len) {
                Ok(permit) => return Poll::Ready(Charge { _permit: permit }),
                Err(_) => {
                    let acquire = Arc::clone(&self.memory.bytes).acquire_many_owned(len);
                    let waiting = self.waiting.insert(Box::pin(acquire));
                    ready!(waiting.as_mut().poll(cx))
                }
            },
        };
        self.waiting = None;
        Poll::Ready(Charge { _permit: permit.expect("the budget is never closed") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Waker;

    #[test]
    fn a_frame_waits_until_another_is_answered() {
        let memory = RequestMemory::new(100);
        let cx = &mut Context::from_waker(Waker::noop());
        let (mut first, mut second) = (memory.charging(), memory.charging());
        let Poll::Ready(charge) = first.poll_charge(cx, 80) else { panic!("there was room") };
        assert!(second.poll_charge(cx, 30).is_pending());
        drop(charge);
        assert!(second.poll_charge(cx, 30).is_ready());
    }

    #[tokio::test]
    async fn a_large_frame_is_not_starved_by_small_ones() {
        let memory = RequestMemory::new(100);
        let cx = &mut Context::from_waker(Waker::noop());
        let (mut small, mut large, mut late) =
            (memory.charging(), memory.charging(), memory.charging());
        let Poll::Ready(held) = small.poll_charge(cx, 20) else { panic!("there was room") };
        assert!(large.poll_charge(cx, 100).is_pending());
        assert!(late.poll_charge(cx, 10).is_pending(), "the large frame came first");
        drop(held);
        let all = poll_fn(|cx| large.poll_charge(cx, 100)).await;
        drop(all);
        poll_fn(|cx| late.poll_charge(cx, 10)).await;
    }
}
