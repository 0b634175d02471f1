//! The shell: sessions, the API table, drivers, metrics.
#![forbid(unsafe_code)]
