//! The coordinators of groups.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use strandline_config::BrokerConfig;
use strandline_coordinator::Caller;
use strandline_coordinator::groups::{self, Event, Marker, Request, Settings, TransactionEnded};
use strandline_metadata::{Delta, Image};
use strandline_ports::{World, watch};
use strandline_types::{Compression, ErrorCode, TopicIdPartition};

use super::coordinators::{Coordinators, Kind, Place, Shard, Writing};
use super::partition::Partition;
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

    /// Ends a transaction in one partition of the topic: the offsets in it count from here on, or never.
    ///
    /// # Errors
    /// The code for the transaction's coordinator.
    pub(crate) async fn end_transaction(
        &self,
        id: TopicIdPartition,
        caller: Caller,
        marker: Marker,
    ) -> Result<(), ErrorCode> {
        let may_end = move |partition: &Partition| {
            let Marker { producer_id, producer_epoch, coordinator_epoch, bumps_epoch, .. } = marker;
            let checked = partition.with_log(|log| {
                log.check_marker(producer_id, producer_epoch, coordinator_epoch, bumps_epoch)
            });
            checked.map_err(|refusal| refusal.code())
        };
        let request = Request::EndTransaction(marker);
        let ended = self.ask_shard(id, caller, request, may_end).await;
        ended.map(|_: TransactionEnded| ()).map_err(in_words_of_a_leader)
    }
}

/// Kafka's coordinators of transactions take what the leader of a partition says for "again". After any
/// other word they never ask again, and what they have decided is open for good: its producer cannot come
/// back, and readers of committed records wait. So only what cannot change is said as it is.
fn in_words_of_a_leader(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::TRANSACTION_COORDINATOR_FENCED => code,
        _ => ErrorCode::NOT_LEADER_OR_FOLLOWER,
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
