//! The serving graph of repair: `image` N×3×H×W with its holes filled and `mask` N×1×H×W → `output` N×3×H×W;
//! and its file, with card, golden tile and parity.

use super::graph::{GraphWriter, Value};
use super::{ExportError, PARITY};
use crate::net::Weight;
use crate::net::repair::{FOLD, MULTIPLE, PLANES, RepairBlock, RepairLevel};
use crate::onnx::OnnxModel;
use crate::run_folder;
use crate::train::InpaintSession;
use contract::card::{ModelCard, Precision, Role, Task};
use contract::geometry::Size;
use contract::golden::Golden;
use contract::mask::{self, Mask};
use contract::pixels::{Picture, Planes};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// Context that crops give around a hole, in pixels.
const HALO: usize = 64;
/// Side of the golden crop and of its repaired middle, in pixels.
const GOLDEN: (usize, usize) = (24, 8);

type Weights = BTreeMap<String, Weight>;

/// Writes the averaged weights as a graph.
pub fn repair_graph(session: &InpaintSession) -> GraphWriter {
    let weights = session.mean.average.named();
    let mut g = GraphWriter::new("repair");
    let image = g.input("image", ["n", "3", "h", "w"]);
    let holes = g.input("mask", ["n", "1", "h", "w"]);
    let half = g.constant("half", &[], &[0.5]);
    let centred = g.sub("centred", &image, &half);
    let joined = g.concat("joined", &[&centred, &holes]);
    let mut h = g.fold("fold", &joined, PLANES, FOLD);
    let mut remembered = Vec::new();
    for (index, each) in session.net.down.iter().enumerate() {
        if index > 0 {
            h = g.halve(&format!("{}.half", each.name), &h);
        }
        h = level(&mut g, &weights, each, &h);
        remembered.push(h.clone());
    }
    for each in &session.net.middle {
        h = block(&mut g, &weights, each, &h);
    }
    remembered.pop();
    for each in &session.net.up {
        let before = remembered.pop().expect("as many ways up as down");
        let doubled = g.double(&format!("{}.double", each.name), &h);
        let joined = g.concat(&format!("{}.join", each.name), &[&doubled, &before]);
        h = level(&mut g, &weights, each, &joined);
    }
    let learned = conv(&mut g, &weights, "output", &h, 1);
    let unfolded = g.depth_to_space("unfold", &learned, FOLD);
    let sum = g.add("sum", &image, &unfolded);
    g.output(&sum, "output", ["n", "3", "h", "w"]);
    g
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

/// Writes the file with its whole card, and checks it against the network. Gives the largest difference.
///
/// # Errors
/// See [`ExportError`].
pub fn export_repair(
    session: &InpaintSession,
    path: &Path,
    picture: &Picture,
    licence: &str,
    facts: BTreeMap<String, String>,
) -> Result<f32, ExportError> {
    let draft = path.with_extension("draft");
    run_folder::replace(&draft, &repair_graph(session).into_bytes(&[]))?;
    let mut model = OnnxModel::open(&draft, 1, 2)?;
    let difference = parity(session, &mut model, picture)?;
    if difference.is_nan() || difference > PARITY {
        return Err(ExportError::Parity { file: path.display().to_string(), difference });
    }
    let mut card = ModelCard {
        name: path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        task: Task::Inpainting,
        role: Role::Mean,
        scale: 1,
        receptive_field: session.recipe.net.receptive_field(),
        halo: HALO,
        multiple: MULTIPLE,
        // What patches of this size show the network; deeper ones it never met.
        hole_px: session.recipe.patch / 2,
        sources: Vec::new(),
        precision: Precision::F32,
        int8: None,
        f16: None,
        companion: None,
        default_strength: 0.0,
        residual_rms: 0.0,
        sigma_max: 0.0,
        licence: licence.to_owned(),
        facts,
        golden: golden_crop(picture),
    };
    let window = card.golden.window(card.golden_side());
    let output = model.golden(&card.golden, window)?;
    let middle = card.golden.middle_of(&output, window, 1);
    card.golden.expected = middle.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect();
    run_folder::replace(path, &repair_graph(session).into_bytes(&card.to_pairs()))?;
    std::fs::remove_file(&draft)?;
    Ok(difference)
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

/// Largest difference between the file and the f32 network on a picture with a hole in it.
fn parity(session: &InpaintSession, model: &mut OnnxModel, picture: &Picture) -> Result<f32, ExportError> {
    let Size { width, height } = picture.size;
    let size = Size::new(width / MULTIPLE * MULTIPLE, height / MULTIPLE * MULTIPLE);
    let mut planes = Planes::from_picture(&crate::data::crop(picture, 0, 0, size));
    let inside = |at: usize, length: usize| (length / 4..length / 2).contains(&at);
    let holes =
        (0..size.area()).map(|i| inside(i % size.width, size.width) && inside(i / size.width, size.height));
    let mask = Mask { size, holes: holes.collect() };
    mask::fill(&mut planes, &mask);
    let told: Vec<f32> = mask.holes.iter().map(|hole| f32::from(u8::from(*hole)) * mask::UNKNOWN).collect();
    let output = model.repair(&planes, &told)?;
    let _guard = tch::no_grad_guard();
    let shape = |planes: i64| [1, planes, size.height as i64, size.width as i64];
    let tensor =
        |values: &[f32], planes| Tensor::from_slice(values).view(shape(planes)).to_device(session.device);
    let (image, holes) = (tensor(&planes.values, 3), tensor(&told, 1));
    let expected = session.net.forward(&session.mean.average, &image, &holes, false);
    let expected = expected.to_device(tch::Device::Cpu).contiguous().reshape([-1]);
    let expected = Vec::<f32>::try_from(&expected).expect("outputs are f32");
    Ok(output.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}
