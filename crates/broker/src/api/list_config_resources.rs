//! ListConfigResources (KIP-1142): which resources have settings. Version 0 knows client metrics only.

use strandline_metadata::describe;
use strandline_metadata::image::ResourceType;
use strandline_types::ErrorCode;
use strandline_wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ListConfigResourcesRequest,
) -> Result<ListConfigResourcesResponse, Hangup> {
    let types = match cx.version {
        0 => vec![ResourceType::CLIENT_METRICS.0],
        _ => request.resource_types,
    };
    let mut response = ListConfigResourcesResponse::default();
    match describe::config_resources(&cx.image(), &types) {
        Some(resources) => response.config_resources = resources,
        None => response.error_code = ErrorCode::UNSUPPORTED_VERSION,
    }
    Ok(response)
}
