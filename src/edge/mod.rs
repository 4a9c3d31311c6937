//! The outside world, one door per dependency: each crate that touches it is named in one file or folder
//! here, and a test greps for that. No threads of ours, no channels between stages, no decisions about
//! pictures.

pub mod clock;
pub mod codec;
pub mod crash;
pub mod digest;
pub mod disk;
pub mod folder;
pub mod gpu;
pub mod ledger;
pub mod library;
pub mod logging;
pub mod machine;
pub mod mask_file;
pub mod model;
pub mod model_file;
pub mod originals;
pub mod progress;
pub mod record;
pub mod scan;
pub mod shared_library;
pub mod signals;
pub mod state_folder;
pub mod store;
pub mod supervisor;
pub mod users;
