//! Clusters by their seeds: as `seeds`, with several brokers.

mod seeded;
mod trio;

use std::sync::Arc;
use std::time::Duration;

use seeded::Played;
use strandline_sim::cluster::{self, Fault};
use strandline_sim::{
    BrokerProcess, Crash, DiskFaults, NetFaults, Network, Node, NodeId, Sim, Status,
};
use trio::{create, three_brokers};

const MINUTE: Duration = Duration::from_secs(60);

const CLUSTER: Played<Fault> = Played {
    test: ("cluster", "seeds_keep"),
    run: cluster::run,
    count: 150,
    budget: Duration::from_secs(600),
    is_unclean: true,
};

/// With a chain of transactions.
const CHAINED: Played<Fault> = Played {
    test: ("cluster", "chains_keep"),
    run: cluster::run_exactly_once,
    count: 30,
    budget: Duration::from_secs(300),
    is_unclean: false,
};

#[test]
fn seeds_keep_every_invariant() {
    CLUSTER.play_all();
}

#[test]
fn chains_keep_every_invariant() {
    CHAINED.play_all();
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
    CHAINED.is_function_of_seed([1, 2]);
}

/// Who leads: the quorum, and every partition of the newest image.
fn leaderships(brokers: &[Arc<BrokerProcess>]) -> String {
    let inspectors = brokers.iter().map(|broker| broker.inspector().expect("it serves"));
    let newest = inspectors.max_by_key(|it| it.image().offset).expect("there are brokers");
    let image = newest.image();
    let partitions = image.topics.iter().flat_map(|topic| {
        topic.partitions.values().map(|it| (it.leader, it.leader_epoch, it.isr.clone()))
    });
    format!("{:?} {:?}", newest.quorum(), partitions.collect::<Vec<_>>())
}

async fn with_a_topic(sim: &Sim, network: &Network) -> (Arc<Node>, Vec<Arc<BrokerProcess>>) {
    let brokers = three_brokers(sim, network).await;
    let home = Arc::new(Node::new(sim, network, NodeId(1000)));
    create(&home, cluster::port(0), "topic", 6).await;
    (home, brokers)
}

/// What befalls one node after the other passes, and everybody leads what it led before.
fn costs_no_leadership(begin: fn(&Node), lasts: Duration, end: fn(&Node)) {
    let sim = Sim::new(1);
    let network = Network::new(NetFaults::CALM);
    let in_it = sim.clone();
    sim.run(5 * MINUTE, async move {
        let (home, brokers) = with_a_topic(&in_it, &network).await;
        let clock = home.world().clock;
        clock.sleep(Duration::from_secs(2)).await;
        let before = leaderships(&brokers);
        for broker in &brokers {
            begin(broker.node());
            clock.sleep(lasts).await;
            end(broker.node());
            clock.sleep(Duration::from_secs(8)).await;
            assert_eq!(leaderships(&brokers), before, "it befell {}", broker.node().id);
        }
    });
}

#[test]
fn a_node_without_cpu_for_a_while_costs_no_leadership() {
    costs_no_leadership(Node::pause, Duration::from_millis(1_500), Node::go_on);
}

#[test]
fn a_disk_that_stands_still_for_three_seconds_costs_no_leadership() {
    let begin = |node: &Node| {
        let stall = Duration::from_secs(3);
        node.disk.set_faults(DiskFaults { stall, ..DiskFaults::default() });
    };
    // What begins last ends so much later.
    costs_no_leadership(begin, Duration::from_secs(1), |node| {
        node.disk.set_faults(DiskFaults::default());
    });
}

/// Nobody can read what such a leader decides: it must not keep the others from deciding.
#[test]
fn a_leader_of_the_quorum_whose_disk_stands_still_is_replaced() {
    let sim = Sim::new(1);
    let network = Network::new(NetFaults::CALM);
    let in_it = sim.clone();
    sim.run(5 * MINUTE, async move {
        let (home, brokers) = with_a_topic(&in_it, &network).await;
        let clock = home.world().clock;
        let leader = |index: usize| {
            let quorum = brokers[index].inspector().expect("it serves").quorum();
            quorum.1.map(|leader| leader.get() as usize)
        };
        let old = leader(0).expect("a leader");
        let stall = 2 * MINUTE;
        brokers[old].node().disk.set_faults(DiskFaults { stall, ..DiskFaults::default() });
        let (began, other) = (clock.now().instant, (old + 1) % brokers.len());
        // As long as it leads, a change of the metadata waits for its disk.
        while leader(other).is_none_or(|leader| leader == old) {
            clock.sleep(Duration::from_millis(100)).await;
            assert!(clock.now().instant < began + Duration::from_secs(10), "{old} leads on");
        }
        create(&home, cluster::port(other as u16), "another", 6).await;
        assert!(clock.now().instant < began + MINUTE, "the disk has come back before");
    });
}
