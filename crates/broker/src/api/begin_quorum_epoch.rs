//! BeginQuorumEpoch (KIP-595): a new leader of the quorum makes itself known.

use strandline_quorum::Request;
use strandline_types::ErrorCode;
use strandline_wire::messages::{BeginQuorumEpochRequest, BeginQuorumEpochResponse};

use crate::cx::Cx;
use crate::driver::quorum::rpc::BeginQuorumEpochRpc;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: BeginQuorumEpochRequest,
) -> Result<BeginQuorumEpochResponse, Hangup> {
    let refused = |error_code| BeginQuorumEpochResponse { error_code, ..Default::default() };
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(refused(error_code));
    }
    let Some(begin) = BeginQuorumEpochRpc::asked(&request, cx.handles.identity.node_id) else {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    };
    let (reply, leader) = cx.ask_quorum(Request::BeginQuorumEpoch(begin)).await?;
    Ok(BeginQuorumEpochRpc::answer(&reply, &leader))
}
