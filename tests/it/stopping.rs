//! A stop, a fault or a panic anywhere: the pipeline returns, every thread is joined, and every picture that
//! was admitted has one outcome. Many rounds, since these are races.

use crate::support::fake::{Fake, Fault};
use crate::support::pictures::{pattern, png};
use crate::support::{Bench, Ran, World, files_below};
use onestep::edge::scan::scan;
use onestep::error::Fatal;
use onestep::job::{Outcome, Settled, Sighting};
use onestep::pipeline::Intake;
use std::collections::HashSet;
use std::path::PathBuf;

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

/// One outcome a picture, and a file for each outcome that promises one.
#[track_caller]
fn one_outcome_each(world: &World, ran: &Ran) {
    let places: HashSet<&PathBuf> = ran.settled.iter().map(|settled| &settled.errand.relative).collect();
    assert_eq!(places.len(), ran.settled.len(), "{ran:?}");
    let with_file =
        ran.settled.iter().filter(|s| matches!(s.outcome, Outcome::Done | Outcome::Failed { .. }));
    assert_eq!(world.outputs().len(), with_file.count(), "{:?}", ran.settled);
}

fn bench(world: &World, fault: Fault) -> Bench {
    let mut bench = Bench::new(world, &Fake::new(2, 1).with(fault), 2);
    bench.plan.admission.limits.budget_mpx = 3;
    bench
}

#[test]
fn a_lost_device_ends_the_run_with_its_own_words() {
    for round in 0..ROUNDS {
        let world = world();
        let ran = bench(&world, Fault::DeviceGone(round % 12)).run();
        assert_eq!(ran.end, Err(Fatal::Device("the device is gone".into())));
        one_outcome_each(&world, &ran);
    }
}

#[test]
fn a_panic_in_infer_ends_the_run() {
    for round in 0..ROUNDS {
        let world = world();
        let ran = bench(&world, Fault::Panics(round % 12)).run();
        assert!(matches!(&ran.end, Err(Fatal::Panicked(name)) if name.starts_with("infer-")), "{ran:?}");
        one_outcome_each(&world, &ran);
    }
}

#[test]
fn a_panic_in_watch_ends_the_run_and_what_was_seen_is_finished() {
    for round in 0..ROUNDS {
        let world = world();
        let mut bench = bench(&world, Fault::None);
        let seen: Vec<Sighting> = scan(&world.input, &world.input).into_iter().take(round % 12).collect();
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
        let list = scan(&world.input, &world.input);
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
