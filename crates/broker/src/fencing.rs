//! What producers are told when another has taken their place.

use strandline_types::ErrorCode;

/// Clients of old versions know another word for it.
pub(crate) fn fenced(code: ErrorCode, knows_fencing: bool) -> ErrorCode {
    match code {
        ErrorCode::PRODUCER_FENCED if !knows_fencing => ErrorCode::INVALID_PRODUCER_EPOCH,
        other => other,
    }
}
