//! The coordinators of transactions.

use std::sync::Arc;
use std::time::Duration;

use strandline_config::BrokerConfig;
use strandline_coordinator::Caller;
use strandline_coordinator::transactions::{self, Action, Event, Issued, Request, Settings};
use strandline_metadata::Delta;
use strandline_ports::{Lane, World};
use strandline_types::{Compression, ErrorCode, ProducerEpoch, ProducerId};

use super::controller::ControllerHandle;
use super::coordinators::{Coordinators, Kind, Place, Shard, Writing};
use super::markers::MarkerSender;
use super::peers::Peers;
use crate::internal_topics::TRANSACTION_STATE;
use crate::producer_ids::ProducerIds;

pub(crate) type Transactions = Coordinators<OfTransactions>;

/// What their decisions need of others.
pub(crate) struct OfTransactions {
    world: World,
    markers: MarkerSender,
    fresh_ids: FreshIds,
}

/// Producer ids that nobody has had.
#[derive(Clone)]
struct FreshIds {
    ids: Arc<ProducerIds>,
    controller: ControllerHandle,
}

impl FreshIds {
    async fn next(&self) -> Result<ProducerId, ErrorCode> {
        self.ids.next(&self.controller).await
    }
}

impl Kind for OfTransactions {
    type Core = transactions::Shard;

    const TOPIC: &'static str = TRANSACTION_STATE;

    /// Whoever sends markers sees for himself which partitions are gone.
    fn event_of(_: &Delta) -> Option<Event> {
        None
    }

    fn carry_out(&self, shard: &Arc<Shard<Self>>, action: Action) {
        let shard = Arc::clone(shard);
        let task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = match action {
            Action::SendMarkers(markers) => Box::pin(self.markers.clone().send(shard, markers)),
            Action::FetchProducerId { transactional_id, started_at } => {
                let fresh_ids = self.fresh_ids.clone();
                Box::pin(async move {
                    // Without one the shard asks again.
                    if let Ok(fresh) = fresh_ids.next().await {
                        shard.tell(Event::ProducerId { transactional_id, started_at, fresh });
                    }
                })
            }
        };
        self.world.spawn.spawn(Lane::Data, task);
    }
}

impl Transactions {
    /// Coordinates nothing until it is started.
    pub(crate) fn of(
        place: Place,
        config: &BrokerConfig,
        ids: Arc<ProducerIds>,
        controller: ControllerHandle,
    ) -> Self {
        let fresh_ids = FreshIds { ids, controller };
        let world = place.world.clone();
        let peers = Peers::new(&world, config, place.image.clone(), "markers");
        let markers = MarkerSender::new(world.clone(), peers);
        let writing = Writing {
            compression: Compression::None,
            commit_timeout: millis(config.network.request_timeout_ms),
        };
        Self::new(place, OfTransactions { world, markers, fresh_ids }, settings(config), writing)
    }

    /// Has a request decided that may need a fresh producer id, which is fetched only then.
    ///
    /// # Errors
    /// The code of a refusal, or of why there was no decision.
    pub(crate) async fn issue(
        &self,
        transactional_id: &str,
        caller: Caller,
        request: impl Fn(Option<ProducerId>) -> Request,
    ) -> Result<(ProducerId, ProducerEpoch), ErrorCode> {
        let mut fresh = None;
        loop {
            match self.ask(transactional_id, caller.clone(), request(fresh)).await? {
                Issued::To(id, epoch) => return Ok((id, epoch)),
                Issued::Refused(refusal) => return Err(refusal.code()),
                Issued::NeedsProducerId => {
                    fresh = Some(self.kind().fresh_ids.next().await?);
                }
            }
        }
    }
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn settings(config: &BrokerConfig) -> Settings {
    let transactions = &config.transactions;
    Settings {
        timeout_max_ms: transactions.timeout_max_ms,
        id_expiration_ms: transactions.id_expiration_ms.into(),
        expiry_check_interval: millis(transactions.id_expiration_check_interval_ms),
    }
}
