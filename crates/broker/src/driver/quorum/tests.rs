//! The quorum on real files, and beside the files of Apache Kafka 4.3.1 that lie in `tests/kafka`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use strandline_metadata::feature::{METADATA_VERSION, TRANSACTION_VERSION};
use strandline_metadata::{MetadataVersion, Record};
use strandline_ports::World;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn};
use strandline_quorum::{Config, Fetch, ReplicaKey, VoterChange};
use strandline_store::{DirIdentity, Io, LogDirOptions, OpenFiles, StartCondition, TailCache};
use strandline_types::{BrokerEpoch, Uuid};
use strandline_wire::messages::NoOpRecord;
use strandline_wire::records::batches;

use super::snapshot::{Snapshot, SnapshotDamage};
use super::*;
use crate::driver::testing::FailingDisk;
use crate::format::{FirstLevels, format_dir};

const KAFKA_BOOTSTRAP: &[u8] = include_bytes!("tests/kafka/bootstrap.checkpoint");
const KAFKA_VOTERS: &[u8] =
    include_bytes!("tests/kafka/00000000000000000000-0000000000.checkpoint");
const KAFKA_LOG: &[u8] = include_bytes!("tests/kafka/00000000000000000000.log");
const KAFKA_ELECTION: &[u8] = include_bytes!("tests/kafka/quorum-state");
/// Directory and controller listener of the node that wrote them.
const KAFKA_DIRECTORY: &str = "A0Jpq-oNRuOLg9pUAQ5zGA";

static SUPPORTED: [FeatureRange; 3] = [
    FeatureRange::new(METADATA_VERSION, 7, 30),
    FeatureRange::new("eligible.leader.replicas.version", 0, 1),
    FeatureRange::new("group.version", 0, 0),
];

fn world() -> World {
    let spawn = RealSpawn::new(tokio::runtime::Handle::current()).expect("a thread");
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(spawn),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::default()),
    }
}

async fn open_dir(world: &World, path: &Path) -> LogDir {
    let io = Io { disk: Arc::clone(&world.disk), spawn: Arc::clone(&world.spawn) };
    let options = LogDirOptions {
        open_files: Arc::new(OpenFiles::new(64)),
        tail_cache: Arc::new(TailCache::new(0)),
    };
    LogDir::open(io, path, options).await.expect("a free directory")
}

fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 19093 }]
}

fn directory_id() -> Uuid {
    KAFKA_DIRECTORY.parse().expect("an id")
}

/// Formats `dir` for the node and the directory that Kafka's files are of.
async fn format(world: &World, dir: &LogDir, founder: Option<Vec<Endpoint>>) {
    let founder = founder.map(|it| VoterSet::new([voter(NodeId(1), directory_id(), it)]));
    let identity = DirIdentity {
        cluster_id: "4L6g3nShT-eMCtK--X86sw".into(),
        node_id: NodeId(1),
        directory_id: Some(directory_id()),
    };
    let now = world.clock.now().timestamp;
    let levels = FirstLevels::choose([(TRANSACTION_VERSION, 0)], 1).expect("served");
    format_dir(&*world.disk, dir.path(), &identity, (founder.as_ref(), &levels), now)
        .await
        .expect("formatted");
}

fn options() -> QuorumOptions {
    QuorumOptions {
        core: Config::new(ReplicaKey::new(NodeId(1), directory_id())),
        log: MetadataLogOptions { segment_bytes: 1 << 30, segment_ms: 7 * 24 * 3600 * 1000 },
        static_voters: Vec::new(),
        supported: &SUPPORTED,
        cluster_id: "test".into(),
        listener: "CONTROLLER".into(),
        bootstrap_servers: Vec::new(),
        connections: strandline_client::ConnectionConfig::default(),
    }
}

async fn begin(world: &World, dir: &LogDir) -> StartedQuorum {
    start(world, dir, options()).await.expect("a directory that can be served")
}

fn no_op() -> Bytes {
    Record::from(NoOpRecord::default()).encode(MetadataVersion::LATEST).expect("it has a version")
}

/// Batches without what depends on the moment: timestamps and the checksum over them.
fn undated(bytes: &[u8]) -> Vec<Vec<u8>> {
    let without_time = |batch: Result<Bytes, _>| {
        let mut batch = Vec::from(batch.expect("whole batches"));
        batch[17..21].fill(0);
        batch[27..43].fill(0);
        batch
    };
    batches(&Bytes::copy_from_slice(bytes)).map(without_time).collect()
}

/// Events up to and with the first `Leading`, one line each.
async fn until_leading(started: &mut StartedQuorum) -> String {
    let mut story = String::new();
    loop {
        let event = started.events.recv().await.expect("the quorum runs");
        story += &tell(&event);
        if matches!(event, MetadataEvent::Leading { .. }) {
            return story;
        }
    }
}

fn tell(event: &MetadataEvent) -> String {
    match event {
        MetadataEvent::Snapshot { id, records, .. } => {
            format!("snapshot {id:?} of {} records\n", records.len())
        }
        MetadataEvent::Committed(batch) => {
            let what = if batch.control.is_empty() {
                let name = |record: &Bytes| {
                    let record = Record::decode(record).expect("a metadata record");
                    let text = format!("{record:?}");
                    text.split('(').next().unwrap_or_default().to_owned()
                };
                batch.records.iter().map(name).collect::<Vec<_>>().join(", ")
            } else {
                let name = |(offset, record): &(Offset, ControlRecord)| match record {
                    ControlRecord::LeaderChange(change) => {
                        format!("{offset} LeaderChange({})", change.leader)
                    }
                    ControlRecord::KraftVersion(level) => format!("{offset} KraftVersion({level})"),
                    ControlRecord::Voters(voters) => {
                        let keys: Vec<_> = voters.iter().map(|voter| voter.key).collect();
                        format!("{offset} Voters{keys:?}")
                    }
                };
                batch.control.iter().map(name).collect::<Vec<_>>().join(", ")
            };
            format!("{}..{} epoch {}: {what}\n", batch.base_offset, batch.next_offset, batch.epoch)
        }
        MetadataEvent::Leading { epoch, .. } => format!("leading epoch {epoch}\n"),
        MetadataEvent::Appended { next_offset } => format!("appended, next {next_offset}\n"),
        MetadataEvent::NotLeading { epoch } => format!("not leading epoch {epoch}\n"),
        MetadataEvent::TakeSnapshot { id } => format!("take snapshot {id:?}\n"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn formats_as_kafka_does() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let read = |name: &str| std::fs::read(temp.path().join(name)).expect("the file");
    assert_eq!(undated(&read("bootstrap.checkpoint")), undated(KAFKA_BOOTSTRAP));
    let voters = read("__cluster_metadata-0/00000000000000000000-0000000000.checkpoint");
    let [ours, kafkas] = [&voters[..], KAFKA_VOTERS].map(|bytes| {
        let mut batches = undated(bytes);
        // The header record's time: 8 bytes behind the record's framing, key, and version.
        batches[0][73..81].fill(0);
        batches
    });
    assert_eq!(ours, kafkas);
}

#[test]
fn reads_kafkas_snapshots_and_writes_the_same() {
    for bytes in [KAFKA_BOOTSTRAP, KAFKA_VOTERS] {
        let snapshot = Snapshot::decode(&Bytes::from_static(bytes)).expect("a snapshot");
        let again = snapshot.encode(LeaderEpoch(0), Timestamp(0)).concat();
        assert_eq!(undated(&again), undated(bytes));
    }
}

#[test]
fn refuses_a_cut_or_damaged_snapshot() {
    let cut = &KAFKA_VOTERS[..KAFKA_VOTERS.len() - 1];
    assert!(matches!(
        Snapshot::decode(&Bytes::from_static(cut)),
        Err(SnapshotDamage::Batch { .. })
    ));
    let unfinished =
        batches(&Bytes::from_static(KAFKA_VOTERS)).next().expect("one").expect("whole");
    assert_eq!(Snapshot::decode(&unfinished), Err(SnapshotDamage::NoFooter));
    assert_eq!(Snapshot::decode(&Bytes::new()), Err(SnapshotDamage::NoHeader));
    for position in 0..KAFKA_VOTERS.len() {
        let mut bytes = KAFKA_VOTERS.to_vec();
        bytes[position] ^= 0x10;
        // Offsets and epoch are outside the checksum; nothing may panic in any case.
        let _ = Snapshot::decode(&bytes.into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leads_at_once_and_again_after_a_clean_stop() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;

    let mut started = begin(&world, &dir).await;
    let mut story = until_leading(&mut started).await;
    let handle = started.handle.clone();
    let first = handle.append(LeaderEpoch(1), Some(Offset(3)), vec![no_op(), no_op()]);
    let nothing = handle.append(LeaderEpoch(1), None, Vec::new());
    let second = handle.append(LeaderEpoch(1), None, vec![no_op()]);
    assert_eq!(first.await, Ok(Ok(Offset(5))));
    assert_eq!(nothing.await, Ok(Ok(Offset(5))));
    assert_eq!(second.await, Ok(Ok(Offset(6))));
    let described = handle.describe().await.expect("it runs");
    assert_eq!(described.high_watermark, Offset(6));
    let late = handle.append(LeaderEpoch(1), Some(Offset(5)), vec![no_op()]).await;
    let other = AppendError::OtherOffset { expected: Offset(5), actual: Offset(6) };
    assert_eq!(late, Ok(Err(other)));
    let stale = handle.append(LeaderEpoch(0), None, vec![no_op()]).await;
    assert_eq!(stale, Ok(Err(AppendError::NotLeader(LeaderEpoch(0)))));
    handle.stop().await.expect("it ran").expect("a sound disk");
    while let Some(event) = started.events.recv().await {
        story += &tell(&event);
    }

    story += "-- again\n";
    let mut started = begin(&world, &dir).await;
    story += &until_leading(&mut started).await;
    let described = started.handle.describe().await.expect("it runs");
    story += &format!(
        "leader {:?} epoch {} committed {}\n",
        described.leader, described.epoch, described.high_watermark
    );
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    expect![[r#"
        0..3 epoch 1: 0 LeaderChange(1), 1 KraftVersion(1), 2 Voters[1/A0Jpq-oNRuOLg9pUAQ5zGA]
        leading epoch 1
        3..5 epoch 1: NoOp, NoOp
        5..6 epoch 1: NoOp
        not leading epoch 1
        -- again
        0..3 epoch 1: 0 LeaderChange(1), 1 KraftVersion(1), 2 Voters[1/A0Jpq-oNRuOLg9pUAQ5zGA]
        3..5 epoch 1: NoOp, NoOp
        5..6 epoch 1: NoOp
        6..7 epoch 2: 6 LeaderChange(1)
        leading epoch 2
        leader Some(1) epoch 2 committed 7
    "#]]
    .assert_eq(&story);
    let election = std::fs::read_to_string(temp.path().join("__cluster_metadata-0/quorum-state"));
    expect![[r#"{"leaderId":1,"leaderEpoch":2,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#]].assert_eq(&election.expect("the file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_after_a_crash_without_a_stop() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    {
        let dir = open_dir(&world, temp.path()).await;
        format(&world, &dir, Some(endpoints())).await;
        dir.begin().await.expect("noted");
        let mut started = begin(&world, &dir).await;
        until_leading(&mut started).await;
        for _ in 0..100 {
            let appended = started.handle.append(LeaderEpoch(1), None, vec![no_op()]);
            appended.await.expect("it runs").expect("committed");
        }
        // Dropping every handle ends the task without closing the log: its zeros stay.
        let StartedQuorum { handle, fault, .. } = started;
        drop(handle);
        fault.await.expect_err("it ended without a fault");
    }
    let log = temp.path().join("__cluster_metadata-0/00000000000000000000.log");
    let len = std::fs::metadata(&log).expect("the log").len();
    assert!(len >= u64::from(PREALLOCATE_BYTES), "{len} bytes are no crash");
    let dir = open_dir(&world, temp.path()).await;
    assert_eq!(dir.condition(), StartCondition::ProcessCrash);
    let mut started = begin(&world, &dir).await;
    let story = until_leading(&mut started).await;
    assert_eq!(story.lines().count(), 103, "{story}");
    assert!(story.ends_with("103..104 epoch 2: 103 LeaderChange(1)\nleading epoch 2\n"), "{story}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_replaces_the_log_before_it() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut small = options();
    small.core.snapshot_max_new_record_bytes = 2000;
    small.core.retention_max_bytes = 1;
    small.log.segment_bytes = 4096;
    let mut started = start(&world, &dir, small.clone()).await.expect("started");
    until_leading(&mut started).await;
    let mut taken = Vec::new();
    for round in 0..300 {
        let appended = started.handle.append(LeaderEpoch(1), None, vec![no_op()]);
        let end = appended.await.expect("it runs").expect("committed");
        while let Ok(event) = started.events.try_recv() {
            if let MetadataEvent::TakeSnapshot { id } = event {
                assert!(id.end_offset <= end, "round {round}");
                taken.push(id);
                if taken.len() == 1 {
                    // Not now: there will be another time.
                    continue;
                }
                let records = vec![no_op(); 3];
                started.handle.write_snapshot(id, Timestamp(7), records);
            }
        }
    }
    assert!(taken.len() > 3, "{taken:?}");
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    let metadata_dir = temp.path().join("__cluster_metadata-0");
    let names = std::fs::read_dir(&metadata_dir).expect("the directory");
    let mut names: Vec<String> = names
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".log") || name.ends_with(".checkpoint"))
        .collect();
    names.sort();
    assert!(!names.contains(&"00000000000000000000.log".to_owned()), "{names:?}");
    let unfinished = metadata_dir.join("00000000000000009999-0000000001.checkpoint.part");
    std::fs::write(&unfinished, b"half").expect("written");

    let mut started = start(&world, &dir, small).await.expect("started");
    let story = until_leading(&mut started).await;
    let first = story.lines().next().unwrap_or_default();
    let newest = taken.iter().rev().find(|id| first.contains(&format!("{id:?}")));
    assert!(newest.is_some() && first.ends_with("of 3 records"), "{story}");
    assert!(!unfinished.exists());
    started.handle.stop().await.expect("it ran").expect("a sound disk");
}

/// A snapshot makes the log's beginning needless, and it stays in the file that the log goes on in.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_log_goes_on_whose_beginning_only_a_snapshot_holds() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let mut small = options();
    small.core.snapshot_max_new_record_bytes = 2000;
    small.core.retention_max_bytes = 1;
    let end = {
        let dir = open_dir(&world, temp.path()).await;
        format(&world, &dir, Some(endpoints())).await;
        dir.begin().await.expect("noted");
        let mut started = start(&world, &dir, small.clone()).await.expect("started");
        until_leading(&mut started).await;
        let epochs = temp.path().join("__cluster_metadata-0/leader-epoch-checkpoint");
        let begins_at_0 = || {
            let text = std::fs::read_to_string(&epochs).expect("the file");
            text.lines().any(|line| line == "1 0")
        };
        let mut end = Offset::ZERO;
        while begins_at_0() {
            assert!(end < Offset(2000), "the beginning stays");
            let appended = started.handle.append(LeaderEpoch(1), None, vec![no_op()]);
            end = appended.await.expect("it runs").expect("committed");
            while let Ok(event) = started.events.try_recv() {
                if let MetadataEvent::TakeSnapshot { id } = event {
                    started.handle.write_snapshot(id, Timestamp(7), vec![no_op()]);
                }
            }
        }
        let StartedQuorum { handle, fault, .. } = started;
        drop(handle);
        fault.await.expect_err("it ended without a fault");
        end
    };
    let dir = open_dir(&world, temp.path()).await;
    let mut started = start(&world, &dir, small).await.expect("started");
    let story = until_leading(&mut started).await;
    let last = format!("{end}..{} epoch 2: {end} LeaderChange(1)\nleading epoch 2\n", end + 1);
    assert!(story.ends_with(&last), "{last} is not the end of {story}");
}

/// Flips a bit of the first batch in the file.
/// Where the quorum's own records come to stand between those of the controller, it is told; what
/// it decided before it knew is refused, with all that it decided since.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_voters_takes_a_place_in_the_log() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut options = options();
    options.core.election_timeout = Duration::from_millis(10);
    let mut started = start(&world, &dir, options).await.expect("started");
    until_leading(&mut started).await;
    let epoch = LeaderEpoch(1);
    let mut moved = voter(NodeId(1), directory_id(), endpoints());
    moved.endpoints[0].port = 7;
    let change = Request::ChangeVoter(VoterChange::Update { epoch, voter: moved });
    let reply = started.handle.ask(change).await.expect("the quorum runs");
    assert_eq!(reply.refusal, None);
    let append = |at| started.handle.append(epoch, Some(Offset(at)), vec![no_op()]);
    // The second would fit, if not for the first.
    let [first, second] = [append(3), append(4)];
    let (expected, actual) = (Offset(3), Offset(4));
    assert_eq!(first.await, Ok(Err(AppendError::OtherOffset { expected, actual })));
    assert_eq!(second.await, Ok(Err(AppendError::NotLeader(epoch))));
    let story = until_leading(&mut started).await;
    assert!(story.starts_with("appended, next 4\n"), "{story}");
    assert!(story.ends_with("leading epoch 3\n"), "{story}");
    started.handle.stop().await.expect("it ran").expect("a sound disk");
}

/// A snapshot names the voters that its records made: a change behind it may still be undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_knows_nothing_of_a_change_of_voters_behind_it() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut started = begin(&world, &dir).await;
    until_leading(&mut started).await;
    let id = SnapshotId { end_offset: Offset(3), epoch: LeaderEpoch(1) };
    let second = control::voter(NodeId(2), Uuid::from_u128(2), endpoints());
    let fetch = Fetch {
        replica: second.key,
        epoch: id.epoch,
        offset: id.end_offset,
        last_epoch: id.epoch,
        high_watermark: None,
        max_bytes: 1024,
        max_wait: Duration::ZERO,
    };
    let add = VoterChange::Add { voter: second, ack_when_committed: false };
    for request in [Request::Fetch(fetch), Request::ChangeVoter(add)] {
        let reply = started.handle.ask(request).await.expect("the quorum runs");
        assert_eq!(reply.refusal, None);
    }
    started.handle.write_snapshot(id, Timestamp(0), Vec::new());
    let path = temp.path().join(METADATA_DIR).join("00000000000000000003-0000000001.checkpoint");
    // Without the second voter nothing commits, so the event of a written snapshot is its file.
    while !path.exists() {
        tokio::task::yield_now().await;
    }
    let snapshot = Snapshot::decode(&std::fs::read(path).expect("the file").into());
    let membership = snapshot.expect("a snapshot").membership.expect("voters");
    assert_eq!(membership.voters.ids().collect::<Vec<_>>(), [NodeId(1)]);
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the file");
    bytes[70] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_power_loss_what_a_snapshot_holds_is_not_recovered_again() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut small = options();
    small.core.snapshot_max_new_record_bytes = 20_000;
    small.log.segment_bytes = 4096;
    let mut started = start(&world, &dir, small.clone()).await.expect("started");
    until_leading(&mut started).await;
    let id = loop {
        let appended = started.handle.append(LeaderEpoch(1), None, vec![no_op()]);
        appended.await.expect("it runs").expect("committed");
        if let Ok(MetadataEvent::TakeSnapshot { id }) = started.events.try_recv() {
            started.handle.write_snapshot(id, Timestamp(7), vec![no_op()]);
            break id;
        }
    };
    let end = started.handle.append(LeaderEpoch(1), None, vec![no_op()]).await;
    let end = end.expect("it runs").expect("committed");
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    let metadata_dir = temp.path().join(METADATA_DIR);
    let snapshot = metadata_dir.join(format!("{:020}-{:010}.checkpoint", id.end_offset.get(), 1));
    assert!(snapshot.exists());

    // Recovery ends a log where it meets damage: that of records which were durable once, and which
    // nobody needs any more, must not cost those behind it.
    damage(&metadata_dir.join("00000000000000000000.log"));
    drop(dir);
    let dir = open_dir(&world, temp.path()).await;
    assert_eq!(dir.condition(), StartCondition::Unknown);
    let mut started = start(&world, &dir, small.clone()).await.expect("started");
    let story = until_leading(&mut started).await;
    let tail = format!("{}..{} epoch 1: NoOp\n", end.get() - 1, end.get());
    assert!(story.contains(&tail), "{story}");
    started.handle.stop().await.expect("it ran").expect("a sound disk");
}

/// A directory as Kafka left it.
fn kafkas_directory(path: &Path) {
    let metadata = path.join(METADATA_DIR);
    std::fs::create_dir_all(&metadata).expect("a directory");
    let voters = "00000000000000000000-0000000000.checkpoint";
    for (path, bytes) in [
        (path.join(BOOTSTRAP_FILE), KAFKA_BOOTSTRAP),
        (metadata.join(voters), KAFKA_VOTERS),
        (metadata.join("00000000000000000000.log"), KAFKA_LOG),
        (metadata.join("quorum-state"), KAFKA_ELECTION),
    ] {
        std::fs::write(path, bytes).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_where_kafka_stopped() {
    let temp = tempfile::tempdir().expect("a directory");
    kafkas_directory(temp.path());
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    let records = bootstrap_records(&dir).await.expect("readable").expect("there");
    assert_eq!(records.len(), 2);
    let mut started = begin(&world, &dir).await;
    let story = until_leading(&mut started).await;
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    expect![[r#"
        0..3 epoch 1: 0 LeaderChange(1), 1 KraftVersion(1), 2 Voters[1/A0Jpq-oNRuOLg9pUAQ5zGA]
        3..8 epoch 1: BeginTransaction, FeatureLevel, FeatureLevel, Config, EndTransaction
        8..9 epoch 1: NoOp
        9..10 epoch 1: NoOp
        10..12 epoch 1: NoOp, RegisterController
        12..13 epoch 1: NoOp
        13..14 epoch 1: NoOp
        14..15 epoch 1: RegisterBroker
        15..16 epoch 1: NoOp
        16..17 epoch 1: NoOp
        17..18 epoch 1: BrokerRegistrationChange
        18..20 epoch 1: NoOp, BrokerRegistrationChange
        20..21 epoch 1: NoOp
        21..22 epoch 1: NoOp
        22..23 epoch 1: NoOp
        23..25 epoch 1: BrokerRegistrationChange, NoOp
        25..26 epoch 1: NoOp
        26..27 epoch 2: 26 LeaderChange(1)
        leading epoch 2
    "#]]
    .assert_eq(&story);
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_it_cannot_serve_in_one_line() {
    let temp = tempfile::tempdir().expect("a directory");
    kafkas_directory(temp.path());
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    let mut lines = String::new();
    let mut add = |error: Option<OpenError>| {
        let line = error.map_or("served".into(), |error| error.to_string());
        lines += &line.replace(&temp.path().display().to_string(), "DIR");
        lines += "\n";
    };

    let mut older = options();
    static OLDER: [FeatureRange; 1] = [FeatureRange::new(METADATA_VERSION, 7, 29)];
    older.supported = &OLDER;
    add(start(&world, &dir, older).await.err());

    let mut stranger = options();
    stranger.core.me = ReplicaKey::new(NodeId(1), Uuid::from_u128(5));
    add(start(&world, &dir, stranger).await.err());

    let voters =
        temp.path().join("__cluster_metadata-0/00000000000000000000-0000000000.checkpoint");
    std::fs::write(&voters, &KAFKA_VOTERS[..100]).expect("written");
    add(start(&world, &dir, options()).await.err());

    let empty = tempfile::tempdir().expect("a directory");
    let dir = open_dir(&world, empty.path()).await;
    let error = start(&world, &dir, options()).await.err();
    let line = error.map_or("served".into(), |error| error.to_string());
    lines += &line.replace(&empty.path().display().to_string(), "DIR");
    expect![[r#"
        eligible.leader.replicas.version is finalized at level 1, and this version supports no level of it
        the quorum's only voter is 1/A0Jpq-oNRuOLg9pUAQ5zGA, and this node is 1/AAAAAAAAAAAAAAAAAAAABQ: the disk that holds the quorum's state is another one
        snapshot DIR/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint is damaged: byte 0: a batch of 166 bytes is cut after 100
        DIR/__cluster_metadata-0 names no voters, and neither do the settings: format the directory, or set controller.quorum.voters"#]].assert_eq(&lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_voter_leads_too() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, None).await;
    let mut options = options();
    options.static_voters = vec![(NodeId(1), endpoints().remove(0))];
    let mut started = start(&world, &dir, options).await.expect("started");
    let story = until_leading(&mut started).await;
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    expect![[r#"
        0..1 epoch 1: 0 LeaderChange(1)
        leading epoch 1
    "#]]
    .assert_eq(&story);
    let election = std::fs::read_to_string(temp.path().join("__cluster_metadata-0/quorum-state"));
    expect![[r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#]].assert_eq(&election.expect("the file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clean_image_suits_the_log_dir() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut started = begin(&world, &dir).await;
    until_leading(&mut started).await;
    let image = started.handle.stop().await.expect("it ran").expect("a sound disk");
    let images = std::iter::once((METADATA_DIR.to_owned(), image)).collect();
    dir.finish(BrokerEpoch(7), &images).await.expect("finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_disk_stops_it_for_good() {
    let temp = tempfile::tempdir().expect("a directory");
    let world = world();
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut started = begin(&world, &dir).await;
    until_leading(&mut started).await;
    dir.take_offline();
    let lost = started.handle.append(LeaderEpoch(1), None, vec![no_op()]).await;
    assert!(lost.is_err(), "nobody may say that it has committed: {lost:?}");
    let fault = started.fault.await.expect("a fault").to_string();
    assert_eq!(fault, format!("log dir {} is offline", temp.path().display()));
    assert!(started.handle.stop().await.is_none());
    assert_eq!(started.events.recv().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_snapshot_holds_goes_though_there_is_no_room_for_the_epochs() {
    let disk = FailingDisk::default();
    let world = World { disk: Arc::new(disk.clone()), ..world() };
    let temp = tempfile::tempdir().expect("a directory");
    let dir = open_dir(&world, temp.path()).await;
    format(&world, &dir, Some(endpoints())).await;
    let mut small = options();
    small.core.snapshot_max_new_record_bytes = 2000;
    small.core.retention_max_bytes = 1;
    small.log.segment_bytes = 4096;
    let started = start(&world, &dir, small.clone()).await.expect("started");
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    // In another epoch, so that the first one goes.
    let mut started = start(&world, &dir, small.clone()).await.expect("started");
    until_leading(&mut started).await;
    *disk.no_room_for.lock().expect("no panic") = Some("leader-epoch-checkpoint");
    let first = temp.path().join(METADATA_DIR).join("00000000000000000000.log");
    while first.exists() {
        let appended = started.handle.append(LeaderEpoch(2), None, vec![no_op()]);
        appended.await.expect("it runs").expect("committed");
        if let Ok(MetadataEvent::TakeSnapshot { id }) = started.events.try_recv() {
            started.handle.write_snapshot(id, Timestamp(7), vec![no_op()]);
        }
    }
    started.handle.stop().await.expect("it ran").expect("a sound disk");
    *disk.no_room_for.lock().expect("no panic") = None;
    let mut started = start(&world, &dir, small).await.expect("started");
    assert!(until_leading(&mut started).await.ends_with("leading epoch 3\n"));
}
