//! Why a metadata log cannot be followed any further.

use alloc::string::String;

use strandline_types::Offset;

/// The log says something that cannot be true of any cluster, or that this version cannot read.
/// Going on would give this node another idea of the cluster than its peers have, so the node stops.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("metadata record at offset {offset}: {reason}")]
pub struct Fault {
    pub offset: Offset,
    pub reason: String,
}
