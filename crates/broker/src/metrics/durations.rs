//! How long something took: a sum, and quantiles of the last one to two minutes, as dashboards
//! expect of Kafka's (whose samples fade out over minutes).
//!
//! Two sets of buckets take turns of a minute each; a scrape looks at both. A bucket is an eighth
//! of its power of two wide, so a quantile is told within 6 %.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use strandline_types::Instant;

use super::Counter;

const TURN: Duration = Duration::from_secs(60);
const STEPS: usize = 8;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2²⁷ µs, more than two minutes; what took longer counts as that.
const BUCKETS: usize = (27 - STEPS_BITS as usize + 1) * STEPS;

pub(super) struct Durations {
    sum_micros: Counter,
    turn: AtomicU64,
    buckets: [[AtomicU32; BUCKETS]; 2],
}

impl Default for Durations {
    fn default() -> Self {
        let buckets =
            [[const { AtomicU32::new(0) }; BUCKETS], [const { AtomicU32::new(0) }; BUCKETS]];
        Self { sum_micros: Counter::default(), turn: AtomicU64::new(0), buckets }
    }
}

impl Durations {
    pub(super) fn record(&self, now: Instant, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if micros > 0 {
            self.sum_micros.add(micros);
        }
        let turn = self.begin_turn(now);
        self.buckets[turn][bucket(micros)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sum_millis(&self) -> f64 {
        self.sum_micros.get() as f64 / 1e3
    }

    /// The quantiles, in milliseconds, of what was recorded lately; `None` when nothing was.
    pub(super) fn quantiles<const N: usize>(
        &self,
        now: Instant,
        wanted: [f64; N],
    ) -> Option<[f64; N]> {
        self.begin_turn(now);
        let [first, second] = &self.buckets;
        let counts: Vec<u64> = first
            .iter()
            .zip(second)
            .map(|(first, second)| {
                u64::from(first.load(Ordering::Relaxed)) + u64::from(second.load(Ordering::Relaxed))
            })
            .collect();
        let total: u64 = counts.iter().sum();
        (total > 0).then(|| wanted.map(|quantile| at_quantile(&counts, total, quantile)))
    }

    /// Which set of buckets has its turn. Whoever is first in a turn empties what is too old; what
    /// others record at that very moment may be lost, which no quantile notices.
    fn begin_turn(&self, now: Instant) -> usize {
        let turn = now.as_nanos() / TURN.as_nanos() as u64;
        let before = self.turn.load(Ordering::Relaxed);
        let relaxed = Ordering::Relaxed;
        if before < turn && self.turn.compare_exchange(before, turn, relaxed, relaxed).is_ok() {
            let is_next = before + 1 == turn;
            for (index, buckets) in self.buckets.iter().enumerate() {
                if !is_next || index == turn as usize % 2 {
                    buckets.iter().for_each(|count| count.store(0, relaxed));
                }
            }
        }
        turn as usize % 2
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2();
    let step = (micros >> (power - STEPS_BITS)) as usize % STEPS;
    ((power - STEPS_BITS + 1) as usize * STEPS + step).min(BUCKETS - 1)
}

/// The middle of a bucket.
fn micros_of(bucket: usize) -> f64 {
    if bucket < STEPS {
        return bucket as f64;
    }
    let width = 1u64 << (bucket / STEPS - 1);
    let low = (STEPS + bucket % STEPS) as u64 * width;
    low as f64 + (width - 1) as f64 / 2.0
}

fn at_quantile(counts: &[u64], total: u64, quantile: f64) -> f64 {
    let rank = ((total as f64 * quantile).ceil() as u64).clamp(1, total);
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return micros_of(bucket) / 1e3;
        }
    }
    unreachable!("the counts add up to the total")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn a_bucket_is_near_what_it_holds(micros in 0u64..1 << 27) {
            let told = micros_of(bucket(micros));
            prop_assert!((told - micros as f64).abs() <= micros as f64 / 16.0, "{told}");
        }

        #[test]
        fn buckets_ascend(micros in 0u64..u64::MAX) {
            prop_assert!(bucket(micros) <= bucket(micros + 1));
            prop_assert!(bucket(micros) < BUCKETS);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_last_minutes() {
        let durations = Durations::default();
        assert_eq!(durations.quantiles(seconds(0), [0.5]), None);
        for millis in 1..=100 {
            durations.record(seconds(10), Duration::from_millis(millis));
        }
        let [median, p99] = durations.quantiles(seconds(110), [0.5, 0.99]).unwrap();
        assert!((47.0..53.0).contains(&median), "{median}");
        assert!((93.0..106.0).contains(&p99), "{p99}");
        durations.record(seconds(110), Duration::from_micros(5));
        // Two turns after the first records, only the last one is left.
        assert_eq!(durations.quantiles(seconds(130), [0.5]), Some([0.005]));
        assert_eq!(durations.quantiles(seconds(500), [0.5]), None);
        assert_eq!(durations.sum_millis(), 5050.005);
    }
}
