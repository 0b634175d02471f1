//! The twin proof of the cluster: nodes of both kinds in one, under the load of Kafka's clients.
//! Nothing is lost, nothing is there twice, and no client sees more than an error it may retry.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::CLIENT_TIMEOUT;
use super::clients::{CLIENTS, Client};
use super::cluster::{Cluster, LOAD_TIMEOUT, Load};
use super::home::{Home, Roles};
use super::peer::Against;
use super::place::Place;

/// Named by the tools, and there until the end.
const TOPIC: &str = "operated";

/// Brokers of the kind to be tested serve beside Kafka's under controllers of Kafka, and each kind
/// copies from the other. One of each crashes, so does the active controller, and one loses its disk.
pub(super) fn controllers_of_kafka(
    place: &Place,
    client: &Client,
    against: &Against,
) -> Result<()> {
    let folder = place.cache().join("mixed").join("controllers");
    let (both, controller, broker) = (Roles::BrokerAndController, Roles::Controller, Roles::Broker);
    let homes = Home::cluster(&folder, [both, both, controller, broker, broker])?;
    let kafka = &Against::Kafka;
    let mut cluster = Cluster::start(place, &homes, &[kafka, kafka, kafka, against, against])?;
    let mut load = Load::start(place, client, "load", &cluster)?;
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
pub(super) fn brokers_of_kafka(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("brokers");
    let (both, broker) = (Roles::BrokerAndController, Roles::Broker);
    let homes = Home::cluster(&folder, [both, both, both, broker, broker])?;
    let kinds = [against, against, against, &Against::Kafka, &Against::Kafka];
    let mut cluster = Cluster::start(place, &homes, &kinds)?;
    let [first, _, _, fourth, _] = &homes;
    let mut load = Load::start(place, client, "load", &cluster)?;
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
pub(super) fn growing_quorum(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("growing");
    let homes = Home::growing::<4>(&folder)?;
    let kafka = &Against::Kafka;
    let mut cluster = Cluster::start(place, &homes, &[against, kafka, against, kafka])?;
    let [first, second, third, _] = &homes;
    let mut load = Load::start(place, client, "load", &cluster)?;
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
pub(super) fn node_by_node(place: &Place, client: &Client, against: &Against) -> Result<()> {
    let folder = place.cache().join("mixed").join("node-by-node");
    let homes = Home::cluster(&folder, [Roles::BrokerAndController; 3])?;
    let mut cluster = Cluster::start(place, &homes, &[&Against::Kafka; 3])?;
    let mut load = Load::start(place, client, "load", &cluster)?;
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
    let files = CLIENTS.iter().find(|client| client.folder == "kafka-files");
    let files = files.context("kafka-files is listed")?;
    place.run(files, &format!("{} dump {}", files.run, home.data().display()), "", CLIENT_TIMEOUT)
}
