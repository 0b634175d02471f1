//! Clusters by their seeds: as `seeds`, with several brokers.

mod seeded;

use std::sync::Arc;
use std::time::Duration;

use seeded::Played;
use strandline_sim::cluster::{self, Fault};
use strandline_sim::{BrokerProcess, Crash, NetFaults, Network, Sim, Status};

const MINUTE: Duration = Duration::from_secs(60);

const CLUSTER: Played<Fault> =
    Played { test: "cluster", run: cluster::run, count: 30, budget: Duration::from_secs(120) };

#[test]
fn seeds_keep_every_invariant() {
    CLUSTER.play_all();
}

/// A cluster of three, started.
async fn three_brokers(sim: &Sim, network: &Network) -> Vec<Arc<BrokerProcess>> {
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

#[test]
fn a_broker_that_is_back_before_its_session_has_ended_is_let_in() {
    let sim = Sim::new(1);
    let network = Network::new(NetFaults::CALM);
    let in_it = sim.clone();
    sim.run(MINUTE, async move {
        // Whoever lets go of a process stops it.
        let brokers = three_brokers(&in_it, &network).await;
        for broker in &brokers {
            broker.crash(Crash::Process);
            broker.start();
            let status = broker.settled().await;
            assert!(matches!(status, Status::Serving(_)), "{status:?}");
        }
    });
}

#[test]
fn a_cluster_is_a_function_of_its_seed() {
    CLUSTER.is_function_of_seed([1, 2]);
}
