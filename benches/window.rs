//! What a window side costs on the CPU: CPU-seconds per megapixel of picture, halo and noise included, for
//! the shipped models. The numbers behind `CPU_WINDOW_SIDE_PX` in `src/plan.rs`. `cargo bench --bench window`

#[path = "support/mod.rs"]
mod support;

use contract::geometry::{Rect, Size};
use contract::noise;
use onestep::edge::model::BatchInput;
use support::{cpu_seconds, open_model, print};

/// Windows are evaluated until this much CPU time went by, so that the clock's 10 ms do not matter.
const LEAST_SECONDS: f64 = 4.0;

fn main() {
    for strength in [0.0, 0.5] {
        let mut opened = open_model(strength);
        let (model, card) = (opened.models[0].as_mut(), opened.facts.card.clone());
        print(&format!("\n{} (halo {}), CPU-s per megapixel of picture", card.name, card.halo));
        for side in [96, 128, 160, 192, 256, 320, 384, 512, 640] {
            let core = side - 2 * card.halo;
            let window = Size::new(side, side);
            let image = vec![0.4; 3 * window.area()];
            let mut noise = vec![0.0; 3 * window.times(card.scale).area()];
            let mut output = Vec::new();
            let (mut spent, mut tiles) = (0.0, 0);
            while spent < LEAST_SECONDS {
                let before = cpu_seconds();
                if strength > 0.0 {
                    noise::fill(tiles, 0, Rect { x: 0, y: 0, size: window.times(card.scale) }, &mut noise);
                }
                let input =
                    BatchInput { tiles: 1, window, image: &image, noise: &noise, strength: &[strength] };
                model.run(&input, &mut output).expect("the shipped model runs");
                // The first evaluation of a shape allocates.
                if tiles > 0 {
                    spent += cpu_seconds() - before;
                }
                tiles += 1;
            }
            let cost = spent / (tiles - 1) as f64 / (core * core) as f64 * 1e6;
            let overhead = (side * side) as f64 / (core * core) as f64;
            print(&format!("window {side:3}  core {core:3}  halo costs {overhead:.2}×  {cost:6.2}"));
        }
    }
}
