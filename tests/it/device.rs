//! A device that fails: nothing is lost, and it is told apart from pictures that cannot be done.

use crate::support::fake::{Fake, Fault, LOST};
use crate::support::pictures::{pattern, png};
use crate::support::{Bench, World};
use onestep::error::{CommandError, Exit, Fatal};
use onestep::job::Outcome;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pictures of many tiles each, for windows of 10 pixels.
fn world() -> World {
    let world = World::new();
    for n in 0..4 {
        world.put(&format!("{n}.png"), png(&pattern(30 + n, 30, 3)));
    }
    world
}

/// With small windows, several of them in a batch.
fn bench(world: &World, fake: &Fake, tiles: usize) -> Bench {
    let mut bench = Bench::new(world, fake, 1);
    bench.plan.lines[0].steps[0].tiling =
        onestep::work::tiling::Tiling::Fitted { max_side: 10, halo: 1, multiple: 1 };
    bench.plan.batching = onestep::plan::Batching::new(tiles, 1);
    bench.plan.inferring.tiles = tiles;
    bench
}

fn all_done(world: &World, ran: &crate::support::Ran) {
    assert_eq!((&ran.end, ran.summary.failed, ran.started), (&Ok(()), 0, 0), "{:?}", ran.outcomes());
    assert_eq!(world.outputs().len(), 4);
}

/// What every picture should come to.
fn reference() -> Vec<Vec<u8>> {
    let world = world();
    all_done(&world, &bench(&world, &Fake::new(2, 1), 1).run());
    pixels(&world)
}

fn pixels(world: &World) -> Vec<Vec<u8>> {
    let results = world.outputs();
    let read =
        |name: &String| image::open(world.output.join(name)).expect("a picture").into_rgb8().into_raw();
    results.iter().map(read).collect()
}

#[test]
fn a_device_that_is_lost_once_is_opened_anew_and_nothing_is_lost() {
    let fake = Fake::new(2, 1).with(Fault::LostAt(13));
    let world = world();
    all_done(&world, &bench(&world, &fake, 3).run());
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 1);
    assert_eq!(pixels(&world), reference());
}

#[test]
fn a_device_that_is_lost_for_good_ends_with_75_and_begun_pictures_are_done_by_the_next_start() {
    let fake = Fake::new(2, 1).with(Fault::DeviceGone(13));
    let world = world();
    let ran = bench(&world, &fake, 3).run();
    let end = ran.end.expect_err("it is gone");
    assert_eq!(end, Fatal::Device(LOST.into()));
    assert_eq!(CommandError::from(end).exit(), Exit::DeviceLost);
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 1, "once, not for ever");
    let failed =
        ran.settled.iter().filter(|settled| matches!(settled.outcome, Outcome::Failed { .. })).count();
    assert_eq!(failed, 0, "it was not the pictures");
    all_done(&world, &bench(&world, &Fake::new(2, 1), 3).run());
}

#[test]
fn a_device_that_is_lost_again_is_for_the_supervisor() {
    let fake = Fake::new(2, 1).with(Fault::Flapping(6));
    let world = world();
    let ran = bench(&world, &fake, 3).run();
    assert_eq!(ran.end, Err(Fatal::Device("the device is gone".into())));
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 1);
}

#[test]
fn a_device_that_computes_something_else_without_an_error_is_found_out() {
    // Every other evaluation is a proof, and so is this one.
    let fake = Fake::new(2, 1).with(Fault::GreyFrom(20));
    let world = world();
    let mut bench = bench(&world, &fake, 3);
    bench.plan.inferring.prove = Duration::ZERO;
    all_done(&world, &bench.run());
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 1);
    assert_eq!(pixels(&world), reference());
}

#[test]
fn tiles_that_have_no_room_together_are_evaluated_in_smaller_batches() {
    for room in [1, 3, 7] {
        let fake = Fake::new(2, 1).with(Fault::Room(room));
        let world = world();
        all_done(&world, &bench(&world, &fake, 8).run());
        assert_eq!(fake.renewed.load(Ordering::SeqCst), 0, "the device is well");
        assert_eq!(pixels(&world), reference(), "{room}");
    }
}

/// A device may say anything about a batch of which one picture is to blame.
#[test]
fn what_fails_in_a_batch_fails_alone() {
    let fake = Fake::new(2, 1).with(Fault::White);
    let world = world();
    let mut white = pattern(30, 30, 3);
    white.samples.fill(255);
    // It comes next to one of its size, and the tiles of both meet.
    world.put("0-white.png", png(&white));
    let mut bench = bench(&world, &fake, 7);
    bench.plan.batching.linger = Duration::from_millis(200);
    let ran = bench.run();
    assert_eq!((&ran.end, ran.summary.failed), (&Ok(()), 1), "{:?}", ran.outcomes());
    assert!(world.output.join("failed/0-white.png.reason.json").is_file());
    let put_off = |settled: &&onestep::job::Settled| matches!(settled.outcome, Outcome::Postponed { .. });
    let others = ran.settled.iter().filter(put_off).filter(|s| !s.errand.source.ends_with("0-white.png"));
    assert_eq!(others.count(), 0, "the others were done at once");
    std::fs::remove_dir_all(world.output.join("failed")).expect("there");
    assert_eq!(pixels(&world), reference());
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 0, "the device is well");
}

#[test]
fn memory_in_pieces_is_given_back_and_taken_anew() {
    let fake = Fake::new(2, 1).with(Fault::Pieces(9, 10));
    let world = world();
    all_done(&world, &bench(&world, &fake, 1).run());
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 1);
    assert_eq!(pixels(&world), reference());
}

/// Who took the memory may be gone: more tiles are tried after a proof, up to what was planned.
#[test]
fn a_batch_that_was_halved_grows_again() {
    let fake = Fake::new(2, 1).with(Fault::FullAt(5));
    fake.filled.store(8, Ordering::SeqCst);
    let world = world();
    let mut bench = bench(&world, &fake, 8);
    bench.plan.inferring.prove = Duration::ZERO;
    all_done(&world, &bench.run());
    assert_eq!((fake.least.load(Ordering::SeqCst), fake.filled.load(Ordering::SeqCst)), (4, 8));
    assert_eq!(pixels(&world), reference());
}

/// As on CUDA, where what is missing is filled up: also the golden tile, which then has no room either.
#[test]
fn a_proof_that_has_no_room_is_no_lost_device() {
    for room in [1, 3] {
        let fake = Fake::new(2, 1).with(Fault::Room(room));
        fake.filled.store(8, Ordering::SeqCst);
        let world = world();
        let mut bench = bench(&world, &fake, 8);
        bench.plan.inferring.prove = Duration::ZERO;
        all_done(&world, &bench.run());
        assert_eq!(fake.renewed.load(Ordering::SeqCst), 0, "the device is well");
        assert_eq!(pixels(&world), reference(), "{room}");
    }
}

/// What has no room in new memory either is not asked for again and again.
#[test]
fn what_is_too_large_for_new_memory_is_refused_without_opening_it_anew_each_time() {
    // Those of the widest picture are narrower.
    let fake = Fake::new(2, 1).with(Fault::Full(10));
    let world = world();
    world.put("small.png", png(&pattern(5, 5, 3)));
    let ran = bench(&world, &fake, 1).run();
    assert_eq!((&ran.end, ran.summary.failed, ran.summary.done), (&Ok(()), 3, 2), "{:?}", ran.outcomes());
    assert_eq!(fake.renewed.load(Ordering::SeqCst), 1);
}
