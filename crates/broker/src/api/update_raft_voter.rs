//! UpdateRaftVoter (KIP-853): a voter says where it listens now, and what it can do.

use strandline_quorum::Request;
use strandline_types::NodeId;
use strandline_wire::messages::{
    UpdateRaftVoterRequest, UpdateRaftVoterResponse, update_raft_voter_response::CurrentLeader,
};

use crate::cx::Cx;
use crate::driver::quorum::rpc::{changed_voter, updated_voter};
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: UpdateRaftVoterRequest,
) -> Result<UpdateRaftVoterResponse, Hangup> {
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(UpdateRaftVoterResponse { error_code, ..Default::default() });
    }
    let (reply, leader) = cx.ask_quorum(Request::ChangeVoter(updated_voter(&request))).await?;
    let (error_code, _) = changed_voter(&reply);
    let address = leader.address.filter(|_| reply.leader == leader.id);
    let (host, port) = address.map_or((String::new(), -1), |it| (it.host, it.port.into()));
    let current_leader = CurrentLeader {
        leader_id: reply.leader.unwrap_or(NodeId::NONE).get(),
        leader_epoch: reply.epoch.get(),
        host,
        port,
        ..Default::default()
    };
    Ok(UpdateRaftVoterResponse { error_code, current_leader, ..Default::default() })
}
