//! Models from elsewhere: the card that is made up for one, and its session as a [`Model`]. What it answers
//! on the processor is its golden tile.

use super::file::{File, builder, refusal};
use super::onnx::{Recipe, Slot};
use super::plugs::{Kind, Plug, Plugs, plugs};
use super::{BatchInput, Model, ModelError, golden_input};
use crate::error::StartError;
use crate::work::terms::{Range, Terms};
use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::Size;
use contract::golden::{F16_GOLDEN_TOLERANCE, Golden};
use contract::mask::UNKNOWN;
use contract::pixels::Picture;
use half::f16;
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{DynValue, Tensor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Side of the golden crop; the answer is known for all of it, as near to the border as tiles keep pixels.
pub(super) const GOLDEN_SIDE: usize = 16;
/// Further surroundings, in pixels, that are to change nothing in a tile's middle.
const BEYOND_PX: usize = 32;
/// So far from its input, as RMS of [0, 1], no result is that is meant: ranges or layouts are mistaken.
const MOST_UNLIKE: f32 = 0.2;
/// No hole is repaired coarse to fine: such a network was not trained for what is half known.
const HOLE_PX: usize = 4096;
/// The fact of the card that tells by how many 8-bit levels a tile's pixels change with more around it.
pub const HALO_LEVELS: &str = "score.halo.levels";
/// The fact that tells its terms, as the graph completed them.
pub const TERMS: &str = "data.terms";

/// A session and what it speaks.
pub(super) struct Foreign {
    session: Slot,
    card: ModelCard,
    plugs: Plugs,
}

impl Foreign {
    pub(super) fn open(recipe: Recipe, card: ModelCard, plugs: Plugs) -> ort::Result<Foreign> {
        Ok(Foreign { session: Slot::open(recipe)?, card, plugs })
    }

    /// Ends the profile of a session that was made with one, and tells where it lies.
    pub(super) fn end_profile(&mut self) -> ort::Result<String> {
        self.session.get()?.end_profiling()
    }

    fn evaluate(&mut self, input: &BatchInput<'_>) -> ort::Result<Vec<f32>> {
        let Plugs { terms, joined, single, .. } = &self.plugs;
        let (window, colours) = (input.window, terms.channels.count());
        let bytes = |plug: &Plug| if plug.kind == Kind::U8 { Range::BYTES.high } else { 1.0 };
        let fourth = joined.then(|| bytes(&self.plugs.input));
        let values = terms.enter(input.image, (input.mask, fourth), window.area());
        let mask = terms.enter_mask(input.mask, self.plugs.mask.as_ref().map_or(1.0, bytes));
        // A network of one channel has three windows to evaluate.
        let all = input.tiles * 3 / colours;
        let together = if *single { 1 } else { all };
        let (mut raw, mut has) = (Vec::new(), Size::new(0, 0));
        for begin in (0..all).step_by(together) {
            let part = |plug: &Plug, values: &[f32], channels: usize| {
                let length = channels * window.area();
                let values = &values[begin * length..][..together * length];
                tensor(plug.kind, terms.shape(together, channels, window), values)
            };
            let image = part(&self.plugs.input, &values, colours + usize::from(*joined))?;
            let mut inputs = ort::inputs![self.plugs.input.name.as_str() => image];
            if let Some(plug) = &self.plugs.mask {
                inputs.extend(ort::inputs![plug.name.as_str() => part(plug, &mask, 1)?]);
            }
            let outputs = self.session.get()?.run(inputs)?;
            let output = &outputs[self.plugs.output.name.as_str()];
            has = terms.judge(output.shape(), (together, window)).map_err(ort::Error::new)?;
            extend(&mut raw, self.plugs.output.kind, output)?;
        }
        let large = window.times(terms.scale);
        let mut out = Vec::with_capacity(3 * input.tiles * large.area());
        terms.leave(&raw, (has, large), &mut out);
        Ok(out)
    }
}

/// Values as a tensor of this kind.
fn tensor(kind: Kind, shape: [usize; 4], values: &[f32]) -> ort::Result<DynValue> {
    Ok(match kind {
        Kind::F32 => Tensor::from_array((shape, values.to_vec()))?.into_dyn(),
        Kind::F16 => {
            let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
            Tensor::from_array((shape, halves))?.into_dyn()
        }
        Kind::U8 => {
            // A float becomes the nearest byte there is.
            let bytes: Vec<u8> = values.iter().map(|value| value.round() as u8).collect();
            Tensor::from_array((shape, bytes))?.into_dyn()
        }
    })
}

/// And back, appended.
fn extend(into: &mut Vec<f32>, kind: Kind, output: &DynValue) -> ort::Result<()> {
    match kind {
        Kind::F32 => into.extend_from_slice(output.try_extract_tensor::<f32>()?.1),
        Kind::F16 => into.extend(output.try_extract_tensor::<f16>()?.1.iter().map(|value| value.to_f32())),
        Kind::U8 => into.extend(output.try_extract_tensor::<u8>()?.1.iter().map(|value| f32::from(*value))),
    }
    Ok(())
}

impl Model for Foreign {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn run(&mut self, input: &BatchInput<'_>, see: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        see(&self.evaluate(input).map_err(|error| ModelError(error.to_string()))?);
        Ok(())
    }

    /// Its insides may be in 16 bits, and its output in bytes, whatever its tensors say.
    fn tolerance(&self) -> f32 {
        F16_GOLDEN_TOLERANCE
    }

    fn serve(&mut self, _tiles: usize) -> bool {
        true
    }

    fn renew(&mut self) -> Result<(), ModelError> {
        self.session.renew().map_err(|error| ModelError(error.to_string()))
    }
}

/// A file under its terms, with a card. Its golden answer is computed here.
///
/// # Errors
/// Everything in which graph and terms differ, or what is strange about its answer.
pub(super) fn adopt(environment: &Environment, path: &Path, terms: &Terms) -> Result<File, StartError> {
    let unread = |error: std::io::Error| refusal(path, &format!("cannot be read: {error}"));
    let bytes = std::fs::read(path).map_err(unread)?.into();
    let weights = weights_of(path).map_err(unread)?;
    let mut file = File { path: path.to_owned(), bytes, card: card(terms), plugs: None, weights };
    let session = builder(environment, GraphOptimizationLevel::Disable)
        .and_then(|builder| file.commit(builder))
        .map_err(|error| refusal(path, &unopened(&error.to_string())))?;
    let (plugs, window) = plugs(&session, terms).map_err(|problems| refusal(path, &problems.join("; ")))?;
    drop(session);
    let kinds = [Some(plugs.input.kind), plugs.mask.as_ref().map(|mask| mask.kind), Some(plugs.output.kind)];
    let precision = if kinds.contains(&Some(Kind::F16)) { Precision::F16 } else { Precision::F32 };
    file.card = ModelCard { window, precision, ..file.card };
    file.card.facts.insert(TERMS.into(), plugs.terms.to_text());
    file.plugs = Some(plugs);
    let side = file.card.golden_side();
    let mut file = answered(environment, &file, side)?;
    try_windows(environment, &mut file)?;
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

/// Windows as pictures have them: of sides that are no more than multiples where it takes such, and two
/// together where the graph says that it does. One that says so and does not is evaluated one by one.
fn try_windows(environment: &Environment, file: &mut File) -> Result<(), StartError> {
    let Some(plugs) = file.plugs.clone() else { return Ok(()) };
    let (side, multiple) = (file.card.golden_side().next_multiple_of(file.card.multiple), file.card.multiple);
    let odd = Size::new(side + multiple, side + 2 * multiple);
    let window = file.card.window.map_or(odd, |side| Size::new(side, side));
    let mut model = opened(environment, file, &plugs)?;
    let mut try_together = |tiles: usize| {
        let (image, mask) = (vec![0.5; 3 * tiles * window.area()], vec![UNKNOWN; tiles * window.area()]);
        let mask = if plugs.terms.task == Task::Inpainting { &mask[..] } else { &[] };
        let (image, noise, strength, source) = (&image[..], &[][..], &[][..], &[][..]);
        model.run(&BatchInput { tiles, window, image, mask, noise, strength, source }, &mut |_| ())
    };
    // The one window of a graph that has no other was tried by its golden tile.
    let alone = if file.card.window.is_some() { Ok(()) } else { try_together(1) };
    alone.map_err(|error| {
        let why = format!(
            "cannot be evaluated in a window of {window}: {error}: is multiple_of larger than {multiple}?"
        );
        refusal(&file.path, &why)
    })?;
    if !plugs.single && try_together(2).is_err() {
        log::info!("evaluated one by one, since it does not take two windows together: {}", plugs.terms.name);
        file.plugs = Some(Plugs { single: true, ..plugs });
    }
    Ok(())
}

/// Its network, on the processor.
pub(super) fn opened(environment: &Environment, file: &File, plugs: &Plugs) -> Result<Foreign, StartError> {
    let (environment, opened) = (environment.clone(), file.clone());
    let recipe: Recipe =
        Arc::new(move || opened.commit(builder(&environment, GraphOptimizationLevel::Level3)?));
    Foreign::open(recipe, file.card.clone(), plugs.clone())
        .map_err(|error| refusal(&file.path, &unopened(&error.to_string())))
}

/// The file beside a model in which its weights lie, by the names that PyTorch and Hugging Face give it.
fn weights_of(path: &Path) -> std::io::Result<Option<(PathBuf, Arc<[u8]>)>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for name in [format!("{name}.data"), format!("{name}_data")] {
        match std::fs::read(path.with_file_name(&name)) {
            Ok(bytes) => return Ok(Some((name.into(), bytes.into()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// What the runtime says of a file that it cannot open, with what can be done.
fn unopened(reason: &str) -> String {
    let hint = if reason.contains("xternal data") || reason.contains("model_path") {
        ". Its weights lie in another file, which is looked for beside it as NAME.onnx.data or NAME.onnx_data"
    } else {
        ""
    };
    format!("is no model that ONNX Runtime can open: {}{hint}", reason.trim_end_matches(['\n', '.']))
}

/// The same with what it answers, on the processor, in a window of `side` pixels. A network that looks far
/// answers otherwise in another, so each device is compared in the window that it serves.
///
/// # Errors
/// It cannot be evaluated, or its answer is none.
pub(super) fn answered(environment: &Environment, file: &File, side: usize) -> Result<File, StartError> {
    let Some(plugs) = &file.plugs else { return Ok(file.clone()) };
    let refused = |problem: &str| refusal(&file.path, problem);
    let mut model = opened(environment, file, plugs)?;
    let (golden, scale) = (&file.card.golden, file.card.scale);
    let window = golden.window(side);
    let known = golden.input(window);
    let mut output = Vec::new();
    golden_input(&file.card, window, &mut |input| model.run(input, &mut |values| output = values.to_vec()))
        .map_err(|error| refused(&format!("cannot be evaluated: {error}")))?;
    // Of what is repaired, all around the hole; else what is within the halo, beyond which nothing may be.
    let halo = if plugs.terms.task == Task::Inpainting { 0 } else { file.card.halo };
    let unlike = unlike(&known, &output, (window.size, scale, halo));
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

/// What terms tell of a model, in our words; what its graph and its answers tell comes on top.
fn card(terms: &Terms) -> ModelCard {
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
        window: None,
        hole_px: HOLE_PX,
        sources: vec![],
        companion: None,
        precision: Precision::F32,
        int8: None,
        f16: None,
        default_strength: 0.0,
        residual_rms: 0.0,
        sigma_max: 0.0,
        licence: terms.licence.clone(),
        facts: [].into(),
        golden: Golden { image, seed: 0, middle: GOLDEN_SIDE, expected: Vec::new() },
    }
}
