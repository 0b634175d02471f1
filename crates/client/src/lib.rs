//! The small async client that brokers, tools, tests and benches share.
#![forbid(unsafe_code)]
