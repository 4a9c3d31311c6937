//! What a window side costs on the CPU: CPU-seconds per megapixel of picture, halo and noise included, for
//! the shipped models. The numbers behind `CPU_WINDOW_SIDE_PX` in `src/work/tiling.rs`. `cargo bench
//! --bench window -- STRENGTH`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use contract::geometry::{Rect, Size};
use contract::noise;
use onestep::edge::model::{BatchInput, Model};
use support::{cpu_seconds, open_model, print};

/// Windows are evaluated until this much CPU time went by, so that the clock's 10 ms do not matter.
const LEAST_SECONDS: f64 = 3.0;

fn main() {
    // ONNX Runtime is loaded once in a process, so a process measures one file.
    let strength = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(0.5);
    let mut opened = open_model(strength);
    let (model, card) = (opened.workers[0][0].as_mut(), opened.facts[0].card.clone());
    print(&format!("{} (halo {}), CPU-s per megapixel of picture", card.name, card.halo));
    for side in [96, 128, 160, 192, 256, 320, 384, 512, 640] {
        let core = side - 2 * card.halo;
        let cost = seconds_per_window(model, side, strength) / (core * core) as f64 * 1e6;
        let overhead = (side * side) as f64 / (core * core) as f64;
        print(&format!("window {side:3}  core {core:3}  halo costs {overhead:.2}×  {cost:6.2}"));
    }
}

/// CPU-seconds of one window, noise included.
fn seconds_per_window(model: &mut dyn Model, side: usize, strength: f32) -> f64 {
    let (window, scale) = (Size::new(side, side), model.card().scale);
    let place = Rect { x: 0, y: 0, size: window.times(scale) };
    let image = vec![0.4; 3 * window.area()];
    let mut noise = vec![0.0; 3 * place.size.area()];
    let (mut spent, mut windows) = (0.0, 0);
    // The first evaluation of a shape allocates, and is not counted.
    while spent < LEAST_SECONDS {
        let before = cpu_seconds();
        if strength > 0.0 {
            noise::fill(windows, 0, place, &mut noise);
        }
        let input = BatchInput {
            tiles: 1,
            window,
            image: &image,
            mask: &[],
            noise: &noise,
            strength: &[strength],
            source: &[0.0],
        };
        model.run(&input, &mut |_| ()).expect("the shipped model runs");
        if windows > 0 {
            spent += cpu_seconds() - before;
        }
        windows += 1;
    }
    spent / (windows - 1) as f64
}
