//! What was acknowledged is there, whatever ends the process: kill −9 at any moment.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use node::frames::batch_of;
use node::{Client, Node, Start};
use strandline_types::{ErrorCode, ProducerEpoch, ProducerId};

const PARTITIONS: i32 = 4;
const ROUNDS: u64 = 12;
const RECORDS_PER_BATCH: i32 = 3;

/// One idempotent producer of one partition, as clients are: it sends the batch that nobody has
/// acknowledged again and again, with the same sequence, before any later one.
struct Producer {
    partition: i32,
    identity: (ProducerId, ProducerEpoch),
    next_sequence: i32,
    /// Offset of each acknowledged value.
    acked: BTreeMap<i64, String>,
}

impl Producer {
    /// Produces until the broker is gone.
    fn produce(&mut self, client: &mut Client) {
        loop {
            let values: Vec<String> = (0..RECORDS_PER_BATCH)
                .map(|it| format!("{}/{}", self.partition, self.next_sequence + it))
                .collect();
            let bytes: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            let batch = batch_of(self.identity, self.next_sequence, &bytes);
            let Ok(answer) = client.produce("crash", self.partition, batch) else { return };
            assert_eq!(answer.error_code, ErrorCode::NONE, "{answer:?}");
            self.next_sequence += RECORDS_PER_BATCH;
            self.acked.extend((answer.base_offset..).zip(values));
        }
    }

    /// Everything acknowledged is at its offset; offsets are dense; nothing is there twice.
    fn check(&self, client: &mut Client) {
        let found = client.read_all("crash", self.partition, 0);
        for (index, (offset, value)) in found.iter().enumerate() {
            assert_eq!(*offset, index as i64, "offsets of partition {} are dense", self.partition);
            // Values are numbered by their sequence, so a record that is there twice, or is
            // missing before a later one, is not where its number says.
            let expected = format!("{}/{index}", self.partition);
            assert_eq!(*value, expected.as_bytes(), "partition {}", self.partition);
        }
        let last_acked = self.acked.last_key_value().map_or(-1, |(offset, _)| *offset);
        assert!(last_acked < found.len() as i64, "acknowledged and lost: {last_acked}");
        for (offset, value) in &self.acked {
            assert_eq!(found[*offset as usize].1, value.as_bytes());
        }
        let not_acked = found.len() - self.acked.len();
        assert!(not_acked <= RECORDS_PER_BATCH as usize, "{not_acked} records nobody waits for");
    }
}

#[test]
fn killed_at_any_moment() {
    let temporary = tempfile::tempdir().unwrap();
    let start = Start::anywhere(temporary.path());
    let mut node = start.ready();
    let mut client = node.client();
    // Small segments, so that kills hit rolls too.
    let configs = [("segment.bytes", "1048576"), ("index.interval.bytes", "256")];
    client.create_topic("crash", PARTITIONS, &configs);
    let mut producers: Vec<Producer> = (0..PARTITIONS)
        .map(|partition| Producer {
            partition,
            identity: client.producer_id(),
            next_sequence: 0,
            acked: BTreeMap::new(),
        })
        .collect();
    for round in 0..ROUNDS {
        node = one_life(node, &start, &mut producers, round);
        let mut client = node.client();
        for producer in &producers {
            producer.check(&mut client);
        }
    }
    let acked: usize = producers.iter().map(|it| it.acked.len()).sum();
    assert!(acked as u64 > ROUNDS * PARTITIONS as u64, "the producers went on: {acked}");
    assert!(node.stop().status.success());
}

/// Load until a kill some time in, then a new process on the same directory.
fn one_life(node: Node, start: &Start, producers: &mut [Producer], round: u64) -> Node {
    thread::scope(|scope| {
        for producer in producers {
            let mut client = node.client();
            scope.spawn(move || producer.produce(&mut client));
        }
        // Not the same moment twice: from at once to amid a stream of batches.
        thread::sleep(Duration::from_micros(round * round * 2_500));
        let ended = node.kill();
        assert!(!ended.log.contains("panicked"), "{}", ended.log);
    });
    start.ready()
}
