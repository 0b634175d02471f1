//! Hands out producer ids from blocks that the controller gives to this broker (KIP-730).

use strandline_ports::watch;
use strandline_types::{BrokerEpoch, ErrorCode, NodeId, ProducerId};
use strandline_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use tokio::sync::Mutex;

use crate::driver::controller::ControllerHandle;

/// This broker's current block.
pub(crate) struct ProducerIds {
    node_id: NodeId,
    broker_epoch: watch::Receiver<BrokerEpoch>,
    /// Ids that are left, as a half-open range.
    block: Mutex<(i64, i64)>,
}

impl ProducerIds {
    pub(crate) fn new(node_id: NodeId, broker_epoch: watch::Receiver<BrokerEpoch>) -> Self {
        Self { node_id, broker_epoch, block: Mutex::new((0, 0)) }
    }

    /// A fresh id. Whoever comes while a block is being fetched waits for it.
    pub(crate) async fn next(
        &self,
        controller: &ControllerHandle,
    ) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.0 == block.1 {
            let request = AllocateProducerIdsRequest {
                broker_id: self.node_id.get(),
                broker_epoch: self.broker_epoch.borrow().get(),
                ..Default::default()
            };
            let answer: Result<AllocateProducerIdsResponse, _> = controller.ask(request).await;
            let answer = answer.map_err(|_| ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
            if answer.error_code != ErrorCode::NONE {
                return Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
            }
            let first = answer.producer_id_start;
            *block = (first, first + i64::from(answer.producer_id_len));
        }
        block.0 += 1;
        Ok(ProducerId(block.0 - 1))
    }
}
