//! Models from elsewhere: the card that is made up for one, and its session as a [`Model`]. What it answers
//! on the processor is its golden tile.

use super::file::{File, builder, refusal};
use super::onnx::Recipe;
use super::plugs::{Plugs, plugs};
use super::{BatchInput, Model, ModelError, golden_input};
use crate::error::StartError;
use crate::work::terms::Terms;
use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::Size;
use contract::golden::Golden;
use contract::pixels::Picture;
use contract::source::Source;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use std::path::Path;
use std::sync::Arc;

/// Side of the golden crop, and of its middle whose answer is known.
pub(super) const GOLDEN_SIDE: usize = 16;
const GOLDEN_MIDDLE: usize = 8;
/// Further surroundings, in pixels, that are to change nothing in a tile's middle.
const BEYOND_PX: usize = 32;
/// So far from its input, as RMS of [0, 1], no result is that is meant: ranges or layouts are mistaken.
const MOST_UNLIKE: f32 = 0.2;
/// No hole is repaired coarse to fine: such a network was not trained for what is half known.
const HOLE_PX: usize = 4096;
/// The fact of the card that tells by how many 8-bit levels a tile's pixels change with more around it.
pub const HALO_LEVELS: &str = "score.halo.levels";

/// A session and what it speaks.
pub(super) struct Foreign {
    session: Session,
    recipe: Recipe,
    card: ModelCard,
    plugs: Plugs,
}

impl Foreign {
    pub(super) fn open(recipe: Recipe, card: ModelCard, plugs: Plugs) -> ort::Result<Foreign> {
        Ok(Foreign { session: recipe()?, recipe, card, plugs })
    }

    fn evaluate(&mut self, input: &BatchInput<'_>) -> ort::Result<Vec<f32>> {
        let Plugs { terms, single, .. } = &self.plugs;
        let (window, large, channels) =
            (input.window, input.window.times(terms.scale), terms.channels.count());
        let values = terms.enter(input.image, input.mask, window.area());
        let mask = terms.enter_mask(input.mask);
        // A network of one channel has three windows to evaluate.
        let all = input.tiles * 3 / channels;
        let together = if *single { 1 } else { all };
        let shape = |channels, size| terms.shape(together, channels, size);
        let mut out = Vec::with_capacity(3 * input.tiles * large.area());
        for begin in (0..all).step_by(together) {
            let part = |channels: usize| {
                begin * channels * window.area()..(begin + together) * channels * window.area()
            };
            let image = TensorRef::from_array_view((shape(channels, window), &values[part(channels)]))?;
            let mut inputs = ort::inputs![self.plugs.input.as_str() => image];
            if let Some(name) = &self.plugs.mask {
                let mask = TensorRef::from_array_view((shape(1, window), &mask[part(1)]))?;
                inputs.extend(ort::inputs![name.as_str() => mask]);
            }
            let outputs = self.session.run(inputs)?;
            let (has, values) = outputs[self.plugs.output.as_str()].try_extract_tensor::<f32>()?;
            let has = terms.judge(has, (together, window)).map_err(ort::Error::new)?;
            terms.leave(values, (has, large), &mut out);
        }
        Ok(out)
    }
}

impl Model for Foreign {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn run(&mut self, input: &BatchInput<'_>, see: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        see(&self.evaluate(input).map_err(|error| ModelError(error.to_string()))?);
        Ok(())
    }

    fn renew(&mut self) -> Result<(), ModelError> {
        self.session = (self.recipe)().map_err(|error| ModelError(error.to_string()))?;
        Ok(())
    }
}

/// A file under its terms, with a card. Its golden answer is computed here.
///
/// # Errors
/// Everything in which graph and terms differ, or what is strange about its answer.
pub(super) fn adopt(environment: &Environment, path: &Path, terms: &Terms) -> Result<File, StartError> {
    let bytes = std::fs::read(path).map_err(|error| refusal(path, &format!("cannot be read: {error}")))?;
    let session = builder(environment, GraphOptimizationLevel::Disable)
        .and_then(|mut builder| builder.commit_from_memory(&bytes))
        .map_err(|error| refusal(path, &unopened(&error.to_string())))?;
    let (plugs, window) = plugs(&session, terms).map_err(|problems| refusal(path, &problems.join("; ")))?;
    drop(session);
    let card = card(terms, window);
    let side = card.golden_side();
    let file = File { path: path.to_owned(), bytes: bytes.into(), card, plugs: Some(plugs) };
    let mut file = answered(environment, &file, side)?;
    if window.is_none() && terms.task == Task::SuperResolution {
        let wider = answered(environment, &file, (side + 2 * BEYOND_PX).next_multiple_of(terms.multiple))?;
        let pairs = file.card.golden.expected.iter().zip(&wider.card.golden.expected);
        let most = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        let levels = f32::from(most) / 257.0;
        file.card.facts.insert(HALO_LEVELS.into(), format!("{levels:.2}"));
        if levels > 1.0 {
            let (name, halo) = (&terms.name, terms.halo);
            log::warn!(
                "seams may show, since the halo of {name} ({halo}) is too small: {levels:.1} levels of 255"
            );
        }
    }
    Ok(file)
}

/// What the runtime says of a file that it cannot open, with what can be done.
fn unopened(reason: &str) -> String {
    let hint = if reason.contains("external") || reason.contains("model_path") {
        ". Its weights seem to lie in a file of their own: save it as one (onnx.save_model without external \
         data)"
    } else {
        ""
    };
    format!("is no model that ONNX Runtime can open: {reason}{hint}")
}

/// The same with what it answers, on the processor, in a window of `side` pixels. A network that looks far
/// answers otherwise in another, so each device is compared in the window that it serves.
///
/// # Errors
/// It cannot be evaluated, or its answer is none.
pub(super) fn answered(environment: &Environment, file: &File, side: usize) -> Result<File, StartError> {
    let Some(plugs) = &file.plugs else { return Ok(file.clone()) };
    let bytes = Arc::clone(&file.bytes);
    let environment = environment.clone();
    let recipe: Recipe =
        Arc::new(move || builder(&environment, GraphOptimizationLevel::Level3)?.commit_from_memory(&bytes));
    let refused = |problem: &str| refusal(&file.path, problem);
    let mut model = Foreign::open(recipe, file.card.clone(), plugs.clone())
        .map_err(|error| refused(&unopened(&error.to_string())))?;
    let (golden, scale) = (&file.card.golden, file.card.scale);
    let window = golden.window(side);
    let known = golden.input(window);
    let mut output = Vec::new();
    golden_input(&file.card, window, &mut |input| model.run(input, &mut |values| output = values.to_vec()))
        .map_err(|error| refused(&format!("cannot be evaluated: {error}")))?;
    let unlike = unlike(&known, &output, (window.size, scale, file.card.halo));
    if !unlike.is_finite() || unlike > MOST_UNLIKE {
        return Err(refused(&format!(
            "what it gives is not like what it is given (they differ by {unlike:.2} of 1, as RMS): look at \
             range, output_range and layout"
        )));
    }
    let middle = golden.middle_of(&output, window, scale);
    let expected = middle.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect();
    let mut file = file.clone();
    file.card.golden.expected = expected;
    Ok(file)
}

/// RMS of an output, made as small as its input, minus that, within the halo: what a network repairs or
/// enlarges stays.
fn unlike(input: &[f32], output: &[f32], (size, scale, halo): (Size, usize, usize)) -> f32 {
    let large = size.times(scale);
    let within = |side: usize| if side > 2 * halo { halo..side - halo } else { 0..side };
    let (mut sum, mut count) = (0.0, 0);
    for plane in 0..3 {
        for (y, x) in within(size.height).flat_map(|y| within(size.width).map(move |x| (y, x))) {
            let corner = (plane * large.height + y * scale) * large.width + x * scale;
            let rows = (0..scale).map(|row| &output[corner + row * large.width..][..scale]);
            let mean = rows.flatten().sum::<f32>() / (scale * scale) as f32;
            sum += (mean - input[plane * size.area() + y * size.width + x]).powi(2);
            count += 1;
        }
    }
    (sum / count as f32).sqrt()
}

/// What there is to know of such a model, in our words.
fn card(terms: &Terms, window: Option<usize>) -> ModelCard {
    let size = Size::new(GOLDEN_SIDE, GOLDEN_SIDE);
    // Soft colours with an edge, none of them black or white.
    let value = |i: usize| {
        let (x, y, channel) = (i / 3 % GOLDEN_SIDE, i / 3 / GOLDEN_SIDE, i % 3);
        let edge = if x + y > GOLDEN_SIDE { 70 } else { 0 };
        (40 + [3 * x, 4 * y, 2 * (x + y)][channel] + edge) as u8
    };
    let image = Picture { size, channels: 3, samples: (0..3 * size.area()).map(value).collect() };
    ModelCard {
        name: terms.name.clone(),
        task: terms.task,
        role: Role::Mean,
        scale: terms.scale,
        receptive_field: terms.halo,
        halo: terms.halo,
        multiple: terms.multiple,
        window,
        hole_px: HOLE_PX,
        sources: Vec::<Source>::new(),
        companion: None,
        precision: Precision::F32,
        int8: None,
        f16: None,
        default_strength: 0.0,
        residual_rms: 0.0,
        sigma_max: 0.0,
        licence: terms.licence.clone(),
        facts: [].into(),
        golden: Golden { image, seed: 0, middle: GOLDEN_MIDDLE, expected: Vec::new() },
    }
}
