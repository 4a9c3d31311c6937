//! The outside world, one door per dependency: each crate that touches it is named in one file or folder
//! here, and a test greps for that. No threads of ours, no channels between stages, no decisions about
//! pictures.

pub mod codec;
pub mod digest;
pub mod folder;
pub mod library;
pub mod logging;
pub mod model;
pub mod model_file;
pub mod progress;
pub mod record;
pub mod scan;
pub mod signals;
pub mod store;
