//! Nodes with one role: controllers that hold the metadata and nothing else, and brokers that follow
//! them.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use local::{client, free_addresses, scrape};
use node::{Client, NOWHERE, Start, eventually};
use strandline_client::admin::Admin;
use strandline_types::ErrorCode;
use strandline_wire::messages::{
    ApiKey, ApiVersionsRequest, DescribeClusterRequest, DescribeConfigsRequest, MetadataRequest,
    describe_configs_request,
};
use trio::{Acked, all_in_sync, check, create_topic, produce, start_all};

/// Nodes of one cluster, whose controllers are fixed voters with the ids 101, 102 and on. Brokers
/// have the ids 1, 2 and on.
struct Cluster<'a> {
    home: &'a Path,
    controllers: &'a [SocketAddr],
}

impl Cluster<'_> {
    fn start(&self, id: usize, role: &str, listener: &str, address: SocketAddr) -> Start {
        let dir = self.home.join(format!("node{id}"));
        fs::create_dir_all(&dir).unwrap();
        let voter = |(index, address): (usize, &SocketAddr)| format!("{}@{address}", 101 + index);
        let voters: Vec<String> = self.controllers.iter().enumerate().map(voter).collect();
        Start::bare(&dir)
            .set("process.roles", role)
            .set("node.id", &id.to_string())
            .set("controller.quorum.voters", &voters.join(","))
            .set("listeners", &format!("{listener}://{address}"))
            .set("log.dirs", "data")
            .set("min.insync.replicas", &self.controllers.len().min(2).to_string())
    }

    fn controller(&self, index: usize) -> Start {
        self.start(101 + index, "controller", "CONTROLLER", self.controllers[index])
    }

    fn broker(&self, index: usize, address: SocketAddr) -> Start {
        self.start(1 + index, "broker", "PLAINTEXT", address)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_controller_and_any_broker_may_be_killed() {
    let home = tempfile::tempdir().unwrap();
    let controllers = free_addresses::<3>();
    let brokers = free_addresses::<3>();
    let cluster = Cluster { home: home.path(), controllers: &controllers };
    let mut starts: Vec<Start> = (0..3).map(|index| cluster.controller(index)).collect();
    starts.extend(brokers.iter().enumerate().map(|(index, at)| cluster.broker(index, *at)));
    let mut nodes = start_all(starts.iter());
    let ready = nodes.iter().map(|node| node.as_ref().unwrap().ready["cluster_id"].as_str());
    assert_eq!(ready.collect::<BTreeSet<_>>().len(), 1, "they founded one cluster");

    let bootstrap = brokers.map(|it| it.to_string()).join(",");
    let admin = Admin::new(client(&bootstrap));
    create_topic(&admin).await;
    let acked = Arc::new(Acked::default());
    let producing = produce(client(&bootstrap), Arc::clone(&acked));
    acked.progress().await;
    for (node, start) in nodes.iter_mut().zip(&starts) {
        node.take().unwrap().kill();
        acked.progress().await;
        *node = Some(start.ready());
        all_in_sync(&admin).await;
    }
    acked.is_over.store(true, Ordering::Relaxed);
    producing.await.unwrap();
    check(client(&bootstrap), &acked).await;
    // Brokers first: they want the controllers' leave.
    for node in nodes.iter_mut().rev() {
        let ended = node.take().unwrap().stop();
        assert!(ended.status.success() && !ended.log.contains("ERROR"), "{ended:?}");
    }
}

/// A controller and a broker.
fn pair(home: &Path) -> [Start; 2] {
    let controllers = free_addresses::<1>();
    let cluster = Cluster { home, controllers: &controllers };
    [cluster.controller(0), cluster.broker(0, "127.0.0.1:0".parse().unwrap())]
}

#[test]
fn each_serves_what_its_role_serves() {
    let home = tempfile::tempdir().unwrap();
    let metrics = free_addresses::<2>();
    let [controller, broker] = pair(home.path());
    let starts = [(controller, metrics[0]), (broker, metrics[1])]
        .map(|(start, at)| start.set("strandline.metrics.listener", &at.to_string()));
    let [Some(controller), Some(broker)] = &mut start_all(starts.iter())[..] else {
        unreachable!()
    };
    assert_eq!((controller.kafka, broker.controller), (NOWHERE, NOWHERE));

    let mut by_controller = Client::connect(controller.controller);
    let versions = by_controller.ask(&ApiVersionsRequest::default(), 0);
    let served: BTreeSet<i16> = versions.api_keys.iter().map(|api| api.api_key).collect();
    let serves = |api: ApiKey| served.contains(&api.code());
    assert!(
        serves(ApiKey::Vote) && serves(ApiKey::CreateTopics) && serves(ApiKey::DescribeConfigs)
    );
    assert!(!serves(ApiKey::Produce) && !serves(ApiKey::Metadata) && !serves(ApiKey::JoinGroup));
    let mut refused = Client::connect(controller.controller);
    refused.send(&MetadataRequest::default(), 12).unwrap();
    assert!(refused.is_closed());

    let of_controllers = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    // It registers in its own time.
    eventually("the controller is registered", || {
        let answer = by_controller.ask(&of_controllers, 2);
        let known = answer.brokers.iter().map(|it| (it.broker_id, it.port));
        answer.controller_id == 101 && known.eq([(101, i32::from(controller.controller.port()))])
    });
    let answer = broker.client().ask(&of_controllers, 2);
    assert_eq!(answer.error_code, ErrorCode::MISMATCHED_ENDPOINT_TYPE);
    let of_brokers = DescribeClusterRequest { endpoint_type: 1, ..Default::default() };
    let answer = broker.client().ask(&of_brokers, 2);
    assert_eq!(answer.brokers.iter().map(|it| it.broker_id).collect::<Vec<_>>(), [1]);

    // The settings of a node are told by itself.
    let own = |name: &str| DescribeConfigsRequest {
        resources: vec![describe_configs_request::DescribeConfigsResource {
            resource_type: 4,
            resource_name: name.to_owned(),
            configuration_keys: Some(vec!["process.roles".into()]),
            ..Default::default()
        }],
        ..Default::default()
    };
    let roles = |client: &mut Client, name: &str| {
        let answer = client.ask(&own(name), 4);
        answer.results[0].configs[0].value.clone()
    };
    assert_eq!(roles(&mut by_controller, "101").as_deref(), Some("controller"));
    assert_eq!(roles(&mut broker.client(), "1").as_deref(), Some("broker"));

    broker.client().create_topic("here", 1, &[]);
    let [of_controller, of_broker] = metrics.map(scrape);
    for (of_its_role, of_the_other, metric) in [
        (&of_controller, &of_broker, "kafka_controller_kafkacontroller_globaltopiccount"),
        (&of_broker, &of_controller, "kafka_server_replicamanager_partitioncount"),
    ] {
        assert!(of_its_role.contains(&format!("\n{metric} 1\n")), "{of_its_role}");
        assert!(!of_the_other.contains(metric), "{of_the_other}");
    }
    let data = home.path().join("node101/data");
    assert!(!data.join("here-0").exists(), "a controller holds no partitions");
}

/// Kafka's way: every node's directories are formatted before its first start.
#[test]
fn each_role_can_be_formatted_by_hand() {
    const CLUSTER: &str = "J8qXRwI-Qyiz8x4WlgO7bA";
    let home = tempfile::tempdir().unwrap();
    let starts = pair(home.path());
    for start in &starts {
        let formatted = start.storage(&["format", "-t", CLUSTER]);
        assert!(formatted.status.success(), "{formatted:?}");
        let told = start.storage(&["info"]);
        assert!(String::from_utf8(told.stdout).unwrap().contains(CLUSTER));
    }
    // What is formatted waits for nobody to be ready but its controllers.
    let nodes = starts.map(|start| start.ready());
    assert!(nodes.iter().all(|node| node.ready["cluster_id"] == CLUSTER));
}
