//! Requests that wait until an offset is passed.

use alloc::vec::Vec;

use strandline_log::Appended;
use strandline_types::Offset;

use crate::Ticket;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) appended: Appended,
}

/// Ordered by the offset waited for, equals in order of arrival.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tickets(Vec<Waiting>);

impl Tickets {
    pub(crate) fn park(&mut self, waiting: Waiting) {
        // Appends arrive in order; only a repeated batch waits for an offset further back.
        let upto = waiting.appended.next_offset;
        let at = self.0.partition_point(|known| known.appended.next_offset <= upto);
        self.0.insert(at, waiting);
    }

    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.0.retain(|known| known.ticket != ticket);
    }

    /// Those who wait for an offset up to `reached`.
    pub(crate) fn release(&mut self, reached: Offset) -> impl Iterator<Item = Waiting> + '_ {
        let count = self.0.partition_point(|known| known.appended.next_offset <= reached);
        self.0.drain(..count)
    }

    /// Those who wait for an offset past `written`.
    pub(crate) fn take_beyond(&mut self, written: Offset) -> impl Iterator<Item = Waiting> + '_ {
        let kept = self.0.partition_point(|known| known.appended.next_offset <= written);
        self.0.drain(kept..)
    }

    pub(crate) fn release_all(&mut self) -> impl Iterator<Item = Waiting> + '_ {
        self.0.drain(..)
    }
}
