//! What the shipped networks cost bare: CPU-seconds of ONNX Runtime per megapixel of the small picture, no
//! halos, nothing around it, beside a net as large as what many use on small boxes: sixteen 3×3 convolutions
//! of 64 channels, as `realesr-general-x4v3` has (SRVGGNetCompact), with random weights. Rounds in turn, so
//! that the machine's drift meets all; prints medians, and ratios of each round.
//!
//!     cargo bench -p tools --bench network -- [SIDE] [ROUNDS]

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends on what is amiss")]
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

use contract::geometry::{Rect, Size};
use contract::pixels::Picture;
use std::path::{Path, PathBuf};
use tools::export::graph::GraphWriter;
use tools::net::Weight;
use tools::onnx::{Asked, OnnxModel};

/// Factor of what is measured.
const SCALE: i64 = 4;
/// Channels and convolutions of the other net, beside its first and last.
const OTHER: (i64, usize) = (64, 16);
const THREADS: usize = 2;
const SHIPPED: [&str; 4] = ["sr-x4-mean", "sr-x4-mean-int8", "sr-x4", "sr-x4-int8"];

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let [side, rounds] = [(0, 256), (1, 7)].map(|(i, d)| *numbers.get(i).unwrap_or(&d));
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.onnx");
    std::fs::write(&other, compact()).unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let shipped = SHIPPED.map(|name| models.join(format!("{name}.onnx")));
    let files: Vec<PathBuf> = std::iter::once(other).chain(shipped).collect();
    let open = |path: &PathBuf| OnnxModel::open(path, SCALE as usize, THREADS).unwrap();
    let mut sessions: Vec<OnnxModel> = files.iter().map(open).collect();
    let size = Size::new(side, side);
    let samples = (0..3 * size.area()).map(|i| (i * 7919 % 251) as u8).collect();
    let picture = Picture { size, channels: 3, samples };
    let window = Rect { x: 0, y: 0, size };
    let mut cost = |session: &mut OnnxModel| {
        let before = cpu_seconds();
        session.window(&picture, window, Asked::clean(1, 1.0)).unwrap();
        (cpu_seconds() - before) / (size.area() as f64 / 1e6)
    };
    // The first evaluation plans and allocates.
    for session in &mut sessions {
        cost(session);
    }
    let rows: Vec<Vec<f64>> = (0..rounds).map(|_| sessions.iter_mut().map(&mut cost).collect()).collect();
    println!("{side}×{side} pixels, {THREADS} threads, {rounds} rounds");
    for (at, file) in files.iter().enumerate() {
        let (middle, least, most) = spread(rows.iter().map(|row| row[at]).collect());
        let (share, low, high) = spread(rows.iter().map(|row| row[at] / row[0]).collect());
        let name = file.file_stem().unwrap().to_string_lossy();
        println!(
            "{name:16} {middle:6.2} CPU-s a megapixel ({least:.2} to {most:.2}), {share:.2} × the other net \
             ({low:.2} to {high:.2})"
        );
    }
}

/// The other net. Slopes are one number a layer, which ONNX Runtime folds into the convolution; PReLU, as the
/// original has, costs a little more.
fn compact() -> Vec<u8> {
    let (width, layers) = OTHER;
    let mut graph = GraphWriter::new("compact");
    let image = graph.input("image", ["n", "3", "h", "w"]);
    let mut state = 1u32;
    let mut weight = |outputs: i64, inputs: i64| {
        let values = (0..outputs * inputs * 9).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state as f32 / u32::MAX as f32 - 0.5) * (4.0 / (9.0 * inputs as f32)).sqrt()
        });
        Weight { shape: vec![outputs, inputs, 3, 3], values: values.collect() }
    };
    let (mut h, mut inputs) = (image, 3);
    for layer in 0..=layers {
        let bias = vec![0.0; width as usize];
        let made = graph.conv(&format!("conv{layer}"), &h, &weight(width, inputs), Some(&bias));
        h = graph.leaky_relu(&format!("bend{layer}"), &made, 0.2);
        inputs = width;
    }
    let planes = 3 * SCALE * SCALE;
    let last = graph.conv("last", &h, &weight(planes, width), Some(&vec![0.0; planes as usize]));
    let large = graph.depth_to_space("large", &last, SCALE);
    graph.output(&large, "output", ["n", "3", "H", "W"]);
    graph.into_bytes(&[])
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The middle of some values, with the least and the most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}
