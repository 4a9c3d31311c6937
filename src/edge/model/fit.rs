//! Whether the range that is declared of a model from elsewhere is its own: a network that enlarges is shown
//! a picture whose large original is known, in this range and in the others that are usual. Networks are
//! nearly linear, so that a mistaken range gives a picture all the same, and a worse one; 0..1 and -1..1 may
//! look alike.

use super::file::File;
use super::foreign::{Foreign, opened};
use super::plugs::Plugs;
use super::{BatchInput, Model};
use crate::error::StartError;
use crate::work::terms::{Range, Terms};
use contract::card::Task;
use contract::geometry::Size;
use ort::environment::Environment;

/// The fact that tells which ranges give the known picture better, and by how much.
pub const BETTER_RANGE: &str = "score.range";
/// Ranges that are usual.
const USUAL: [Range; 3] = [Range::UNIT, Range::BYTES, Range { low: -1.0, high: 1.0 }];
/// So many dB are no accident.
const CLEARLY_DB: f32 = 1.0;
/// Side of what is compared, in input pixels.
const KNOWN_PX: usize = 24;

/// The usual ranges that do better than the declared one, if any do: told in decibels of the known picture.
///
/// # Errors
/// If the network cannot be opened.
pub(super) fn better_range(environment: &Environment, file: &File) -> Result<Option<String>, StartError> {
    let Some(plugs) = file.plugs.as_ref().filter(|plugs| plugs.terms.task == Task::SuperResolution) else {
        return Ok(None);
    };
    if plugs.terms.scale == 1 {
        // What it is to do to a picture is not known.
        return Ok(None);
    }
    let under = |range: Option<Range>| {
        let terms = match range {
            Some(range) => Terms { range: Some(range), output_range: Some(range), ..plugs.terms.clone() },
            None => plugs.terms.clone(),
        };
        opened(environment, file, &Plugs { terms, ..plugs.clone() })
    };
    let declared = psnr(&mut under(None)?);
    let mut better = Vec::new();
    for range in USUAL {
        let found = psnr(&mut under(Some(range))?);
        if found > declared + CLEARLY_DB {
            better.push(format!("{range} ({found:.1} dB)"));
        }
    }
    let told = format!("{declared:.1} dB of a known picture; better: {}", better.join(", "));
    Ok((!better.is_empty()).then_some(told))
}

/// How near the network comes to the known picture, in dB; very far where it gives nothing.
fn psnr(model: &mut Foreign) -> f32 {
    let card = model.card();
    let (scale, halo) = (card.scale, card.halo);
    let side = card.window.unwrap_or((KNOWN_PX + 2 * halo).next_multiple_of(card.multiple));
    let (window, large) = (Size::new(side, side), side * scale);
    let original: Vec<f32> = (0..3 * large * large)
        .map(|at| known(at % large, at / large % large, at / (large * large), scale))
        .collect();
    let shrunk = (0..3 * side * side).map(|at| {
        let (plane, y, x) = (at / (side * side), at / side % side, at % side);
        let corner = (plane * large + y * scale) * large + x * scale;
        let rows = (0..scale).flat_map(|row| &original[corner + row * large..][..scale]);
        rows.sum::<f32>() / (scale * scale) as f32
    });
    let image: Vec<f32> = shrunk.collect();
    let (image, mask, noise, strength, source) = (&image[..], &[][..], &[][..], &[][..], &[][..]);
    let input = BatchInput { tiles: 1, window, image, mask, noise, strength, source };
    let mut squares = f32::INFINITY;
    let within = |at: &usize| {
        let (y, x) = (at / large % large, at % large);
        [x, y].iter().all(|at| (halo * scale..(side - halo) * scale).contains(at))
    };
    let evaluated = model.run(&input, &mut |output| {
        let compared: Vec<usize> = (0..output.len().min(original.len())).filter(within).collect();
        let sum: f32 = compared.iter().map(|at| (output[*at].clamp(0.0, 1.0) - original[*at]).powi(2)).sum();
        squares = sum / compared.len().max(1) as f32;
    });
    if evaluated.is_ok() { decibels(squares) } else { f32::NEG_INFINITY }
}

/// Of a mean square; what is not finite is as far as can be, or a network that overflows would be the best.
fn decibels(squares: f32) -> f32 {
    if squares.is_finite() { -10.0 * squares.max(1e-9).log10() } else { f32::NEG_INFINITY }
}

/// The known picture: soft colours, a slanted edge, and waves that a small picture can still hold.
fn known(x: usize, y: usize, channel: usize, scale: usize) -> f32 {
    let (x, y) = (x as f32 / scale as f32, y as f32 / scale as f32);
    let soft = 0.45 + 0.1 * channel as f32 + 0.1 * (x / 19.0 + channel as f32).sin();
    let edge = if x * 0.8 + y * 0.6 > 25.0 { 0.22 } else { 0.0 };
    let waves = 0.12 * (0.9 * x + 0.5 * y).sin();
    (soft + edge + waves).clamp(0.02, 0.98)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_never_better() {
        assert!((decibels(0.01) - 20.0).abs() < 1e-4 && decibels(0.0) > 80.0);
        assert_eq!([f32::NAN, f32::INFINITY].map(decibels), [f32::NEG_INFINITY; 2]);
    }
}
