//! The serving graphs of repair: `image` N×3×H×W with its holes filled and `mask` N×1×H×W → `output` N×3×H×W,
//! the mean; and with `noise` and `strength` beside them, what a one-step sample adds to it in the holes.
//! Their files, with card, golden tile and parity.

use super::graph::{GraphWriter, Value};
use super::sampling::{Served, Weights, local_scale, restored, standardised};
use super::{ExportError, ExportOptions, ModelFiles, PARITY, largest};
use crate::net::repair::{FOLD, MULTIPLE, PLANES, RepairBlock, RepairLevel};
use crate::onnx::{Asked, OnnxModel};
use crate::run_folder::{self, Draft};
use crate::train::{Drawing, InpaintSession};
use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::{Rect, Size};
use contract::golden::Golden;
use contract::mask::{self, Mask};
use contract::noise;
use contract::pixels::{Picture, Planes};
use std::path::Path;
use tch::Tensor;

/// Context that crops give around a hole, in pixels.
const HALO: usize = 64;
/// Side of the golden crop and of its repaired middle, in pixels.
const GOLDEN: (usize, usize) = (24, 8);

/// Of the mean net's averaged weights.
pub fn mean_graph(session: &InpaintSession) -> GraphWriter {
    let mut g = GraphWriter::new("repair");
    let image = g.input("image", ["n", "3", "h", "w"]);
    let holes = g.input("mask", ["n", "1", "h", "w"]);
    let body = mean_body(&mut g, session, &image, &holes);
    g.output(&body.mean, "output", ["n", "3", "h", "w"]);
    g
}

/// With `noise` N×3×H×W and `strength` N×1×1×1 too: μ + strength · (sample − μ) in holes, μ elsewhere, of the
/// sample's colours the share `chroma`.
///
/// # Panics
/// If the session has no finished mean net.
pub fn sample_graph(session: &InpaintSession, chroma: f64) -> GraphWriter {
    let mut g = GraphWriter::new("repair-sample");
    let image = g.input("image", ["n", "3", "h", "w"]);
    let told = g.input("mask", ["n", "1", "h", "w"]);
    let noise = g.input("noise", ["n", "3", "h", "w"]);
    let strength = g.input("strength", ["n", "1", "1", "1"]);
    let body = mean_body(&mut g, session, &image, &told);
    let calibration = session.parts.calibration.as_ref().expect("the mean net is finished");
    let mut begin = 0;
    let mut features = Vec::new();
    for ((index, raw), width) in body.features.iter().enumerate().zip(session.recipe.net.widths.iter().rev())
    {
        let part = calibration.channels(begin, *width);
        features.push(standardised(&mut g, &format!("features{index}"), &part, raw));
        begin += width;
    }
    let finest = features.last().expect("there are three resolutions");
    let scale = local_scale(&mut g, &session.parts.scale.average.named(), FOLD as usize, chroma, finest);
    // A mask is 0 in what is known and at least a half in holes.
    let two = g.constant("holes.two", &[], &[2.0]);
    let doubled = g.mul("holes.doubled", &told, &two);
    let holes = g.clip("holes", &doubled, 1.0);
    let seen = seen(&mut g, &body, &told, &holes);
    let drawn = g.mul("noise.holes", &noise, &holes);
    let folded = g.fold("noise.fold", &drawn, 3, FOLD);
    let normalised = consistency(&mut g, session, &folded, &seen, &features);
    let residual = restored(&mut g, calibration, FOLD as usize, &normalised, &scale);
    let unfolded = g.depth_to_space("residual.unfold", &residual, FOLD);
    let inside = g.mul("residual.holes", &unfolded, &holes);
    let weighed = g.mul("residual.strength", &inside, &strength);
    let sum = g.add("sample", &body.mean, &weighed);
    g.output(&sum, "output", ["n", "3", "h", "w"]);
    g
}

struct MeanBody {
    centred: Value,
    /// At an eighth, a quarter and a half of the resolution.
    features: Vec<Value>,
    /// What the net adds to its picture.
    learned: Value,
    mean: Value,
}

fn mean_body(g: &mut GraphWriter, session: &InpaintSession, image: &str, told: &str) -> MeanBody {
    let weights = session.parts.mean.average.named();
    let net = &session.nets.mean;
    let half = g.constant("half", &[], &[0.5]);
    let centred = g.sub("centred", image, &half);
    let joined = g.concat("joined", &[&centred, told]);
    let mut h = g.fold("fold", &joined, PLANES, FOLD);
    let mut remembered = Vec::new();
    for (index, each) in net.down.iter().enumerate() {
        if index > 0 {
            h = g.halve(&format!("{}.half", each.name), &h);
        }
        h = level(g, &weights, each, &h);
        remembered.push(h.clone());
    }
    for each in &net.middle {
        h = block(g, &weights, each, &h);
    }
    remembered.pop();
    let mut features = vec![h.clone()];
    for each in &net.up {
        let before = remembered.pop().expect("as many ways up as down");
        let doubled = g.double(&format!("{}.double", each.name), &h);
        let joined = g.concat(&format!("{}.join", each.name), &[&doubled, &before]);
        h = level(g, &weights, each, &joined);
        features.push(h.clone());
    }
    let learned = conv(g, &weights, "output", &h, 1);
    let learned = g.depth_to_space("unfold", &learned, FOLD);
    let mean = g.add("sum", image, &learned);
    MeanBody { centred, features, learned, mean }
}

/// The picture with μ in its holes, centred, and the mask, folded.
fn seen(g: &mut GraphWriter, body: &MeanBody, told: &str, holes: &str) -> Value {
    let inside = g.mul("seen.holes", &body.learned, holes);
    let composed = g.add("seen.composed", &body.centred, &inside);
    let joined = g.concat("seen.joined", &[&composed, told]);
    g.fold("seen.fold", &joined, PLANES, FOLD)
}

/// f(σ_max·z, σ_max; …) of folded noise z.
fn consistency(
    g: &mut GraphWriter,
    session: &InpaintSession,
    noise: &str,
    seen: &str,
    features: &[Value],
) -> Value {
    let net = &session.nets.sampler;
    let planes = (3 * FOLD * FOLD) as usize;
    let levels = &session.recipe.run.consistency;
    let served = Served::new(&session.parts.sampler.trainee.average, &net.embedding, planes, levels);
    let mut h = g.concat("sampler.given", &[noise, seen]);
    let mut remembered = Vec::new();
    for (index, (each, features)) in net.down.iter().zip(features.iter().rev()).enumerate() {
        if index > 0 {
            h = g.halve(&format!("sampler.{}.half", each.name), &h);
        }
        let joined = g.concat(&format!("sampler.{}.join", each.name), &[&h, features]);
        let first = served.layer(g, &each.name, &joined);
        h = served.block(g, &each.block, &first);
        remembered.push(h.clone());
    }
    for each in &net.middle {
        h = served.block(g, each, &h);
    }
    remembered.pop();
    for each in &net.up {
        let before = remembered.pop().expect("as many ways up as down");
        let doubled = g.double(&format!("sampler.{}.double", each.name), &h);
        let joined = g.concat(&format!("sampler.{}.join", each.name), &[&doubled, &before]);
        let first = served.layer(g, &each.name, &joined);
        h = served.block(g, &each.block, &first);
    }
    served.estimate(g, &h, noise)
}

fn level(g: &mut GraphWriter, weights: &Weights, level: &RepairLevel, x: &str) -> Value {
    let h = conv(g, weights, &level.name, x, 1);
    block(g, weights, &level.block, &h)
}

fn block(g: &mut GraphWriter, weights: &Weights, block: &RepairBlock, h: &str) -> Value {
    let name = &block.name;
    let inner = conv(g, weights, &format!("{name}.first"), h, block.dilation);
    let inner = g.relu(&format!("{name}.relu"), &inner);
    let inner = conv(g, weights, &format!("{name}.second"), &inner, 1);
    g.add(&format!("{name}.add"), h, &inner)
}

/// Named as in the list of weights below `mean`, so that a file is a start too.
fn conv(g: &mut GraphWriter, weights: &Weights, name: &str, x: &str, dilation: i64) -> Value {
    let bias = &weights[&format!("{name}.bias")].values;
    g.dilated(&format!("mean.{name}"), x, &weights[&format!("{name}.weight")], bias, dilation)
}

/// Writes both files (of a mean alone: its own) with their whole cards into `folder`, and checks them against
/// the networks. Gives the files and the largest difference.
///
/// # Errors
/// See [`ExportError`].
pub fn export_repair(
    session: &InpaintSession,
    folder: &Path,
    options: &ExportOptions<'_>,
) -> Result<(ModelFiles, f32), ExportError> {
    let files = ModelFiles::in_folder(folder, &session.recipe.name);
    let mut worst = 0.0f32;
    let roles: &[Role] = if session.has_samples() { &[Role::Mean, Role::Sample] } else { &[Role::Mean] };
    for &role in roles {
        let path = if role == Role::Mean { &files.mean } else { &files.sample };
        let draft = Draft::of(path);
        run_folder::replace(draft.path(), &graph_of(session, role, options).into_bytes(&[]))?;
        let mut model = OnnxModel::open(draft.path(), 1, 2)?;
        let picture = &options.pictures[0];
        let difference = parity(session, role, &mut model, options.chroma, picture)?;
        if difference > PARITY {
            return Err(ExportError::Parity { file: path.display().to_string(), difference });
        }
        worst = worst.max(difference);
        let mut card = card(session, role, golden_crop(picture), options);
        let window = card.golden.window(card.golden_side());
        let output = model.golden(&card.golden, window)?;
        let middle = card.golden.middle_of(&output, window, 1);
        card.golden.expected = middle.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect();
        run_folder::replace(path, &graph_of(session, role, options).into_bytes(&card.to_pairs()))?;
    }
    Ok((files, worst))
}

fn graph_of(session: &InpaintSession, role: Role, options: &ExportOptions<'_>) -> GraphWriter {
    match role {
        Role::Mean => mean_graph(session),
        Role::Sample => sample_graph(session, options.chroma),
    }
}

/// The golden tile still without its answer.
fn card(session: &InpaintSession, role: Role, golden: Golden, options: &ExportOptions<'_>) -> ModelCard {
    let (base, sample) = (&session.recipe.name, role == Role::Sample);
    let residual_rms = session.parts.calibration.as_ref().map_or(0.0, |c| c.opponent.residual_rms());
    ModelCard {
        name: if sample { base.clone() } else { format!("{base}-mean") },
        task: Task::Inpainting,
        role,
        scale: 1,
        receptive_field: match role {
            Role::Mean => session.recipe.net.receptive_field(),
            Role::Sample => session.recipe.sample_radius(),
        },
        halo: HALO,
        multiple: MULTIPLE,
        window: None,
        hole_px: session.recipe.hole_px,
        sources: Vec::new(),
        precision: Precision::F32,
        int8: None,
        f16: None,
        companion: sample.then(|| format!("{base}-mean.onnx")),
        default_strength: if sample { options.default_strength } else { 0.0 },
        residual_rms: residual_rms as f32,
        sigma_max: session.recipe.run.consistency.sigma_max as f32,
        licence: options.licence.clone(),
        facts: options.facts.clone(),
        golden,
    }
}

/// The middle of a picture, its own middle filled.
fn golden_crop(picture: &Picture) -> Golden {
    let (side, middle) = GOLDEN;
    let (x, y) = ((picture.size.width - side) / 2, (picture.size.height - side) / 2);
    let mut planes = Planes::from_picture(&crate::data::crop(picture, x, y, Size::new(side, side)));
    let golden = Golden { image: planes.to_picture(), seed: 1, middle, expected: Vec::new() };
    mask::fill(&mut planes, &mask::golden_mask(&golden, golden.window(side)));
    Golden { image: planes.to_picture(), ..golden }
}

/// Largest difference between a file and the f32 networks on a picture with a hole in it.
fn parity(
    session: &InpaintSession,
    role: Role,
    model: &mut OnnxModel,
    chroma: f64,
    picture: &Picture,
) -> Result<f32, ExportError> {
    let Size { width, height } = picture.size;
    let size = Size::new(width / MULTIPLE * MULTIPLE, height / MULTIPLE * MULTIPLE);
    let mut planes = Planes::from_picture(&crate::data::crop(picture, 0, 0, size));
    let inside = |at: usize, length: usize| (length / 4..length / 2).contains(&at);
    let holes =
        (0..size.area()).map(|i| inside(i % size.width, size.width) && inside(i / size.width, size.height));
    let mask = Mask { size, holes: holes.collect() };
    mask::fill(&mut planes, &mask);
    // Both kinds of holes, one beside the other.
    let of = |i: usize| if i % size.width < size.width * 3 / 8 { mask::UNKNOWN } else { mask::COARSE };
    let told: Vec<f32> =
        mask.holes.iter().enumerate().map(|(i, hole)| if *hole { of(i) } else { 0.0 }).collect();
    let (seed, strength) = (5, 0.75);
    let output = model.repair(&planes, &told, Asked::clean(seed, strength))?;
    let mut drawn = vec![0.0; 3 * size.area()];
    noise::fill(seed, 0, Rect { x: 0, y: 0, size }, &mut drawn);
    let _guard = tch::no_grad_guard();
    let shape = |planes: i64| [1, planes, size.height as i64, size.width as i64];
    let tensor =
        |values: &[f32], planes| Tensor::from_slice(values).view(shape(planes)).to_device(session.device);
    let (image, holes, drawn) = (tensor(&planes.values, 3), tensor(&told, 1), tensor(&drawn, 3));
    let (nets, parts) = (&session.nets, &session.parts);
    let expected = match role {
        Role::Mean => nets.mean.forward(&parts.mean.average, &image, &holes, false),
        Role::Sample => {
            let frozen = session.frozen(false).expect("the mean net is finished");
            let (sampler, levels) = (&parts.sampler.trainee.average, &session.recipe.run.consistency);
            let drawing = Drawing { sampler, levels, strength: strength.into(), chroma };
            frozen.sample(drawing, &image, &holes, &drawn)
        }
    };
    let expected = expected.to_device(tch::Device::Cpu).contiguous().reshape([-1]);
    let expected = Vec::<f32>::try_from(&expected).expect("outputs are f32");
    Ok(largest(output.iter().zip(&expected).map(|(a, b)| (a - b).abs())))
}
