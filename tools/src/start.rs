//! Where a run begins: a new folder for what was chosen, or an old one to go on with. The device comes first:
//! where it is missing, or the recipe contradicts itself, not even a run folder is left behind.

use crate::device::{self, DeviceError};
use crate::recipe::RunRecipe;
use crate::run_folder::{CHECKPOINT, RunFolder, WEIGHTS};
use std::path::{Path, PathBuf};
use tch::Device;

/// Where a run starts.
#[derive(Debug, Clone)]
pub enum Start<C> {
    /// A new run folder below this folder.
    New(PathBuf, Box<C>),
    /// An existing run folder.
    Resume(PathBuf),
}

/// What a user can choose, and the recipe it becomes.
pub trait Chosen {
    /// Every number filled in.
    type Recipe: RunRecipe;
    /// Fills in every number.
    fn resolve(&self) -> Self::Recipe;
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run folder.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The recipe makes no sense.
    #[error("nothing was trained, the recipe contradicts itself:\n  {}", .0.join("\n  "))]
    Contradiction(Vec<String>),
}

impl<C: Chosen> Start<C> {
    /// Every number of the run that would begin or go on: what `--dry-run` shows.
    ///
    /// # Errors
    /// If the run to go on with cannot be read, or the recipe contradicts itself.
    pub fn recipe(&self) -> Result<C::Recipe, StartError> {
        let recipe = match self {
            Start::New(_, choices) => choices.resolve(),
            Start::Resume(path) => RunFolder::recipe(path).map_err(at(path))?,
        };
        let problems = recipe.problems();
        if problems.is_empty() { Ok(recipe) } else { Err(StartError::Contradiction(problems)) }
    }

    /// Opens device and folder.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn open(&self) -> Result<(RunFolder, C::Recipe, Device), StartError> {
        let recipe = self.recipe()?;
        // What is only exported again needs no GPU, wherever it was trained.
        let device = if self.is_finished() { Device::Cpu } else { device::open(&recipe.run().device)? };
        let folder = match self {
            Start::New(runs, _) => RunFolder::create(runs, &recipe).map_err(at(runs))?,
            Start::Resume(path) => RunFolder::open(path).map_err(at(path))?,
        };
        Ok((folder, recipe, device))
    }

    /// Whether it goes on with an old folder.
    pub fn is_resumed(&self) -> bool {
        matches!(self, Start::Resume(_))
    }

    /// Whether all that the old folder has is what its run came to: enough to export, on any machine.
    pub fn is_finished(&self) -> bool {
        let Start::Resume(path) = self else { return false };
        path.join(WEIGHTS).is_file() && !path.join(CHECKPOINT).is_file()
    }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Folder { path, source }
}
