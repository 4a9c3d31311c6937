//! Training: schedules, the optimiser, the loop that walks through a recipe's stages, and the courses that
//! go through it: super-resolution, repair and generation. Knows networks and data, nothing of ONNX.

mod adversary;
mod checkpoint;
mod course;
mod generator;
mod inpaint;
pub mod loss;
mod optimiser;
mod parts;
mod repairing;
mod scene;
pub mod schedule;
mod session;
mod stages;
mod student;
mod walk;

pub use checkpoint::{Saved, save};
pub use course::{Course, Standing};
pub use generator::GeneratorSession;
pub use inpaint::InpaintSession;
pub use optimiser::{AdamOptions, Trainee};
pub use parts::{Calibration, Parts};
pub use repairing::{Drawing, RepairFrozen, RepairNetworks, Understood};
pub use session::Session;
pub use stages::{Conditioned, Frozen, Networks, consistency_function};
pub use student::Student;
pub use walk::{Interrupted, TrainError, resume, run};
