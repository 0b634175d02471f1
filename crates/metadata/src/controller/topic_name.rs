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
        Some("Topic name is invalid: the empty string is not allowed".into())
    } else if name == "." || name == ".." {
        Some(format!("Topic name is invalid: '{name}' is not allowed"))
    } else if name.chars().count() > LENGTH_MAX {
        Some(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length \
             {LENGTH_MAX}"
        ))
    } else if !name.chars().all(is_legal) {
        Some(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'"
        ))
    } else {
        None
    }
}
