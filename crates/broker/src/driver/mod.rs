//! Where the cores meet I/O: short loops that feed events in and carry effects out.

pub(crate) mod partition;
