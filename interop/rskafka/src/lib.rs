//! The examples are the tests in `tests/interop.rs`.
