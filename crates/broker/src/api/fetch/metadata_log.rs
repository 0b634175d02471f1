//! Fetch of the metadata log, by controllers and by brokers that follow it (KIP-595).

use strandline_quorum::{FetchReply, ReplyBody, Request};
use strandline_store::Records as StoredRecords;
use strandline_types::ErrorCode;
use strandline_wire::messages::{FetchRequest, FetchResponse};

use super::on_the_wire;
use crate::cx::Cx;
use crate::driver::quorum::rpc::FetchRpc;
use crate::session::Hangup;

pub(super) async fn handle(cx: &Cx, request: FetchRequest) -> Result<FetchResponse, Hangup> {
    let refused = |error_code| FetchResponse { error_code, ..Default::default() };
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(refused(error_code));
    }
    let Some(fetch) = FetchRpc::asked(&request) else {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    };
    let (reply, leader) = cx.ask_quorum(Request::Fetch(fetch)).await?;
    let mut records = StoredRecords::Empty;
    if let ReplyBody::Fetch(FetchReply::Read { offset, end_offset, max_bytes, .. }) = reply.body {
        let read = cx.handles.quorum.read(offset, end_offset, max_bytes).await;
        records = read.map_err(|fault| Hangup(fault.to_string()))?;
    }
    Ok(FetchRpc::answer(cx.version, &reply, on_the_wire(cx, records), &leader))
}
