//! The network as the pipeline sees it: a card, and a batch in → pixels out. Tests put their own [`Model`]
//! here; the real one is in `onnx`, and this folder is the only one that names `ort`. Knows no pictures and
//! no jobs.

mod engines;
mod examine;
mod file;
mod fit;
mod foreign;
mod on_gpu;
mod onnx;
mod open;
mod placement;
mod plugs;
mod provider;
mod trial;

pub use engines::engine_folder;
pub use examine::{Examined, Proof, Tried, Trouble, examine};
pub use fit::BETTER_RANGE;
pub use foreign::{HALO_LEVELS, TERMS};
pub use open::{Asked, Facts, Opened, Request, Serving, cards, open};
pub use trial::seconds;

use crate::work::lacking;
use contract::card::{ModelCard, Role};
use contract::geometry::{Rect, Size};
use contract::source::Source;
use contract::{mask, noise};
use open::Placed;

/// One network, owned by one thread.
pub trait Model: Send {
    /// What it says about itself.
    fn card(&self) -> &ModelCard;

    /// Evaluates a batch, and shows the result to `see`: N×3×sH×sW values, not clipped, in the runtime's own
    /// memory.
    ///
    /// # Errors
    /// What the runtime says; then `see` was not called.
    fn run(&mut self, input: &BatchInput<'_>, see: &mut dyn FnMut(&[f32])) -> Result<(), ModelError>;

    /// The largest difference from the golden answer that it may show.
    fn tolerance(&self) -> f32 {
        self.card().golden_tolerance()
    }

    /// How many tiles are evaluated where so many are asked for.
    fn evaluated(&self, tiles: usize) -> usize {
        tiles
    }

    /// From now on no evaluation has more tiles than this. `false` where that changes nothing about the
    /// memory it takes, as with an engine that was built for so many.
    fn serve(&mut self, tiles: usize) -> bool;

    /// Opens the network anew on its device, after that was lost or its memory was in pieces.
    ///
    /// # Errors
    /// What the runtime says.
    fn renew(&mut self) -> Result<(), ModelError>;
}

/// N windows of one size. A mean model looks at `image` alone.
#[derive(Debug, Clone, Copy)]
pub struct BatchInput<'a> {
    /// N.
    pub tiles: usize,
    /// W and H in input pixels.
    pub window: Size,
    /// N×3×H×W, RGB in [0, 1].
    pub image: &'a [f32],
    /// N×1×H×W, what is to be repaired ([`contract::mask`]); only where the task is inpainting.
    pub mask: &'a [f32],
    /// N×3×sH×sW unit normals.
    pub noise: &'a [f32],
    /// N×1×1×1, the λ of each tile.
    pub strength: &'a [f32],
    /// N×1×1×1, what the model is told of each tile's picture; only where its card names sources.
    pub source: &'a [f32],
}

/// The runtime's own words.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ModelError(pub String);

impl ModelError {
    /// Whether fewer tiles at a time may do it.
    pub fn is_out_of_memory(&self) -> bool {
        lacking::is_out_of_memory(&self.0)
    }
}

/// Evaluates the golden tile of the model's card in a square window of `side` pixels. Gives the largest
/// difference from the known answer, in [0, 1].
///
/// # Errors
/// If it cannot be evaluated at all.
fn golden_error(model: &mut dyn Model, side: usize) -> Result<f32, ModelError> {
    let card = model.card().clone();
    let window = card.golden.window(side);
    let mut error = None;
    golden_input(&card, window, &mut |input| {
        model.run(input, &mut |output| {
            let is_whole = output.len() == 3 * window.size.times(card.scale).area();
            error = is_whole.then(|| card.golden.error(output, window, card.scale));
        })
    })?;
    error.ok_or_else(|| ModelError(format!("no whole output for a window of {}", window.size)))
}

/// Shows the golden tile of a card, in this window, to `evaluate`.
fn golden_input(
    card: &ModelCard,
    window: Rect,
    evaluate: &mut dyn FnMut(&BatchInput<'_>) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let image = card.golden.input(window);
    let holes = mask::golden_mask(&card.golden, window).holes;
    let mask: Vec<f32> = holes.iter().map(|hole| if *hole { mask::UNKNOWN } else { 0.0 }).collect();
    let mut noise = Vec::new();
    if card.role == Role::Sample {
        let place = window.times(card.scale);
        noise.resize(3 * place.size.area(), 0.0);
        noise::fill(card.golden.seed, 0, place, &mut noise);
    }
    let (strength, source) = (&[1.0], &[Source::Clean.value()]);
    let (image, mask, noise) = (&image[..], &mask[..], &noise[..]);
    evaluate(&BatchInput { tiles: 1, window: window.size, image, mask, noise, strength, source })
}

/// A wrong device, precision or driver shows on the golden tile, before any picture. Gives by how much it
/// differs, which is within what the card allows.
///
/// # Errors
/// A sentence: it differs by more, or cannot be evaluated.
pub fn prove(model: &mut dyn Model, side: usize) -> Result<f32, String> {
    let error =
        golden_error(model, side).map_err(|error| format!("its golden tile cannot be evaluated: {error}"))?;
    let most = model.tolerance();
    if error > most {
        let problem = format!("its golden tile differs by {error:.1e}, at most {most:.0e} is arithmetic");
        return Err(problem);
    }
    log::debug!("golden tile differs by {error:.1e}");
    Ok(error)
}
