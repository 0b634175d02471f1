//! DescribeConfigs: every setting of a resource, its value, and where that comes from.

use strandline_metadata::describe::{self, Own};
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
    let resources = request.resources.iter();
    let results =
        resources.map(|asked| describe::configs(&image, own, asked, synonyms, documentation));
    Ok(DescribeConfigsResponse { results: results.collect(), ..Default::default() })
}
