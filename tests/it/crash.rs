//! Killed at any moment: what is visible is whole, and one clean run afterwards leaves everything done and
//! nothing else. `benches/kill.rs` is the long form of this.

use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::{onestep, pause, said, start};
use crate::support::{World, onnx};
use std::ffi::OsString;
use std::time::{Duration, Instant};

const PICTURES: usize = 30;
const KILLS: u32 = 24;
/// Kills in one tree, before a clean run must put all of it right.
const IN_A_ROW: u32 = 8;

#[test]
fn after_kills_at_random_moments_one_run_leaves_everything_whole() {
    let model = World::new();
    let file = onnx::tiny(model.root.path());
    let new_world = || {
        let world = World::new();
        for n in 0..PICTURES {
            world.put(&format!("{}/{n}.png", n % 3), png(&pattern(150 + n, 120, 3)));
        }
        world
    };
    let words = |world: &World| -> Vec<OsString> {
        let fixed = ["--device", "cpu", "--strength", "0", "--threads", "2"].map(OsString::from);
        let paths = ["once".into(), (&world.input).into(), "-o".into(), (&world.output).into()];
        paths.into_iter().chain(["--model".into(), (&file).into()]).chain(fixed).collect()
    };
    // How long it takes undisturbed tells which moments there are; short ones, so that a tree lasts for some.
    let world = new_world();
    let begin = Instant::now();
    assert_eq!(said(&mut onestep(world.root.path(), &words(&world))).code(), 0);
    let whole = begin.elapsed();

    let mut random = 0x2545_F491u32;
    let mut world = new_world();
    let mut in_work = 0;
    for kill in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = whole.mul_f64(0.5 * f64::from(random >> 16) / 65536.0);
        let mut child = start(&mut onestep(world.root.path(), &words(&world)));
        pause(moment.max(Duration::from_millis(1)));
        child.kill();
        child.wait();
        every_result_is_whole(&world);
        in_work += u32::from((1..PICTURES).contains(&world.outputs().len()));
        if kill % IN_A_ROW == IN_A_ROW - 1 {
            let last = said(&mut onestep(world.root.path(), &words(&world)));
            assert_eq!(last.code(), 0, "{last:?}");
            assert_eq!(world.outputs().len(), PICTURES, "{:?}", world.outputs());
            every_result_is_whole(&world);
            let again = said(&mut onestep(world.root.path(), &words(&world)));
            assert!(again.stderr.contains(&format!("0 done, {PICTURES} already there")), "{again:?}");
            world = new_world();
        }
    }
    assert!(in_work >= 3, "only {in_work} kills hit a run at work: this machine starts too slowly");
}

/// Whatever has a picture's name is one, to the last pixel.
#[track_caller]
fn every_result_is_whole(world: &World) {
    for name in world.outputs().iter().filter(|name| !name.ends_with(".tmp")) {
        assert_eq!(open(&world.output.join(name)), nearest(&open(&world.input.join(name)), 2), "{name}");
    }
}
