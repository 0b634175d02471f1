//! How fast something may be copied: bytes per second over a window of samples, measured as Kafka
//! measures its replication quotas.

use alloc::collections::VecDeque;
use core::time::Duration;

use strandline_types::Instant;

/// `*.quota.window.num` samples of `*.quota.window.size.seconds` each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaWindow {
    pub samples: u32,
    pub sample: Duration,
}

/// A limit, and what was copied of late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    window: QuotaWindow,
    /// `None` sets no limit.
    bytes_per_second: Option<u64>,
    /// Oldest first.
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sample {
    began: Instant,
    bytes: u64,
}

impl Quota {
    pub fn new(window: QuotaWindow) -> Self {
        Self { window, bytes_per_second: None, samples: VecDeque::new() }
    }

    /// Bytes per second, if there is a limit.
    pub fn limit(&self) -> Option<u64> {
        self.bytes_per_second
    }

    pub fn set_limit(&mut self, bytes_per_second: Option<u64>) {
        self.bytes_per_second = bytes_per_second;
    }

    /// What is copied counts whether there is a limit or not: one that is set now knows the past.
    pub fn record(&mut self, now: Instant, bytes: u64) {
        self.forget_old(now);
        match self.samples.back_mut().filter(|last| now.since(last.began) < self.window.sample) {
            Some(last) => last.bytes = last.bytes.saturating_add(bytes),
            None => self.samples.push_back(Sample { began: now, bytes }),
        }
    }

    /// When to ask again; `None` when more may be copied now. A single answer may exceed the limit,
    /// so what was copied too much is made up for by waiting.
    pub fn exceeded_until(&mut self, now: Instant) -> Option<Instant> {
        let limit = self.bytes_per_second?;
        self.forget_old(now);
        let oldest = self.samples.front()?.began;
        let bytes: u128 = self.samples.iter().map(|sample| u128::from(sample.bytes)).sum();
        let elapsed = now.since(oldest).max(self.window.sample);
        if bytes * 1_000_000_000 <= u128::from(limit) * elapsed.as_nanos() {
            return None;
        }
        let forgotten = oldest + self.span();
        let nanos = (bytes * 1_000_000_000).checked_div(limit.into()).map(u64::try_from);
        let made_up = match nanos {
            Some(Ok(nanos)) => oldest + Duration::from_nanos(nanos),
            Some(Err(_)) | None => Instant::NEVER,
        };
        Some(forgotten.min(made_up).max(now + Duration::from_millis(1)))
    }

    fn span(&self) -> Duration {
        self.window.sample.saturating_mul(self.window.samples)
    }

    fn forget_old(&mut self, now: Instant) {
        let span = self.span();
        while self.samples.front().is_some_and(|oldest| now.since(oldest.began) >= span) {
            self.samples.pop_front();
        }
    }
}
