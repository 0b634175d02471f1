//! What flows through topics, per partition and for all of them together.

use strandline_types::ErrorCode;

use super::Counter;
use super::table::{self, Metric};

/// Meanings as in Kafka's BrokerTopicMetrics: a request counts once per partition it names.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) messages_in: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    bytes_rejected: Counter,
    produce_requests: Counter,
    failed_produce_requests: Counter,
    pub(crate) fetch_requests: Counter,
    failed_fetch_requests: Counter,
}

/// A family and where its value is kept.
type Series = (&'static Metric, fn(&Traffic) -> &Counter);

pub(super) const SERIES: [Series; 8] = [
    (&table::MESSAGES_IN, |it| &it.messages_in),
    (&table::BYTES_IN, |it| &it.bytes_in),
    (&table::BYTES_OUT, |it| &it.bytes_out),
    (&table::BYTES_REJECTED, |it| &it.bytes_rejected),
    (&table::TOTAL_PRODUCE_REQUESTS, |it| &it.produce_requests),
    (&table::FAILED_PRODUCE_REQUESTS, |it| &it.failed_produce_requests),
    (&table::TOTAL_FETCH_REQUESTS, |it| &it.fetch_requests),
    (&table::FAILED_FETCH_REQUESTS, |it| &it.failed_fetch_requests),
];

impl Traffic {
    /// One partition of a Produce has its answer.
    pub(crate) fn produced(&self, batch_bytes: usize, answer: ErrorCode) {
        self.produce_requests.add(1);
        if answer == ErrorCode::MESSAGE_TOO_LARGE {
            self.bytes_rejected.add(batch_bytes as u64);
        } else if !is_ordinary(answer) {
            self.failed_produce_requests.add(1);
        }
    }

    /// One partition of a Fetch could not be read.
    pub(crate) fn fetch_failed(&self, answer: ErrorCode) {
        if !is_ordinary(answer) {
            self.failed_fetch_requests.add(1);
        }
    }

    pub(super) fn value(&self, (_, counter): Series) -> u64 {
        counter(self).get()
    }
}

/// Answers that are part of a cluster's life, or the client's own doing: Kafka counts none of them
/// as a failure of the broker.
fn is_ordinary(answer: ErrorCode) -> bool {
    matches!(
        answer,
        ErrorCode::NONE
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::OFFSET_OUT_OF_RANGE
            | ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::KAFKA_STORAGE_ERROR
    )
}
