//! EndQuorumEpoch (KIP-595): the leader of the quorum goes.

use strandline_quorum::Request;
use strandline_types::ErrorCode;
use strandline_wire::messages::{EndQuorumEpochRequest, EndQuorumEpochResponse};

use crate::cx::Cx;
use crate::driver::quorum::rpc::EndQuorumEpochRpc;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: EndQuorumEpochRequest,
) -> Result<EndQuorumEpochResponse, Hangup> {
    let refused = |error_code| EndQuorumEpochResponse { error_code, ..Default::default() };
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(refused(error_code));
    }
    let Some(end) = EndQuorumEpochRpc::asked(&request) else {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    };
    let (reply, leader) = cx.ask_quorum(Request::EndQuorumEpoch(end)).await?;
    Ok(EndQuorumEpochRpc::answer(&reply, &leader))
}
