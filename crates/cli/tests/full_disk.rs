//! A disk that fills up: what cannot be written is refused, nothing that was acknowledged is lost, and
//! the node goes on once there is room.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use node::frames::batch;
use node::small_disk::SmallDisk;
use node::{Client, Node, Start, eventually};
use strandline_types::ErrorCode;
use strandline_wire::messages::{
    CreateTopicsRequest, DescribeQuorumRequest, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, OffsetCommitRequest, create_topics_request,
    describe_quorum_request, incremental_alter_configs_request, offset_commit_request,
};

#[test]
fn a_full_disk_refuses_appends_and_takes_them_again() {
    full_disk(&|start| start);
}

#[test]
fn a_full_disk_without_the_metadata_log_does_so_too() {
    full_disk(&|start| start.set("metadata.log.dir", "metadata"));
}

/// How far the metadata are committed.
fn metadata_end(client: &mut Client) -> i64 {
    let topic = describe_quorum_request::TopicData {
        topic_name: "__cluster_metadata".into(),
        partitions: vec![describe_quorum_request::PartitionData::default()],
        ..Default::default()
    };
    let request = DescribeQuorumRequest { topics: vec![topic], ..Default::default() };
    client.ask(&request, 1).topics[0].partitions[0].high_watermark
}

fn full_disk(settings: &dyn Fn(Start) -> Start) {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 96) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let start = settings(start);
    let mut node = start.ready();
    let mut client = node.client();
    client.create_topic("filling", 1, &[]);
    client.create_topic("needless", 1, &[]);
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 60 << 20]).unwrap();

    let value = vec![b'v'; 900_000];
    let mut acked = 0;
    loop {
        let answer = client.produce("filling", 0, batch(&[&value])).unwrap();
        if answer.error_code != ErrorCode::NONE {
            assert_eq!(answer.error_code, ErrorCode::KAFKA_STORAGE_ERROR);
            break;
        }
        assert_eq!(answer.base_offset, acked);
        acked += 1;
        assert!(acked < 100, "the disk never fills");
    }
    assert!(acked > 10, "{acked}");
    let is_whole = |client: &mut Client, count: i64| {
        let records = client.read_all("filling", 0, 0);
        assert_eq!(records.len() as i64, count);
        assert!(records.iter().enumerate().all(|(at, (offset, _))| at as i64 == *offset));
    };
    is_whole(&mut client, acked);
    // Not one byte is left, and the controller still takes orders: it could not free room otherwise.
    let rest = disk.0.join("rest");
    assert!(fs::write(&rest, vec![1; 4 << 20]).is_err());
    let metadata_end = metadata_end(&mut client);
    client.delete_topic("needless");
    eventually("the metadata log goes on", || self::metadata_end(&mut client) > metadata_end + 4);
    assert!(node.is_alive());

    fs::remove_file(&rest).unwrap();
    fs::remove_file(&ballast).unwrap();
    eventually("appends are taken again once there is room", || {
        let answer = client.produce("filling", 0, batch(&[&value])).unwrap();
        if answer.error_code == ErrorCode::NONE {
            assert_eq!(answer.base_offset, acked, "what was refused left nothing behind");
        }
        answer.error_code == ErrorCode::NONE
    });
    is_whole(&mut client, acked + 1);
    let ended = node.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.log.contains("no appends until there is room"), "{}", ended.log);

    let node = start.ready();
    is_whole(&mut node.client(), acked + 1);
}

#[test]
fn a_node_that_starts_on_a_full_disk_says_so_and_loses_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let node = start.ready();
    node.client().create_topic("kept", 1, &[]);
    node.client().produce("kept", 0, batch(&[b"one"])).unwrap();
    assert!(node.stop().status.success());
    let rest = disk.fill();
    for _ in 0..2 {
        let ended = start.refused();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let last = ended.log.lines().last().unwrap();
        assert!(last.contains("No space left on device"), "{}", ended.log);
    }
    fs::remove_file(rest).unwrap();
    assert_eq!(start.ready().client().read_all("kept", 0, 0).len(), 1);
}

#[test]
fn a_node_whose_metadata_log_has_room_starts_on_a_full_disk() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let start = start.set("metadata.log.dir", "metadata");
    let mut node = start.ready();
    node.client().create_topic("kept", 1, &[]);
    let produce = |node: &Node| {
        let answer = node.client().produce("kept", 0, batch(&[&[b'v'; 100_000]])).unwrap();
        (answer.error_code == ErrorCode::NONE).then_some(answer.base_offset)
    };
    assert_eq!(produce(&node), Some(0));
    for (is_clean, end) in [(true, 1), (false, 2)] {
        drop(if is_clean { node.stop() } else { node.kill() });
        let rest = disk.fill();
        node = start.ready();
        if is_clean {
            // After a crash there is no room for what recovery writes.
            assert_eq!(node.client().read_all("kept", 0, 0).len() as i64, end);
        }
        assert_eq!(produce(&node), None);
        fs::remove_file(&rest).unwrap();
        eventually("appends are taken again", || produce(&node) == Some(end));
        assert_eq!(node.client().read_all("kept", 0, 0).len() as i64, end + 1);
    }
}

#[test]
fn a_partition_that_was_created_on_a_full_disk_is_served_once_there_is_room() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let node = start.ready();
    let mut client = node.client();
    let rest = disk.fill();
    client.create_topic("new", 2, &[]);
    let mut produce = || client.produce("new", 1, batch(&[b"one"])).unwrap().error_code;
    eventually("the partition cannot be made", || produce() == ErrorCode::KAFKA_STORAGE_ERROR);
    fs::remove_file(rest).unwrap();
    eventually("it is made now that there is room", || produce() == ErrorCode::NONE);
    assert!(node.stop().status.success());
    assert_eq!(start.ready().client().read_all("new", 1, 0).len(), 1);
}

/// A group whose first commit makes `__consumer_offsets`.
#[test]
fn groups_are_coordinated_once_there_is_room_for_their_offsets() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let node = start.set("offsets.topic.num.partitions", "3").ready();
    let mut client = node.client();
    client.create_topic("read", 1, &[]);
    let rest = disk.fill();
    let mut commit = || commit_offset(&mut client, "read");
    eventually("there is no coordinator", || commit() == ErrorCode::NOT_COORDINATOR);
    fs::remove_file(rest).unwrap();
    eventually("there is one now that there is room", || commit() == ErrorCode::NONE);
}

fn commit_offset(client: &mut Client, topic: &str) -> ErrorCode {
    let find = FindCoordinatorRequest {
        key_type: 0,
        coordinator_keys: vec!["group".into()],
        ..Default::default()
    };
    client.ask(&find, 4);
    let partition = offset_commit_request::OffsetCommitRequestPartition {
        committed_offset: 1,
        ..Default::default()
    };
    let topic = offset_commit_request::OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetCommitRequest {
        group_id: "group".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    };
    client.ask(&request, 8).topics[0].partitions[0].error_code
}

#[test]
fn retention_makes_room_on_a_full_disk() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path())
        .set("log.dirs", data.to_str().unwrap())
        .set("log.retention.check.interval.ms", "100");
    let mut node = start.ready();
    let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
    node.client().create_topic("filling", 1, &configs);
    // Each life leads in another epoch, so that retention must forget some.
    for _ in 0..2 {
        node.client().produce("filling", 0, batch(&[b"small"])).unwrap();
        assert!(node.stop().status.success());
        node = start.ready();
    }
    let mut client = node.client();
    let value = vec![b'v'; 900_000];
    let mut produce = || client.produce("filling", 0, batch(&[&value])).unwrap().error_code;
    for _ in 0..40 {
        assert_eq!(produce(), ErrorCode::NONE);
    }
    disk.fill();
    eventually("the disk is full", || produce() == ErrorCode::KAFKA_STORAGE_ERROR);
    alter_topic(&mut node.client(), "filling", "retention.bytes", "2000000");
    eventually("retention makes room", || produce() == ErrorCode::NONE);
    assert!(node.client().offset_at("filling", 0, -2) > 2);
    assert!(node.stop().status.success());
    let node = start.ready();
    let (first, end) =
        (node.client().offset_at("filling", 0, -2), node.client().offset_at("filling", 0, -1));
    assert_eq!(node.client().read_all("filling", 0, first).len() as i64, end - first);
}

fn alter_topic(client: &mut Client, topic: &str, name: &str, value: &str) {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: topic.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(client.ask(&request, 1).responses[0].error_code, ErrorCode::NONE);
}

#[test]
fn a_node_whose_metadata_log_waits_for_room_can_be_stopped() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 16) else { return };
    let data = disk.0.join("data");
    let start = Start::anywhere(temporary.path()).set("log.dirs", data.to_str().unwrap());
    let node = start.ready();
    let mut client = node.client();
    client.create_topic("kept", 1, &[]);
    client.produce("kept", 0, batch(&[b"one"])).unwrap();
    let rest = disk.fill();
    // More than what the metadata log has in reserve.
    let config = create_topics_request::CreatableTopicConfig {
        name: "leader.replication.throttled.replicas".into(),
        value: Some(vec!["1:1"; 8_000].join(",")),
        ..Default::default()
    };
    for topic in 0..20 {
        let topic = create_topics_request::CreatableTopic {
            name: format!("large-{topic}"),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![config.clone()],
            ..Default::default()
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 1, ..Default::default() };
        Client::connect(node.kafka).send(&request, 7).unwrap();
    }
    eventually("the metadata log waits", || node.log().contains("the metadata log waits for room"));
    let began = Instant::now();
    let ended = node.stop();
    assert!(ended.log.contains("no clean stop"), "{}", ended.log);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    fs::remove_file(rest).unwrap();
    assert_eq!(start.ready().client().read_all("kept", 0, 0).len(), 1);
}

#[test]
fn a_move_that_does_not_fit_leaves_its_disk_in_service_and_goes_on_when_there_is_room() {
    let temporary = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(temporary.path(), 64) else { return };
    let small = disk.0.join("data").to_str().unwrap().to_owned();
    let dirs = format!("large,{small}");
    let node = Start::anywhere(temporary.path()).set("log.dirs", &dirs).ready();
    let mut client = node.client();
    client.create_topic("moving", 1, &[("segment.bytes", "1048576")]);
    client.create_topic("staying", 1, &[]);
    let [moving, staying] = ["moving-0", "staying-0"].map(|name| Path::new(&small).join(name));
    assert!(staying.exists() && !moving.exists(), "the first lies in the first directory");
    let value = vec![b'v'; 900_000];
    for _ in 0..12 {
        let answer = client.produce("moving", 0, batch(&[&value])).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
    }
    // 11 MB would fit, but next to nothing would be left.
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![1; 44 << 20]).unwrap();
    assert_eq!(client.move_to("moving", &small), ErrorCode::NONE);
    eventually("it waits", || node.log().contains("waits for room"));
    let copies = fs::read_dir(&small).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("moving")
    });
    assert_eq!(copies.count(), 0, "not a byte is copied");
    let answer = client.produce("staying", 0, batch(&[b"one"])).unwrap();
    assert_eq!(answer.error_code, ErrorCode::NONE);

    fs::remove_file(&ballast).unwrap();
    eventually("it has moved", || moving.exists());
    assert_eq!(client.read_all("moving", 0, 0).len(), 12);
    assert!(!node.log().contains("no appends until there is room"));
}
