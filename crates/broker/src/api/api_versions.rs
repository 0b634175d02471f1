//! ApiVersions (KIP-35, KIP-511): what this listener serves, and the cluster's features.

use strandline_metadata::describe;
use strandline_types::ErrorCode;
use strandline_wire::messages::api_versions_response::ApiVersion;
use strandline_wire::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::api::ROWS;
use crate::cx::{Cx, ListenerRole};
use crate::features;
use crate::session::Hangup;

pub(crate) async fn handle(
    cx: &Cx,
    request: ApiVersionsRequest,
) -> Result<ApiVersionsResponse, Hangup> {
    let names = [&request.client_software_name, &request.client_software_version];
    if cx.version >= 3 && !names.iter().all(|name| is_software_name(name)) {
        return Ok(refused(cx.session.role, ErrorCode::INVALID_REQUEST));
    }
    let kraft_version = i16::from(cx.handles.config.quorum.voters.is_empty());
    let (finalized_features_epoch, finalized_features) =
        describe::finalized_features(&cx.image(), kraft_version);
    Ok(ApiVersionsResponse {
        api_keys: served(cx.session.role),
        supported_features: describe::supported_features(features::SUPPORTED, cx.version),
        finalized_features_epoch,
        finalized_features,
        ..Default::default()
    })
}

/// The answer to a version that this broker does not know: the range it does know.
pub(crate) fn unsupported_version(role: ListenerRole) -> ApiVersionsResponse {
    let mut response = refused(role, ErrorCode::UNSUPPORTED_VERSION);
    response.api_keys.retain(|api| api.api_key == ApiKey::ApiVersions.code());
    response
}

fn refused(role: ListenerRole, error_code: ErrorCode) -> ApiVersionsResponse {
    ApiVersionsResponse { error_code, api_keys: served(role), ..Default::default() }
}

fn served(role: ListenerRole) -> Vec<ApiVersion> {
    let rows = ROWS.iter().filter(|(_, roles)| roles.contains(&role));
    rows.map(|(api, _)| {
        let versions = api.facts().advertised;
        ApiVersion {
            api_key: api.code(),
            min_version: versions.min,
            max_version: versions.max,
            ..Default::default()
        }
    })
    .collect()
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?`
fn is_software_name(name: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kip_511() {
        for good in ["apache-kafka-java", "4.3.1", "a", "x.y-z9"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a b", "a_b", "é"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}
