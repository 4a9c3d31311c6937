//! What a thread that feeds a network does beside evaluating it: drawing noise, rounding what comes out, and
//! holding it against the picture. CPU time for each sample of a result, beside that of copying the network's
//! values once, which is the least that can be done with them. `cargo bench --bench feed`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use contract::geometry::{Size, TileGrid};
use contract::noise;
use contract::pixels::{Picture, cut_window};
use onestep::work::canvas::{Canvas, Depth, Patch};
use std::hint::black_box;
use support::{mosaic, print, spread, thread_seconds};

const SIDE: usize = 256;
const HALO: usize = 10;
const ROUNDS: usize = 15;

fn main() {
    for scale in [2, 4] {
        for (deep, bits) in [(false, 8), (true, 16)] {
            time(scale, Depth { grey: false, deep }, &format!("×{scale}, {bits} bits"));
        }
    }
}

/// One window, again and again.
fn time(scale: usize, depth: Depth, name: &str) {
    let size = Size::new(SIDE, SIDE);
    let samples = mosaic(1, 0).into_raw();
    let picture = Picture { size, channels: 3, samples };
    let tile = TileGrid::fitted(size, SIDE, HALO, 1).expect("a core").tile(0);
    let window = tile.window;
    let mut image = vec![0.0; 3 * window.size.area()];
    cut_window(&picture, [0, 1, 2], window, &mut image);
    let large = enlarged(&image, window.size, scale);
    let mut values = vec![0.0; large.len()];
    let rounded = || Patch::cut(&tile, scale, depth, &large).expect("finite");
    let steps: [(&str, &mut dyn FnMut()); 5] = [
        ("copy", &mut || black_box(&mut values).copy_from_slice(black_box(&large))),
        ("noise", &mut || {
            let mut normals = vec![0.0; large.len()];
            noise::fill(7, 0, window.times(scale), black_box(&mut normals));
        }),
        ("round", &mut || drop(black_box(rounded()))),
        ("round and compare", &mut || drop(black_box(rounded().compared(&tile, scale, &image)))),
        ("round and place", &mut || {
            let mut canvas = Canvas::new(size, scale, depth, 1);
            canvas.place(rounded());
            drop(black_box(canvas));
        }),
    ];
    let mut copy = 1.0;
    for (what, step) in steps {
        step();
        let mut nanoseconds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let begin = thread_seconds();
                step();
                (thread_seconds() - begin) * 1e9 / large.len() as f64
            })
            .collect();
        let (middle, least, most) = spread(&mut nanoseconds);
        if what == "copy" {
            copy = middle;
        }
        let times = middle / copy;
        print(&format!(
            "{name}: {what:17} {middle:.2} ({least:.2} to {most:.2}) ns, {times:.1} times a copy"
        ));
    }
}

/// What a network might have made of it: each pixel a square.
fn enlarged(planes: &[f32], size: Size, scale: usize) -> Vec<f32> {
    let rows = planes.chunks_exact(size.width);
    rows.flat_map(|row| {
        let row: Vec<f32> = row.iter().flat_map(|value| std::iter::repeat_n(*value, scale)).collect();
        std::iter::repeat_n(row, scale).flatten()
    })
    .collect()
}
