//! A request's time limit, which costs no timer unless something really has to wait.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use strandline_ports::{Clock, Sleep, TimedOut};
use strandline_types::Instant;

use crate::cx::Cx;

/// Shared by everything that one request waits for.
pub(crate) struct Deadline {
    clock: Arc<dyn Clock>,
    at: Instant,
    sleep: Option<Sleep>,
}

impl Deadline {
    /// `timeout_ms` as requests carry it; a negative one is over at once.
    pub(crate) fn after(cx: &Cx, timeout_ms: i32) -> Self {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let clock = Arc::clone(&cx.handles.clock);
        Self { clock, at: cx.now.instant + timeout, sleep: None }
    }

    /// Work that is done at the deadline still counts.
    pub(crate) async fn wait<T>(&mut self, work: impl Future<Output = T>) -> Result<T, TimedOut> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(value) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            let sleep = self.sleep.get_or_insert_with(|| self.clock.sleep_until(self.at));
            sleep.as_mut().poll(cx).map(|()| Err(TimedOut))
        })
        .await
    }
}
