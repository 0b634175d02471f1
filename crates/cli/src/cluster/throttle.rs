//! A limit on what moves, by Kafka's own settings: each broker has a rate, each topic names the
//! replicas that it holds for.
//!
//! Nothing is remembered, so whose a limit is shows in what it says. A rate that one broker alone has,
//! and that is the run's, was set by this run or by one before it that has ended in the middle; so
//! were a topic's lists of replicas. Any other rate and `*` are somebody else's, and stay.

use std::collections::{BTreeMap, BTreeSet};

use strandline_client::admin::{ConfigChange, ConfigResource};
use strandline_client::plan::Move;
use strandline_client::{Admin, ClientError};
use strandline_types::NodeId;

use super::settings::{Changes, alter, own};
use super::view::View;

const RATES: [&str; 2] =
    ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const FROM: &str = "leader.replication.throttled.replicas";
const TO: &str = "follower.replication.throttled.replicas";
const ALL_REPLICAS: &str = "*";

/// Gives the rate to those of the brokers that have none of their own.
pub(super) async fn set_rate(
    admin: &Admin,
    brokers: &[NodeId],
    bytes_per_second: u64,
) -> Result<(), ClientError> {
    let brokers: Vec<_> = brokers.iter().map(|id| ConfigResource::broker(id.to_string())).collect();
    let value = bytes_per_second.to_string();
    let rates = own(admin, &brokers, &RATES).await?;
    let mut changes = Changes::new();
    for broker in brokers {
        for name in RATES {
            if !rates.contains_key(&(broker.clone(), name)) {
                let set = ConfigChange::set(name, value.as_str());
                changes.entry(broker.clone()).or_default().push(set);
            }
        }
    }
    alter(admin, changes).await
}

/// Tells of rates that brokers were given before, and not by a run with this one: a line for each.
pub(super) async fn others(
    admin: &Admin,
    view: &View,
    bytes_per_second: Option<u64>,
) -> Result<Vec<String>, ClientError> {
    let ours = bytes_per_second.map(|rate| rate.to_string());
    // Those that have just answered: one that has died is not waited for.
    let asked: Vec<_> = view.dirs.keys().map(|id| ConfigResource::broker(id.to_string())).collect();
    let rates = own(admin, &asked, &RATES).await?;
    let mut brokers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for ((broker, _), rate) in rates.iter().filter(|(_, rate)| Some(*rate) != ours.as_ref()) {
        brokers.entry(rate).or_default().insert(&broker.name);
    }
    let line = |(rate, brokers): (&str, BTreeSet<&str>)| {
        let keep = if brokers.len() == 1 { "keeps its" } else { "keep their" };
        let ids = brokers.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "broker {ids} {keep} throttle of {rate} bytes/s: `--throttle {rate}` goes on with a run that has set it, {}",
            unset("ID")
        )
    };
    Ok(brokers.into_iter().map(line).collect())
}

/// Names the replicas that copies are read from and written to, but in topics that name all.
pub(super) async fn mark(admin: &Admin, moves: &[Move]) -> Result<(), ClientError> {
    let mut marks: BTreeMap<ConfigResource, [Vec<String>; 2]> = BTreeMap::new();
    for step in moves.iter().filter(|it| it.copies()) {
        let mark = |id: NodeId| format!("{}:{id}", step.partition.partition);
        let topic = ConfigResource::topic(&step.partition.topic);
        let [from, to] = marks.entry(topic).or_default();
        from.extend(step.from.iter().copied().map(mark));
        to.extend(step.adding().map(mark));
    }
    let topics: Vec<_> = marks.keys().cloned().collect();
    let named = own(admin, &topics, &[FROM, TO]).await?;
    let mut changes = Changes::new();
    for (topic, [from, to]) in marks {
        for (name, marks) in [(FROM, from), (TO, to)] {
            if named.get(&(topic.clone(), name)).is_none_or(|it| it != ALL_REPLICAS) {
                let append = ConfigChange::Append { name: name.into(), value: marks.join(",") };
                changes.entry(topic.clone()).or_default().push(append);
            }
        }
    }
    alter(admin, changes).await
}

/// Takes the lists of replicas off every topic, and the run's rate off every broker that is alive.
/// Tells of those that may have kept it.
pub(super) async fn clear(
    admin: &Admin,
    view: &View,
    bytes_per_second: Option<u64>,
) -> Result<Vec<String>, ClientError> {
    let topics: Vec<_> =
        view.topics.iter().map(|topic| ConfigResource::topic(&topic.name)).collect();
    let mut limits = own(admin, &topics, &[FROM, TO]).await?;
    limits.retain(|_, replicas| replicas != ALL_REPLICAS);
    let mut lines = Vec::new();
    if let Some(rate) = bytes_per_second {
        let rates = own(admin, &brokers_alive(view), &RATES).await?;
        limits.extend(rates.into_iter().filter(|(_, it)| *it == rate.to_string()));
        let away = view.cluster.nodes.iter().filter(|node| node.is_fenced);
        lines.extend(away.map(|node| {
            let (id, unset) = (node.id, unset(&node.id.to_string()));
            format!("broker {id} is not running and may keep its throttle: {unset} when it is back")
        }));
    }
    let mut changes = Changes::new();
    for (resource, name) in limits.into_keys() {
        let delete = ConfigChange::Delete { name: name.into() };
        changes.entry(resource).or_default().push(delete);
    }
    alter(admin, changes).await?;
    Ok(lines)
}

fn unset(broker: &str) -> String {
    format!("`strandline config unset broker {broker} {}` takes it off", RATES.join(" "))
}

fn brokers_alive(view: &View) -> Vec<ConfigResource> {
    let alive = view.cluster.nodes.iter().filter(|node| !node.is_fenced);
    alive.map(|node| ConfigResource::broker(node.id.to_string())).collect()
}
