//! How many requests there were, per API and version, and where their time went.
//!
//! A request's local time is that of its ordered stage, on its session's task; its remote time is
//! how long it was parked after that. It never stands in a queue, so the two are the total.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use strandline_types::Instant;
use strandline_wire::messages::ApiKey;

use super::Counter;
use super::durations::Durations;
use crate::cx::Cx;

const API_CODES_MAX: usize = 128;
const VERSIONS_MAX: usize = 32;

/// An API that nobody uses costs a pointer.
pub(crate) struct Requests {
    by_api: [OnceLock<Box<OfApi>>; API_CODES_MAX],
}

#[derive(Default)]
pub(super) struct OfApi {
    by_version: [Counter; VERSIONS_MAX],
    parked: AtomicI64,
    pub(super) total: Durations,
    pub(super) local: Durations,
    pub(super) remote: Durations,
}

impl Default for Requests {
    fn default() -> Self {
        Self { by_api: [const { OnceLock::new() }; API_CODES_MAX] }
    }
}

impl Requests {
    /// Runs a request to its end. One that is dropped before (its client has gone) leaves no time.
    pub(crate) async fn timed<T>(&self, cx: &Cx, mut work: Pin<&mut impl Future<Output = T>>) -> T {
        let clock = &cx.handles.clock;
        let (began, metrics) = (cx.now.instant, self.of(cx.api));
        if let Some(count) = metrics.by_version.get(cx.version as usize) {
            count.add(1);
        }
        let first = poll_fn(|task| std::task::Poll::Ready(work.as_mut().poll(task))).await;
        let ordered = clock.now().instant;
        let local = ordered.since(began);
        let (answer, ended) = match first {
            std::task::Poll::Ready(answer) => (answer, ordered),
            std::task::Poll::Pending => {
                let _parked = Parked::new(&metrics.parked);
                let answer = work.await;
                (answer, clock.now().instant)
            }
        };
        metrics.ended(ended, local, ended.since(ordered));
        answer
    }

    fn of(&self, api: ApiKey) -> &OfApi {
        self.by_api[api.code() as usize % API_CODES_MAX].get_or_init(Box::default)
    }

    /// What is known of each API that was used.
    pub(super) fn used(&self) -> impl Iterator<Item = (ApiKey, &OfApi)> {
        self.by_api
            .iter()
            .enumerate()
            .filter_map(|(code, of_api)| Some((ApiKey::from_code(code as i16)?, &**of_api.get()?)))
    }
}

impl OfApi {
    fn ended(&self, now: Instant, local: Duration, remote: Duration) {
        self.local.record(now, local);
        self.remote.record(now, remote);
        self.total.record(now, local + remote);
    }

    /// Versions that were used, with their counts.
    pub(super) fn versions(&self) -> impl Iterator<Item = (usize, u64)> {
        let counts = self.by_version.iter().map(Counter::get).enumerate();
        counts.filter(|&(_, count)| count > 0)
    }

    pub(super) fn count(&self) -> u64 {
        self.by_version.iter().map(Counter::get).sum()
    }

    pub(super) fn parked(&self) -> i64 {
        self.parked.load(Ordering::Relaxed)
    }
}

/// Counts a request as parked until dropped.
struct Parked<'a>(&'a AtomicI64);

impl<'a> Parked<'a> {
    fn new(count: &'a AtomicI64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
