//! Settings of brokers that change at run time, and what they change.

#![allow(clippy::unwrap_used)]

mod node;

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;

use node::{ask, batch, connect, create_topic, produce};
use strandline_broker::Broker;
use strandline_types::ErrorCode;
use strandline_wire::messages::create_topics_request::CreatableTopic;
use strandline_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use strandline_wire::messages::{
    CreateTopicsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest,
};

const ALL_BROKERS: &str = "";
const THIS_BROKER: &str = "1";

async fn start(dir: &Path) -> Broker {
    node::start(dir, &[("message.max.bytes", "10000")]).await
}

/// Sets a setting of a broker, or takes it back.
fn alter(conn: &mut TcpStream, broker: &str, key: &str, value: Option<&str>) -> ErrorCode {
    let config = AlterableConfig {
        name: key.into(),
        config_operation: i8::from(value.is_none()),
        value: value.map(str::to_owned),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: 4,
        resource_name: broker.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    ask(conn, &request, 1).responses[0].error_code
}

/// What becomes of 5,000 bytes.
fn produce_5000(conn: &mut TcpStream, topic: &str) -> ErrorCode {
    produce(conn, topic, 0, batch(&[&[b'x'; 5_000]])).error_code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_topics_inherit_changes_at_once() {
    const KEY: &str = "message.max.bytes";
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        create_topic(&mut conn, "inherits", 1, &[]);
        create_topic(&mut conn, "own", 1, &[("max.message.bytes", "20000")]);
        assert_eq!(produce_5000(&mut conn, "inherits"), ErrorCode::NONE);

        assert_eq!(alter(&mut conn, ALL_BROKERS, KEY, Some("1000")), ErrorCode::NONE);
        assert_eq!(produce_5000(&mut conn, "inherits"), ErrorCode::MESSAGE_TOO_LARGE);
        assert_eq!(produce_5000(&mut conn, "own"), ErrorCode::NONE, "a topic's own speaks");
        create_topic(&mut conn, "younger", 1, &[]);
        assert_eq!(produce_5000(&mut conn, "younger"), ErrorCode::MESSAGE_TOO_LARGE);

        assert_eq!(alter(&mut conn, THIS_BROKER, KEY, Some("6000")), ErrorCode::NONE);
        assert_eq!(produce_5000(&mut conn, "inherits"), ErrorCode::NONE, "one broker's speaks");
        assert_eq!(alter(&mut conn, THIS_BROKER, KEY, None), ErrorCode::NONE);
        assert_eq!(produce_5000(&mut conn, "inherits"), ErrorCode::MESSAGE_TOO_LARGE);
        assert_eq!(alter(&mut conn, ALL_BROKERS, KEY, None), ErrorCode::NONE);
        assert_eq!(produce_5000(&mut conn, "inherits"), ErrorCode::NONE, "the file's speaks");

        const TYPE: &str = "log.message.timestamp.type";
        let append_time =
            |conn: &mut TcpStream| produce(conn, "inherits", 0, batch(&[b"x"])).log_append_time_ms;
        assert_eq!(append_time(&mut conn), -1);
        assert_eq!(alter(&mut conn, ALL_BROKERS, TYPE, Some("LogAppendTime")), ErrorCode::NONE);
        assert!(append_time(&mut conn) > 0);
    });
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_connections_change_for_those_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    tokio::task::block_in_place(|| {
        let is_let_in = || {
            let mut conn = connect(&broker);
            conn.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
            // Whoever is kept out reads the end at once; whoever is in waits for nothing.
            !matches!(conn.read(&mut [0]), Ok(0))
        };
        let mut conn = connect(&broker);
        assert!(is_let_in());
        assert_eq!(alter(&mut conn, ALL_BROKERS, "max.connections", Some("1")), ErrorCode::NONE);
        assert!(!is_let_in());
        assert_eq!(alter(&mut conn, ALL_BROKERS, "max.connections", None), ErrorCode::NONE);
        assert!(is_let_in());
    });
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_start_reads_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        for key in ["num.partitions", "log.retention.check.interval.ms", "node.id"] {
            for broker in [ALL_BROKERS, THIS_BROKER] {
                let answer = alter(&mut conn, broker, key, Some("7"));
                assert_eq!(answer, ErrorCode::INVALID_REQUEST, "{key} of `{broker}`");
            }
        }
    });
    broker.stop().await.unwrap();
}

/// Whether the log dir is cordoned, and how many partitions it holds.
fn log_dirs(conn: &mut TcpStream) -> Vec<(bool, usize)> {
    let answer = ask(conn, &DescribeLogDirsRequest { topics: None, ..Default::default() }, 5);
    let held = |topics: &[_]| topics.iter().map(partitions_of).sum();
    answer.results.iter().map(|dir| (dir.is_cordoned, held(&dir.topics))).collect()
}

fn partitions_of(
    topic: &strandline_wire::messages::describe_log_dirs_response::DescribeLogDirsTopic,
) -> usize {
    topic.partitions.len()
}

/// What the controller says to a topic that it would place.
fn would_create(conn: &mut TcpStream) -> ErrorCode {
    let topic = CreatableTopic {
        name: "new".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        validate_only: true,
        timeout_ms: 10_000,
        ..Default::default()
    };
    ask(conn, &request, 7).topics[0].error_code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_partitions_keep_away_from_what_is_cordoned() {
    const KEY: &str = "cordoned.log.dirs";
    let home = tempfile::tempdir().unwrap();
    let [first, second] = ["a", "b"].map(|name| home.path().join(name).display().to_string());
    let dirs = format!("{first},{second}");
    // One that beats rarely must tell at once.
    let set = [
        ("log.dirs", dirs.as_str()),
        ("broker.heartbeat.interval.ms", "60000"),
        ("broker.session.timeout.ms", "120000"),
    ];
    let broker = node::start(home.path(), &set).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        assert_eq!(alter(&mut conn, THIS_BROKER, KEY, Some(&second)), ErrorCode::NONE);
        create_topic(&mut conn, "elsewhere", 4, &[]);
        assert_eq!(log_dirs(&mut conn), [(false, 4), (true, 0)]);

        assert_eq!(alter(&mut conn, THIS_BROKER, KEY, Some("*")), ErrorCode::NONE);
        while would_create(&mut conn) != ErrorCode::INVALID_REPLICATION_FACTOR {}
        assert_eq!(log_dirs(&mut conn), [(true, 4), (true, 0)]);

        for wrong in ["/nowhere", &format!("*,{first}")] {
            let answer = alter(&mut conn, THIS_BROKER, KEY, Some(wrong));
            assert_eq!(answer, ErrorCode::INVALID_REQUEST, "{wrong}");
        }
        for of_others in [ALL_BROKERS, "2"] {
            let answer = alter(&mut conn, of_others, KEY, Some("*"));
            assert_eq!(answer, ErrorCode::INVALID_REQUEST, "asked of broker 1 for `{of_others}`");
        }
        assert_eq!(alter(&mut conn, THIS_BROKER, KEY, None), ErrorCode::NONE);
        while would_create(&mut conn) != ErrorCode::NONE {}
        create_topic(&mut conn, "anywhere", 4, &[]);
        assert_eq!(log_dirs(&mut conn), [(false, 4), (false, 4)]);
    });
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_file_cordons_is_cordoned_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let broker = node::start(dir.path(), &[("cordoned.log.dirs", "*")]).await;
    tokio::task::block_in_place(|| {
        let mut conn = connect(&broker);
        assert_eq!(log_dirs(&mut conn), [(true, 0)]);
        assert_eq!(would_create(&mut conn), ErrorCode::INVALID_REPLICATION_FACTOR);
    });
    broker.stop().await.unwrap();
}
