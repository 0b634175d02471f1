//! The batches that a replica's files hold, without files.

use strandline_log::{Log, Recovery, RecoveryStep};
use strandline_replica::Cut;
use strandline_types::{BatchFacts, Offset, Timestamp};

/// In log order, each with the segment it lies in.
#[derive(Clone, Default, Debug)]
pub(crate) struct Files(pub(crate) Vec<(Offset, BatchFacts)>);

impl Files {
    pub(crate) fn append(
        &mut self,
        segment: Offset,
        batches: impl IntoIterator<Item = BatchFacts>,
    ) {
        self.0.extend(batches.into_iter().map(|batch| (segment, batch)));
    }

    /// Reads what a recovery wants to see, and gives the log that it finds.
    pub(crate) fn recover(&mut self, mut recovery: Recovery) -> Log {
        while let RecoveryStep::Scan(range) = recovery.next_step() {
            let mut position = 0;
            for (_, batch) in self.0.iter().filter(|(segment, _)| *segment == range.segment) {
                if position >= range.from && !recovery.batch(batch, position) {
                    break;
                }
                position += batch.size_bytes;
            }
            recovery.scan_ended().expect("nothing is damaged");
        }
        let recovered = recovery.finish();
        let end = recovered.log.log_end();
        // Nothing stays of a log that ends before its start.
        self.0.retain(|(_, batch)| batch.next_offset() <= end && !recovered.was_wiped);
        recovered.log
    }

    /// Does what a replica asked for.
    pub(crate) fn cut(&mut self, log: &Log, cut: Cut) -> Log {
        match cut {
            Cut::Truncate { to } => self.recover(log.truncate_to(to, Vec::new(), Timestamp(0))),
            Cut::StartOver { at } => {
                self.0.clear();
                let mut log = log.clone();
                let _ = log.start_over_at(at, Timestamp(0));
                log
            }
        }
    }
}
