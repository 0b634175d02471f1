//! The shell: sessions, the API table, drivers, metrics.
#![forbid(unsafe_code)]

mod api;
mod cx;
mod dispatch;
mod handles;
mod listener;
mod session;
