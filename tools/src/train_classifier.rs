//! `tools train-classifier`: from the CIFAR-10 pack to the features that judge generated pictures, in one
//! safetensors file that says how accurate the classifier is.

use crate::classify::{Classifier, Outcome, TrainingPlan, train};
use crate::data::{DataError, SmallPictures, Split};
use crate::device::{self, DeviceError, bf16_pays};
use crate::train::{Saved, save};
use std::path::{Path, PathBuf};
use tch::Device;

/// Pull of the weights towards zero, and pictures in a batch.
const WEIGHT_DECAY: f64 = 1.5e-3;
const BATCH: usize = 500;

/// Why there is no classifier.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The pictures.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Unwritable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not one of ours.
    #[error("{0}")]
    NoClassifier(String),
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct ClassifierChoices {
    /// Folder of the pack.
    pub data: PathBuf,
    /// The file to write.
    pub out: PathBuf,
    /// A classifier to train further.
    pub init_from: Option<PathBuf>,
    /// Passes over the training pictures.
    pub epochs: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
}

/// Trains, tests and writes a classifier.
///
/// # Errors
/// See [`ClassifierError`].
pub fn train_classifier(choices: &ClassifierChoices) -> Result<Outcome, ClassifierError> {
    tch::set_num_threads(choices.threads as i32);
    let device = device::open(&choices.device)?;
    let pictures = SmallPictures::load(&choices.data, Split::Train)?;
    let test = SmallPictures::load(&choices.data, Split::Test)?;
    let plan = TrainingPlan {
        epochs: choices.epochs,
        batch: BATCH,
        learning_rate: choices.learning_rate,
        weight_decay: WEIGHT_DECAY,
        seed: choices.seed,
    };
    let start = choices.init_from.as_ref().map(|path| load_classifier(path, device)).transpose()?;
    let (net, outcome) = train(plan, start, &pictures, &test, device, bf16_pays(device));
    let unwritable = |source| ClassifierError::Unwritable { path: choices.out.clone(), source };
    save(&choices.out, &net.tensors()).map_err(unwritable)?;
    Ok(outcome)
}

/// Reads a classifier.
///
/// # Errors
/// If the file is missing or something else.
pub fn load_classifier(path: &Path, device: Device) -> Result<Classifier, ClassifierError> {
    let wrong = |problem| ClassifierError::NoClassifier(format!("{}: {problem}", path.display()));
    let saved = Saved::load(path).map_err(ClassifierError::NoClassifier)?;
    Classifier::from_tensors(&|name| saved.find(name), device).map_err(wrong)
}
