//! Vote (KIP-595): another node of the quorum asks for this one's vote.

use strandline_quorum::Request;
use strandline_types::ErrorCode;
use strandline_wire::messages::{VoteRequest, VoteResponse};

use crate::cx::Cx;
use crate::driver::quorum::rpc::VoteRpc;
use crate::session::Hangup;

pub(crate) async fn handle(cx: &Cx, request: VoteRequest) -> Result<VoteResponse, Hangup> {
    let refused = |error_code| VoteResponse { error_code, ..Default::default() };
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(refused(error_code));
    }
    let Some(vote) = VoteRpc::asked(&request, cx.handles.identity.node_id) else {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    };
    let (reply, leader) = cx.ask_quorum(Request::Vote(vote)).await?;
    Ok(VoteRpc::answer(&reply, &leader))
}
