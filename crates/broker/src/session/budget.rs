//! One budget for all request bytes in flight over all connections.
//!
//! Bytes are charged before there is room for them and released once the request is answered, so
//! that neither many clients nor large frames can make the broker grow past the budget: a
//! connection that does not get its share is simply not read from, and TCP slows the client down.
//!
//! A frame is charged as it arrives, at most twice what has come, or what the frame before it took:
//! a size that is only declared would otherwise take the budget from all others. Frames that have come in part can then hold
//! each other up; the sweep over all connections ends those that stand still for too long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connections::Activity;

/// Bytes of one frame, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge(OwnedSemaphorePermit);

/// The broker-wide budget; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct RequestMemory {
    bytes: Arc<Semaphore>,
    capacity_bytes: usize,
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        self.0.num_permits()
    }

    fn add(&mut self, other: Self) {
        self.0.merge(other.0);
    }
}

type Waiting = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// The connection was closed while it waited for its share.
#[derive(Debug)]
pub(crate) struct Abandoned;

/// One connection's place in the queue for the budget.
pub(crate) struct Charging {
    memory: RequestMemory,
    activity: Arc<Activity>,
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

    pub(crate) fn charging(&self, activity: Arc<Activity>) -> Charging {
        Charging { memory: self.clone(), activity, waiting: None }
    }
}

impl Charging {
    /// Brings `charge` to `bytes`, first come first served. After `Pending`, ask again for as many.
    pub(crate) fn poll_charge(
        &mut self,
        cx: &mut Context<'_>,
        charge: &mut Option<Charge>,
        bytes: usize,
    ) -> Poll<Result<(), Abandoned>> {
        let missing = bytes - charge.as_ref().map_or(0, Charge::bytes);
        let permit = match &mut self.waiting {
            Some(waiting) => ready!(waiting.as_mut().poll(cx)),
            None => match Arc::clone(&self.memory.bytes).try_acquire_many_owned(missing as u32) {
                Ok(permit) => Some(permit),
                Err(_) => {
                    let waiting = self.wait_for(missing as u32);
                    ready!(self.waiting.insert(waiting).as_mut().poll(cx))
                }
            },
        };
        self.waiting = None;
        let more = Charge(permit.ok_or(Abandoned)?);
        match charge {
            Some(charge) => charge.add(more),
            None => *charge = Some(more),
        }
        Poll::Ready(Ok(()))
    }

    fn wait_for(&self, bytes: u32) -> Waiting {
        let acquire = Arc::clone(&self.memory.bytes).acquire_many_owned(bytes);
        let activity = Arc::clone(&self.activity);
        Box::pin(async move {
            tokio::select! {
                biased;
                () = activity.abandoned() => None,
                permit = acquire => permit.ok(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Waker;

    fn poll(charging: &mut Charging, held: &mut Option<Charge>, bytes: usize) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        match charging.poll_charge(cx, held, bytes) {
            Poll::Ready(charged) => charged.is_ok(),
            Poll::Pending => false,
        }
    }

    #[test]
    fn a_frame_waits_until_another_is_answered() {
        let memory = RequestMemory::new(100);
        let (mut first, mut second) =
            (memory.charging(Arc::default()), memory.charging(Arc::default()));
        let (mut held, mut wanted) = (None, None);
        assert!(poll(&mut first, &mut held, 50));
        assert!(poll(&mut first, &mut held, 80));
        assert_eq!(held.as_ref().map(Charge::bytes), Some(80));
        assert!(!poll(&mut second, &mut wanted, 30));
        drop(held);
        assert!(poll(&mut second, &mut wanted, 30));
    }

    #[tokio::test]
    async fn a_large_frame_is_not_starved_by_small_ones() {
        let memory = RequestMemory::new(100);
        let charging = || memory.charging(Arc::default());
        let (mut small, mut large, mut late) = (charging(), charging(), charging());
        let (mut held, mut all, mut more) = (None, None, None);
        assert!(poll(&mut small, &mut held, 20));
        assert!(!poll(&mut large, &mut all, 100));
        assert!(!poll(&mut late, &mut more, 10), "the large frame came first");
        drop(held);
        poll_fn(|cx| large.poll_charge(cx, &mut all, 100)).await.expect("not abandoned");
        drop(all);
        poll_fn(|cx| late.poll_charge(cx, &mut more, 10)).await.expect("not abandoned");
    }

    #[tokio::test]
    async fn whoever_is_abandoned_waits_no_longer() {
        let memory = RequestMemory::new(100);
        let activity = Arc::new(Activity::default());
        let (mut first, mut second) =
            (memory.charging(Arc::default()), memory.charging(Arc::clone(&activity)));
        let (mut held, mut wanted) = (None, None);
        assert!(poll(&mut first, &mut held, 100));
        assert!(!poll(&mut second, &mut wanted, 1));
        activity.abandon();
        assert!(poll_fn(|cx| second.poll_charge(cx, &mut wanted, 1)).await.is_err());
    }
}
