//! How a node comes up and goes down, seen from outside.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use node::frames::batch;
use node::{Client, Ended, Start, eventually};
use rustix::process::Signal;
use strandline_types::ErrorCode;
use strandline_wire::messages::{
    DescribeConfigsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
    describe_configs_request, incremental_alter_configs_request,
};

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Exit code, and what it said about the error, without times and without `dir`.
fn told(ended: &Ended, dir: &Path) -> String {
    let log = ended.log.replace(&format!("{}", dir.display()), "DIR");
    format!("exit {}\n{log}", ended.status.code().unwrap())
}

#[test]
fn nothing_is_needed_to_start() {
    let dir = temporary();
    // Whoever runs tests may have a broker on the usual port; then this cannot be shown.
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    if !is_free(9092) || !is_free(9093) {
        eprintln!("SKIPPED: port 9092 or 9093 is in use");
        return;
    }
    let node = Start::bare(dir.path()).ready();
    assert_eq!(node.kafka.to_string(), "127.0.0.1:9092");
    assert_eq!(node.controller.to_string(), "127.0.0.1:9093");
    assert_eq!(node.ready["node_id"], 1);
    assert_eq!(node.ready["log_dirs"][0], "./strandline-data");
    assert!(dir.path().join("strandline-data/meta.properties").exists());
    assert!(node.stop().status.success());
}

#[test]
fn a_restart_keeps_topics_settings_and_records() {
    let dir = temporary();
    let start = Start::anywhere(dir.path());
    let first = start.ready();
    let mut client = first.client();
    client.create_topic("kept", 2, &[("retention.ms", "123456789")]);
    let answer = client.produce("kept", 1, batch(&[b"one", b"two"])).unwrap();
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, 0));
    let cluster_id = first.ready["cluster_id"].clone();
    let topic_id = client.topic_id("kept");

    let ended = first.stop();
    assert!(ended.status.success(), "{ended:?}");
    assert!(!ended.log.contains("WARN") && !ended.log.contains("ERROR"), "{}", ended.log);
    let data = dir.path().join("strandline-data");
    assert!(data.join(".kafka_cleanshutdown").exists());
    let before = modified(&data.join("kept-1/00000000000000000000.log"));

    let second = start.ready();
    assert!(!data.join(".kafka_cleanshutdown").exists(), "from here on a crash is a crash");
    assert_eq!(second.ready["cluster_id"], cluster_id);
    let mut client = second.client();
    assert_eq!(client.topic_id("kept"), topic_id);
    assert_eq!(retention_ms(&mut client, "kept"), "123456789");
    let records = client.read_all("kept", 1, 0);
    assert_eq!(records, [(0, "one".into()), (1, "two".into())]);
    let answer = client.produce("kept", 1, batch(&[b"three"])).unwrap();
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, 2));
    assert_ne!(modified(&data.join("kept-1/00000000000000000000.log")), before);
}

#[test]
fn a_restart_keeps_settings_made_at_run_time() {
    let dir = temporary();
    let start = Start::anywhere(dir.path());
    let first = start.ready();
    let mut client = first.client();
    client.create_topic("inherits", 1, &[]);
    set_for_all_brokers(&mut client, "message.max.bytes", "1000");
    assert!(first.stop().status.success());

    let second = start.ready();
    let answer = second.client().produce("inherits", 0, batch(&[&[b'x'; 2_000]])).unwrap();
    assert_eq!(answer.error_code, ErrorCode::MESSAGE_TOO_LARGE);
}

fn set_for_all_brokers(client: &mut Client, key: &str, value: &str) {
    let config = incremental_alter_configs_request::AlterableConfig {
        name: key.to_owned(),
        value: Some(value.to_owned()),
        ..Default::default()
    };
    let resource = incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 4,
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    assert_eq!(client.ask(&request, 1).responses[0].error_code, ErrorCode::NONE);
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn retention_ms(client: &mut Client, topic: &str) -> String {
    let resource = describe_configs_request::DescribeConfigsResource {
        resource_type: 2,
        resource_name: topic.to_owned(),
        configuration_keys: Some(vec!["retention.ms".to_owned()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let answer = client.ask(&request, 4);
    answer.results[0].configs[0].value.clone().unwrap()
}

#[test]
fn a_clean_stop_leaves_nothing_to_read() {
    let dir = temporary();
    let start = Start::anywhere(dir.path());
    let node = start.ready();
    let mut client = node.client();
    client.create_topic("trusted", 1, &[]);
    client.produce("trusted", 0, batch(&[b"one"])).unwrap();
    assert!(node.stop().status.success());
    // Damage in the middle of a batch: a start that trusts the summary does not see it, and one
    // that reads what it was told is whole would refuse it.
    let log = dir.path().join("strandline-data/trusted-0/00000000000000000000.log");
    let kept = modified(&log);
    let mut bytes = fs::read(&log).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&log, &bytes).unwrap();
    fs::File::options().write(true).open(&log).unwrap().set_modified(kept).unwrap();

    let node = start.ready();
    let mut client = node.client();
    assert_eq!(client.offset_at("trusted", 0, -1), 1);
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let dir = temporary();
    let node = Start::anywhere(dir.path()).ready();
    // Stopped, it takes both at once: the second is there before the first is carried out.
    node.signal(Signal::STOP);
    node.signal(Signal::TERM);
    node.signal(Signal::INT);
    node.signal(Signal::CONT);
    let ended = node.end();
    // Which of the two counts as the second is the system's choice.
    assert!(matches!(ended.status.code(), Some(130 | 143)), "{ended:?}");
    assert!(Start::anywhere(dir.path()).ready().stop().status.success());
}

#[test]
fn what_is_in_the_way_is_told_in_one_line() {
    let temporary = temporary();
    let dir = temporary.path();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let ended = Start::bare(dir)
        .set("listeners", &format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:0"))
        .refused();
    assert_eq!(
        told(&ended, dir).replace(&port.to_string(), "PORT"),
        "exit 1\nerror: cannot start: cannot listen on PLAINTEXT://127.0.0.1:PORT: \
         Address already in use (os error 98)\n"
    );
    assert!(!dir.join("strandline-data").exists(), "a busy port is found before a file is made");

    let holder = Start::anywhere(dir).ready();
    let ended = Start::anywhere(dir).refused();
    assert_eq!(
        told(&ended, dir),
        "exit 1\nerror: cannot start: ./strandline-data is in use by another process\n"
    );
    assert!(holder.stop().status.success());

    let ended = Start::anywhere(dir).set("node.id", "7").refused();
    assert_eq!(
        told(&ended, dir),
        "exit 1\nerror: cannot start: ./strandline-data belongs to node 1, this is node 7: \
         set node.id=1, or name another directory\n"
    );

    let other = Start::anywhere(dir).set("log.dirs", "other").ready();
    let other_id = other.ready["cluster_id"].as_str().unwrap().to_owned();
    assert!(other.stop().status.success());
    let ended = Start::anywhere(dir).set("log.dirs", "strandline-data,other").refused();
    let said = told(&ended, dir);
    assert!(
        said.starts_with(&format!(
            "exit 1\nerror: cannot start: other belongs to cluster {other_id}"
        )),
        "{said}"
    );

    fs::create_dir(dir.join("foreign")).unwrap();
    fs::write(dir.join("foreign/letter.txt"), "dear").unwrap();
    let ended = Start::anywhere(dir).set("log.dirs", "foreign").refused();
    assert_eq!(
        told(&ended, dir),
        "exit 1\nerror: cannot start: foreign holds `letter.txt` but no meta.properties: \
         it is not an empty directory\n"
    );

    // A metadata log whose owner is not known any more is somebody's data.
    fs::remove_file(dir.join("other/meta.properties")).unwrap();
    let ended = Start::anywhere(dir).set("log.dirs", "other").refused();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.contains("but no meta.properties"), "{}", ended.log);
    assert_eq!(ended.log.lines().count(), 1, "{}", ended.log);
    assert!(dir.join("other/__cluster_metadata-0/00000000000000000000.log").exists());
}

#[test]
fn settings_that_cannot_be_followed() {
    let temporary = temporary();
    let dir = temporary.path();
    let refused = |key: &str, value: &str| {
        let ended = Start::anywhere(dir).set(key, value).refused();
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        ended.log
    };
    assert!(
        refused("num.partitions", "many")
            .contains("`num.partitions` is `many`; it must be a whole number from 1 to 2147483647")
    );
    for (key, value) in [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:admin"),
        ("ssl.keystore.location", "/keys"),
        ("sasl.enabled.mechanisms", "PLAIN"),
    ] {
        let log = refused(key, value);
        assert!(log.contains(&format!("`{key}` is set")), "{log}");
    }
    let log = refused("listener.security.protocol.map", "PLAINTEXT:SSL,CONTROLLER:PLAINTEXT");
    assert!(log.contains("SSL"), "{log}");
    assert!(!dir.join("strandline-data").exists());

    let node = Start::anywhere(dir).set("num.partition", "3").set("quux", "1").ready();
    let log = node.log();
    assert!(
        log.contains("unknown setting `num.partition` is ignored; did you mean `num.partitions`?"),
        "{log}"
    );
    assert!(log.contains("unknown setting `quux` is ignored"), "{log}");
}

#[test]
fn a_kafka_properties_file_works_as_it_is() {
    let temporary = temporary();
    let dir = temporary.path();
    let properties = "process.roles=broker,controller\nnode.id=5\n\
         controller.quorum.voters=5@127.0.0.1:0\n\
         listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         num.network.threads=3\nlog.dirs=a, b\nnum.partitions=3\n";
    fs::write(dir.join("server.properties"), properties).unwrap();
    let start = Start::bare(dir).argument("--config").argument("server.properties");
    let ended = match std::panic::catch_unwind(|| start.ready()) {
        Ok(node) => node.stop(),
        Err(_) => start.refused(),
    };
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn several_dirs_share_the_partitions_and_fail_alone() {
    let temporary = temporary();
    let dir = temporary.path();
    let mut node = Start::anywhere(dir).set("log.dirs", "a,b").ready();
    let mut client = node.client();
    client.create_topic("spread", 6, &[("segment.bytes", "1048576")]);
    for partition in 0..6 {
        let answer = client.produce("spread", partition, batch(&[b"before"])).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
    }
    let held = |name: &str| -> Vec<i32> {
        let entries = fs::read_dir(dir.join(name)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter_map(|name| name.strip_prefix("spread-")?.parse().ok()).collect()
    };
    let (in_a, in_b) = (held("a"), held("b"));
    assert_eq!((in_a.len(), in_b.len()), (3, 3));

    break_dir(&mut client, &dir.join("b"), "spread", in_b[0]);
    for &partition in &in_a {
        let answer = client.produce("spread", partition, batch(&[b"after"])).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
        assert_eq!(client.read_all("spread", partition, 0).len(), 2);
    }
    let dirs = client.ask(&DescribeLogDirsRequest { topics: None, ..Default::default() }, 4);
    let code = |name: &str| {
        let found = dirs.results.iter().find(|it| it.log_dir.ends_with(name)).unwrap();
        found.error_code
    };
    assert_eq!((code("a"), code("b")), (ErrorCode::NONE, ErrorCode::KAFKA_STORAGE_ERROR));
    assert!(node.is_alive());
}

#[test]
fn without_a_dir_it_ends() {
    let temporary = temporary();
    let node = Start::anywhere(temporary.path()).ready();
    let mut client = node.client();
    client.create_topic("last", 1, &[("segment.bytes", "1048576")]);
    break_dir(&mut client, &temporary.path().join("strandline-data"), "last", 0);
    let ended = node.end();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let last = ended.log.lines().last().unwrap();
    assert!(last.starts_with("error: the node has stopped: "), "{}", ended.log);
}

/// Makes a log dir fail: where a partition's directory was, the next segment finds none.
fn break_dir(client: &mut Client, dir: &Path, topic: &str, partition: i32) {
    let path = dir.join(format!("{topic}-{partition}"));
    fs::remove_dir_all(path).unwrap();
    let large = vec![7; 900_000];
    eventually("a dir that has lost its files goes offline", || {
        // The last dir takes the process with it, and with that the connection.
        match client.produce(topic, partition, batch(&[&large])) {
            Ok(answer) => answer.error_code == ErrorCode::KAFKA_STORAGE_ERROR,
            Err(_) => true,
        }
    });
}
