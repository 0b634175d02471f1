//! Envelope (KIP-590): a broker relays a client's request to the active controller, with the name
//! and the address of who asks. Only Kafka's brokers ask in this way; ours ask for themselves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use strandline_types::ErrorCode;
use strandline_wire::frame::{self, Incoming, SIZE_BYTES};
use strandline_wire::messages::{
    self, ApiKey, DefaultPrincipalData, EnvelopeRequest, EnvelopeResponse, Message, Request, decode_prefixed,
};

use crate::cx::{Cx, SessionFacts};
use crate::driver::controller::ControllerAnswer;
use crate::session::Hangup;

macro_rules! relayed {
    ($($module:ident($request:ident);)+) => {
        /// Serves the request inside, if it is one that a broker may relay. An Envelope is none: so
        /// nothing is nested.
        async fn serve(cx: Cx, incoming: Incoming) -> Result<EnvelopeResponse, Hangup> {
            match incoming.api {
                $(<messages::$request as Request>::KEY => {
                    let Ok(request) = incoming.decode::<messages::$request>() else {
                        return Ok(refused(ErrorCode::UNSUPPORTED_VERSION));
                    };
                    drop(incoming);
                    let work = std::pin::pin!(super::$module::handle(&cx, request));
                    let response = cx.handles.metrics.requests.timed(&cx, work).await?;
                    seal((cx.api, cx.version, cx.correlation_id), &response)
                })+
                _ => Ok(refused(ErrorCode::INVALID_REQUEST)),
            }
        }
    };
}

relayed! {
    create_topics(CreateTopicsRequest);
    delete_topics(DeleteTopicsRequest);
    alter_configs(AlterConfigsRequest);
    create_partitions(CreatePartitionsRequest);
    elect_leaders(ElectLeadersRequest);
    incremental_alter_configs(IncrementalAlterConfigsRequest);
    alter_partition_reassignments(AlterPartitionReassignmentsRequest);
    list_partition_reassignments(ListPartitionReassignmentsRequest);
    describe_quorum(DescribeQuorumRequest);
    update_features(UpdateFeaturesRequest);
    unregister_broker(UnregisterBrokerRequest);
    add_raft_voter(AddRaftVoterRequest);
    remove_raft_voter(RemoveRaftVoterRequest);
}

pub(crate) async fn handle(cx: &Cx, request: EnvelopeRequest) -> Result<EnvelopeResponse, Hangup> {
    match open(&request) {
        Ok((incoming, asker)) => {
            let session = SessionFacts {
                listener: cx.session.listener.clone(),
                role: cx.session.role,
                peer: asker,
                queue: Default::default(),
            };
            let inner = Cx::new(Arc::clone(&cx.handles), Arc::new(session), cx.now, &incoming);
            serve(inner, incoming).await
        }
        Err(code) => Ok(refused(code)),
    }
}

/// The request inside and where it comes from. What is wrong with the envelope itself has another
/// code than what is wrong with its content: the relaying broker blames the client for the latter.
fn open(request: &EnvelopeRequest) -> Result<(Incoming, SocketAddr), ErrorCode> {
    let principal = request.request_principal.as_ref();
    // It must be one, though nobody asks yet whether this one may.
    principal
        .and_then(|bytes| decode_prefixed::<DefaultPrincipalData>(bytes).ok())
        .ok_or(ErrorCode::PRINCIPAL_DESERIALIZATION_FAILURE)?;
    let host = address(&request.client_host_address).ok_or(ErrorCode::INVALID_REQUEST)?;
    let incoming =
        Incoming::parse(&request.request_data).map_err(|_| ErrorCode::UNSUPPORTED_VERSION)?;
    Ok((incoming, SocketAddr::new(host, 0)))
}

fn address(bytes: &Bytes) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(&bytes[..]).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(&bytes[..]).map(IpAddr::from);
    v4().or_else(|_| v6()).ok()
}

/// Puts an answer into its envelope. One that the active controller must give is left out: the
/// broker, which keeps the client waiting, shall ask that one. Those about the quorum say in another
/// code that it leads; a broker that is told so only inside would ask here for ever.
fn seal<M>(
    (api, version, correlation_id): (ApiKey, i16, i32),
    response: &M,
) -> Result<EnvelopeResponse, Hangup>
where
    M: Message + ControllerAnswer,
{
    let not_here = [ErrorCode::NOT_CONTROLLER, ErrorCode::NOT_LEADER_OR_FOLLOWER];
    if not_here.contains(&response.first_error()) {
        return Ok(refused(ErrorCode::NOT_CONTROLLER));
    }
    let framed = frame::response(api, version, correlation_id, response)
        .map_err(|error| Hangup(format!("{api} version {version}: {error}")))?;
    let framed = framed.contiguous().expect("no answer of a controller lies in a file");
    Ok(EnvelopeResponse {
        response_data: Some(framed.slice(SIZE_BYTES..)),
        ..Default::default()
    })
}

fn refused(error_code: ErrorCode) -> EnvelopeResponse {
    EnvelopeResponse { error_code, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use strandline_wire::messages::describe_quorum_response::{PartitionData, TopicData};
    use strandline_wire::messages::{DescribeQuorumResponse, UpdateFeaturesResponse};

    use super::*;

    #[test]
    fn an_answer_that_another_controller_must_give_is_left_out() {
        let seal_with = |error_code| {
            let response = UpdateFeaturesResponse { error_code, ..Default::default() };
            seal((ApiKey::UpdateFeatures, 2, 7), &response).expect("a version that carries it")
        };
        for elsewhere in [ErrorCode::NOT_CONTROLLER, ErrorCode::NOT_LEADER_OR_FOLLOWER] {
            assert_eq!(seal_with(elsewhere), refused(ErrorCode::NOT_CONTROLLER));
        }
        let error_code = ErrorCode::NOT_LEADER_OR_FOLLOWER;
        let partitions = vec![PartitionData { error_code, ..Default::default() }];
        let topics = vec![TopicData { partitions, ..Default::default() }];
        let of_quorum = DescribeQuorumResponse { topics, ..Default::default() };
        let sealed = seal((ApiKey::DescribeQuorum, 2, 7), &of_quorum);
        assert_eq!(sealed.expect("no answer to encode"), refused(ErrorCode::NOT_CONTROLLER));
        let answered = seal_with(ErrorCode::FEATURE_UPDATE_FAILED);
        assert_eq!(answered.error_code, ErrorCode::NONE);
        assert!(answered.response_data.is_some());
    }
}
