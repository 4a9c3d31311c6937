//! The daemon: what lands comes back, however it lands, and a polite signal ends it cleanly.

use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::{Process, once, onestep, said, start, until};
use crate::support::{World, onnx};
use contract::card::ModelCard;
use contract::golden::Golden;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes a configuration beside the folders. Gives its path.
pub fn configure(world: &World, settle_ms: u32) -> PathBuf {
    onnx::tiny(&world.root.path().join("models"));
    let path = world.root.path().join("config.toml");
    let text = format!(
        "[[pipeline]]\ninput = \"in\"\noutput = \"out\"\nsettle_ms = {settle_ms}\n\
         model = \"tiny\"\nstrength = 0.0\n[models]\nfolder = \"models\"\n\
         [device]\ndevice = \"cpu\"\nthreads = 2\n"
    );
    fs::write(&path, text).expect("writable");
    path
}

pub fn daemon(world: &World, config: &Path) -> Process {
    start(&mut onestep(world.root.path(), &["run".as_ref(), "--config".as_ref(), config.as_os_str()]))
}

/// Waits until a result is there: it is whole from the moment it is visible.
#[track_caller]
pub fn comes_back(world: &World, place: &str, picture: &contract::pixels::Picture) {
    let path = world.output.join(place);
    until(place, || path.exists());
    assert_eq!(open(&path), nearest(picture, 2), "{place}");
}

#[test]
fn what_lands_comes_back_however_it_lands() {
    let world = World::new();
    let (early, copied, renamed, moved, slow) =
        (pattern(9, 8, 3), pattern(10, 8, 3), pattern(11, 8, 3), pattern(12, 8, 3), pattern(13, 8, 3));
    world.put("sub/early.png", png(&early));
    let child = daemon(&world, &configure(&world, 300));
    comes_back(&world, "sub/early.png", &early);

    world.put("copied.png", png(&copied));
    comes_back(&world, "copied.png", &copied);

    let aside = world.put("renamed.png.part", png(&renamed));
    fs::rename(aside, world.input.join("renamed.png")).expect("ours");
    comes_back(&world, "renamed.png", &renamed);

    let folder = world.root.path().join("album");
    fs::create_dir_all(folder.join("deep")).expect("writable");
    fs::write(folder.join("deep/moved.png"), png(&moved)).expect("writable");
    fs::rename(folder, world.input.join("album")).expect("ours");
    comes_back(&world, "album/deep/moved.png", &moved);

    // A writer that never closes: only its silence tells.
    let bytes = png(&slow);
    let mut writer = fs::File::create(world.input.join("slow.png")).expect("writable");
    writer.write_all(&bytes[..bytes.len() / 2]).expect("writable");
    writer.write_all(&bytes[bytes.len() / 2..]).expect("writable");
    comes_back(&world, "slow.png", &slow);

    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 0, "{said:?}");
    // A folder that comes as a whole is looked through twice.
    assert!(said.stderr.contains("5 done, ") && said.stderr.contains(" already there, 0 failed"), "{said:?}");
}

#[test]
fn a_picture_that_changes_is_done_again_and_a_bad_one_stops_nobody() {
    let world = World::new();
    world.put("bad.jpg", "hello");
    world.put("a.png", png(&pattern(9, 8, 3)));
    let child = daemon(&world, &configure(&world, 100));
    comes_back(&world, "a.png", &pattern(9, 8, 3));
    until("a reason", || world.output.join("failed/bad.jpg.reason.json").exists());
    world.put("a.png", png(&pattern(14, 8, 3)));
    let path = world.output.join("a.png");
    until("the new picture", || open(&path) == nearest(&pattern(14, 8, 3), 2));
    child.signal("INT");
    let said = child.wait();
    assert_eq!(said.code(), 0, "{said:?}");
    assert_eq!(world.outputs(), ["a.png", "failed/bad.jpg.reason.json"]);
}

#[test]
fn a_second_start_skips_what_is_done() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    let config = configure(&world, 100);
    let child = daemon(&world, &config);
    comes_back(&world, "a.png", &pattern(9, 8, 3));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    let child = daemon(&world, &config);
    world.put("b.png", png(&pattern(10, 8, 3)));
    comes_back(&world, "b.png", &pattern(10, 8, 3));
    // Both are looked at in the order of their names, so a.png was looked at before, or at least at the same
    // scan.
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 0);
    assert!(said.stderr.contains("1 done, ") && !said.stderr.contains("2 done, "), "{said:?}");
}

/// Watchers tell absolute paths, whatever they were asked for.
#[test]
fn a_configuration_may_be_named_from_where_it_lies() {
    let world = World::new();
    configure(&world, 100);
    world.put("sub/early.png", png(&pattern(9, 8, 3)));
    let mut command = onestep(world.root.path(), &["run"]);
    let child = start(command.current_dir(world.root.path()));
    comes_back(&world, "sub/early.png", &pattern(9, 8, 3));
    world.put("sub/late.png", png(&pattern(10, 8, 3)));
    comes_back(&world, "sub/late.png", &pattern(10, 8, 3));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    assert_eq!(world.outputs(), ["sub/early.png", "sub/late.png"]);
}

/// The configuration of `configure`, with a second pipeline: another folder, another model, another rule.
fn configure_two(world: &World, more: &str) -> PathBuf {
    let config = configure(world, 100);
    fs::create_dir_all(world.root.path().join("in2")).expect("writable");
    let text = fs::read_to_string(&config).expect("there");
    let second = "[[pipeline]]\nname = \"second\"\ninput = \"in2\"\noutput = \"out2\"\nmodel = \"triple\"\n";
    let golden = Golden { expected: vec![0; 3 * 4 * 9], ..onnx::mean_card().golden };
    let card = ModelCard { name: "triple".into(), scale: 3, golden, ..onnx::mean_card() };
    fs::write(world.root.path().join("models/triple.onnx"), onnx::model(&card)).expect("writable");
    fs::write(&config, format!("{second}{more}{text}")).expect("writable");
    config
}

#[test]
fn several_pipelines_share_one_daemon_and_mix_nothing_up() {
    let world = World::new();
    let config = configure_two(&world, "max_mpx = 0.001\n");
    let (first, second) = (world.root.path().join("in"), world.root.path().join("in2"));
    for n in 0..20 {
        fs::write(first.join(format!("{n}.png")), png(&pattern(9 + n, 8, 3))).expect("writable");
        fs::write(second.join(format!("{n}.png")), png(&pattern(9 + n, 7, 3))).expect("writable");
    }
    fs::write(second.join("large.png"), png(&pattern(50, 40, 3))).expect("writable");
    let child = daemon(&world, &config);
    let there = |place: &str| world.root.path().join(place).exists();
    for n in 0..20 {
        until("all results", || there(&format!("out/{n}.png")) && there(&format!("out2/{n}.png")));
        let result = |folder: &str| open(&world.root.path().join(folder).join(format!("{n}.png")));
        assert_eq!(result("out"), nearest(&pattern(9 + n, 8, 3), 2));
        assert_eq!(result("out2"), nearest(&pattern(9 + n, 7, 3), 3));
    }
    until("a reason", || there("out2/failed/large.png.reason.json"));
    child.signal("TERM");
    let said = child.wait();
    assert!(said.code() == 0 && said.stderr.contains("40 done, 0 already there, 1 failed"), "{said:?}");
    assert!(said.stderr.contains("its pipeline takes 0 to 0.001 Mpx"), "{said:?}");
    let receipts = |folder: &str| {
        let text = fs::read_to_string(world.root.path().join(folder).join("receipts.jsonl")).expect("there");
        (text.lines().count(), text.contains("\"model\":\"triple\""))
    };
    assert_eq!((receipts("out"), receipts("out2")), ((20, false), (20, true)));
    // And it knows all of them, also from receipts alone.
    fs::remove_dir_all(world.root.path().join(".local")).expect("it was there");
    let child = daemon(&world, &config);
    until("the scan", || child.stderr().matches("watching: ").count() == 2);
    assert!(child.stderr().contains("the ledger is made anew from 40 receipts"), "{}", child.stderr());
    child.signal("TERM");
    let said = child.wait();
    assert!(said.stderr.contains(" 0 done"), "{said:?}");
}

#[test]
fn pipelines_whose_folders_do_not_go_together_are_refused_all_at_once() {
    let world = World::new();
    let config = configure_two(&world, "");
    let text = fs::read_to_string(&config).expect("there");
    let wrong = text
        .replace("input = \"in2\"", "input = \"in/deep\"")
        .replace("output = \"out2\"", "output = \"out\"")
        .replace("folder = \"models\"", "folder = \"in/models\"");
    fs::create_dir_all(world.root.path().join("in/deep")).expect("writable");
    fs::write(&config, wrong).expect("writable");
    let words = ["validate".as_ref(), "--config".as_ref(), config.as_os_str()];
    let told = said(&mut onestep(world.root.path(), &words));
    assert_eq!(told.code(), 2, "{told:?}");
    for sentence in [
        "pipeline 2: the input folder ",
        " contains the input folder of second ",
        "pipeline 2: the output folder ",
        " is the output folder of second ",
        "pipeline 2: the folder of models lies inside the input folder, where whoever drops pictures can",
    ] {
        assert!(told.stderr.contains(sentence), "{sentence}\n{}", told.stderr);
    }
}

#[test]
fn folders_that_make_no_sense_are_refused() {
    let world = World::new();
    let config = configure(&world, 100);
    let text = fs::read_to_string(&config).expect("there");
    let told = |from: &str, to: &str| {
        fs::write(&config, text.replace(from, to)).expect("writable");
        let said =
            said(&mut onestep(world.root.path(), &["run".as_ref(), "--config".as_ref(), config.as_os_str()]));
        assert_eq!(said.code(), 2, "{said:?}");
        said.stderr
    };
    assert!(told("output = \"out\"", "output = \"in/out\"").contains("lies inside the input folder"));
    assert!(
        told("input = \"in\"", "input = \"nowhere\"")
            .contains("config.toml: pipeline 1: input is not a folder: ")
    );
    assert!(
        told("settle_ms = 100", "settle_ms = 1")
            .contains("config.toml: pipeline 1: settle_ms is 1, not 100 to")
    );
    fs::remove_file(&config).expect("ours");
    let words = ["run".as_ref(), "--config".as_ref(), config.as_os_str()];
    let said = said(&mut onestep(world.root.path(), &words));
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("config.toml: cannot be read: "), "{said:?}");
}

#[test]
fn once_that_is_stopped_finishes_what_is_in_flight_and_says_that_it_is_not_all() {
    let world = World::new();
    for n in 0..400 {
        world.put(&format!("{n:03}.png"), png(&pattern(60, 50, 3)));
    }
    let model = onnx::tiny(&world.root.path().join("models"));
    let words: [&std::ffi::OsStr; 8] = [
        "once".as_ref(),
        world.input.as_ref(),
        "-o".as_ref(),
        world.output.as_ref(),
        "--model".as_ref(),
        model.as_ref(),
        "--device=cpu".as_ref(),
        "--strength=0".as_ref(),
    ];
    let child = start(&mut onestep(world.root.path(), &words));
    until("a first result", || world.output.join("000.png").exists());
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 1, "{said:?}");
    assert!(said.stderr.contains(" of 400 pictures were not looked at"), "{said:?}");
    for name in world.outputs() {
        assert_eq!(open(&world.output.join(&name)), nearest(&pattern(60, 50, 3), 2), "{name}");
    }
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_run_does_the_rest() {
    let world = World::new();
    world.put("0.png", png(&pattern(8, 8, 3)));
    let large = pattern(2600, 2600, 3);
    world.put("1.png", png(&large));
    let model = onnx::tiny(&world.root.path().join("models"));
    let words: [&std::ffi::OsStr; 9] = [
        "once".as_ref(),
        world.input.as_ref(),
        "-o".as_ref(),
        world.output.as_ref(),
        "--model".as_ref(),
        model.as_ref(),
        "--device=cpu".as_ref(),
        "--strength=0".as_ref(),
        "--threads=1".as_ref(),
    ];
    let child = start(&mut onestep(world.root.path(), &words));
    // The large one follows the small one, and takes far longer than two signals.
    until("the small one", || world.output.join("0.png").exists());
    child.signal("INT");
    child.signal("TERM");
    let killed = child.wait();
    assert_eq!(killed.status.signal(), Some(15), "{killed:?}");
    assert!(!world.output.join("1.png").exists());
    let last = said(&mut onestep(world.root.path(), &words));
    assert_eq!(last.code(), 0, "{last:?}");
    assert_eq!(world.outputs(), ["0.png", "1.png"]);
    assert_eq!(open(&world.output.join("1.png")), nearest(&large, 2));
}

/// Somebody holds the log up, and the pipeline with it; that holds up no signal.
#[test]
fn signals_are_heard_while_nobody_reads_the_log() {
    let world = World::new();
    let config = configure(&world, 100);
    let (reader, log) = UnixStream::pair().expect("a pair");
    let mut held_up = log.try_clone().expect("a second handle");
    let words = ["run".as_ref(), "--config".as_ref(), config.as_os_str()];
    let mut child = onestep(world.root.path(), &words).stderr(OwnedFd::from(log)).spawn().expect("started");
    world.put("a.png", png(&pattern(9, 8, 3)));
    comes_back(&world, "a.png", &pattern(9, 8, 3));
    held_up.set_nonblocking(true).expect("set");
    while held_up.write(&[b'.'; 512]).is_ok() {}
    held_up.set_nonblocking(false).expect("set");
    world.put("b.png", png(&pattern(9, 8, 3)));
    comes_back(&world, "b.png", &pattern(9, 8, 3));
    let pid = child.id().to_string();
    let mut status = None;
    // The first is taken on another thread, and two in one instant would be one.
    until("the end", || {
        Command::new("kill").args(["-TERM", &pid]).status().expect("it runs");
        status = child.try_wait().expect("ours");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.signal()), Some(15));
    drop(reader);
}

/// Receipts that cannot be written are no reason to wait where somebody waits for the end.
#[test]
fn once_says_which_folder_cannot_be_written_and_does_nothing() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    assert_eq!(once(&world, &[]).code(), 0);
    let receipts = world.output.join("receipts.jsonl");
    fs::remove_file(&receipts).expect("there");
    fs::create_dir(&receipts).expect("free");
    world.put("b.png", png(&pattern(9, 8, 3)));
    let refused = once(&world, &[]);
    assert_eq!(refused.code(), 3, "{refused:?}");
    assert!(refused.stderr.contains(&format!("Is a directory (os error 21): {}", receipts.display())));
    assert!(!world.output.join("b.png").exists());
    // A new ledger would be made from them.
    fs::remove_dir_all(world.root.path().join(".local/state/onestep")).expect("there");
    let refused = once(&world, &[]);
    let told = format!("cannot read the receipts {}: Is a directory", receipts.display());
    assert!(refused.stderr.contains(&told), "{refused:?}");
}

/// More than any queue holds, at once: nothing is missed, and nothing is done twice.
#[test]
fn a_flood_is_taken_in_whole() {
    const FLOOD: usize = 1500;
    let world = World::new();
    let child = daemon(&world, &configure(&world, 100));
    let bytes = png(&pattern(2, 2, 3));
    for n in 0..FLOOD {
        world.put(&format!("{}/{n}.png", n % 7), &bytes);
    }
    until("all of the flood", || crate::support::files_below(&world.output).len() >= FLOOD);
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 0);
    assert_eq!(said.stderr.matches(" done in ").count(), FLOOD);
    assert!(said.stderr.contains(&format!("{FLOOD} done, ")), "{}", &said.stderr[said.stderr.len() - 300..]);
    assert_eq!(world.outputs().len(), FLOOD);
}

/// A writer that pauses, on a file system where only silence tells, is not a bad picture.
#[test]
fn a_picture_that_ends_early_is_waited_for_while_it_is_young() {
    let world = World::new();
    let bytes = png(&pattern(40, 30, 3));
    let child = daemon(&world, &configure(&world, 100));
    world.put("slow.png", &bytes[..bytes.len() / 2]);
    until("a second try", || child.stderr().matches("failed in decode, trying again in ").count() == 1);
    world.put("slow.png", &bytes);
    comes_back(&world, "slow.png", &pattern(40, 30, 3));
    child.signal("TERM");
    let said = child.wait();
    assert!(said.stderr.contains("1 done") && said.stderr.contains("0 failed"), "{said:?}");
}
