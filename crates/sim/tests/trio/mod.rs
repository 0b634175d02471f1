//! Three brokers that are their own quorum.

use std::sync::Arc;

use strandline_sim::{BrokerProcess, Client, Network, Node, Sim, Status, cluster};
use strandline_wire::messages::CreateTopicsRequest;
use strandline_wire::messages::create_topics_request::CreatableTopic;

/// A cluster of three, started.
pub(crate) async fn three_brokers(sim: &Sim, network: &Network) -> Vec<Arc<BrokerProcess>> {
    let brokers = cluster::brokers(sim, network, 3, &[]);
    for broker in &brokers {
        broker.format(cluster::CLUSTER_ID).await;
        broker.start();
    }
    for broker in &brokers {
        let status = broker.settled().await;
        assert!(matches!(status, Status::Serving(_)), "{status:?}");
    }
    brokers
}

/// Creates a topic with three replicas by way of the broker at `port`.
pub(crate) async fn create(home: &Node, port: u16, name: &str, partitions: i32) {
    let mut client = Client::new(home.world(), port, "admin");
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 3,
        ..Default::default()
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let answer = client.ask(&request, 7).await.expect("an answer");
    assert!(answer.topics[0].error_code.is_none(), "{answer:?}");
}
