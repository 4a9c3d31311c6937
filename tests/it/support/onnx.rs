//! Real ONNX files of a few hundred bytes, written by hand: μ repeats pixels, and the sample adds a tenth of
//! the noise. Only as much of the format as that takes.

use super::fake;
use contract::card::{ModelCard, Role, Task};
use contract::geometry::Size;
use contract::noise;
use std::fs;
use std::path::{Path, PathBuf};

/// μ + strength · NOISE · noise.
pub const NOISE: f32 = 0.1;
/// What a model with sources adds to μ at source 1.
pub const TOLD: f32 = 0.02;

/// Writes `tiny.onnx` and its companion `tiny-mean.onnx`, which enlarge by two. Gives the path of the first.
pub fn tiny(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("writable");
    fs::write(folder.join("tiny-mean.onnx"), model(&mean_card())).expect("writable");
    let path = folder.join("tiny.onnx");
    fs::write(&path, model(&sample_card())).expect("writable");
    path
}

pub fn mean_card() -> ModelCard {
    ModelCard { name: "tiny-mean".into(), ..fake::card(2, 1) }
}

pub fn sample_card() -> ModelCard {
    let mut card = ModelCard {
        name: "tiny".into(),
        role: Role::Sample,
        companion: Some("tiny-mean.onnx".into()),
        default_strength: 0.5,
        ..fake::card(2, 1)
    };
    // Grey instead of black, so that noise of both signs shows.
    card.golden.image.samples.fill(128);
    card.golden.seed = 7;
    card.golden.expected = golden(&card);
    card
}

/// What the sample model makes of the golden tile.
fn golden(card: &ModelCard) -> Vec<u16> {
    let window = card.golden.window(card.golden_side());
    let place = window.times(card.scale);
    let mut noise = vec![0.0; 3 * place.size.area()];
    noise::fill(card.golden.seed, 0, place, &mut noise);
    let output: Vec<f32> = noise.iter().map(|n| 128.0 / 255.0 + NOISE * n).collect();
    let middle = card.golden.middle_of(&output, window, card.scale);
    middle.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect()
}

/// The file of a card: its graph follows from its role and scale.
pub fn model(card: &ModelCard) -> Vec<u8> {
    let sample = card.role == Role::Sample;
    let told = !card.sources.is_empty();
    let large = if sample { "large" } else { "output" };
    let scales: Vec<u8> =
        [1.0, 1.0, card.scale as f32, card.scale as f32].iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
    let mut nodes = vec![resize(("image", "scales"), if told { "enlarged" } else { large })];
    let mut inputs = vec![value("image", 3)];
    let mut constants = vec![tensor("scales", 4, &scales)];
    if told {
        constants.push(tensor("brighter", 1, &TOLD.to_le_bytes()));
        nodes.push(node("Mul", &["source", "brighter"], "shift"));
        nodes.push(node("Add", &["enlarged", "shift"], large));
        inputs.push(value("source", 1));
    }
    if card.task == Task::Inpainting {
        inputs.push(value("mask", 0));
    }
    if sample {
        constants.push(tensor("tenth", 1, &NOISE.to_le_bytes()));
        nodes.push(node("Mul", &["noise", "tenth"], "scaled"));
        nodes.push(node("Mul", &["scaled", "strength"], "part"));
        nodes.push(node("Add", &["large", "part"], "output"));
        inputs.extend([value("noise", 3), value("strength", 1)]);
    }
    let graph = [
        many(1, nodes),
        bytes(2, b"tiny"),
        many(5, constants),
        many(11, inputs),
        bytes(12, &value("output", 3)),
    ];
    let head = file(&graph.concat());
    card.to_pairs().iter().fold(head, |file, (key, text)| with_pair(&file, key, text))
}

/// The same file with one more pair in its metadata; of two with one key the later wins.
pub fn with_pair(file: &[u8], key: &str, text: &str) -> Vec<u8> {
    let pair = [bytes(1, key.as_bytes()), bytes(2, text.as_bytes())].concat();
    [file, &bytes(14, &pair)].concat()
}

/// What a tensor holds, as the format numbers it.
pub const F32: u64 = 1;
pub const U8: u64 = 2;
pub const F16: u64 = 10;

/// A graph without a card, `x` → `y`: every pixel becomes four. Its shapes are N×H×W×C, or N×C×H×W.
pub fn nearest_of(kind: u64, nhwc: bool, channels: u64, side: Option<u64>) -> Vec<u8> {
    let order = |[n, c, h, w]: [Option<u64>; 4]| if nhwc { [n, h, w, c] } else { [n, c, h, w] };
    let large = side.map(|side| 2 * side);
    let tiles = side.map(|_| 1);
    let scales: [f32; 4] = if nhwc { [1.0, 2.0, 2.0, 1.0] } else { [1.0, 1.0, 2.0, 2.0] };
    let scales: Vec<u8> = scales.iter().flat_map(|v| v.to_le_bytes()).collect();
    let graph = [
        many(1, vec![resize(("x", "scales"), "y")]),
        bytes(2, b"nearest"),
        many(5, vec![tensor("scales", 4, &scales)]),
        bytes(11, &shaped("x", kind, order([tiles, Some(channels), side, side]))),
        bytes(12, &shaped("y", kind, order([tiles, Some(channels), large, large]))),
    ];
    file(&graph.concat())
}

/// A graph without a card, `x` → `y`, every pixel becomes four, that says it takes any number of windows of
/// this side, and takes one.
pub fn alone(side: u64) -> Vec<u8> {
    let scales: Vec<u8> = [1.0f32, 1.0, 2.0, 2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let axes = [number(1, 1), number(2, 7), bytes(8, b"axes"), bytes(9, &0i64.to_le_bytes())].concat();
    // Of two windows none can be squeezed out, which no inference of shapes tells.
    let nodes = [node("Squeeze", &["x", "axes"], "one"), node("Max", &["x", "one"], "same")];
    let graph = [
        many(1, [nodes.to_vec(), vec![resize(("same", "scales"), "y")]].concat()),
        bytes(2, b"alone"),
        many(5, vec![tensor("scales", 4, &scales), axes]),
        bytes(11, &shaped("x", F32, [None, Some(3), Some(side), Some(side)])),
        bytes(12, &shaped("y", F32, [None, Some(3), Some(2 * side), Some(2 * side)])),
    ];
    file(&graph.concat())
}

/// A graph without a card that repairs: a picture and its mask in one tensor of four channels. It gives the
/// picture, with a quarter more of red where the mask is 1. Its weights, which are given too, lie in the file
/// of this name.
pub fn joined(weights: &str) -> (Vec<u8>, Vec<u8>) {
    let rows: [[f32; 4]; 3] = [[1.0, 0.0, 0.0, 0.25], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let raw: Vec<u8> = rows.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    let dims: Vec<u8> = [3, 4, 1, 1].iter().flat_map(|side| number(1, *side)).collect();
    let entry =
        |key: &str, text: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, text.as_bytes())].concat());
    let place = [entry("location", weights), entry("offset", "0"), entry("length", &raw.len().to_string())];
    let constant = [dims, number(2, F32), bytes(8, b"w"), place.concat(), number(14, 1)].concat();
    let graph = [
        bytes(1, &node("Conv", &["x", "w"], "y")),
        bytes(2, b"joined"),
        bytes(5, &constant),
        bytes(11, &shaped("x", F32, [None, Some(4), None, None])),
        bytes(12, &shaped("y", F32, [None, Some(3), None, None])),
    ];
    (file(&graph.concat()), raw)
}

/// A graph without a card that makes pictures half as large and then twice: of odd sides it loses a pixel.
pub fn halves() -> Vec<u8> {
    let scales =
        |side: f32| -> Vec<u8> { [1.0, 1.0, side, side].iter().flat_map(|v| v.to_le_bytes()).collect() };
    let graph = [
        many(1, vec![resize(("x", "half"), "small"), resize(("small", "double"), "y")]),
        bytes(2, b"halves"),
        many(5, vec![tensor("half", 4, &scales(0.5)), tensor("double", 4, &scales(2.0))]),
        bytes(11, &shaped("x", F32, [None, Some(3), None, None])),
        bytes(12, &shaped("y", F32, [None, Some(3), None, None])),
    ];
    file(&graph.concat())
}

/// A graph without a card whose convolution is not padded: the middle of a 3×3 kernel is 1, and the first
/// channel gets `more`. So it gives a pixel less on each side.
pub fn unpadded(more: f32) -> Vec<u8> {
    let weights = (0..81).map(|i| if i % 9 == 4 && i / 27 == i / 9 % 3 { 1.0f32 } else { 0.0 });
    let dims = |sides: &[u64]| -> Vec<u8> { sides.iter().flat_map(|side| number(1, *side)).collect() };
    let constant = |name: &str, sides: &[u64], values: Vec<f32>| {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        [dims(sides), number(2, F32), bytes(8, name.as_bytes()), bytes(9, &raw)].concat()
    };
    let graph = [
        bytes(1, &node("Conv", &["x", "w", "b"], "y")),
        bytes(2, b"unpadded"),
        bytes(5, &constant("w", &[3, 3, 3, 3], weights.collect())),
        bytes(5, &constant("b", &[3], vec![more, 0.0, 0.0])),
        bytes(11, &shaped("x", F32, [None, Some(3), None, None])),
        bytes(12, &shaped("y", F32, [None, Some(3), None, None])),
    ];
    file(&graph.concat())
}

/// The same file with its input `source` always 0, and a second output, `bytes`: the first times 255.
pub fn told_and_in_bytes(whole: &[u8]) -> Vec<u8> {
    let source = [number(2, 1), bytes(8, b"source"), bytes(9, &0f32.to_le_bytes())];
    let dims: Vec<u8> = (0..4).flat_map(|_| number(1, 1)).collect();
    let more = [
        bytes(1, &node("Mul", &["output", "most"], "bytes")),
        many(5, vec![[dims, source.concat()].concat(), tensor("most", 1, &255f32.to_le_bytes())]),
        bytes(12, &shaped("bytes", F32, [None; 4])),
    ];
    // Of two messages behind each other, the format makes one.
    [whole, &bytes(7, &more.concat())].concat()
}

fn file(graph: &[u8]) -> Vec<u8> {
    let opset = [bytes(1, b""), number(2, 18)].concat();
    [number(1, 8), bytes(8, &opset), bytes(7, graph)].concat()
}

/// A tensor of these sides, free where there is none.
fn shaped(name: &str, kind: u64, sides: [Option<u64>; 4]) -> Vec<u8> {
    let free = |axis: usize| bytes(1, &bytes(2, format!("{name}{axis}").as_bytes()));
    let side = |(axis, side): (usize, Option<u64>)| {
        side.map_or_else(|| free(axis), |length| bytes(1, &number(1, length)))
    };
    let shape: Vec<u8> = sides.into_iter().enumerate().flat_map(side).collect();
    let tensor = [number(1, kind), bytes(2, &shape)].concat();
    [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
}

fn resize((input, scales): (&str, &str), output: &str) -> Vec<u8> {
    let text = |name: &str, value: &str| {
        bytes(5, &[bytes(1, name.as_bytes()), bytes(4, value.as_bytes()), number(20, 3)].concat())
    };
    [
        node("Resize", &[input, "", scales], output),
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ]
    .concat()
}

fn node(kind: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name.as_bytes())).collect();
    [inputs, bytes(2, output.as_bytes()), bytes(3, output.as_bytes()), bytes(4, kind.as_bytes())].concat()
}

/// A constant row of `length` floats.
fn tensor(name: &str, length: u64, raw: &[u8]) -> Vec<u8> {
    [number(1, length), number(2, 1), bytes(8, name.as_bytes()), bytes(9, raw)].concat()
}

/// A float tensor N×channels×H×W, N×1×1×1 for one channel, or N×1×H×W for none.
fn value(name: &str, channels: u64) -> Vec<u8> {
    let side = (channels == 1).then_some(1);
    shaped(name, F32, [None, Some(channels.max(1)), side, side])
}

fn many(field: u64, messages: Vec<Vec<u8>>) -> Vec<u8> {
    messages.iter().flat_map(|message| bytes(field, message)).collect()
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// The size a picture of `size` gets.
pub fn enlarged(size: Size) -> Size {
    size.times(2)
}
