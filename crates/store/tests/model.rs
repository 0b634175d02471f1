//! Random histories of one partition, against a list.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::sync::Arc;

use common::{DIR_NAME, Node, Options, values};
use proptest::prelude::*;
use strandline_log::LogConfig;
use strandline_ports::real::WriteBudget;
use strandline_types::{Offset, Timestamp};

#[derive(Clone, Debug)]
enum Op {
    Append {
        records: usize,
        len: usize,
    },
    Sync,
    Rest,
    Truncate {
        keep: f64,
    },
    DeleteRecords {
        upto: f64,
    },
    StartOver,
    CloseAndOpen,
    /// The process is gone, the page cache is not.
    CrashAndOpen,
    /// The machine went down: of what was not synced the file's end is gone.
    LoseTailAndOpen {
        bytes: u64,
    },
    LoseIndexesAndOpen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (1usize..8, 1usize..400).prop_map(|(records, len)| Op::Append { records, len }),
        2 => Just(Op::Sync),
        1 => Just(Op::Rest),
        2 => (0.0..1.1f64).prop_map(|keep| Op::Truncate { keep }),
        2 => (0.0..1.0f64).prop_map(|upto| Op::DeleteRecords { upto }),
        1 => Just(Op::StartOver),
        2 => Just(Op::CloseAndOpen),
        2 => Just(Op::CrashAndOpen),
        1 => (1u64..2000).prop_map(|bytes| Op::LoseTailAndOpen { bytes }),
        1 => Just(Op::LoseIndexesAndOpen),
    ]
}

#[derive(Clone, Copy, Debug)]
struct Setup {
    segment_bytes: u32,
    index_interval_bytes: u32,
    tail_cache_bytes: u64,
    files_max: usize,
    dirty_bytes_max: u64,
    preallocate_bytes: u32,
}

fn setup() -> impl Strategy<Value = Setup> {
    (
        prop_oneof![Just(3200u32), Just(6000), Just(30_000)],
        prop_oneof![Just(1u32), Just(300), Just(4096)],
        prop_oneof![Just(0u64), Just(3000), Just(1 << 20)],
        prop_oneof![Just(8usize), Just(100)],
        prop_oneof![Just(0u64), Just(1 << 30)],
        prop_oneof![Just(0u32), Just(0), Just(5000)],
    )
        .prop_map(|(segment, interval, tail, files_max, dirty_bytes_max, preallocate)| Setup {
            segment_bytes: segment,
            index_interval_bytes: interval,
            tail_cache_bytes: tail,
            files_max,
            dirty_bytes_max,
            preallocate_bytes: preallocate,
        })
}

impl Setup {
    fn options(self) -> Options {
        let config = LogConfig {
            segment_bytes: self.segment_bytes,
            index_interval_bytes: self.index_interval_bytes,
            timestamp_after_max_ms: i64::MAX,
            retention_ms: -1,
            ..LogConfig::default()
        };
        Options {
            config: Arc::new(config),
            tail_cache_bytes: self.tail_cache_bytes,
            files_max: self.files_max,
            budget: WriteBudget { dirty_bytes_max: self.dirty_bytes_max },
            preallocate_bytes: self.preallocate_bytes,
        }
    }
}

/// What must be readable: batches of (offset, value).
struct Model {
    home: tempfile::TempDir,
    setup: Setup,
    batches: Vec<Vec<(i64, String)>>,
    start: i64,
    end: i64,
    /// Everything before this survives a loss of power.
    synced: i64,
    /// The start as the checkpoint has it: an older start may come back.
    written: usize,
}

impl Model {
    async fn run(mut self, ops: Vec<Op>) {
        let mut node = Node::create(self.home.path(), self.setup.options()).await;
        for (turn, op) in ops.into_iter().enumerate() {
            node = self.apply(node, op, turn as i64).await;
            self.check(&node).await;
        }
    }

    async fn apply(&mut self, mut node: Node, op: Op, turn: i64) -> Node {
        match op {
            Op::Append { records, len } => {
                let values = values(self.written, records, len);
                self.written += records;
                assert_eq!(node.append_values(&values, 1000 + turn).await, Offset(self.end));
                self.batches.push((self.end..).zip(values).collect());
                self.end += records as i64;
            }
            Op::Sync => {
                node.sync(turn).await;
                self.synced = self.end;
            }
            Op::Rest => node.store.rest().await.unwrap(),
            Op::Truncate { keep } => {
                let target = self.start + ((self.end - self.start) as f64 * keep) as i64;
                node.truncate(Offset(target), turn).await;
                self.cut(target);
                node.write_checkpoints().await;
            }
            Op::DeleteRecords { upto } => {
                let target = self.start + ((self.end - self.start) as f64 * upto) as i64;
                node.log.delete_records(Offset(target), Offset(self.end)).unwrap();
                node.write_checkpoints().await;
                if let Some(plan) = node.log.retain(Timestamp(turn), Offset(self.end)) {
                    node.store.delete(plan).await.unwrap().unlink(node.dir.io()).await.unwrap();
                }
                self.start = target;
            }
            Op::StartOver => {
                let start = self.end + 10;
                let plan = node.log.start_over_at(Offset(start), Timestamp(turn));
                node.store.start_over(plan).await.unwrap().unlink(node.dir.io()).await.unwrap();
                node.write_checkpoints().await;
                self.batches.clear();
                (self.start, self.end, self.synced) = (start, start, start);
            }
            Op::CloseAndOpen => {
                node.close().await;
                node = self.open().await;
                self.synced = self.end;
            }
            Op::CrashAndOpen => {
                drop(node);
                node = self.open().await;
            }
            Op::LoseTailAndOpen { bytes } => node = self.lose_tail(node, bytes).await,
            Op::LoseIndexesAndOpen => {
                drop(node);
                for entry in fs::read_dir(self.home.path().join(DIR_NAME)).unwrap().flatten() {
                    if entry.file_name().to_str().unwrap().ends_with("index") {
                        fs::remove_file(entry.path()).unwrap();
                    }
                }
                node = self.open().await;
            }
        }
        node
    }

    async fn open(&self) -> Node {
        Node::open(self.home.path(), self.setup.options()).await.unwrap().0
    }

    /// Cuts the active segment's file, but never into what was synced.
    async fn lose_tail(&mut self, node: Node, bytes: u64) -> Node {
        let active = *node.log.segments().last().unwrap();
        drop(node);
        if self.synced <= active.base_offset.get() {
            let name = format!("{:020}.log", active.base_offset.get());
            let path = self.home.path().join(DIR_NAME).join(name);
            let kept = u64::from(active.size_bytes).saturating_sub(bytes);
            fs::File::options().write(true).open(path).unwrap().set_len(kept).unwrap();
        }
        fs::write(self.home.path().join(".strandline-boot"), "another").unwrap();
        let node = self.open().await;
        let end = node.log.log_end().get();
        assert!(end >= self.synced, "{end} lies before what was synced, {}", self.synced);
        // Only whole batches may be missing.
        let is_boundary = self.batches.iter().any(|batch| batch[0].0 == end);
        assert!(end == self.end || end == self.start || is_boundary, "{end}");
        self.cut(end);
        node
    }

    fn cut(&mut self, target: i64) {
        while let Some(batch) = self.batches.last() {
            let last = batch[batch.len() - 1].0;
            if last < target {
                break;
            }
            self.end = batch[0].0;
            self.batches.pop();
        }
        // A log that ends before its start is empty, and goes on from there.
        if self.end < self.start {
            self.batches.clear();
            self.end = self.start;
        }
        self.synced = self.synced.min(self.end);
    }

    async fn check(&mut self, node: &Node) {
        assert_eq!(node.log.log_end(), Offset(self.end));
        assert_eq!(node.store.end(), Offset(self.end));
        let found = node.log.log_start().get();
        assert_eq!(found, self.start, "log start");
        let all: Vec<_> =
            self.batches.iter().flatten().filter(|(at, _)| *at >= self.start).collect();
        for max_bytes in [0, 1000, u32::MAX] {
            let read = node.read_all(max_bytes).await;
            assert_eq!(read.iter().collect::<Vec<_>>(), all, "max_bytes {max_bytes}");
        }
        let middle = self.start + (self.end - self.start) / 2;
        let read = node.read_from(Offset(middle), Offset(self.end), 500).await;
        let expected: Vec<_> = all.into_iter().filter(|(at, _)| *at >= middle).collect();
        assert_eq!(read.iter().collect::<Vec<_>>(), expected, "from {middle}");
    }
}

fn proptest_config() -> ProptestConfig {
    // Each case starts a runtime and writes files.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(40),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(proptest_config())]

    #[test]
    fn a_partition_is_a_list(setup in setup(), ops in proptest::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let batches = Vec::new();
        let model = Model { home, setup, batches, start: 0, end: 0, synced: 0, written: 0 };
        runtime.block_on(model.run(ops));
    }
}
