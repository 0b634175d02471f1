//! Time as a port: one reading gives both clocks, and a timer is a future.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use strandline_types::{Instant, Now};

/// Completes once its moment has come.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Both clocks of one node.
pub trait Clock: Send + Sync {
    fn now(&self) -> Now;

    /// [`Instant::NEVER`] gives a timer that never fires.
    fn sleep_until(&self, deadline: Instant) -> Sleep;

    fn sleep(&self, wait: Duration) -> Sleep {
        self.sleep_until(self.now().instant + wait)
    }
}

/// The deadline came first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimedOut;

/// Runs `work` until `deadline`; work that is done at the deadline still counts.
pub async fn timeout<T>(
    clock: &dyn Clock,
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, TimedOut> {
    let mut work = pin!(work);
    let mut sleep = clock.sleep_until(deadline);
    poll_fn(|cx| {
        if let Poll::Ready(value) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        sleep.as_mut().poll(cx).map(|()| Err(TimedOut))
    })
    .await
}
