//! DescribeConfigs: every setting of a resource, its value, and where that comes from.

use strandline_metadata::describe::{self, Own};
use strandline_types::ErrorCode;
use strandline_wire::messages::describe_configs_request::DescribeConfigsResource;
use strandline_wire::messages::describe_configs_response::DescribeConfigsResult;
use strandline_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::cx::Cx;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: DescribeConfigsRequest,
) -> Result<DescribeConfigsResponse, Hangup> {
    let image = cx.image();
    let own = Own {
        node_id: cx.handles.identity.node_id,
        fixed: &cx.handles.config.layers.fixed,
    };
    let (synonyms, documentation) = (request.include_synonyms, request.include_documentation);
    let mut room = SETTINGS_PER_ANSWER_MAX;
    let results = request.resources.iter().map(|asked| {
        if room == 0 {
            return too_many(asked);
        }
        let described = describe::configs(&image, own, asked, synonyms, documentation);
        room = room.saturating_sub(described.configs.len());
        described
    });
    Ok(DescribeConfigsResponse { results: results.collect(), ..Default::default() })
}

/// A request of a few bytes per resource asks for some kilobytes each, of groups that need not even
/// exist. All settings of 50,000 topics are less than this.
const SETTINGS_PER_ANSWER_MAX: usize = 2_000_000;

fn too_many(asked: &DescribeConfigsResource) -> DescribeConfigsResult {
    DescribeConfigsResult {
        error_code: ErrorCode::INVALID_REQUEST,
        error_message: Some("too many resources in one request: ask for fewer".into()),
        resource_type: asked.resource_type,
        resource_name: asked.resource_name.clone(),
        ..Default::default()
    }
}
