//! The cluster image and its controllers, one file per subject.
//!
//! [`Image`] is everything the metadata log says; [`Image::apply`] is the only way to change one.
//! [`Controller`] decides what is written to the log, and [`describe`] answers from an image.
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
