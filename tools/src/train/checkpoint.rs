//! Checkpoints: one safetensors file, written beside its place and renamed. Holds all weights, averages,
//! moments and the place in the recipe, so that a resumed run continues the same sequence of losses.

use crate::recipe::RunPlan;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Kind, Tensor};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Place {
    /// Index into the recipe's stages; their number once all are done.
    pub stage: usize,
    /// Steps done in that stage.
    pub step: u64,
    /// Seconds spent in that stage.
    pub seconds: f64,
    /// Seconds spent in all stages.
    pub total_seconds: f64,
}

impl Place {
    /// Where a run is after its last stage, having taken so many seconds.
    pub fn end(run: &RunPlan, total_seconds: f64) -> Place {
        Place { stage: run.stages.len(), total_seconds, ..Place::default() }
    }
}

/// A loaded safetensors file.
#[derive(Debug)]
pub struct Saved(BTreeMap<String, Tensor>);

impl Saved {
    /// What was read elsewhere.
    pub fn new(tensors: Vec<(String, Tensor)>) -> Saved {
        Saved(tensors.into_iter().collect())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The reader's words.
    pub fn load(path: &Path) -> Result<Saved, String> {
        let tensors = Tensor::read_safetensors(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Saved(tensors.into_iter().collect()))
    }

    /// A tensor by name.
    pub fn find(&self, name: &str) -> Option<Tensor> {
        self.0.get(name).map(Tensor::shallow_clone)
    }

    /// The tensors whose names begin with `prefix` and a dot, without both.
    pub fn below(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let strip = |(name, tensor): (&String, &Tensor)| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((rest.to_owned(), tensor.shallow_clone()))
        };
        self.0.iter().filter_map(strip).collect()
    }

    /// Doubles by name; an absent one is empty.
    pub fn numbers(&self, name: &str) -> Vec<f64> {
        self.find(name).and_then(|t| Vec::<f64>::try_from(t.to_kind(Kind::Double)).ok()).unwrap_or_default()
    }

    /// The place, if the file is a checkpoint.
    pub fn place(&self) -> Option<Place> {
        match self.numbers("place")[..] {
            [stage, step, seconds, total_seconds] => {
                Some(Place { stage: stage as usize, step: step as u64, seconds, total_seconds })
            }
            _ => None,
        }
    }
}

/// Writes tensors whole or not at all.
///
/// # Errors
/// If the disk is full or gone.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> std::io::Result<()> {
    crate::run_folder::replace_with(path, |temp| {
        Tensor::write_safetensors(tensors, temp).map_err(std::io::Error::other)
    })
}

/// A place as a tensor.
pub fn place_tensor(place: Place) -> (String, Tensor) {
    let numbers = [place.stage as f64, place.step as f64, place.seconds, place.total_seconds];
    ("place".into(), Tensor::from_slice(&numbers))
}
