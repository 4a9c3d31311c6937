//! A stop, a fault or a panic anywhere: the pipeline returns, every thread is joined, and every picture that
//! was admitted has one outcome. Many rounds, since these are races.

use crate::support::fake::{Fake, Fault, LOST};
use crate::support::pictures::{pattern, png};
use crate::support::process::pause;
use crate::support::{Bench, Ran, World, files_below};
use onestep::error::Fatal;
use onestep::job::{Outcome, Settled, Sighting};
use onestep::pipeline::Intake;
use onestep::plan::Wish;
use onestep::pulse::Trap;
use onestep::work::masking::{MaskFrom, Masking};
use onestep::work::tiling::Tiling;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const ROUNDS: usize = 60;
const PICTURES: usize = 24;

/// A world of small pictures; every third is damaged.
fn world() -> World {
    let world = World::new();
    for n in 0..PICTURES {
        let bytes = png(&pattern(6 + n % 5, 9, 3));
        let length = if n % 3 == 0 { 60 } else { bytes.len() };
        world.put(&format!("{n:02}.png"), &bytes[..length]);
    }
    world
}

/// One outcome a picture (beside being told to wait), and a file for each outcome that promises one.
#[track_caller]
fn one_outcome_each(world: &World, ran: &Ran) {
    let ended: Vec<&Settled> =
        ran.settled.iter().filter(|s| !matches!(s.outcome, Outcome::Postponed { .. })).collect();
    let places: HashSet<&PathBuf> = ended.iter().map(|settled| &settled.errand.relative).collect();
    assert_eq!(places.len(), ended.len(), "{ran:?}");
    let with_file = ended.iter().filter(|s| matches!(s.outcome, Outcome::Done(_) | Outcome::Failed { .. }));
    assert_eq!(world.outputs().len(), with_file.count(), "{:?}", ran.settled);
    // What was let in and has no end of its own was told so, each one: the ledger remembers who was let in.
    let last =
        |place: &PathBuf| ran.settled.iter().rfind(|s| s.errand.relative == *place).map(|s| &s.outcome);
    let all: HashSet<&PathBuf> = ran.settled.iter().map(|settled| &settled.errand.relative).collect();
    let open = all.into_iter().filter(|place| {
        matches!(
            last(place),
            Some(Outcome::Abandoned | Outcome::Postponed { stage: "decode" | "infer" | "encode", .. })
        )
    });
    assert_eq!(ran.started, open.count(), "{ran:?}");
}

fn bench(world: &World, fault: Fault) -> Bench {
    let mut bench = Bench::new(world, &Fake::new(2, 1).with(fault), 2);
    // Room for four of them, of 5 MB each, so that they are in many stages at once.
    bench.plan.admission.memory_mb = 20;
    bench
}

#[test]
fn a_lost_device_ends_the_run_with_its_own_words() {
    for round in 0..ROUNDS {
        let world = world();
        let ran = bench(&world, Fault::DeviceGone(round % 12)).run();
        assert_eq!(ran.end, Err(Fatal::Device(LOST.into())));
        one_outcome_each(&world, &ran);
    }
}

/// Panics at the `at`-th piece of work of the threads whose names begin with `stage`; and holds up others for
/// random moments, since these are races.
fn trap(stage: &'static str, at: usize, seed: u64) -> Trap {
    let (pieces, random) = (AtomicUsize::new(0), AtomicU64::new(seed));
    Arc::new(move |name: &str| {
        if name.starts_with(stage) {
            assert!(pieces.fetch_add(1, Ordering::SeqCst) != at, "injected");
        }
        let step = |x: u64| x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn =
            random.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| Some(step(x))).expect("always");
        if drawn >> 61 == 0 {
            pause(Duration::from_micros((drawn >> 32) % 800 + 1));
        }
    })
}

/// At every piece of these stages, many times over: the run ends, with the stage that panicked as the cause,
/// and whatever was admitted has one outcome.
fn panics((stages, rounds): (&[&'static str], usize), world: fn() -> World, bench: fn(&World) -> Bench) {
    for stage in stages {
        for round in 0..rounds {
            let world = world();
            let mut ending = bench(&world);
            // Ends are recorded several at a time, so there are fewer pieces.
            let pieces = if *stage == "record" { 3 } else { 12 };
            ending.trap = Some(trap(stage, round % pieces, round as u64));
            let ran = ending.run();
            let named = matches!(&ran.end, Err(Fatal::Panicked(name)) if name.starts_with(stage));
            assert!(named, "{stage} {round}: {ran:?}");
            if *stage != "record" {
                one_outcome_each(&world, &ran);
            }
            // The next run does the rest, whatever was left behind.
            let rest = bench(&world).run();
            assert_eq!((rest.end.clone(), rest.summary.abandoned), (Ok(()), 0), "{stage} {round}");
            assert_eq!(world.outputs().len(), PICTURES, "{stage} {round}: {rest:?}");
        }
    }
}

#[test]
fn a_panic_in_any_stage_ends_the_run_with_its_name_and_loses_nothing() {
    let stages = ["admit", "decode-", "batch", "infer-", "blend", "encode-", "record"];
    panics((&stages, ROUNDS), world, |world| bench(world, Fault::None));
}

/// The same where each picture is repaired and then enlarged.
#[test]
fn a_panic_in_any_stage_of_a_chain_loses_nothing() {
    // The first leg's threads are told from the second's by their order alone, so both are meant with them.
    let first = ["decode-", "batch", "infer-", "blend"];
    let stages = [&first[..], &["enlarge", "batch-2", "infer-2-", "blend-2", "encode-"]].concat();
    let holed = || {
        let world = World::new();
        for n in 0..PICTURES {
            let mut picture = pattern(6 + n % 5, 9, 4);
            picture.samples.iter_mut().skip(3).step_by(4).enumerate().for_each(|(at, alpha)| {
                *alpha = if at % 7 == 3 { 0 } else { 255 };
            });
            let bytes = png(&picture);
            let length = if n % 3 == 0 { 60 } else { bytes.len() };
            world.put(&format!("{n:02}.png"), &bytes[..length]);
        }
        world
    };
    panics((&stages, ROUNDS / 4), holed, |world| {
        let masking = Masking { grow_px: 0, ..Masking::new(MaskFrom::Alpha) };
        let wish = Wish { masking: Some(masking), ..Wish::new(world.output.clone()) };
        let mut bench = Bench::in_steps(world, &[&Fake::inpainting(), &Fake::new(2, 1)], 2, wish);
        bench.plan.admission.memory_mb = 20;
        bench
    });
}

#[test]
fn a_panic_in_watch_ends_the_run_and_what_was_seen_is_finished() {
    for round in 0..ROUNDS {
        let world = world();
        let mut bench = bench(&world, Fault::None);
        let seen: Vec<Sighting> = world.scan().into_iter().take(round % 12).collect();
        let panics = std::iter::from_fn(|| -> Option<Sighting> { panic!("injected") });
        bench.intake = Intake::List(Box::new(seen.into_iter().chain(panics)));
        let ran = bench.run();
        assert_eq!(ran.end, Err(Fatal::Panicked("watch".into())));
        assert_eq!(ran.summary.abandoned, 0);
        one_outcome_each(&world, &ran);
    }
}

/// Where the recorder itself dies, outcomes are lost with it; but nothing hangs, and results stay whole.
#[test]
fn a_panic_in_record_ends_the_run() {
    for round in 0..ROUNDS {
        let world = world();
        let mut bench = bench(&world, Fault::None);
        let mut left = round % 12;
        bench.observe = Box::new(move |_: &Settled| {
            assert!(left > 0, "injected");
            left -= 1;
        });
        let ran = bench.run();
        assert_eq!(ran.end, Err(Fatal::Panicked("record".into())));
        assert!(files_below(&world.output).iter().all(|name| !name.ends_with(".tmp")));
    }
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_takes_in_no_more() {
    for round in 0..ROUNDS {
        let world = world();
        let mut bench = bench(&world, Fault::None);
        // A list without end: only the stop can end the run.
        let list = world.scan();
        let copies = (0..).flat_map(move |n| {
            list.clone().into_iter().map(move |mut sighting| {
                sighting.relative = format!("{n}/{}", sighting.relative.display()).into();
                sighting
            })
        });
        bench.intake = Intake::List(Box::new(copies));
        let ends = round % 12;
        let (handle, mut left) = (bench.stop.0.clone(), ends);
        bench.observe = Box::new(move |_: &Settled| {
            if left == 0 {
                handle.trigger();
            }
            left = left.saturating_sub(1);
        });
        let ran = bench.run();
        assert_eq!((ran.end.clone(), ran.summary.abandoned), (Ok(()), 0));
        assert!(ran.settled.len() > ends);
        one_outcome_each(&world, &ran);
    }
}

#[test]
fn a_stop_before_the_start_takes_in_nothing() {
    let world = world();
    let bench = bench(&world, Fault::None);
    bench.stop.0.trigger();
    let ran = bench.run();
    assert_eq!((ran.end, ran.settled.len()), (Ok(()), 0));
}

#[test]
fn a_place_that_cannot_be_written_costs_only_its_own_pictures() {
    let world = World::new();
    world.put("sub/a.png", png(&pattern(5, 5, 3)));
    world.put("b.png", png(&pattern(5, 5, 3)));
    std::fs::write(world.output.join("sub"), "a file where a folder should be").expect("writable");
    let ran = bench(&world, Fault::None).run();
    assert_eq!((ran.end.clone(), ran.summary.done, ran.summary.failed), (Ok(()), 1, 1), "{ran:?}");
    assert_eq!(world.outputs(), ["b.png", "failed/sub/a.png.reason.json", "sub"]);
    assert_eq!(world.reason("sub/a.png").0, "write");
}

/// What is in flight when the time for draining is over is given up, and not finished first.
#[test]
fn what_does_not_drain_in_time_is_given_up_and_done_by_the_next_run() {
    let world = World::new();
    world.put("large.png", png(&pattern(400, 400, 3)));
    let mut bench = bench(&world, Fault::None);
    bench.plan.admission.memory_mb = 1000;
    bench.plan.lines[0].steps[0].tiling = Tiling::Fitted { max_side: 10, halo: 1, multiple: 1 };
    bench.plan.supervision.drain = Duration::from_millis(50);
    // Some thousand tiles, each of which takes so long that all of them would take longer than the deadline.
    let (handle, evaluations) = (bench.stop.0.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&evaluations);
    bench.trap = Some(Arc::new(move |name: &str| {
        if name.starts_with("infer-") {
            counted.fetch_add(1, Ordering::SeqCst);
            handle.trigger();
            pause(Duration::from_millis(100));
        }
    }));
    let ran = bench.run();
    assert_eq!((ran.end, ran.summary.abandoned, ran.summary.done), (Ok(()), 1, 0));
    assert!(evaluations.load(Ordering::SeqCst) < 50);
    assert!(world.outputs().is_empty());
    let mut bench = self::bench(&world, Fault::None);
    bench.plan.admission.memory_mb = 1000;
    assert_eq!(bench.run().summary.done, 1);
}

#[test]
fn what_fails_for_now_is_tried_again_and_what_goes_on_failing_is_told_how_often() {
    let world = World::new();
    for n in 0..3 {
        world.put(&format!("{n}.png"), png(&pattern(8 + n, 8, 3)));
    }
    let ran = bench(&world, Fault::Fails(1)).run();
    assert_eq!((ran.end.clone(), ran.summary.done, ran.summary.failed), (Ok(()), 3, 0), "{ran:?}");
    let postponed = ran.settled.iter().filter(|s| matches!(s.outcome, Outcome::Postponed { .. }));
    assert_eq!(postponed.count(), 1);

    world.put("bad.png", png(&pattern(30, 8, 3)));
    // Its window: the picture and a halo of one on each side.
    let ran = bench(&world, Fault::Dislikes(32)).run();
    assert_eq!((ran.end.clone(), ran.summary.already_there, ran.summary.failed), (Ok(()), 3, 1), "{ran:?}");
    let reason = std::fs::read_to_string(world.output.join("failed/bad.png.reason.json")).expect("there");
    assert!(reason.contains("\"class\": \"inference\"") && reason.contains("\"attempts\": 5"), "{reason}");
}
