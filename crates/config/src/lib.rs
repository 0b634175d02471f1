//! The key table: every setting of broker, topic and group, declared once.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
