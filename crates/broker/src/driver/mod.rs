//! Where the cores meet I/O: short loops that feed events in and carry effects out.

pub(crate) mod assignments;
pub(crate) mod cleaner;
pub(crate) mod controller;
pub(crate) mod coordinators;
pub(crate) mod fetchers;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod isr;
pub(crate) mod lifecycle;
pub(crate) mod links;
pub(crate) mod markers;
pub(crate) mod moves;
pub(crate) mod partition;
pub(crate) mod peers;
pub(crate) mod quorum;
pub(crate) mod registration;
pub(crate) mod replicas;
pub(crate) mod sentinel;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod throttles;
pub(crate) mod transactions;
pub(crate) mod upkeep;
pub(crate) mod verifier;
