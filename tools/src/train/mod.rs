//! Training: schedules, losses, the optimiser and the loop that walks through a recipe's stages. Knows
//! networks and data, nothing of ONNX.

mod checkpoint;
pub mod loss;
mod optimiser;
pub mod precondition;
pub mod schedule;
mod session;
mod stages;
mod walk;

pub use optimiser::{AdamOptions, Trainee};
pub use session::Session;
pub use stages::{Calibration, Conditioned, Frozen, Networks, consistency_function};
pub use walk::{Interrupted, TrainError, run};
