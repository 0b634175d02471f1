//! Partitions on real files, driven as API handlers drive them.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use strandline_log::{LogConfig, Origin};
use strandline_ports::real::RealSpawn;
use strandline_replica::{Followership, Isolation, Reader, RequiredAcks};
use strandline_store::LoadOptions;
use strandline_types::{ErrorCode, PartitionId, ProducerEpoch, ProducerId, Timestamp, Uuid};
use strandline_wire::records::{
    BatchBuilder, BatchOptions, InspectLimits, NewRecord, ProducerFields, Records as BatchRecords,
    batches, inspect,
};

use super::*;
use crate::driver::testing::Node;

mod moves;

const CONSUMER: Reader = Reader::Consumer(Isolation::ReadUncommitted);

fn name() -> TopicPartition {
    TopicPartition { topic: "orders".into(), partition: PartitionId(0) }
}

fn id() -> TopicIdPartition {
    TopicIdPartition { topic_id: Uuid::from_u128(77), partition: PartitionId(0) }
}

impl Node {
    async fn create(&self) -> Arc<Partition> {
        self.create_partition(name(), id()).await
    }

    async fn load(&self) -> Arc<Partition> {
        let options = LoadOptions {
            config: Arc::clone(&self.config),
            jitter_seed: 0,
            now: Timestamp(1000),
            recovery_point: Offset(0),
            log_start: Offset(0),
            is_clean: false,
            preallocate_bytes: 0,
        };
        let (store, recovered) = self.dir.load_partition("orders-0", options).await.unwrap();
        self.leading(name(), id(), store, recovered.log)
    }

    fn produce(&self, partition: &Partition, values: &[&str], sequence: i32) -> Ordered {
        let now = self.clock.now();
        let id = ProducerId(if sequence < 0 { -1 } else { 7 });
        let epoch = ProducerEpoch(if sequence < 0 { -1 } else { 0 });
        let producer = ProducerFields { id, epoch, base_sequence: sequence };
        let mut builder = BatchBuilder::new(BatchOptions { producer, ..BatchOptions::default() });
        for value in values {
            let record = NewRecord {
                timestamp: now.timestamp,
                key: None,
                value: Some(value.as_bytes()),
                headers: &[],
            };
            builder.append(&record).unwrap();
        }
        let batch = inspect(builder.build(), &InspectLimits::default()).unwrap();
        partition.produce(now, vec![batch], RequiredAcks::All, Origin::Leader)
    }

    async fn put(&self, partition: &Partition, values: &[&str]) -> Result<i64, ErrorCode> {
        let answer = self.produce(partition, values, -1).answered().await;
        answer.map(|answer| answer.appended.base_offset.get()).map_err(|refusal| refusal.code())
    }

    async fn read(&self, partition: &Partition, from: i64) -> Result<Vec<String>, ErrorCode> {
        let mut values = Vec::new();
        let mut next = from;
        loop {
            let read = ReadAt {
                from: Offset(next),
                max_bytes: 500,
                at_least_one_batch: true,
                reader: CONSUMER,
                leader_epoch: LeaderEpoch(0),
                last_fetched_epoch: LeaderEpoch::NONE,
            };
            let records = partition.read(read).await.map_err(|refusal| refusal.code())?.records;
            if records.is_empty() {
                return Ok(values);
            }
            let bytes = partition.store().copied(records).await.unwrap();
            for batch in batches(&bytes) {
                let records =
                    BatchRecords::open(&batch.unwrap(), &InspectLimits::default()).unwrap();
                for record in records.iter() {
                    let record = record.unwrap();
                    if record.offset.get() >= next {
                        assert_eq!(record.offset.get(), next, "offsets are dense");
                        next += 1;
                        values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                    }
                }
            }
        }
    }
}

fn small() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 200, ..LogConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_producers_share_the_append_token() {
    let home = tempfile::tempdir().unwrap();
    let node = Arc::new(Node::open(home.path(), small()).await);
    let partition = node.create().await;
    let producers = (0..8).map(|producer| {
        let (node, partition) = (Arc::clone(&node), Arc::clone(&partition));
        async move {
            let mut offsets = Vec::new();
            for round in 0..50 {
                let value = format!("{producer}-{round}");
                offsets.push((node.put(&partition, &[&value]).await.unwrap(), value));
            }
            offsets
        }
    });
    let tasks: Vec<_> = producers.map(|work| spawn_test(Box::pin(work))).collect();
    let mut acked = Vec::new();
    for task in tasks {
        let offsets = task.await.unwrap();
        assert!(offsets.is_sorted_by(|a, b| a.0 < b.0), "one producer's records keep their order");
        acked.extend(offsets);
    }
    acked.sort();
    let values: Vec<String> = acked.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values.len(), 400);
    assert_eq!(node.read(&partition, 0).await.unwrap(), values);
    assert_eq!(partition.view().high_watermark, Offset(400));

    // A crash: nothing was closed, nothing synced.
    drop(partition);
    let partition = node.load().await;
    assert_eq!(node.read(&partition, 0).await.unwrap(), values);
}

/// Runs a future on the test's runtime and hands its value back.
fn spawn_test<T: Send + 'static>(
    work: Pin<Box<dyn Future<Output = T> + Send>>,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let spawn = RealSpawn::new(tokio::runtime::Handle::current()).unwrap();
    spawn.spawn(
        Lane::Data,
        Box::pin(async move {
            let _ = sender.send(work.await);
        }),
    );
    receiver
}

#[tokio::test]
async fn a_repeated_batch_is_answered_as_the_first_time_even_after_a_crash() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    let offset = async |partition: &Partition, sequence| {
        let answer = node.produce(partition, &["a", "b"], sequence).answered().await;
        answer.map(|answer| answer.appended.base_offset.get()).map_err(|refusal| refusal.code())
    };
    assert_eq!(offset(&partition, 0).await, Ok(0));
    assert_eq!(offset(&partition, 2).await, Ok(2));
    assert_eq!(offset(&partition, 0).await, Ok(0));
    assert_eq!(offset(&partition, 6).await, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    drop(partition);
    let partition = node.load().await;
    assert_eq!(offset(&partition, 2).await, Ok(2));
    assert_eq!(offset(&partition, 4).await, Ok(4));
    assert_eq!(node.read(&partition, 3).await.unwrap(), ["b", "a", "b"]);
}

#[tokio::test]
async fn with_flush_messages_one_an_answer_means_durable() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), LogConfig { flush_messages: 1, ..small() }).await;
    let partition = node.create().await;
    let waiting: Vec<Ordered> =
        (0..20).map(|i| node.produce(&partition, &[&i.to_string()], -1)).collect();
    for ordered in waiting {
        let end = ordered.answered().await.unwrap().appended.next_offset;
        assert!(partition.with_log(Log::recovery_point) >= end);
    }
}

#[tokio::test]
async fn a_waiting_fetch_counts_down_and_is_woken_once() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    let is_ready = |waiter: &Arc<FetchWaiter>| {
        let mut ready = Box::pin(waiter.ready());
        ready.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    };
    let waiter = FetchWaiter::new(200);
    let subscription = partition.subscribe(&waiter, CONSUMER, &partition.view());
    assert!(!is_ready(&waiter));
    node.put(&partition, &["some eighty bytes"]).await.unwrap();
    assert!(!is_ready(&waiter), "one batch is not 200 bytes");
    node.put(&partition, &["another"]).await.unwrap();
    node.put(&partition, &["and the third"]).await.unwrap();
    assert!(is_ready(&waiter));
    drop(subscription);

    // What came between the read and the subscription is not missed.
    let late = FetchWaiter::new(1);
    let earlier = View { high_watermark: Offset(2), ..partition.view() };
    let _subscription = partition.subscribe(&late, CONSUMER, &earlier);
    assert!(is_ready(&late));

    let loses_leader = FetchWaiter::new(1);
    let _other = partition.subscribe(&loses_leader, CONSUMER, &partition.view());
    assert!(!is_ready(&loses_leader));
    let followership = Followership {
        leader: NodeId::NONE,
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
        is_in_sync: true,
    };
    partition.become_follower(followership, None);
    assert!(is_ready(&loses_leader));
}

#[tokio::test]
async fn a_session_is_told_once_of_what_happens_to_a_partition_that_rests() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    let waiter = FetchWaiter::new(0);
    let rests = partition.rest(&waiter, 5, &partition.view());
    assert_eq!(waiter.take_stirred(), Vec::<u64>::new());
    node.put(&partition, &["one"]).await.unwrap();
    node.put(&partition, &["two"]).await.unwrap();
    assert_eq!(waiter.take_stirred(), [5]);
    drop(rests);

    // What came between the read and the rest is not missed.
    let earlier = View { log_end: Offset(1), ..partition.view() };
    let rests = partition.rest(&waiter, 6, &earlier);
    assert_eq!(waiter.take_stirred(), [6]);
    drop(rests);

    let rests = partition.rest(&waiter, 7, &partition.view());
    drop(rests);
    node.put(&partition, &["three"]).await.unwrap();
    assert_eq!(waiter.take_stirred(), Vec::<u64>::new(), "it has been called off");

    // Somebody has joined the ISR or left it.
    let earlier = View { partition_epoch: -7, ..partition.view() };
    let _rests = partition.rest(&waiter, 8, &earlier);
    assert_eq!(waiter.take_stirred(), [8]);

    let _rests = partition.rest(&waiter, 9, &partition.view());
    drop(partition);
    assert_eq!(waiter.take_stirred(), [9], "a partition that is gone is looked for again");
}

#[tokio::test]
async fn lookups_by_time_and_epoch() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    for time in [1000, 1010, 1005, 1020, 1015] {
        node.clock.0.store(time, Ordering::Relaxed);
        for _ in 0..5 {
            node.put(&partition, &["x", "y"]).await.unwrap();
        }
    }
    let find = async |target| {
        let found = partition.offset_for_timestamp(Timestamp(target), CONSUMER, LeaderEpoch(0));
        found.await.unwrap().map(|found| (found.offset.get(), found.timestamp.as_millis()))
    };
    assert_eq!(find(0).await, Some((0, 1000)));
    assert_eq!(find(1001).await, Some((10, 1010)));
    assert_eq!(find(1011).await, Some((30, 1020)));
    assert_eq!(find(1021).await, None);
    let largest = partition.largest_timestamp(CONSUMER, LeaderEpoch(0)).await.unwrap().unwrap();
    assert_eq!((largest.offset, largest.timestamp), (Offset(30), Timestamp(1020)));
    let end = partition.end_of_epoch(LeaderEpoch(0), LeaderEpoch(0)).unwrap();
    assert_eq!((end.epoch, end.end), (LeaderEpoch(0), Offset(50)));
    let refused = partition.end_of_epoch(LeaderEpoch(0), LeaderEpoch(1)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::UNKNOWN_LEADER_EPOCH);
    // A copy that is longer than this log has diverged; one of an unknown epoch cannot be compared.
    let fetch = async |from, last_fetched_epoch| {
        let read = partition.read(ReadAt {
            from: Offset(from),
            max_bytes: 500,
            at_least_one_batch: true,
            reader: CONSUMER,
            leader_epoch: LeaderEpoch(0),
            last_fetched_epoch: LeaderEpoch(last_fetched_epoch),
        });
        let read = read.await.map_err(|refusal| refusal.code())?;
        Ok((read.diverging.map(|end| (end.epoch.get(), end.end.get())), read.records.is_empty()))
    };
    assert_eq!(fetch(48, 0).await, Ok((None, false)));
    assert_eq!(fetch(51, 0).await, Ok((Some((0, 50)), true)));
    assert_eq!(fetch(51, -1).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(fetch(48, 1).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
}

#[tokio::test]
async fn old_segments_and_deleted_records_go() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), LogConfig { retention_ms: 100, ..small() }).await;
    let partition = node.create().await;
    for i in 0..40 {
        node.put(&partition, &[&i.to_string()]).await.unwrap();
    }
    assert_eq!(partition.delete_records(Offset(3)).answered().await, Ok(Offset(3)));
    assert_eq!(node.read(&partition, 2).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(node.read(&partition, 38).await.unwrap(), ["38", "39"]);
    assert!(partition.retain().await.is_empty());

    node.clock.0.store(2000, Ordering::Relaxed);
    let retired = partition.retain().await;
    assert!(!retired.is_empty());
    let deleted = partition.remove_segments(retired).await.unwrap();
    deleted.unlink(node.dir.io()).await.unwrap();
    assert_eq!(partition.view().log_start, Offset(40));
    assert_eq!(node.read(&partition, 39).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(node.put(&partition, &["new"]).await, Ok(40));
    assert_eq!(node.read(&partition, 40).await.unwrap(), ["new"]);
    let logs = std::fs::read_dir(home.path().join("orders-0")).unwrap();
    let logs = logs
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".log"));
    assert_eq!(logs.count(), 1);
}

#[tokio::test]
async fn a_full_disk_refuses_serves_and_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    for i in 0..30 {
        node.put(&partition, &[&i.to_string()]).await.unwrap();
    }
    node.is_full.store(true, Ordering::Relaxed);
    assert_eq!(node.put(&partition, &["lost"]).await, Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert_eq!(node.put(&partition, &["lost"]).await, Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert_eq!(node.read(&partition, 28).await.unwrap(), ["28", "29"]);

    node.is_full.store(false, Ordering::Relaxed);
    node.dir.resume_if_room().await.unwrap();
    partition.resume();
    let mut offset = node.put(&partition, &["30"]).await;
    while offset == Err(ErrorCode::KAFKA_STORAGE_ERROR) {
        tokio::task::yield_now().await;
        offset = node.put(&partition, &["30"]).await;
    }
    assert_eq!(offset, Ok(30));
    let expected: Vec<String> = (0..31).map(|i| i.to_string()).collect();
    assert_eq!(node.read(&partition, 0).await.unwrap(), expected);
    drop(partition);
    let partition = node.load().await;
    assert_eq!(node.read(&partition, 0).await.unwrap(), expected);
}

#[tokio::test]
async fn a_failed_write_takes_the_partition_and_its_dir_offline() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    assert_eq!(node.put(&partition, &["kept"]).await, Ok(0));
    node.is_broken.store(true, Ordering::Relaxed);
    assert_eq!(node.put(&partition, &["lost"]).await, Err(ErrorCode::KAFKA_STORAGE_ERROR));
    node.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(node.put(&partition, &["lost"]).await, Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert_eq!(node.read(&partition, 0).await, Err(ErrorCode::KAFKA_STORAGE_ERROR));
    assert_eq!(node.dir.state(), strandline_store::DirState::Offline);
    assert!(partition.close().await.is_err(), "this is no clean stop");

    drop((partition, node));
    let node = Node::open(home.path(), small()).await;
    let partition = node.load().await;
    assert_eq!(node.read(&partition, 0).await.unwrap(), ["kept"]);
}

#[tokio::test]
async fn a_closed_partition_is_as_it_says() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    for i in 0..30 {
        node.put(&partition, &[&i.to_string()]).await.unwrap();
    }
    let image = partition.close().await.unwrap();
    assert_eq!((image.log_end, image.recovery_point), (Offset(30), Offset(30)));
    assert_eq!(node.put(&partition, &["late"]).await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    drop(partition);
    let partition = node.load().await;
    assert_eq!(partition.with_log(|log| log.image().producers), image.producers);
    assert_eq!(partition.with_log(Log::size_bytes), {
        image.segments.iter().map(|segment| u64::from(segment.size_bytes)).sum::<u64>()
    });
    assert_eq!(node.read(&partition, 0).await.unwrap().len(), 30);
}

#[tokio::test]
async fn only_replicas_are_counted_and_only_what_continues_the_log() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    partition.become_leader(Leadership {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
        replicas: vec![NodeId(1), NodeId(2)],
        in_sync: vec![NodeId(1), NodeId(2)],
    });
    let waiting = node.produce(&partition, &["a"], -1);
    while partition.view().log_end < Offset(1) {
        tokio::task::yield_now().await;
    }
    let fetch = async |follower, from, epoch, last_epoch| {
        let fetch = FollowerFetch {
            follower: NodeId(follower),
            broker_epoch: strandline_types::BrokerEpoch(7),
            log_start: Offset(0),
            log_end: Offset(from),
        };
        let at = ReadAt {
            from: Offset(from),
            max_bytes: 500,
            at_least_one_batch: true,
            reader: Reader::Follower,
            leader_epoch: LeaderEpoch(epoch),
            last_fetched_epoch: LeaderEpoch(last_epoch),
        };
        let read = partition.read_for(fetch, at).await.map_err(|refusal| refusal.code())?;
        let diverging = read.diverging.map(|end| (end.epoch.get(), end.end.get()));
        Ok((read.view.high_watermark.get(), !read.records.is_empty(), diverging))
    };
    assert_eq!(fetch(3, 0, 1, -1).await, Err(ErrorCode::UNKNOWN_LEADER_EPOCH));
    assert_eq!(fetch(3, 0, -1, -1).await, Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(fetch(2, 0, 0, -1).await, Err(ErrorCode::FENCED_LEADER_EPOCH));
    assert_eq!(fetch(2, 0, 2, -1).await, Err(ErrorCode::UNKNOWN_LEADER_EPOCH));
    assert_eq!(fetch(2, 2, 1, -1).await, Err(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert_eq!(fetch(2, 2, 1, 1).await, Ok((0, false, Some((1, 1)))));
    // What is not committed is read by followers; by asking on they commit it, and hear so at once.
    assert_eq!(fetch(2, 0, 1, -1).await, Ok((0, true, None)));
    assert_eq!(fetch(2, 1, 1, 1).await, Ok((1, false, None)));
    assert!(waiting.answered().await.is_ok());
}

#[tokio::test]
async fn a_request_that_gave_up_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let node = Node::open(home.path(), small()).await;
    let partition = node.create().await;
    partition.become_leader(Leadership {
        leader_epoch: LeaderEpoch(1),
        partition_epoch: 1,
        replicas: vec![NodeId(1), NodeId(2)],
        in_sync: vec![NodeId(1), NodeId(2)],
    });
    let parked = node.produce(&partition, &["a"], -1);
    assert_eq!(partition.core().produces.len(), 1);
    drop(parked);
    assert_eq!(partition.core().produces.len(), 0);
}

/// The budget of an idle partition is 4 KiB with its heap: here stands what does not depend on
/// what was done to it.
#[test]
fn a_partition_is_small() {
    let fixed =
        size_of::<Partition>() + size_of::<PartitionStore>() + size_of::<strandline_log::Segment>();
    assert!(fixed <= 1536, "{fixed} bytes");
}
