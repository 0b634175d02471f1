//! AddRaftVoter (KIP-853): a controller becomes a voter.

use strandline_quorum::Request;
use strandline_wire::messages::{AddRaftVoterRequest, AddRaftVoterResponse};

use crate::cx::Cx;
use crate::driver::quorum::rpc::{add_voter, changed_voter};
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: AddRaftVoterRequest,
) -> Result<AddRaftVoterResponse, Hangup> {
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(AddRaftVoterResponse { error_code, ..Default::default() });
    }
    if let Some(relayed) = cx.ask_leader(&request).await {
        return Ok(relayed);
    }
    let (reply, _) = cx.ask_quorum(Request::ChangeVoter(add_voter(&request, cx.version))).await?;
    let (error_code, error_message) = changed_voter(&reply);
    Ok(AddRaftVoterResponse { error_code, error_message, ..Default::default() })
}
