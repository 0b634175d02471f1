//! What became of a batch, told to everyone whose record is in it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use strandline_types::{Offset, Timestamp, TopicPartition};

use super::error::ProduceError;
use crate::sync::lock;

/// Where a record ended up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivered {
    pub partition: TopicPartition,
    /// −1 when nobody said: without acks, or for a duplicate the broker no longer remembers.
    pub offset: Offset,
    pub timestamp: Timestamp,
}

/// One batch's fate, shared by its records.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) partition: TopicPartition,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<Stored, ProduceError>>,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stored {
    pub(super) base_offset: Offset,
    /// −1 unless the leader dates the records.
    pub(super) log_append_time: Timestamp,
}

impl Outcome {
    pub(super) fn new(partition: TopicPartition) -> Self {
        Self { partition, state: Mutex::default() }
    }

    pub(super) fn resolve(&self, result: Result<Stored, ProduceError>) {
        let waiting = {
            let mut state = lock(&self.state);
            state.result.get_or_insert(result);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    #[cfg(test)]
    pub(super) fn result(&self) -> Option<Result<Stored, ProduceError>> {
        lock(&self.state).result.clone()
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<Stored, ProduceError>> {
        let mut state = lock(&self.state);
        if let Some(result) = &state.result {
            return Poll::Ready(result.clone());
        }
        if !state.waiting.last().is_some_and(|last| last.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    pub(super) async fn wait(&self) {
        // Whatever the result: it is told to those whose record it is.
        let _ = std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}

/// Resolves once the record is stored, or will not be. Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "only this tells whether the record was stored"]
pub struct Delivery {
    pub(super) outcome: Arc<Outcome>,
    /// Place of the record in its batch.
    pub(super) index: i32,
    pub(super) timestamp: Timestamp,
}

impl Future for Delivery {
    type Output = Result<Delivered, ProduceError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.poll(cx).map_ok(|stored| {
            let is_known = stored.base_offset.get() >= 0;
            let dated_by_leader = stored.log_append_time != Timestamp::NONE;
            Delivered {
                partition: self.outcome.partition.clone(),
                offset: match is_known {
                    true => stored.base_offset + i64::from(self.index),
                    false => Offset(-1),
                },
                timestamp: match dated_by_leader {
                    true => stored.log_append_time,
                    false => self.timestamp,
                },
            }
        })
    }
}
