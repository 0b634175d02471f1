//! Where the cores meet I/O: short loops that feed events in and carry effects out.

#[allow(dead_code, reason = "the quorum calls it")]
mod join;
pub(crate) mod partition;
#[allow(dead_code, unused_imports, reason = "the node's start calls it")]
pub(crate) mod quorum;
