//! FetchSnapshot (KIP-630): a node that is too far behind copies a snapshot of the metadata.

use bytes::Bytes;
use strandline_quorum::{ReplyBody, Request};
use strandline_types::ErrorCode;
use strandline_wire::Chunk;
use strandline_wire::messages::{FetchSnapshotRequest, FetchSnapshotResponse, Records};

use crate::cx::Cx;
use crate::driver::quorum::rpc::FetchSnapshotRpc;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: FetchSnapshotRequest,
) -> Result<FetchSnapshotResponse, Hangup> {
    let refused = |error_code| FetchSnapshotResponse { error_code, ..Default::default() };
    if let Err(error_code) = cx.check_cluster(request.cluster_id.as_deref()) {
        return Ok(refused(error_code));
    }
    let Some(fetch) = FetchSnapshotRpc::asked(&request) else {
        return Ok(refused(ErrorCode::INVALID_REQUEST));
    };
    let (reply, leader) = cx.ask_quorum(Request::FetchSnapshot(fetch)).await?;
    let mut chunk = Records::Bytes(Bytes::new());
    if let ReplyBody::FetchSnapshot(read) = &reply.body {
        let range = cx.handles.quorum.read_snapshot(read.id, read.position, read.max_bytes).await;
        match range {
            Ok(Some(range)) => {
                let len = range.len;
                chunk = Records::Chunks(vec![Chunk::External { id: cx.send_file(range), len }]);
            }
            // It was deleted between the two; the next request is told so.
            Ok(None) => return Err(Hangup("the snapshot has just been deleted".into())),
            Err(fault) => return Err(Hangup(fault.to_string())),
        }
    }
    Ok(FetchSnapshotRpc::answer(&reply, chunk, &leader))
}
