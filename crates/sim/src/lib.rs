//! The world of tests: one seed owns time, disk and network.
#![forbid(unsafe_code)]
