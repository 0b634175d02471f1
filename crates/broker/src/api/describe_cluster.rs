//! DescribeCluster (KIP-700, KIP-919): brokers, or controllers, and how to reach them.

use strandline_metadata::describe::{self, Listening};
use strandline_types::ErrorCode;
use strandline_wire::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::cx::{Cx, ListenerRole};
use crate::session::Hangup;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeClusterRequest,
) -> Result<DescribeClusterResponse, Hangup> {
    let mut response = DescribeClusterResponse {
        cluster_id: cx.handles.identity.cluster_id.clone(),
        endpoint_type: request.endpoint_type,
        controller_id: -1,
        ..Default::default()
    };
    let served = match cx.session.role {
        ListenerRole::Broker => BROKERS,
        ListenerRole::Controller => CONTROLLERS,
    };
    if request.endpoint_type != served {
        let is_known = matches!(request.endpoint_type, BROKERS | CONTROLLERS);
        response.error_code = match is_known {
            true => ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            false => ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
        };
        response.error_message = Some("this listener does not serve that type of endpoint".into());
        return Ok(response);
    }
    let image = cx.image();
    let listening = Listening { listener: &cx.session.listener };
    response.brokers = match cx.session.role {
        ListenerRole::Broker => {
            describe::broker_endpoints(&image, listening, request.include_fenced_brokers).collect()
        }
        ListenerRole::Controller => describe::controller_endpoints(&image, listening).collect(),
    };
    response.controller_id = match cx.session.role {
        ListenerRole::Broker => super::metadata::random_broker(cx, &image),
        ListenerRole::Controller => cx.handles.quorum.leadership().borrow().leader.id.map_or(-1, |leader| leader.get()),
    };
    Ok(response)
}
