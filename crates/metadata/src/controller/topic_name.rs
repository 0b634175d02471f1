//! Which names a topic may have.

use alloc::format;
use alloc::string::String;

const LENGTH_MAX: usize = 249;

pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Topics that only the cluster itself writes.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Why no topic can have this name, if none can.
pub fn objection(name: &str) -> Option<String> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Some("a topic name has at least one character".into())
    } else if name == "." || name == ".." {
        Some(format!("`{name}` cannot be a topic name"))
    } else if name.chars().count() > LENGTH_MAX {
        Some(format!("a topic name has at most {LENGTH_MAX} characters; `{name}` has more"))
    } else if !name.chars().all(is_legal) {
        Some(format!(
            "a topic name has only the characters a-z, A-Z, 0-9, `.`, `_` and `-`; `{name}` has others"
        ))
    } else {
        None
    }
}
