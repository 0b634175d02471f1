//! The narrow handles that API handlers work with.

use std::sync::Arc;

use strandline_ports::Clock;

/// Shared by all requests of one node.
pub(crate) struct Handles {
    pub(crate) clock: Arc<dyn Clock>,
}
