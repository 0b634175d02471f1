//! What every decision looks at.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use strandline_config::{BrokerConfig, BrokerLayers, Scope, Setting};
use strandline_types::{ErrorCode, NodeId, Now, Offset, PartitionId, Uuid};

use super::ControllerSettings;
use super::partition_change::{Surroundings, Target};
use crate::image::{Broker, ConfigResource, Image, Partition, Topic};
use crate::{MetadataVersion, Record, Records};

/// The world as a decision finds it.
pub(crate) struct Context<'a> {
    pub(crate) settings: &'a ControllerSettings,
    pub(crate) image: &'a Image,
    pub(crate) now: Now,
    /// Where the first record of this decision will stand in the log.
    pub(crate) next_offset: Offset,
    pub(crate) seed: u128,
    pub(crate) kraft_version: i16,
}

/// Why one thing that was asked for is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Denied {
    pub(crate) code: ErrorCode,
    /// `None` leaves the client with its own text for the code.
    pub(crate) message: Option<String>,
}

impl Denied {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// A topic stands twice in a request where it may stand once.
    pub(crate) fn topic_named_twice() -> Self {
        Self::new(ErrorCode::INVALID_REQUEST, "this topic is named twice in one request")
    }

    pub(crate) fn bare(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl From<strandline_config::Refusal> for Denied {
    fn from(refusal: strandline_config::Refusal) -> Self {
        use alloc::string::ToString;
        Self::new(refusal.code(), refusal.to_string())
    }
}

/// Code and text for an answer.
pub(crate) fn split(result: Result<(), Denied>) -> (ErrorCode, Option<String>) {
    match result {
        Ok(()) => (ErrorCode::NONE, None),
        Err(denied) => (denied.code, denied.message),
    }
}

/// Who may lead besides, or instead of, the brokers that are active in the image: a broker is about
/// to change, and the records that say so are only being written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shift {
    pub(crate) leaving: Option<NodeId>,
    pub(crate) joining: Option<NodeId>,
    /// Leaves, and what it had may be lost.
    pub(crate) lost: Option<NodeId>,
}

impl Context<'_> {
    pub(crate) fn version(&self) -> MetadataVersion {
        self.image.features.metadata_version()
    }

    /// The broker, if it is registered under this epoch.
    pub(crate) fn registered(&self, id: i32, epoch: i64) -> Result<&Broker, Denied> {
        let Some(broker) = self.image.cluster.broker(NodeId(id)) else {
            return Err(Denied::bare(ErrorCode::BROKER_ID_NOT_REGISTERED));
        };
        if broker.epoch().get() != epoch {
            return Err(Denied::bare(ErrorCode::STALE_BROKER_EPOCH));
        }
        Ok(broker)
    }

    /// A partition that a client names.
    pub(crate) fn named_partition(
        &self,
        name: &str,
        id: PartitionId,
    ) -> Result<(&Topic, &Partition), Denied> {
        let unknown = |text| Err(Denied::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, text));
        let Some(topic) = self.image.topics.by_name(name) else {
            return unknown(format!("there is no topic {name}"));
        };
        match topic.partition(id) {
            Some(partition) => Ok((topic, partition)),
            None => unknown(format!("topic {name} has no partition {id}")),
        }
    }

    /// The settings that topics inherit: this node's own, and what was set for all brokers.
    pub(crate) fn layers(&self) -> BrokerLayers {
        BrokerLayers {
            fixed: self.settings.config.layers.fixed.clone(),
            cluster: self.image.configs.overrides(&ConfigResource::all_brokers()).clone(),
            broker: strandline_config::Overrides::new(),
        }
    }

    /// This node's configuration with what was set at run time.
    pub(crate) fn config(&self) -> BrokerConfig {
        let mut config = self.settings.config.as_ref().clone();
        let own = ConfigResource::broker(config.node_id);
        config.layers = self.layers();
        config.layers.broker = self.image.configs.overrides(&own).clone();
        config
    }

    /// One setting of a topic: its own, else all brokers', else this node's, else the default.
    fn topic_setting(&self, topic: &str, key: &str) -> Option<&str> {
        let configs = &self.image.configs;
        configs
            .get(&ConfigResource::topic(topic), key)
            .or_else(|| configs.get(&ConfigResource::all_brokers(), key))
            .or_else(|| self.settings.config.layers.fixed.get(key).map(String::as_str))
    }

    pub(crate) fn effective_min_isr(&self, topic: &Topic) -> usize {
        const KEY: &str = "min.insync.replicas";
        let default = || Scope::Topic.find(KEY).and_then(Setting::default_text);
        let configured = self
            .topic_setting(&topic.name, KEY)
            .or_else(default)
            .and_then(|text| text.trim().parse::<usize>().ok())
            .unwrap_or(1);
        configured.min(topic.replication_factor())
    }

    pub(crate) fn unclean_election_enabled(&self, topic: &str) -> bool {
        self.topic_setting(topic, "unclean.leader.election.enable")
            .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    pub(crate) fn default_directory(&self, replica: NodeId) -> Uuid {
        self.image.cluster.broker(replica).map_or(Uuid::ZERO, Broker::default_directory)
    }

    /// The change of `partition` towards `target`, if there is any.
    pub(crate) fn change(
        &self,
        topic: &Topic,
        partition: &Partition,
        target: Target,
        shift: Shift,
    ) -> Option<crate::image::PartitionChange> {
        let is_active = |id: NodeId| {
            let is_leaving = shift.leaving == Some(id) || shift.lost == Some(id);
            !is_leaving && (shift.joining == Some(id) || self.image.cluster.is_active(id))
        };
        let may_lead = |id: NodeId| {
            is_active(id)
                && self.image.cluster.broker(id).is_some_and(|broker| {
                    partition.directory(id).is_some_and(|dir| broker.has_online_directory(dir))
                })
        };
        target.change(
            partition,
            &Surroundings {
                may_lead: &may_lead,
                default_directory: &|id| self.default_directory(id),
                effective_min_isr: self.effective_min_isr(topic),
                elr_enabled: self.image.features.elr_enabled(),
                directories_supported: self.version().records_directories(),
                epoch_bump_on_shrink: self.version().bumps_leader_epoch_on_isr_shrink(),
            },
        )
    }

    /// Elections and ISR changes in the partitions that `concerns`, after `shift`.
    pub(crate) fn shift_partitions(
        &self,
        shift: Shift,
        concerns: impl Fn(&Partition) -> bool,
        records: &mut Records,
    ) {
        for (topic, id, partition) in self.image.topics.partitions() {
            if !concerns(partition) {
                continue;
            }
            let mut target = Target::of(partition);
            if self.unclean_election_enabled(&topic.name) {
                target.election = super::partition_change::Election::Unclean;
            }
            target.unclean_shutdown.extend(shift.lost);
            target.isr.retain(|id| shift.leaving != Some(*id) && shift.lost != Some(*id));
            if let Some(change) = self.change(topic, partition, target, shift) {
                records.push(Record::from(change.into_record(topic.id, id)));
            }
        }
    }
}

/// Ids as a person reads a list of them.
pub(crate) fn join(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
    }
    text
}

/// Entries that come more than once, and those that come once, both in the order of `items`.
pub(crate) fn duplicates<T: Ord + Copy>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = alloc::collections::BTreeSet::new();
    let mut repeated = alloc::collections::BTreeSet::new();
    for item in items {
        if !seen.insert(item) {
            repeated.insert(item);
        }
    }
    repeated.into_iter().collect()
}
