//! The twin proof of the cluster: nodes of both kinds in one, under the load of Kafka's clients.
//! Nothing is lost, nothing is there twice, and no client sees more than an error it may retry.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::clients::{CLIENTS, Client};
use super::home::{Home, Roles};
use super::peer::{Against, Peer};
use super::place::Place;
use super::shell::Conversation;
use super::{CLIENT_TIMEOUT, FETCH_TIMEOUT};

/// The load gives up by itself before that, and says why.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Named by the tools, and there until the end.
const TOPIC: &str = "operated";

/// Runs the stories: controllers of one kind with brokers of both, either way, and one kind that
/// replaces the other.
pub(super) fn run(place: &Place, client: &Client, against: &Against) -> Result<()> {
    place.fetch(client, FETCH_TIMEOUT)?;
    controllers_of_kafka(place, client, against).context("controllers of Kafka")?;
    brokers_of_kafka(place, client, against).context("brokers of Kafka")?;
    growing_quorum(place, client, against).context("a quorum that grows")?;
    node_by_node(place, client, against).context("node by node")
}

/// Brokers of the kind to be tested serve beside Kafka's under controllers of Kafka, and each kind
/// copies from the other. One of each crashes, so does the active controller, and one loses its disk.
fn controllers_of_kafka(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("controllers");
    let (both, controller, broker) = (Roles::BrokerAndController, Roles::Controller, Roles::Broker);
    let homes = Home::cluster(&folder, [both, both, controller, broker, broker])?;
    let kafka = &Against::Kafka;
    let mut cluster = Cluster::start(place, &homes, &[kafka, kafka, kafka, against, against])?;
    let mut load = Load::start(place, client, &cluster)?;
    load.whole()?;
    let leader = load.leader()?;
    let other = if leader == 1 { 2 } else { 1 };
    for (id, kind) in [(leader, kafka), (4, against), (other, kafka)] {
        cluster.kill(id)?;
        load.progress()?;
        cluster.begin(id, kind)?;
        load.whole()?;
    }
    let [.., last] = &homes;
    replaced(&mut cluster, &mut load, 5, against)?;
    load.finish()?;
    cluster.stop(5)?;
    dump(place, last)
}

/// Brokers of Kafka serve under the controllers of the kind to be tested, which are brokers too.
/// Kafka's tools administer the cluster by way of either kind; controllers and brokers crash.
fn brokers_of_kafka(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("brokers");
    let (both, broker) = (Roles::BrokerAndController, Roles::Broker);
    let homes = Home::cluster(&folder, [both, both, both, broker, broker])?;
    let kinds = [against, against, against, &Against::Kafka, &Against::Kafka];
    let mut cluster = Cluster::start(place, &homes, &kinds)?;
    let [first, _, _, fourth, _] = &homes;
    let mut load = Load::start(place, client, &cluster)?;
    load.whole()?;
    // A topic for each road.
    for (home, topic) in [(fourth, TOPIC), (first, "operated-too")] {
        operate(place, client, home, &format!("all {topic}"))?;
    }
    cluster.stop(5)?;
    operate(place, client, fourth, &format!("without 5 {TOPIC}"))?;
    operate(place, client, first, &format!("without 5 {TOPIC}"))?;
    load.progress()?;
    cluster.kill(4)?;
    operate(place, client, first, &format!("without-both {TOPIC}"))?;
    cluster.begin(4, &Against::Kafka)?;
    cluster.begin(5, &Against::Kafka)?;
    load.whole()?;
    let leader = load.leader()?;
    cluster.kill(leader)?;
    load.progress()?;
    cluster.begin(leader, against)?;
    load.whole()?;
    replaced(&mut cluster, &mut load, 5, &Against::Kafka)?;
    cluster.kill(4)?;
    load.progress()?;
    load.finish()?;
    cluster.stop(1)?;
    dump(place, first)
}

/// A broker loses its disk, again and again until it comes so late that the controllers' log no
/// longer begins at the beginning: then it is given their snapshot.
fn replaced(cluster: &mut Cluster<'_>, load: &mut Load, id: usize, kind: &Against) -> Result<()> {
    let home = &cluster.homes[id - 1];
    let deadline = Instant::now() + LOAD_TIMEOUT;
    loop {
        cluster.stop(id)?;
        load.progress()?;
        home.lose()?;
        if kind == &Against::Kafka {
            // Others learn from the controllers which cluster they belong to.
            home.format(cluster.place, kind)?;
        }
        cluster.begin(id, kind)?;
        load.whole()?;
        if home.began_with_snapshot()? {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "node {id} is never given a snapshot");
    }
}

/// Kafka's tool adds voters of both kinds to a quorum of one, the first fails, and goes.
fn growing_quorum(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("growing");
    let homes = Home::growing::<4>(&folder)?;
    let kafka = &Against::Kafka;
    let mut cluster = Cluster::start(place, &homes, &[against, kafka, against, kafka])?;
    let [first, second, third, _] = &homes;
    let mut load = Load::start(place, client, &cluster)?;
    load.whole()?;
    for (home, voters) in [(second, "1,2"), (third, "1,2,3")] {
        let properties = home.properties().display();
        operate(place, client, first, &format!("add-voter {properties} {voters}"))?;
    }
    cluster.kill(1)?;
    load.progress()?;
    cluster.begin(1, against)?;
    load.whole()?;
    // Brokers of Kafka go on asking the first, and must be told that it does not lead any more.
    load.leader()?;
    let properties = first.properties().display();
    operate(place, client, third, &format!("remove-voter {properties} 2,3"))?;
    load.progress()?;
    cluster.stop(1)?;
    load.progress()?;
    load.finish()?;
    cluster.stop(3)?;
    dump(place, third)
}

/// A cluster of Kafka is replaced by the kind to be tested, node by node on its own directories,
/// and back. The leader of the metadata quorum goes first each time, and crashes; the others stop,
/// and leave files that Kafka's own reader finds whole.
fn node_by_node(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("node-by-node");
    let homes = Home::cluster(&folder, [Roles::BrokerAndController; 3])?;
    let mut cluster = Cluster::start(place, &homes, &[&Against::Kafka; 3])?;
    let mut load = Load::start(place, client, &cluster)?;
    load.whole()?;
    for kind in [against, &Against::Kafka] {
        let leader = load.leader()?;
        cluster.kill(leader)?;
        load.progress()?;
        cluster.begin(leader, kind)?;
        load.whole()?;
        for id in (1..=3).filter(|id| *id != leader) {
            cluster.stop(id)?;
            load.progress()?;
            dump(place, &homes[id - 1])?;
            cluster.begin(id, kind)?;
            load.whole()?;
        }
    }
    load.finish()
}

/// Kafka's tools, by way of one broker.
fn operate(place: &Place, client: &Client, home: &Home, what: &str) -> Result<()> {
    let line = format!("{} operate {what}", client.run);
    place.run(client, &line, home.bootstrap(), CLIENT_TIMEOUT)
}

/// Kafka's own reader of every file finds nothing to complain about.
fn dump(place: &Place, home: &Home) -> Result<()> {
    let files = CLIENTS.iter().find(|client| client.name == "kafka-files");
    let files = files.context("kafka-files is listed")?;
    place.run(files, &format!("{} dump {}", files.run, home.data().display()), "", CLIENT_TIMEOUT)
}

/// The nodes, by their ids from 1 on. Those that run at the end are killed: without a majority
/// Kafka would wait for minutes for a controller's leave to stop.
struct Cluster<'a> {
    place: &'a Place,
    homes: &'a [Home],
    nodes: Vec<Option<Peer>>,
}

impl<'a> Cluster<'a> {
    fn start(place: &'a Place, homes: &'a [Home], kinds: &[&Against]) -> Result<Self> {
        for (home, kind) in homes.iter().zip(kinds) {
            home.format(place, kind)?;
        }
        // None is ready before a majority is.
        let nodes: Result<_> = thread::scope(|scope| {
            let begun: Vec<_> = homes
                .iter()
                .zip(kinds)
                .map(|(home, kind)| scope.spawn(|| Peer::start_at(place, kind, home).map(Some)))
                .collect();
            begun.into_iter().map(|it| it.join().expect("no start panics")).collect()
        });
        Ok(Self { place, homes, nodes: nodes? })
    }

    fn bootstrap(&self) -> String {
        let brokers = self.homes.iter().filter(|home| home.is_broker());
        brokers.map(Home::bootstrap).collect::<Vec<_>>().join(",")
    }

    fn begin(&mut self, id: usize, kind: &Against) -> Result<()> {
        let peer = Peer::start_at(self.place, kind, &self.homes[id - 1]);
        self.nodes[id - 1] = Some(peer.with_context(|| format!("node {id}"))?);
        Ok(())
    }

    fn take(&mut self, id: usize) -> Result<Peer> {
        let node = self.nodes.get_mut(id - 1).and_then(Option::take);
        node.with_context(|| format!("node {id} does not run"))
    }

    fn stop(&mut self, id: usize) -> Result<()> {
        self.take(id)?.stop().with_context(|| format!("node {id}"))
    }

    fn kill(&mut self, id: usize) -> Result<()> {
        self.take(id)?.kill().with_context(|| format!("node {id}"))
    }
}

/// Kafka's clients at work.
struct Load(Conversation);

impl Load {
    fn start(place: &Place, client: &Client, cluster: &Cluster<'_>) -> Result<Self> {
        let line = format!("{} load", client.run);
        let load = place.converse(client, &line, &cluster.bootstrap())?;
        load.hear(LOAD_TIMEOUT).context("start the load")?;
        Ok(Self(load))
    }

    /// Waits until every partition has taken and delivered more records.
    fn progress(&mut self) -> Result<()> {
        self.0.ask("progress", LOAD_TIMEOUT).map(drop)
    }

    /// Waits until every replica is in sync, and for progress.
    fn whole(&mut self) -> Result<()> {
        self.0.ask("whole", LOAD_TIMEOUT).map(drop)
    }

    /// The node that leads the metadata quorum.
    fn leader(&mut self) -> Result<usize> {
        let answer = self.0.ask("leader", LOAD_TIMEOUT)?;
        let id = answer.strip_prefix("leader ").and_then(|id| id.parse().ok());
        id.with_context(|| format!("`{answer}` names no leader"))
    }

    /// Has everything read and compared.
    fn finish(mut self) -> Result<()> {
        let answer = self.0.ask("finish", LOAD_TIMEOUT)?;
        println!("    {answer}");
        Ok(())
    }
}
