//! What flows between replicas, and how leaders change their ISRs.

use std::cmp::Ordering;

use super::Counter;
use super::table::{self, Metric};

/// Meanings as in Kafka's BrokerTopicMetrics and ReplicaManager.
#[derive(Debug, Default)]
pub(crate) struct Replication {
    bytes_in: Counter,
    bytes_out: Counter,
    reassignment_bytes_in: Counter,
    reassignment_bytes_out: Counter,
    isr_shrinks: Counter,
    isr_expands: Counter,
    failed_isr_updates: Counter,
}

type Series = (&'static Metric, fn(&Replication) -> &Counter);

pub(super) const SERIES: [Series; 7] = [
    (&table::REPLICATION_BYTES_IN, |it| &it.bytes_in),
    (&table::REPLICATION_BYTES_OUT, |it| &it.bytes_out),
    (&table::REASSIGNMENT_BYTES_IN, |it| &it.reassignment_bytes_in),
    (&table::REASSIGNMENT_BYTES_OUT, |it| &it.reassignment_bytes_out),
    (&table::ISR_SHRINKS, |it| &it.isr_shrinks),
    (&table::ISR_EXPANDS, |it| &it.isr_expands),
    (&table::FAILED_ISR_UPDATES, |it| &it.failed_isr_updates),
];

impl Replication {
    /// Records came from a leader, to a replica that a reassignment adds or to any other.
    pub(crate) fn took(&self, bytes: u64, is_added: bool) {
        self.bytes_in.add(bytes);
        if is_added {
            self.reassignment_bytes_in.add(bytes);
        }
    }

    /// Records went to a follower.
    pub(crate) fn gave(&self, bytes: u64, is_added: bool) {
        self.bytes_out.add(bytes);
        if is_added {
            self.reassignment_bytes_out.add(bytes);
        }
    }

    /// The controller has taken a proposal for an ISR so much larger or smaller, or refused it.
    pub(crate) fn isr_proposal_answered(&self, change: Ordering, is_taken: bool) {
        match change {
            _ if !is_taken => self.failed_isr_updates.add(1),
            Ordering::Less => self.isr_shrinks.add(1),
            Ordering::Greater => self.isr_expands.add(1),
            Ordering::Equal => {}
        }
    }

    pub(super) fn value(&self, (_, counter): Series) -> u64 {
        counter(self).get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_where() {
        let counts = Replication::default();
        counts.took(100, false);
        counts.took(10, true);
        counts.gave(7, true);
        counts.isr_proposal_answered(Ordering::Less, true);
        counts.isr_proposal_answered(Ordering::Greater, true);
        counts.isr_proposal_answered(Ordering::Greater, true);
        counts.isr_proposal_answered(Ordering::Equal, true);
        counts.isr_proposal_answered(Ordering::Less, false);
        let values = SERIES.map(|series| counts.value(series));
        assert_eq!(values, [110, 7, 10, 7, 1, 2, 1]);
    }
}
