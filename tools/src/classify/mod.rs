//! A small CIFAR-10 classifier that `tools` trains itself, so that generated pictures can be compared in
//! features somebody learned for another purpose. Its figures are called FD and KID "of tools", never FID: it
//! is not Inception. Knows nothing of diffusion or consistency.

mod net;
mod training;

pub use net::{Classifier, FEATURES};
pub use training::{Outcome, TrainingPlan, train};
