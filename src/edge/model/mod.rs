//! The network as the pipeline sees it: a card, and a batch in → pixels out. Tests put their own [`Model`]
//! here; the real one is in `onnx`, and this folder is the only one that names `ort`. Knows no pictures and
//! no jobs.

mod onnx;
mod open;

pub use open::{Asked, Facts, Opened, Request, cards, open};

use contract::card::{ModelCard, Role};
use contract::geometry::Size;
use contract::source::Source;
use contract::{mask, noise};
use std::fmt;
use std::str::FromStr;

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

/// Where networks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// CUDA where it works, else the CPU, and it says so.
    Auto,
    /// The processor.
    Cpu,
    /// This CUDA device, or nothing.
    Cuda(u16),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Device, String> {
        match text {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Device::Cuda).ok_or_else(|| "a device is auto, cpu, cuda or cuda:N".to_owned())
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Evaluates the golden tile of the model's card. Gives the largest difference from the known answer, in [0,
/// 1].
///
/// # Errors
/// If it cannot be evaluated at all.
pub fn golden_error(model: &mut dyn Model) -> Result<f32, ModelError> {
    let card = model.card().clone();
    let context = card.golden_context();
    let window = card.golden.window(context);
    let image = card.golden.input(context);
    let holes = mask::golden_mask(&card.golden, context).holes;
    let mask: Vec<f32> = holes.iter().map(|hole| if *hole { mask::UNKNOWN } else { 0.0 }).collect();
    let mut noise = Vec::new();
    if card.role == Role::Sample {
        let place = window.times(card.scale);
        noise.resize(3 * place.size.area(), 0.0);
        noise::fill(card.golden.seed, 0, place, &mut noise);
    }
    let (strength, source) = (&[1.0], &[Source::Clean.value()]);
    let (image, mask, noise) = (&image[..], &mask[..], &noise[..]);
    let input = BatchInput { tiles: 1, window: window.size, image, mask, noise, strength, source };
    let mut error = None;
    model.run(&input, &mut |output| {
        let is_whole = output.len() == 3 * window.size.times(card.scale).area();
        error = is_whole.then(|| card.golden.error(output, context, card.scale));
    })?;
    error.ok_or_else(|| ModelError(format!("no whole output for a window of {}", window.size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_shown() {
        for (text, device) in [("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda:3", Device::Cuda(3))] {
            assert_eq!((text.parse(), device.to_string().as_str()), (Ok(device), text));
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
