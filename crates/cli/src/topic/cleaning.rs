//! How far the replicas of compacted topics are cleaned.

use serde_json::{Value, json};
use strandline_client::admin::{ConfigEntry, ReplicaCleaning};
use strandline_client::{Admin, Topic};
use strandline_types::{NodeId, Offset, Timestamp, TopicPartition};

use crate::connect::failed;
use crate::failure::Failure;
use crate::output::table;
use crate::when;

/// Of those topics that are compacted, in the order of their partitions.
pub(super) struct Cleanings(Vec<(TopicPartition, NodeId, ReplicaCleaning)>);

impl Cleanings {
    /// Asks nobody when no topic is compacted.
    pub(super) async fn of<'a>(
        admin: &Admin,
        topics: &[(String, &Topic)],
        configs: impl Fn(&String) -> &'a [ConfigEntry],
    ) -> Result<Self, Failure> {
        let compacts = |entry: &ConfigEntry| {
            let policies = entry.value.as_deref().unwrap_or_default().split(',');
            entry.name == "cleanup.policy" && policies.into_iter().any(|it| it.trim() == "compact")
        };
        let compacted = topics.iter().filter(|(name, _)| configs(name).iter().any(compacts));
        let partitions: Vec<TopicPartition> = compacted
            .flat_map(|(name, topic)| {
                let partition = |index| TopicPartition { topic: name.clone(), partition: index };
                topic.partitions.iter().map(move |it| partition(it.index))
            })
            .collect();
        if partitions.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut told = admin
            .describe_cleaning(&partitions)
            .await
            .map_err(|error| failed("ask how far the topics are cleaned", &error))?;
        told.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
        Ok(Self(told))
    }

    /// A table of a topic's replicas; nothing when it is not compacted.
    pub(super) fn text(&self, topic: &str) -> String {
        let of_topic = self.0.iter().filter(|(partition, ..)| partition.topic == topic);
        let mut rows = of_topic.map(|(partition, node, it)| {
            let or_none = |shown: Option<String>| shown.unwrap_or_else(|| "-".to_owned());
            [
                partition.partition.to_string(),
                node.to_string(),
                or_none(it.dirty_ratio.map(|ratio| format!("{:.0} %", ratio * 100.0))),
                or_none(it.cleaned_upto.map(|upto| upto.to_string())),
                or_none(it.cleaned_at.map(when::show)),
                or_none(it.fault.clone()),
            ]
        });
        let names = ["partition", "replica", "dirty", "cleaned to", "cleaned at", "last error"];
        let Some(first) = rows.next() else { return String::new() };
        table(names, [first].into_iter().chain(rows))
    }

    /// By replica; null where nothing is told.
    pub(super) fn json(&self, of: &TopicPartition) -> Value {
        let told: Vec<Value> = self
            .0
            .iter()
            .filter(|(partition, ..)| partition == of)
            .map(|(_, node, it)| {
                json!({
                    "replica": node.get(),
                    "dirtyRatio": it.dirty_ratio,
                    "cleanedUpTo": it.cleaned_upto.map(Offset::get),
                    "cleanedAt": it.cleaned_at.map(Timestamp::as_millis),
                    "lastError": it.fault,
                    "triedAgain": it.is_tried_again,
                })
            })
            .collect();
        if told.is_empty() { Value::Null } else { json!(told) }
    }
}
