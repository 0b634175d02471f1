//! Latencies in a fixed amount of memory: how many fell into each bucket, where a bucket is less
//! than a hundredth of its values wide.

use std::time::Duration;

/// Buckets per power of two.
const FINE: u64 = 128;
const FINE_BITS: u32 = FINE.trailing_zeros();
/// Up to the largest number of nanoseconds.
const BUCKETS: usize = ((u64::BITS - FINE_BITS + 1) * FINE as u32) as usize;

#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, max: 0 }
    }
}

impl Histogram {
    pub(super) fn record(&mut self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn max(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_nanos(self.max))
    }

    /// What this share of the values does not exceed.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(Duration::from_nanos(largest_in(found).min(self.max)))
    }
}

/// The first buckets hold one value each; from there on every power of two has as many.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(FINE_BITS + 1);
    (u64::from(shift) * FINE + (value >> shift)) as usize
}

fn largest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / FINE).saturating_sub(1);
    let first = (bucket - shift * FINE) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_narrow_bucket() {
        let around = (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1, 3 << bit >> 1]);
        for value in around.chain([u64::MAX, 1_234_567]) {
            let largest = largest_in(bucket(value));
            assert!(largest >= value && largest - value <= value / FINE, "{value} {largest}");
            assert_eq!(bucket(largest), bucket(value));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list() {
        let mut state = 1_u64;
        let mut all: Vec<u64> = (0..20_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                1_000 << (state >> 59) | state >> 50
            })
            .collect();
        let mut histogram = Histogram::default();
        all.iter().for_each(|nanos| histogram.record(Duration::from_nanos(*nanos)));
        all.sort_unstable();
        for share in [0.5, 0.99, 0.999, 1.0] {
            let exact = all[(all.len() as f64 * share).ceil() as usize - 1];
            let found = histogram.quantile(share).unwrap().as_nanos() as u64;
            assert!(found >= exact && found - exact <= exact / FINE, "{share}: {exact} {found}");
        }
        assert_eq!(histogram.max(), Some(Duration::from_nanos(all[all.len() - 1])));
        assert_eq!((histogram.count(), Histogram::default().quantile(0.5)), (20_000, None));
    }
}
