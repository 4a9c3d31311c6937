//! What an operator does: looks ahead, pauses, makes results again, and makes sure of them.

use crate::run::{comes_back, configure, daemon};
use crate::support::World;
use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::{Said, once, onestep, said, until};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A command with the world's configuration.
fn ask(world: &World, words: &[&str], config: &Path) -> Said {
    let mut all: Vec<&OsStr> = words.iter().map(AsRef::as_ref).collect();
    all.extend(["--config".as_ref(), config.as_os_str()]);
    said(&mut onestep(world.root.path(), &all))
}

/// One run of the daemon, until all rows are written.
fn run_until(world: &World, config: &Path, done: impl FnMut() -> bool) -> String {
    let child = daemon(world, config);
    until("the results", done);
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 0, "{said:?}");
    said.stderr
}

#[test]
fn a_plan_counts_what_lies_ahead_and_does_nothing() {
    let world = World::new();
    let config = configure(&world, 100);
    world.put("done.png", png(&pattern(9, 8, 3)));
    world.put("bad.png", "no picture");
    let there = |world: &World, place: &str| world.output.join(place).exists();
    run_until(&world, &config, || {
        there(&world, "receipts.jsonl") && there(&world, "failed/bad.png.reason.json")
    });
    world.put("sub/new.png", png(&pattern(100, 80, 3)));
    world.put("new.png", png(&pattern(20, 10, 1)));
    world.put("empty.jpg", "");
    let plan = ask(&world, &["plan"], &config);
    assert_eq!(plan.code(), 0, "{plan:?}");
    for line in [
        "pipeline 1\n  new      2 pictures, 0.0 Mpx, results of 0.0 Mpx\n",
        "  known    1 done, 1 failed before\n",
        " s a Mpx and thread on cpu, measured now, 2 at once\n",
        // 8000 pixels of three channels and 200 of one, four times as many in the results.
        "  disk     at most 1 MB, ",
        "  refused  1\n    is empty: ",
    ] {
        assert!(plan.stdout.contains(line), "{line}\n{}", plan.stdout);
    }
    assert!(!there(&world, "new.png"));
}

#[test]
fn a_pause_lets_nothing_new_begin_until_it_ends_also_across_a_restart() {
    let world = World::new();
    let config = configure(&world, 100);
    let child = daemon(&world, &config);
    world.put("a.png", png(&pattern(9, 8, 3)));
    comes_back(&world, "a.png", &pattern(9, 8, 3));
    let paused = ask(&world, &["pause"], &config);
    assert!(paused.code() == 0 && paused.stdout.starts_with("pausing: "), "{paused:?}");
    assert!(ask(&world, &["pause"], &config).stdout.starts_with("is paused already: "));
    world.put("b.png", png(&pattern(10, 8, 3)));
    until("a word", || child.stderr().contains("paused: asked to by `onestep pause`"));
    assert!(ask(&world, &["status"], &config).stdout.contains("paused until `onestep resume`"));
    child.signal("TERM");
    let said = child.wait();
    assert!(!world.output.join("b.png").exists() && !said.stderr.contains("ERROR"), "{said:?}");
    let child = daemon(&world, &config);
    until("a word", || child.stderr().contains("paused: asked to by `onestep pause`"));
    assert!(ask(&world, &["resume"], &config).stdout.starts_with("going on within ten seconds: "));
    comes_back(&world, "b.png", &pattern(10, 8, 3));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    assert!(ask(&world, &["resume"], &config).stdout.starts_with("is not paused: "));
}

/// A second pipeline beside the first, from `in2` to `out2`.
fn second(world: &World, config: &Path, more: &str) {
    let text = fs::read_to_string(config).expect("there");
    let second = "[[pipeline]]\ninput = \"in2\"\noutput = \"out2\"\nmodel = \"tiny\"\nsettle_ms = 100\n";
    fs::write(config, text.replace("[models]", &format!("{second}{more}[models]"))).expect("writable");
    fs::create_dir_all(world.root.path().join("in2")).expect("writable");
}

#[test]
fn one_pipeline_pauses_while_another_goes_on() {
    let world = World::new();
    let config = configure(&world, 100);
    second(&world, &config, "name = \"scans\"\n");
    let scan = |name: &str| {
        fs::write(world.root.path().join("in2").join(name), png(&pattern(9, 8, 3))).expect("writable");
    };
    let there = |place: &str| world.root.path().join("out2").join(place).exists();
    let child = daemon(&world, &config);
    scan("a.png");
    until("the first scan", || there("a.png"));
    let unknown = ask(&world, &["pause", "--pipeline", "scan"], &config);
    assert_eq!(unknown.code(), 2);
    assert!(unknown.stderr.contains("is called \"scan\": \"pipeline 1\", \"scans\""), "{unknown:?}");
    assert_eq!(ask(&world, &["pause", "--pipeline", "scans"], &config).code(), 0);
    scan("b.png");
    until("a word", || child.stderr().contains("asked to by `onestep pause --pipeline`"));
    scan("c.png");
    world.put("photo.png", png(&pattern(10, 8, 3)));
    comes_back(&world, "photo.png", &pattern(10, 8, 3));
    let told = || ask(&world, &["status"], &config).stdout;
    until("the queue", || told().contains("scans: 2 waiting, 0 settling, watched by events: "));
    assert!(told().contains("scans: paused: asked to by `onestep pause --pipeline`"), "{}", told());
    assert!(told().contains("\ntime left about "), "{}", told());
    assert!(told().contains("scans: tiny in f32 on "), "{}", told());
    until("the other's", || told().contains("pipeline 1: 0 waiting, 0 settling, watched by events: "));
    assert!(!there("b.png"));
    let all = ask(&world, &["resume"], &config).stdout;
    assert!(all.contains("still paused by name: `onestep resume --pipeline \"scans\"`\n"), "{all}");
    assert!(told().contains("`onestep resume --pipeline \"scans\"` goes on"), "{}", told());
    assert_eq!(ask(&world, &["resume", "--pipeline", "scans"], &config).code(), 0);
    until("both", || there("b.png") && there("c.png"));
    until("an empty queue", || told().contains("scans: 0 waiting, 0 settling, watched by events: "));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    assert!(told().contains("scans: 0 waiting, 0 settling, as it was left: "), "{}", told());
}

/// Its output folder is gone, and comes back.
#[test]
fn a_pipeline_that_lost_its_folder_holds_no_other() {
    let world = World::new();
    let config = configure(&world, 100);
    second(&world, &config, "");
    let (out, away) = (world.root.path().join("out2"), world.root.path().join("away"));
    let put = |name: &str| {
        fs::write(world.root.path().join("in2").join(name), png(&pattern(9, 8, 3))).expect("writable");
    };
    let child = daemon(&world, &config);
    put("a.png");
    until("the first", || out.join("a.png").exists());
    fs::rename(&out, &away).expect("ours");
    put("b.png");
    until("an alarm", || child.stderr().contains("paused: the output folder is gone"));
    world.put("c.png", png(&pattern(10, 8, 3)));
    comes_back(&world, "c.png", &pattern(10, 8, 3));
    fs::rename(&away, &out).expect("ours");
    until("what waited", || out.join("b.png").exists());
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.stderr.matches("paused: ").count(), 1, "{said:?}");
    assert!(said.code() == 0 && said.stderr.contains("going on after a pause of "), "{said:?}");
}

/// Its receipts cannot be written: none of its pictures is lost, and no other pipeline waits.
#[test]
fn a_pipeline_whose_receipts_cannot_be_written_holds_no_other() {
    let world = World::new();
    let config = configure(&world, 100);
    second(&world, &config, "");
    let (out, receipts) = (world.root.path().join("out2"), world.root.path().join("out2/receipts.jsonl"));
    let put = |name: &str| {
        fs::write(world.root.path().join("in2").join(name), png(&pattern(9, 8, 3))).expect("writable");
    };
    let child = daemon(&world, &config);
    until("the start", || out.exists());
    fs::create_dir(&receipts).expect("writable");
    put("a.png");
    until("an alarm", || child.stderr().contains("what became of its pictures cannot be written: "));
    put("b.png");
    until("a pause", || child.stderr().contains("paused: what became of its pictures cannot be written: "));
    world.put("c.png", png(&pattern(10, 8, 3)));
    comes_back(&world, "c.png", &pattern(10, 8, 3));
    until("its row", || ask(&world, &["status"], &config).stdout.contains("1 done, 0 failed, 1 in work"));
    fs::remove_dir(&receipts).expect("ours");
    until("what waited", || fs::read_to_string(&receipts).unwrap_or_default().lines().count() == 2);
    child.signal("TERM");
    let said = child.wait();
    assert!(said.code() == 0 && said.stderr.contains("going on after a pause of "), "{said:?}");
}

#[test]
fn a_pipeline_without_results_is_verified_and_a_folder_without_receipts_is_not() {
    let world = World::new();
    let config = configure(&world, 100);
    second(&world, &config, "");
    fs::write(world.root.path().join("in2/a.png"), png(&pattern(9, 8, 3))).expect("writable");
    let receipts = world.root.path().join("out2/receipts.jsonl");
    run_until(&world, &config, || receipts.exists());
    let all = ask(&world, &["verify"], &config);
    assert_eq!(all.code(), 0, "{all:?}");
    let told: Vec<&str> =
        all.stdout.lines().filter_map(|line| line.split_once(" as they")).map(|t| t.0).collect();
    assert_eq!(told, ["0", "1"], "{all:?}");
    let words: [&OsStr; 3] = ["verify".as_ref(), "-o".as_ref(), world.output.as_ref()];
    let said = said(&mut onestep(world.root.path(), &words));
    assert!(said.code() == 2 && said.stderr.contains("receipts.jsonl"), "{said:?}");
}

#[test]
fn results_are_made_again_when_it_is_asked_for() {
    let world = World::new();
    let config = configure(&world, 100);
    world.put("a.png", png(&pattern(9, 8, 3)));
    let receipts =
        || fs::read_to_string(world.output.join("receipts.jsonl")).unwrap_or_default().lines().count();
    run_until(&world, &config, || receipts() == 1);
    let none = ask(&world, &["reprocess", "--only", "strength 0.75"], &config);
    assert_eq!(none.stdout, "no result is remembered that fits\n");
    let none = ask(&world, &["reprocess", "--except", "strength 0 "], &config);
    assert_eq!(none.stdout, "no result is remembered that fits\n");
    let one = ask(&world, &["reprocess", "--only", "strength 0 ", "--since", "1d"], &config);
    assert!(one.stdout.ends_with("1 to be made again at the next start\n"), "{one:?}");
    let said = run_until(&world, &config, || receipts() == 2);
    assert!(said.contains("1 done"), "{said}");
    assert_eq!(open(&world.output.join("a.png")), nearest(&pattern(9, 8, 3), 2));
    assert_eq!(ask(&world, &["reprocess"], &config).code(), 2, "all of them must be meant");
}

#[test]
fn results_are_compared_with_their_receipts() {
    let world = World::new();
    let config = configure(&world, 100);
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        world.put(name, png(&pattern(9, 8, 3)));
    }
    let receipts =
        || fs::read_to_string(world.output.join("receipts.jsonl")).unwrap_or_default().lines().count();
    run_until(&world, &config, || receipts() == 4);
    let well = ask(&world, &["verify"], &config);
    assert!(
        well.code() == 0 && well.stdout.starts_with("4 as they were made, 0 gone, 0 changed: "),
        "{well:?}"
    );
    let mut bytes = fs::read(world.output.join("b.png")).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(world.output.join("b.png"), &bytes).expect("ours");
    fs::write(world.output.join("c.png"), "x").expect("ours");
    fs::remove_file(world.output.join("d.png")).expect("ours");
    let told = ask(&world, &["verify"], &config);
    assert_eq!(told.code(), 1);
    for line in [
        "changed, its content differs: ",
        "changed, it has 1 bytes, not ",
        "gone: ",
        "1 as they were made, 1 gone, 2 changed: ",
    ] {
        assert!(told.stdout.contains(line), "{line}\n{}", told.stdout);
    }
    let words: [&OsStr; 3] = ["verify".as_ref(), "-o".as_ref(), world.output.as_ref()];
    assert_eq!(said(&mut onestep(world.root.path(), &words)).stdout, told.stdout);
}

#[test]
fn pictures_of_a_higher_priority_are_taken_in_first() {
    let world = World::new();
    let config = configure(&world, 100);
    second(&world, &config, "priority = 1\n");
    // There must be a ledger before it can be asked to pause.
    run_until(&world, &config, || world.root.path().join("out2").exists());
    assert_eq!(ask(&world, &["pause"], &config).code(), 0);
    let child = daemon(&world, &config);
    world.put("first.png", png(&pattern(9, 8, 3)));
    until("a pause", || child.stderr().contains("paused: "));
    for n in 0..6 {
        for folder in ["in", "in2"] {
            let path = world.root.path().join(folder).join(format!("{n}.png"));
            fs::write(path, png(&pattern(9, 8, 3))).expect("writable");
        }
    }
    // Whole after a tenth of a second; going on takes at least one.
    assert_eq!(ask(&world, &["resume"], &config).code(), 0);
    let lines = || {
        child
            .stderr()
            .lines()
            .filter(|line| line.contains(" done in "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    until("all", || lines().len() == 13);
    // Two threads may overtake each other by one.
    let urgent = lines().iter().take(8).filter(|line| line.contains("/in2/")).count();
    assert!(urgent >= 5, "{:#?}", lines());
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
}

#[test]
fn people_who_see_only_the_share_are_told_how_far_it_is() {
    let world = World::new();
    let config = configure(&world, 100);
    let text = fs::read_to_string(&config).expect("there");
    fs::write(&config, text.replace("[models]", "status_file = true\n[models]")).expect("writable");
    world.put("a.png", png(&pattern(9, 8, 3)));
    world.put("sub/bad.png", "no picture");
    let notice = || fs::read_to_string(world.input.join("_status.txt")).unwrap_or_default();
    let said = run_until(&world, &config, || notice().contains("1 done, 0 in work, 0 waiting, 1 failed"));
    assert!(notice().contains("failed: sub/bad.png: not-a-picture: "), "{}", notice());
    assert!(!said.contains("_status.txt"), "{said}");
}

/// Newlines, quotes, backslashes and bytes that are no text, all the way: seen by events, done, told,
/// verified.
#[test]
fn names_that_are_no_text_are_names_all_the_same() {
    let world = World::new();
    let config = configure(&world, 100);
    let child = daemon(&world, &config);
    until("watching", || child.stderr().contains("watching: "));
    let names: [&[u8]; 5] = [
        b"new\nline.png",
        b"quo\"te's.png",
        b"back\\slash.png",
        b"\xff\xfe.png",
        "gr\u{fc}n \u{1f600}.png".as_bytes(),
    ];
    let place = |folder: &Path, name: &[u8]| folder.join(OsStr::from_bytes(name));
    for (n, name) in names.iter().enumerate() {
        fs::write(place(&world.input, name), png(&pattern(9 + n, 8, 3))).expect("writable");
    }
    for (n, name) in names.iter().enumerate() {
        let result = place(&world.output, name);
        until("a result", || result.exists());
        assert_eq!(open(&result), nearest(&pattern(9 + n, 8, 3), 2));
    }
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    let well = ask(&world, &["verify"], &config);
    assert!(well.stdout.starts_with("5 as they were made, 0 gone, 0 changed: "), "{well:?}");
    for name in names {
        let picture = place(&world.input, name);
        let words = ["why".as_ref(), picture.as_os_str(), "--config".as_ref(), config.as_os_str()];
        let told = said(&mut onestep(world.root.path(), &words));
        assert!(told.code() == 0 && told.stdout.contains("  done  "), "{told:?}");
    }
}

/// Nobody means all archives at once.
#[test]
fn what_changes_a_ledger_must_be_told_which_where_there_are_several() {
    let mut world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    let home = world.root.path().to_owned();
    let plain = |words: &[&str]| said(onestep(&home, words).current_dir(&home));
    assert_eq!(once(&world, &[]).code(), 0);
    assert!(
        plain(&["pause"]).stdout.starts_with("will pause when it is started: "),
        "one cannot be mistaken"
    );
    assert_eq!(plain(&["resume"]).code(), 0);
    let first = std::mem::replace(&mut world.output, home.join("other"));
    assert_eq!(once(&world, &[]).code(), 0);
    for words in [&["pause"][..], &["resume"], &["retry"], &["reprocess", "--since", "1d"]] {
        let asked = plain(words);
        assert_eq!(asked.code(), 2, "{asked:?}");
        assert!(asked.stderr.contains("there are 2 ledgers, so say which is meant"), "{asked:?}");
    }
    // Where one cannot be read, the other may still not be the one that is meant.
    let state = home.join(".local/state/onestep");
    let ledgers = fs::read_dir(&state).expect("there").flatten().map(|at| at.path().join("ledger.sqlite"));
    let other = { ledgers }.find(|path| path.display().to_string().contains("/other-")).expect("there");
    let kept = fs::read(&other).expect("there");
    fs::write(&other, "no ledger").expect("writable");
    assert_eq!(plain(&["pause"]).code(), 2);
    fs::write(&other, kept).expect("writable");
    // A configuration here is meant, whatever else there is.
    configure(&world, 100);
    let asked = plain(&["pause"]);
    assert!(asked.stdout.starts_with("will pause when") && asked.stdout.contains("/out-"), "{asked:?}");
    fs::remove_file(home.join("config.toml")).expect("there");
    let first = first.to_str().expect("text");
    assert_eq!(plain(&["pause", "-o", first]).code(), 0);
    assert!(
        plain(&["resume", "-o", world.output.to_str().expect("text")]).stdout.starts_with("is not paused: ")
    );
    assert!(plain(&["resume", "-o", first]).stdout.starts_with("will not pause"));
}
