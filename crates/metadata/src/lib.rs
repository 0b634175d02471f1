//! The cluster image and its controllers, one file per subject.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod controller;
pub mod describe;
mod fault;
pub mod image;
mod record;
mod shared_map;
mod version;

pub use controller::Controller;
pub use fault::Fault;
pub use image::{Delta, Image};
pub use record::{Record, Records, UnknownRecord};
pub use shared_map::SharedMap;
pub use version::{FeatureRange, MetadataVersion, feature};
