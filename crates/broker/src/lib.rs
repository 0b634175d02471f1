//! The shell: sessions, the API table, drivers, metrics.
#![forbid(unsafe_code)]

mod api;
mod cx;
mod dispatch;
mod driver;
pub mod format;
mod handles;
mod listener;
mod session;
