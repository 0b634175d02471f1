//! Tables that do not fit, against a map that does.

use std::collections::BTreeMap;

use proptest::prelude::*;
use strandline_types::LeaderEpoch;

use super::*;
use crate::consumer::ConsumerRecord;
use crate::testing::world;

/// Key, partition, timestamp, and how long the value is.
type Told = (u8, i32, i64, Option<usize>);

fn record(offset: usize, told: Told) -> ConsumerRecord {
    let (key, partition, timestamp, value) = told;
    ConsumerRecord {
        topic: "board".into(),
        partition: PartitionId(partition),
        offset: Offset(offset as i64),
        leader_epoch: LeaderEpoch(0),
        timestamp: Timestamp(timestamp),
        key: Some(vec![key].into()),
        value: value.map(|len| vec![offset as u8; len].into()),
        headers: Vec::new(),
    }
}

async fn table(told: &[Told], memory_bytes: usize) -> (Vec<Row>, Summary) {
    let dir = std::env::temp_dir();
    let mut collector = Collector::new(world(), dir.clone(), memory_bytes);
    for (offset, told) in told.iter().enumerate() {
        collector.add(&[told.0], &record(offset, *told)).await.unwrap();
    }
    let (changes, spilled_bytes) = collector.finish().await.unwrap();
    let summary = Summary { spilled_bytes, ..Summary::default() };
    let mut table = Table { changes, ahead: None, dir, summary };
    let mut rows = Vec::new();
    while let Some(row) = table.next().await.unwrap() {
        rows.push(row);
    }
    (rows, table.summary())
}

/// By the definition: the last of each partition, then the latest of those.
fn naive(told: &[Told]) -> Vec<Row> {
    let mut last = BTreeMap::new();
    for (offset, told) in told.iter().enumerate() {
        last.insert((told.0, told.1), record(offset, *told));
    }
    let mut newest: BTreeMap<u8, ConsumerRecord> = BTreeMap::new();
    for ((key, _), record) in last {
        let rank = |record: &ConsumerRecord| (record.timestamp, record.partition);
        match newest.get(&key) {
            Some(other) if rank(other) > rank(&record) => {}
            _ => drop(newest.insert(key, record)),
        }
    }
    let row = |record: ConsumerRecord| {
        Some(Row {
            key: record.key?,
            value: record.value?,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
        })
    };
    newest.into_values().filter_map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// 64 MiB hold everything; 1 KiB two or three changes, so that runs are merged in many rounds.
    #[test]
    fn any_bound_gives_the_same_table(
        told in prop::collection::vec(
            (0u8..40, 0i32..3, 0i64..20, prop::option::weighted(0.7, 0usize..300)),
            0..300,
        ),
        memory_bytes in prop_oneof![Just(1usize), Just(1 << 10), Just(8 << 10), Just(64 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (rows, summary) = runtime.block_on(table(&told, memory_bytes));
        prop_assert_eq!(&rows, &naive(&told));
        prop_assert_eq!(summary.rows as usize, rows.len());
        match memory_bytes {
            1 => prop_assert_eq!(summary.spilled_bytes == 0, told.is_empty()),
            bytes if bytes > 1 << 20 => prop_assert_eq!(summary.spilled_bytes, 0),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_key_in_two_partitions_has_one_row_the_later_one() {
    // By time, whatever the offsets; in each partition by offset, whatever the times.
    let told = [(1, 1, 50, Some(1)), (1, 0, 90, Some(2)), (1, 0, 40, Some(3)), (2, 1, 7, Some(4))];
    for memory_bytes in [1, 64 << 20] {
        let (rows, summary) = table(&told, memory_bytes).await;
        let rows: Vec<_> = rows.iter().map(|row| (row.key[0], row.offset.get())).collect();
        assert_eq!(rows, [(1, 0), (2, 3)]);
        assert_eq!((summary.in_several_partitions, summary.deleted), (1, 0));
    }
    // A deletion counts as any other change.
    let told = [(1, 1, 50, Some(1)), (1, 0, 90, None)];
    let (rows, summary) = table(&told, 64 << 20).await;
    assert_eq!((rows.len(), summary.deleted, summary.in_several_partitions), (0, 1, 1));
}
