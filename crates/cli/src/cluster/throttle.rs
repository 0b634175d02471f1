//! A limit on what moves, by Kafka's own settings: each broker has a rate, each topic names the
//! replicas that it holds for.

use std::collections::BTreeMap;

use strandline_client::admin::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource};
use strandline_client::plan::Move;
use strandline_client::{Admin, ClientError, Refusal};
use strandline_types::NodeId;

use super::view::View;

const RATES: [&str; 2] =
    ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const FROM: &str = "leader.replication.throttled.replicas";
const TO: &str = "follower.replication.throttled.replicas";

/// Sets the rate of every broker that is alive.
pub(super) async fn set_rate(
    admin: &Admin,
    view: &View,
    bytes_per_second: u64,
) -> Result<(), ClientError> {
    let set = |name: &str| ConfigChange::set(name, bytes_per_second.to_string());
    of_brokers(admin, view, RATES.map(set).to_vec()).await
}

/// Names the replicas that copies are read from and written to.
pub(super) async fn mark(admin: &Admin, moves: &[Move]) -> Result<(), ClientError> {
    let mut marks: BTreeMap<&str, [Vec<String>; 2]> = BTreeMap::new();
    for step in moves.iter().filter(|it| it.copies()) {
        let mark = |id: NodeId| format!("{}:{id}", step.partition.partition);
        let [from, to] = marks.entry(&step.partition.topic).or_default();
        from.extend(step.from.iter().copied().map(mark));
        to.extend(step.adding().map(mark));
    }
    let append = |name: &str, marks: Vec<String>| ConfigChange::Append {
        name: name.into(),
        value: marks.join(","),
    };
    let changes = marks.into_iter().map(|(topic, [from, to])| {
        (ConfigResource::topic(topic), vec![append(FROM, from), append(TO, to)])
    });
    alter(admin, changes.collect()).await
}

/// Takes the limits off every broker, and off every topic that has some.
pub(super) async fn clear(admin: &Admin, view: &View) -> Result<(), ClientError> {
    let topics: Vec<_> =
        view.topics.iter().map(|topic| ConfigResource::topic(&topic.name)).collect();
    let mut marked: BTreeMap<ConfigResource, Vec<ConfigChange>> = BTreeMap::new();
    for name in [FROM, TO] {
        for (topic, entry) in admin.describe_config(&topics, name).await? {
            let is_set = |it: &ConfigEntry| it.source == ConfigSource::Topic;
            if entry.ok().flatten().is_some_and(|it| is_set(&it)) {
                marked.entry(topic).or_default().push(ConfigChange::Delete { name: name.into() });
            }
        }
    }
    if marked.is_empty() {
        return Ok(());
    }
    alter(admin, marked.into_iter().collect()).await?;
    let unset = |name: &str| ConfigChange::Delete { name: name.into() };
    of_brokers(admin, view, RATES.map(unset).to_vec()).await
}

async fn of_brokers(
    admin: &Admin,
    view: &View,
    changes: Vec<ConfigChange>,
) -> Result<(), ClientError> {
    let alive = view.cluster.nodes.iter().filter(|node| !node.is_fenced);
    let brokers = alive.map(|node| ConfigResource::broker(node.id.to_string()));
    alter(admin, brokers.map(|broker| (broker, changes.clone())).collect()).await
}

async fn alter(
    admin: &Admin,
    changes: Vec<(ConfigResource, Vec<ConfigChange>)>,
) -> Result<(), ClientError> {
    if changes.is_empty() {
        return Ok(());
    }
    for (resource, result) in admin.alter_configs(&changes, false).await? {
        let subject = format!("{:?} {}", resource.kind, resource.name).to_lowercase();
        result.map_err(|refusal: Refusal| ClientError::Refused { subject, refusal })?;
    }
    Ok(())
}
