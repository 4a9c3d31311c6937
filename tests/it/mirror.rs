//! The mirror law: with a network that repeats pixels, the result is the picture with its pixels repeated,
//! whatever the size, window, halo, batch and number of workers. One test that finds most faults of tiling,
//! blending and ordering.

use crate::support::fake::Fake;
use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::{Bench, World};
use contract::geometry::Size;
use onestep::work::tiling::Tiling;

struct Case {
    scale: usize,
    halo: usize,
    tiling: Tiling,
    batch: usize,
    workers: usize,
}

const SIDES: [usize; 6] = [1, 2, 3, 7, 10, 16];

#[track_caller]
fn check(case: &Case) {
    let world = World::new();
    for width in SIDES {
        for height in SIDES {
            let channels = 1 + (width + 2 * height) % 4;
            // Alpha goes another way, and has a test of its own.
            let channels = if channels % 2 == 0 { channels - 1 } else { channels };
            world.put(&format!("{width}x{height}x{channels}.png"), png(&pattern(width, height, channels)));
        }
    }
    let mut bench = Bench::new(&world, &Fake::new(case.scale, case.halo), case.workers);
    bench.plan.lines[0].steps[0].tiling = case.tiling;
    bench.plan.batching = onestep::plan::Batching::new(case.batch, case.workers);
    let ran = bench.run();
    assert_eq!((ran.end.clone(), ran.summary.done), (Ok(()), SIDES.len() * SIDES.len()), "{ran:?}");
    for name in world.outputs() {
        let expected = nearest(&open(&world.input.join(&name)), case.scale);
        assert_eq!(open(&world.output.join(&name)), expected, "{name}");
    }
}

#[test]
fn windows_that_fit_the_picture_give_the_picture() {
    for scale in [1, 2, 4] {
        for (max_side, halo) in [(1, 0), (4, 1), (5, 2), (9, 3), (64, 4)] {
            let tiling = Tiling::Fitted { max_side, halo, multiple: 1 };
            check(&Case { scale, halo, tiling, batch: 1, workers: 2 });
        }
    }
}

#[test]
fn windows_of_one_size_give_the_picture_in_batches_too() {
    for (side, halo, batch, workers) in [(4, 1, 3, 1), (6, 2, 8, 2), (12, 3, 1, 3), (40, 6, 5, 2)] {
        let tiling = Tiling::Fixed { window: Size::new(side, side), halo };
        check(&Case { scale: 2, halo, tiling, batch, workers });
    }
}

#[test]
fn windows_of_many_sizes_share_no_batch() {
    let tiling = Tiling::Fitted { max_side: 8, halo: 2, multiple: 1 };
    check(&Case { scale: 2, halo: 2, tiling, batch: 4, workers: 2 });
}

#[test]
fn windows_honour_a_multiple() {
    let tiling = Tiling::Fitted { max_side: 16, halo: 3, multiple: 8 };
    check(&Case { scale: 4, halo: 3, tiling, batch: 1, workers: 1 });
}
