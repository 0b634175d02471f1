//! Who leads instead (KIP-951): an answer that says "not here" names the leader and where to find
//! it, so that the client need not ask for metadata first.

use std::collections::BTreeMap;

use strandline_types::{ErrorCode, LeaderEpoch, NodeId, PartitionId, Uuid};
use strandline_wire::messages::{ApiKey, fetch_response, produce_response};

use crate::cx::Cx;

/// The leader of a partition as the metadata have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LeaderHint {
    pub(crate) node: NodeId,
    pub(crate) epoch: LeaderEpoch,
}

/// Collects the endpoints of all leaders that one answer names.
pub(crate) struct LeaderHints<'a> {
    cx: &'a Cx,
    endpoints: BTreeMap<NodeId, Endpoint>,
}

#[derive(Clone)]
struct Endpoint {
    host: String,
    port: i32,
    rack: Option<String>,
}

impl<'a> LeaderHints<'a> {
    pub(crate) fn new(cx: &'a Cx) -> Self {
        Self { cx, endpoints: BTreeMap::new() }
    }

    /// `None` unless the error means that another broker leads and the client can read the hint.
    pub(crate) fn leader(
        &mut self,
        error: ErrorCode,
        topic: &str,
        topic_id: Uuid,
        partition: i32,
    ) -> Option<LeaderHint> {
        let first_version = if self.cx.api == ApiKey::Produce { 10 } else { 16 };
        let moved =
            matches!(error, ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::FENCED_LEADER_EPOCH);
        if self.cx.version < first_version || !moved {
            return None;
        }
        let image = self.cx.image();
        let topic = match topic_id.is_zero() {
            true => image.topics.by_name(topic)?,
            false => image.topics.get(topic_id)?,
        };
        let partition = topic.partition(PartitionId(partition))?;
        let node = partition.leader;
        if let Some(broker) = image.cluster.broker(node)
            && let Some(endpoint) = broker.endpoint(&self.cx.session.listener)
        {
            let endpoint = Endpoint {
                host: endpoint.host.clone(),
                port: i32::from(endpoint.port),
                rack: broker.rack().map(str::to_owned),
            };
            self.endpoints.insert(node, endpoint);
        }
        Some(LeaderHint { node, epoch: partition.leader_epoch })
    }

    pub(crate) fn into_produce_endpoints(self) -> Vec<produce_response::NodeEndpoint> {
        let endpoints = self.endpoints.into_iter();
        endpoints
            .map(|(node, Endpoint { host, port, rack })| produce_response::NodeEndpoint {
                node_id: node.get(),
                host,
                port,
                rack,
                ..Default::default()
            })
            .collect()
    }

    pub(crate) fn into_fetch_endpoints(self) -> Vec<fetch_response::NodeEndpoint> {
        let endpoints = self.endpoints.into_iter();
        endpoints
            .map(|(node, Endpoint { host, port, rack })| fetch_response::NodeEndpoint {
                node_id: node.get(),
                host,
                port,
                rack,
                ..Default::default()
            })
            .collect()
    }
}
