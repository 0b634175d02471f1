//! Replication quotas: how much is copied over a long time, whatever the size of the pieces.

use std::time::Duration;

use strandline_replica::{Quota, QuotaWindow};
use strandline_types::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn quota(bytes_per_second: u64) -> Quota {
    let mut quota = Quota::new(QuotaWindow { samples: 11, sample: SECOND });
    quota.set_limit(Some(bytes_per_second));
    quota
}

#[test]
fn pieces_of_any_size_come_at_the_rate_of_the_limit() {
    for (limit, piece) in [(1_000_000, 64_000), (100_000, 1_000_000), (5_000_000, 1_000_000)] {
        let mut quota = quota(limit);
        let (mut now, end) = (Instant::ZERO + SECOND, Instant::ZERO + SECOND * 121);
        let mut bytes = 0;
        while now < end {
            match quota.exceeded_until(now) {
                Some(until) => now = until,
                None => {
                    quota.record(now, piece);
                    bytes += piece;
                    now = now + Duration::from_millis(1);
                }
            }
        }
        let rate = bytes / 120;
        assert!(rate.abs_diff(limit) <= limit / 10, "{rate} bytes per second under {limit}");
    }
}

#[test]
fn without_a_limit_nothing_waits_and_a_limit_that_is_set_knows_what_was_copied() {
    let mut quota = quota(0);
    let now = Instant::ZERO + SECOND;
    quota.set_limit(None);
    quota.record(now, u64::MAX);
    assert_eq!(quota.exceeded_until(now), None);
    quota.set_limit(Some(1));
    // Not for ever: what is forgotten does not count.
    assert_eq!(quota.exceeded_until(now), Some(now + SECOND * 11));
    assert_eq!(quota.exceeded_until(now + SECOND * 11), None);
    quota.set_limit(Some(0));
    quota.record(now + SECOND * 12, 1);
    assert!(quota.exceeded_until(now + SECOND * 12).is_some());
}
