//! RemoveRaftVoter (KIP-853): a voter is taken out of the quorum.

use strandline_quorum::Request;
use strandline_wire::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

use crate::cx::Cx;
use crate::driver::quorum::rpc::{changed_voter, removed_voter};
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: RemoveRaftVoterRequest,
) -> Result<RemoveRaftVoterResponse, Hangup> {
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(RemoveRaftVoterResponse { error_code, ..Default::default() });
    }
    if let Some(relayed) = cx.ask_leader(&request).await {
        return Ok(relayed);
    }
    let (reply, _) = cx.ask_quorum(Request::ChangeVoter(removed_voter(&request))).await?;
    let (error_code, error_message) = changed_voter(&reply);
    Ok(RemoveRaftVoterResponse { error_code, error_message, ..Default::default() })
}
