//! One budget for all request bytes in flight over all connections.
//!
//! Bytes are charged before there is room for them and released once the request is answered, so
//! that neither many clients nor large frames can make the broker grow past the budget: a
//! connection that does not get its share is simply not read from, and TCP slows the client down.
//!
//! A frame is charged as it arrives, at most twice what has come, or what the frame before it took:
//! a size that is only declared would otherwise take the budget from all others. Frames that have come in part can then hold
//! each other up; the sweep over all connections ends those that stand still for too long.
//!
//! A Produce holds its bytes until replicas have them, which they say by Fetch, or until a coordinator
//! has consented, which is asked by yet another request. Those must not wait for the room that the
//! Produce takes: requests of every other kind have a reserve beside the budget.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connections::Activity;

/// One part in so many of the budget lies beside it in reserve, of which one frame may take as small
/// a part.
const RESERVE_DIVISOR: usize = 8;

/// Bytes of one frame, given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: OwnedSemaphorePermit,
    of_reserve: Option<OwnedSemaphorePermit>,
}

/// The broker-wide budget; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct RequestMemory {
    bytes: Arc<Semaphore>,
    capacity_bytes: usize,
    reserve: Arc<Semaphore>,
    reserve_frame_max_bytes: usize,
}

impl Charge {
    pub(crate) fn bytes(&self) -> usize {
        let reserved = self.of_reserve.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        self.bytes.num_permits() + reserved
    }

    fn add(&mut self, other: Self) {
        self.bytes.merge(other.bytes);
        match (&mut self.of_reserve, other.of_reserve) {
            (Some(mine), Some(more)) => mine.merge(more),
            (mine, more) => *mine = mine.take().or(more),
        }
    }
}

impl From<OwnedSemaphorePermit> for Charge {
    fn from(bytes: OwnedSemaphorePermit) -> Self {
        Self { bytes, of_reserve: None }
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
        let reserve_bytes = capacity_bytes / RESERVE_DIVISOR;
        Self {
            bytes: Arc::new(Semaphore::new(capacity_bytes)),
            capacity_bytes,
            reserve: Arc::new(Semaphore::new(reserve_bytes)),
            reserve_frame_max_bytes: reserve_bytes / RESERVE_DIVISOR,
        }
    }

    pub(crate) fn capacity_bytes(&self) -> usize {
        self.capacity_bytes
    }

    pub(crate) fn available_bytes(&self) -> usize {
        self.bytes.available_permits()
    }

    /// What may be taken of the reserve when the budget is used up.
    fn try_reserve(&self, missing: usize, frame_bytes: usize) -> Option<Charge> {
        if frame_bytes > self.reserve_frame_max_bytes {
            return None;
        }
        let of_reserve = Arc::clone(&self.reserve).try_acquire_many_owned(missing as u32).ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(0).ok()?;
        Some(Charge { bytes, of_reserve: Some(of_reserve) })
    }

    pub(crate) fn charging(&self, activity: Arc<Activity>) -> Charging {
        Charging { memory: self.clone(), activity, waiting: None }
    }
}

impl Charging {
    /// Brings `charge` to `bytes`, first come first served. After `Pending`, ask again for as many.
    /// `reserve_for` is the length of a frame that may use the reserve.
    pub(crate) fn poll_charge(
        &mut self,
        cx: &mut Context<'_>,
        charge: &mut Option<Charge>,
        bytes: usize,
        reserve_for: Option<usize>,
    ) -> Poll<Result<(), Abandoned>> {
        let missing = bytes - charge.as_ref().map_or(0, Charge::bytes);
        let granted = match &mut self.waiting {
            Some(waiting) => ready!(waiting.as_mut().poll(cx)).map(Charge::from),
            None => match Arc::clone(&self.memory.bytes).try_acquire_many_owned(missing as u32) {
                Ok(permit) => Some(Charge::from(permit)),
                Err(_) => {
                    let reserved = reserve_for.and_then(|it| self.memory.try_reserve(missing, it));
                    match reserved {
                        Some(reserved) => Some(reserved),
                        None => {
                            let waiting = self.wait_for(missing as u32);
                            ready!(self.waiting.insert(waiting).as_mut().poll(cx)).map(Charge::from)
                        }
                    }
                }
            },
        };
        self.waiting = None;
        let more = granted.ok_or(Abandoned)?;
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
        match charging.poll_charge(cx, held, bytes, None) {
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

    #[test]
    fn what_a_produce_waits_for_does_not_wait_for_it() {
        let memory = RequestMemory::new(6400);
        let charging = || memory.charging(Arc::default());
        let (mut produce, mut fetch, mut large) = (charging(), charging(), charging());
        let (mut held, mut wanted, mut more) = (None, None, None);
        assert!(poll(&mut produce, &mut held, 6400));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(large.poll_charge(cx, &mut more, 101, Some(101)).is_pending(), "too large");
        assert!(fetch.poll_charge(cx, &mut wanted, 40, Some(100)).is_ready());
        assert!(fetch.poll_charge(cx, &mut wanted, 100, Some(100)).is_ready());
        assert_eq!(wanted.as_ref().map(Charge::bytes), Some(100));
        let mut others: Vec<_> = (0..7).map(|_| (charging(), None)).collect();
        for (other, held) in &mut others {
            assert!(other.poll_charge(cx, held, 100, Some(100)).is_ready());
        }
        let (mut last, mut none) = (charging(), None);
        assert!(last.poll_charge(cx, &mut none, 1, Some(1)).is_pending(), "it has an end");
        drop(wanted);
        let (mut next, mut some) = (charging(), None);
        assert!(next.poll_charge(cx, &mut some, 100, Some(100)).is_ready());
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
        poll_fn(|cx| large.poll_charge(cx, &mut all, 100, None)).await.expect("not abandoned");
        drop(all);
        poll_fn(|cx| late.poll_charge(cx, &mut more, 10, None)).await.expect("not abandoned");
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
        assert!(poll_fn(|cx| second.poll_charge(cx, &mut wanted, 1, None)).await.is_err());
    }
}
