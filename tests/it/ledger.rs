//! What was done is not done again, what changed is, and neither is forgotten when the ledger is lost.

use crate::support::fake::Fake;
use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::{Said, onestep, pause, said, start, until};
use crate::support::{Bench, Ran, World, files_below, onnx};
use onestep::edge::record::Receipt;
use onestep::error::JobError;
use onestep::job::{Found, Outcome};
use onestep::pipeline::Intake;
use std::ffi::OsString;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn run(world: &World) -> Ran {
    Bench::new(world, &Fake::new(2, 1), 2).run()
}

/// As the daemon would.
fn daemon(world: &World) -> Ran {
    let mut bench = Bench::new(world, &Fake::new(2, 1), 2);
    bench.plan.admission.once = false;
    bench.run()
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = File::options().append(true).open(path).expect("ours");
    file.set_times(FileTimes::new().set_modified(time)).expect("ours");
}

#[test]
fn the_same_content_under_two_names_gives_two_results() {
    let world = World::new();
    for name in ["a.png", "b.png", "sub/a.png"] {
        world.put(name, png(&pattern(9, 7, 3)));
    }
    assert_eq!(run(&world).summary.done, 3);
    assert_eq!(world.outputs(), ["a.png", "b.png", "sub/a.png"]);
}

#[test]
fn a_file_that_was_only_touched_is_not_done_again() {
    let world = World::new();
    let path = world.put("a.png", png(&pattern(9, 7, 3)));
    run(&world);
    set_modified(&path, SystemTime::now() - Duration::from_secs(1000));
    let ran = run(&world);
    assert!(matches!(ran.outcomes()["a.png"], Outcome::AlreadyThere(Found::Touched(_))), "{ran:?}");
    assert_eq!(run(&world).outcomes()["a.png"], &Outcome::AlreadyThere(Found::Known), "and that is learnt");
}

/// The second edit within a second, of the same length, by a program that sets the time back.
#[test]
fn an_edit_that_hides_behind_its_time_is_seen() {
    let world = World::new();
    let path = world.put("a.png", png(&pattern(9, 7, 3)));
    let time = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");
    run(&world);
    let mut other = pattern(9, 7, 3);
    other.samples.reverse();
    let bytes = png(&other);
    // The same length, whatever the encoder makes of it: bytes after the end belong to nobody.
    let length = fs::metadata(&path).expect("there").len() as usize;
    let longest = bytes.len().max(length);
    fs::write(&path, [png(&pattern(9, 7, 3)), vec![0; longest - length]].concat()).expect("ours");
    set_modified(&path, time);
    assert_eq!(run(&world).end, Ok(()));
    fs::write(&path, [bytes.clone(), vec![0; longest - bytes.len()]].concat()).expect("ours");
    set_modified(&path, time);
    assert_eq!(run(&world).summary.done, 1);
    assert_eq!(open(&world.output.join("a.png")), nearest(&other, 2));
}

#[test]
fn a_result_that_was_picked_up_is_made_again_only_for_who_asks_for_it() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 7, 3)));
    assert_eq!(daemon(&world).summary.done, 1);
    fs::remove_file(world.output.join("a.png")).expect("ours");
    assert_eq!(daemon(&world).summary.already_there, 1);
    assert!(world.outputs().is_empty());
    assert_eq!(run(&world).summary.done, 1);
}

#[test]
fn a_daemon_remembers_a_failure_until_the_picture_or_the_limits_change() {
    let world = World::new();
    world.put("a.png", png(&pattern(1100, 1000, 1)));
    let tried = |limit: u64| {
        let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
        bench.plan.admission.once = false;
        bench.plan.admission.limits.max_input_mpx = limit;
        let failed = format!("limit {limit}");
        bench.plan.lines[0].failed = failed;
        bench.run().summary
    };
    assert_eq!((tried(1).failed, tried(1).known_bad), (1, 1));
    assert_eq!(run(&world).summary.done, 1, "who asks for it gets it");
    world.put("a.png", png(&pattern(1100, 1001, 1)));
    assert_eq!((tried(1).failed, tried(1).known_bad, tried(2).done), (1, 1, 1));
    assert_eq!(world.outputs(), ["a.png"]);
}

#[test]
fn two_trees_that_want_one_place_are_told_apart() {
    let world = World::new();
    world.put("x.png", png(&pattern(9, 7, 3)));
    run(&world);
    let other = World::new();
    other.put("x.png", png(&pattern(5, 5, 3)));
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.intake = Intake::List(Box::new(other.scan().into_iter()));
    let ran = bench.run();
    let by = format!("{}/x.png", world.input.display());
    let taken = Outcome::Failed { stage: "admit", error: JobError::NameTaken { by } };
    assert_eq!(ran.outcomes()["x.png"], &taken);
    assert_eq!(open(&world.output.join("x.png")), nearest(&pattern(9, 7, 3), 2));
    // Also when the other one is out of sight; a card reader sees many cards in one place.
    let x = world.input.join("x.png");
    let (bytes, time) =
        (fs::read(&x).expect("there"), fs::metadata(&x).and_then(|m| m.modified()).expect("a time"));
    fs::remove_file(&x).expect("ours");
    let from_other = || Intake::List(Box::new(other.scan().into_iter()));
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.intake = from_other();
    assert_eq!(bench.run().outcomes()["x.png"], &taken);
    // A tree that was moved is the same tree: its results are there, and may be made anew.
    set_modified(&other.put("x.png", bytes), time);
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.intake = from_other();
    assert!(matches!(bench.run().outcomes()["x.png"], Outcome::AlreadyThere(Found::Marked(_))));
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1).with_seed(9);
    bench.intake = from_other();
    assert_eq!(bench.run().summary.done, 1);
}

/// The name is free, and the picture looked at again, only when its end is in the ledger; else it would be
/// begun once more.
#[test]
fn r3_a_picture_that_is_seen_again_while_it_is_recorded_is_done_once() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 7, 3)));
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    let list = world.scan();
    bench.intake = Intake::List(Box::new(list.into_iter().cycle().take(500)));
    bench.trap = Some(Arc::new(|name: &str| {
        if name == "record" {
            pause(Duration::from_millis(30));
        }
    }));
    let ran = bench.run();
    assert_eq!((ran.end.clone(), ran.summary.done, ran.summary.failed), (Ok(()), 1, 0), "{ran:?}");
    assert!(ran.summary.already_there > 0, "{ran:?}");
}

/// `once` on the world's folders with the tiny model and a state folder of its own.
fn words(world: &World) -> Vec<OsString> {
    let model = onnx::tiny(&world.root.path().join("models"));
    let paths: [OsString; 8] = [
        "once".into(),
        (&world.input).into(),
        "-o".into(),
        (&world.output).into(),
        "--model".into(),
        model.into(),
        "--state".into(),
        state(world).into(),
    ];
    paths.into_iter().chain(["--device=cpu".into(), "--strength=0".into()]).collect()
}

fn state(world: &World) -> PathBuf {
    world.root.path().join("ledger")
}

fn once(world: &World) -> Said {
    let said = said(&mut onestep(world.root.path(), &words(world)));
    assert_eq!(said.code(), 0, "{said:?}");
    said
}

#[test]
fn a_ledger_that_is_lost_or_damaged_is_made_again_from_receipts_and_says_so() {
    let world = World::new();
    for n in 0..5 {
        world.put(&format!("{n}.png"), png(&pattern(9 + n, 7, 3)));
    }
    let first = once(&world);
    assert!(first.stderr.contains("5 done") && !first.stderr.contains("receipts"), "{first:?}");
    let receipts = fs::read_to_string(world.output.join("receipts.jsonl")).expect("there");
    assert_eq!(receipts.lines().filter_map(Receipt::from_line).count(), 5);
    // Results are gone too: neither they nor their marks can tell.
    let forget_results = || {
        for name in world.outputs() {
            fs::remove_file(world.output.join(name)).expect("ours");
        }
    };
    fs::remove_dir_all(state(&world)).expect("ours");
    let lost = once(&world);
    assert!(lost.stderr.contains("WARN ] the ledger is made anew from 5 receipts: "), "{lost:?}");
    assert!(lost.stderr.contains("0 done, 5 already there"), "{lost:?}");

    fs::write(state(&world).join("ledger.sqlite"), "garbage".repeat(1000)).expect("ours");
    let damaged = once(&world);
    assert!(damaged.stderr.contains("the ledger was damaged, and is put aside: "), "{damaged:?}");
    assert!(damaged.stderr.contains("made anew from 5 receipts: "), "{damaged:?}");
    assert!(
        files_below(&state(&world)).iter().any(|name| name.contains("damaged")),
        "nothing is thrown away"
    );
    forget_results();
    assert!(once(&world).stderr.contains("5 done"));
}

#[test]
fn two_at_once_on_one_state_folder_do_not_go_together() {
    let world = World::new();
    world.put("0.png", png(&pattern(2600, 2600, 3)));
    let mut first = start(&mut onestep(world.root.path(), &words(&world)));
    until("the first", || state(&world).join("ledger.sqlite").exists());
    let second = said(&mut onestep(world.root.path(), &words(&world)));
    assert_eq!(second.code(), 2, "{second:?}");
    let told = format!("another onestep (pid {}) is at work with this state folder", first.id());
    assert!(second.stderr.contains(&told), "{second:?}");
    first.kill();
}
