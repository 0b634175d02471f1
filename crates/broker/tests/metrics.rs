//! What Prometheus reads of a broker that has done a little work.

#![allow(clippy::unwrap_used)]

mod node;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use expect_test::expect;
use node::{ask, batch, create_topic};
use strandline_broker::Broker;
use strandline_types::ErrorCode;
use strandline_wire::messages::FetchRequest;
use strandline_wire::messages::fetch_request::{FetchPartition, FetchTopic};

async fn start(dir: &Path) -> Broker {
    node::start(dir, &[("strandline.metrics.listener", "127.0.0.1:0")]).await
}

fn http(address: SocketAddr, request: &str) -> String {
    let mut conn = TcpStream::connect(address).unwrap();
    conn.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    conn.read_to_string(&mut answer).unwrap();
    answer
}

/// Three records to a partition that there is, or is not.
fn produce(conn: &mut TcpStream, index: i32) -> ErrorCode {
    node::produce(conn, "t", index, batch(&[&b"value"[..]; 3])).error_code
}

fn fetch(conn: &mut TcpStream) -> usize {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest {
        max_wait_ms: 1000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..Default::default()
    };
    ask(conn, &request, 12).responses[0].partitions[0].records.len()
}

/// The samples, without the times and what else differs from run to run.
fn samples(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    let varies = [
        "timems{",
        "timems_sum",
        "flush",
        "logdirectoryoffline{",
        // Named after the directory too.
        "kafka_log_logcleanermanager_uncleanable_",
        "high_watermark",
        "last_applied",
    ];
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let steady = lines.filter(|line| !varies.iter().any(|name| line.contains(name)));
    steady.map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(&dir.path().join("data")).await;
    let ready = broker.ready().clone();
    let metrics = ready.metrics.unwrap();
    tokio::task::block_in_place(|| {
        let mut conn = node::connect(&broker);
        create_topic(&mut conn, "t", 2, &[]);
        assert_eq!(produce(&mut conn, 0), ErrorCode::NONE);
        assert_eq!(produce(&mut conn, 1), ErrorCode::NONE);
        assert_eq!(produce(&mut conn, 2), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        assert!(fetch(&mut conn) > 0);
        let answer = http(metrics, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        expect![[r#"
            strandline_build_info{version="0.1.0"} 1
            kafka_network_requestmetrics_requests_total{request="Produce",version="11"} 3
            kafka_network_requestmetrics_requests_total{request="Fetch",version="12"} 1
            kafka_network_requestmetrics_requests_total{request="FetchConsumer",version="12"} 1
            kafka_network_requestmetrics_requests_total{request="CreateTopics",version="7"} 1
            kafka_network_requestmetrics_totaltimems_count{request="Produce"} 3
            kafka_network_requestmetrics_totaltimems_count{request="Fetch"} 1
            kafka_network_requestmetrics_totaltimems_count{request="FetchConsumer"} 1
            kafka_network_requestmetrics_totaltimems_count{request="CreateTopics"} 1
            kafka_network_requestmetrics_localtimems_count{request="Produce"} 3
            kafka_network_requestmetrics_localtimems_count{request="Fetch"} 1
            kafka_network_requestmetrics_localtimems_count{request="FetchConsumer"} 1
            kafka_network_requestmetrics_localtimems_count{request="CreateTopics"} 1
            kafka_network_requestmetrics_remotetimems_count{request="Produce"} 3
            kafka_network_requestmetrics_remotetimems_count{request="Fetch"} 1
            kafka_network_requestmetrics_remotetimems_count{request="FetchConsumer"} 1
            kafka_network_requestmetrics_remotetimems_count{request="CreateTopics"} 1
            kafka_server_delayedoperationpurgatory_purgatorysize{delayedoperation="Produce"} 0
            kafka_server_delayedoperationpurgatory_purgatorysize{delayedoperation="Fetch"} 0
            kafka_server_delayedoperationpurgatory_purgatorysize{delayedoperation="CreateTopics"} 0
            kafka_server_fetchsessioncache_numincrementalfetchsessions 0
            kafka_server_fetchsessioncache_numincrementalfetchpartitionscached 0
            kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"} 1
            kafka_server_socket_server_metrics_connection_count{listener="CONTROLLER"} 0
            kafka_server_socket_server_metrics_connection_creation_total{listener="PLAINTEXT"} 1
            kafka_server_socket_server_metrics_connection_creation_total{listener="CONTROLLER"} 0
            kafka_server_socket_server_metrics_connection_close_total{listener="PLAINTEXT"} 0
            kafka_server_socket_server_metrics_connection_close_total{listener="CONTROLLER"} 0
            kafka_network_socketserver_memorypoolused 0
            kafka_network_socketserver_memorypoolavailable 268435456
            kafka_log_logmanager_offlinelogdirectorycount 0
            kafka_server_kafkaserver_brokerstate 3
            kafka_server_brokertopicmetrics_messagesin_total 6
            kafka_server_brokertopicmetrics_messagesin_total{topic="t"} 6
            kafka_server_brokertopicmetrics_bytesin_total 194
            kafka_server_brokertopicmetrics_bytesin_total{topic="t"} 194
            kafka_server_brokertopicmetrics_bytesout_total 97
            kafka_server_brokertopicmetrics_bytesout_total{topic="t"} 97
            kafka_server_brokertopicmetrics_bytesrejected_total 0
            kafka_server_brokertopicmetrics_bytesrejected_total{topic="t"} 0
            kafka_server_brokertopicmetrics_totalproducerequests_total 3
            kafka_server_brokertopicmetrics_totalproducerequests_total{topic="t"} 2
            kafka_server_brokertopicmetrics_failedproducerequests_total 0
            kafka_server_brokertopicmetrics_failedproducerequests_total{topic="t"} 0
            kafka_server_brokertopicmetrics_totalfetchrequests_total 1
            kafka_server_brokertopicmetrics_totalfetchrequests_total{topic="t"} 1
            kafka_server_brokertopicmetrics_failedfetchrequests_total 0
            kafka_server_brokertopicmetrics_failedfetchrequests_total{topic="t"} 0
            kafka_server_replicamanager_partitioncount 2
            kafka_server_replicamanager_leadercount 2
            kafka_server_replicamanager_offlinereplicacount 0
            kafka_server_replicamanager_underreplicatedpartitions 0
            kafka_server_replicamanager_underminisrpartitioncount 0
            kafka_server_replicamanager_atminisrpartitioncount 2
            kafka_server_replicamanager_reassigningpartitions 0
            kafka_server_brokertopicmetrics_replicationbytesin_total 0
            kafka_server_brokertopicmetrics_replicationbytesout_total 0
            kafka_server_brokertopicmetrics_reassignmentbytesin_total 0
            kafka_server_brokertopicmetrics_reassignmentbytesout_total 0
            kafka_server_replicamanager_isrshrinks_total 0
            kafka_server_replicamanager_isrexpands_total 0
            kafka_server_replicamanager_failedisrupdates_total 0
            kafka_server_replicafetchermanager_maxlag{clientid="Replica"} 0
            kafka_log_log_size{topic="t",partition="0"} 97
            kafka_log_log_size{topic="t",partition="1"} 97
            kafka_log_log_logstartoffset{topic="t",partition="0"} 0
            kafka_log_log_logstartoffset{topic="t",partition="1"} 0
            kafka_log_log_logendoffset{topic="t",partition="0"} 3
            kafka_log_log_logendoffset{topic="t",partition="1"} 3
            kafka_log_log_numlogsegments{topic="t",partition="0"} 1
            kafka_log_log_numlogsegments{topic="t",partition="1"} 1
            kafka_log_logcleaner_cleaner_recopy_percent 0
            kafka_log_logcleaner_max_clean_time_secs 0
            kafka_log_logcleaner_deadthreadcount 0
            kafka_log_logcleanermanager_max_dirty_percent 0
            kafka_controller_kafkacontroller_activecontrollercount 1
            kafka_controller_kafkacontroller_globaltopiccount 1
            kafka_controller_kafkacontroller_globalpartitioncount 2
            kafka_controller_kafkacontroller_offlinepartitionscount 0
            kafka_controller_kafkacontroller_preferredreplicaimbalancecount 0
            kafka_controller_kafkacontroller_activebrokercount 1
            kafka_controller_kafkacontroller_fencedbrokercount 0
            kafka_server_raftmetrics_current_state{current_state="leader"} 1
            kafka_server_raftmetrics_current_leader 1
            kafka_server_raftmetrics_current_epoch 1
            kafka_server_raftmetrics_number_of_voters 1
            kafka_server_raftmetrics_number_of_observers 0
        "#]]
        .assert_eq(&samples(&answer));
        assert!(answer.contains(
            "kafka_network_requestmetrics_totaltimems{request=\"Produce\",quantile=\"0.99\"} "
        ));
        assert!(http(metrics, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 Not Found\r\n"));
        assert!(http(metrics, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    });
    broker.stop().await.unwrap();
}
