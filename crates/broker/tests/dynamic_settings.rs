//! Settings of brokers that change at run time, and what they change.

#![allow(clippy::unwrap_used)]

mod node;

use std::io::Read;
use std::net::TcpStream;
use std::path::Path;

use node::{ask, batch, connect, create_topic, produce};
use strandline_broker::Broker;
use strandline_types::ErrorCode;
use strandline_wire::messages::IncrementalAlterConfigsRequest;
use strandline_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
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
