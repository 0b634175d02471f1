//! The coordinators of groups.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use strandline_config::BrokerConfig;
use strandline_coordinator::groups::{self, Event, Settings};
use strandline_metadata::{Delta, Image};
use strandline_ports::{World, watch};
use strandline_types::Compression;

use super::coordinators::{Coordinators, Kind, Place, Shard, Writing};
use crate::internal_topics::CONSUMER_OFFSETS;
use crate::partitions::Partitions;

pub(crate) type Groups = Coordinators<OfGroups>;

pub(crate) struct OfGroups;

impl Kind for OfGroups {
    type Core = groups::Shard;

    const TOPIC: &'static str = CONSUMER_OFFSETS;

    fn event_of(delta: &Delta) -> Option<Event> {
        let deleted = delta.deleted_topics.iter().map(|topic| (topic.name.to_string(), topic.id));
        let deleted: Vec<_> = deleted.collect();
        (!deleted.is_empty()).then_some(Event::TopicsDeleted(deleted))
    }

    fn carry_out(&self, _: &Arc<Shard<Self>>, nothing: Infallible) {
        match nothing {}
    }
}

impl Groups {
    /// Coordinates nothing until it is started.
    pub(crate) fn of(
        world: &World,
        config: &BrokerConfig,
        partitions: Partitions,
        image: watch::Receiver<Arc<Image>>,
    ) -> Self {
        let codec = i16::try_from(config.offsets.compression_codec).ok();
        let writing = Writing {
            compression: codec.and_then(Compression::from_attributes).unwrap_or_default(),
            commit_timeout: millis(config.offsets.commit_timeout_ms),
        };
        let place = Place { world: world.clone(), node: config.node_id, partitions, image };
        Self::new(place, OfGroups, settings(config), writing)
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn settings(config: &BrokerConfig) -> Settings {
    let (groups, offsets) = (&config.groups, &config.offsets);
    Settings {
        initial_rebalance_delay: millis(groups.initial_rebalance_delay_ms),
        session_timeout_min_ms: groups.min_session_timeout_ms,
        session_timeout_max_ms: groups.max_session_timeout_ms,
        group_size_max: usize::try_from(groups.max_size).unwrap_or(0),
        offset_metadata_max_units: usize::try_from(offsets.metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: i64::from(offsets.retention_minutes) * 60_000,
        retention_check_interval: Duration::from_millis(
            u64::try_from(offsets.retention_check_interval_ms).unwrap_or(0),
        ),
    }
}
