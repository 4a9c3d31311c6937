//! What becomes of pictures that are done, and what their results are called.

use crate::run::{configure, daemon};
use crate::support::World;
use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::until;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// The configuration of `configure` with more keys for its pipeline.
fn with(world: &World, keys: &str) -> PathBuf {
    let config = configure(world, 100);
    let text = fs::read_to_string(&config).expect("there");
    fs::write(&config, text.replace("[models]", &format!("{keys}\n[models]"))).expect("writable");
    config
}

/// Runs the daemon until `done`, and gives what it said.
fn serve(world: &World, config: &std::path::Path, what: &str, done: impl FnMut() -> bool) -> String {
    let child = daemon(world, config);
    until(what, done);
    child.signal("TERM");
    let said = child.wait();
    assert_eq!(said.code(), 0, "{said:?}");
    said.stderr
}

#[test]
fn originals_are_moved_when_their_result_is_done_and_bad_ones_stay() {
    let world = World::new();
    let config = with(&world, "originals = \"move\"\noriginals_folder = \"done\"");
    let (good, bad) = (world.put("sub/good.png", png(&pattern(9, 8, 3))), world.put("bad.png", "no picture"));
    let done = world.root.path().join("done/sub/good.png");
    serve(&world, &config, "the original moved", || {
        done.exists() && world.output.join("failed/bad.png.reason.json").exists()
    });
    assert_eq!((good.exists(), bad.exists()), (false, true));
    assert_eq!(open(&world.output.join("sub/good.png")), nearest(&open(&done), 2));
    // The same name again is another picture, and takes nobody's place.
    world.put("sub/good.png", png(&pattern(7, 5, 3)));
    serve(&world, &config, "the second one moved", || world.root.path().join("done/sub/good-2.png").exists());
    assert_eq!(open(&done), pattern(9, 8, 3));
    assert_eq!(open(&world.output.join("sub/good.png")), nearest(&pattern(7, 5, 3), 2));
}

#[test]
fn an_original_whose_run_died_before_it_was_put_away_is_put_away_by_the_next() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    serve(&world, &configure(&world, 100), "a result", || world.output.join("receipts.jsonl").exists());
    assert!(picture.exists());
    let config = with(&world, "originals = \"delete\"");
    let said = serve(&world, &config, "the original gone", || !picture.exists());
    assert!(said.contains("original deleted: ") && said.contains("0 done"), "{said}");
}

/// What was done may be gone, or lie where results no longer go: then the picture is all there is.
#[test]
fn an_original_whose_result_is_gone_stays_and_another_output_folder_gets_its_own_results() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    let config = configure(&world, 100);
    // One state folder, whatever the output.
    let text = fs::read_to_string(&config).expect("there") + "[service]\nstate = \"state\"\n";
    for output in ["out", "out2"] {
        fs::write(&config, text.replace("\"out\"", &format!("\"{output}\""))).expect("writable");
        let receipts = world.root.path().join(output).join("receipts.jsonl");
        serve(&world, &config, "a result", || receipts.exists());
        assert!(world.root.path().join(output).join("a.png").exists());
    }
    fs::remove_file(world.root.path().join("out2/a.png")).expect("there");
    let keys = "originals = \"move\"\noriginals_folder = \"done\"\n[models]";
    let text = fs::read_to_string(&config).expect("there").replace("[models]", keys);
    fs::write(&config, text).expect("writable");
    let child = daemon(&world, &config);
    until("a word", || child.stderr().contains("original kept, since its result is gone: "));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    assert!(picture.exists());
}

/// The result is the last of a picture whose original was deleted: another one of its name takes another
/// place, or none.
#[test]
fn a_result_whose_original_was_deleted_is_not_replaced_by_another_picture() {
    let world = World::new();
    let (first, second) = (pattern(9, 8, 3), pattern(7, 5, 3));
    let config = with(&world, "originals = \"delete\"");
    let picture = world.put("a.png", png(&first));
    serve(&world, &config, "the original gone", || !picture.exists());
    world.put("a.png", png(&second));
    let reason = world.output.join("failed/a.png.reason.json");
    serve(&world, &config, "a reason", || reason.exists());
    // Nor by the next start, which tries again what failed so.
    for _ in 0..2 {
        assert_eq!(world.reason("a.png").0, "name-taken");
        assert_eq!((picture.exists(), open(&world.output.join("a.png"))), (true, nearest(&first, 2)));
        fs::remove_file(&reason).expect("ours");
        let child = daemon(&world, &config);
        until("an end", || reason.exists() || child.stderr().contains("done in "));
        child.signal("TERM");
        assert_eq!(child.wait().code(), 0);
    }
    // The same picture is no other one.
    world.put("a.png", png(&first));
    serve(&world, &config, "the original gone", || !picture.exists());
    let config = with(&world, "originals = \"delete\"\nname_taken = \"number\"");
    for (other, name) in [(second, "a-2.png"), (pattern(6, 6, 3), "a-3.png")] {
        world.put("a.png", png(&other));
        serve(&world, &config, "the original gone", || !picture.exists());
        assert_eq!(open(&world.output.join(name)), nearest(&other, 2));
    }
    assert_eq!(open(&world.output.join("a.png")), nearest(&first, 2));
}

#[test]
fn an_original_is_deleted_only_when_its_result_can_be_read_to_its_end() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    let result = world.output.join("a.png");
    serve(&world, &configure(&world, 100), "a result", || world.output.join("receipts.jsonl").exists());
    let whole = fs::read(&result).expect("there");
    fs::write(&result, &whole[..whole.len() - 20]).expect("writable");
    let config = with(&world, "originals = \"delete\"");
    let child = daemon(&world, &config);
    until("a word", || child.stderr().contains("original kept, since its result cannot be made sure of ("));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    assert!(picture.exists());
}

#[test]
fn the_trash_is_the_desktops() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    let config = with(&world, "originals = \"trash\"");
    serve(&world, &config, "the original gone", || !picture.exists());
    assert!(world.output.join("a.png").exists());
    let trashed = world.root.path().join(".local/share/Trash/files/a.png");
    assert_eq!(open(&trashed), pattern(9, 8, 3));
}

#[test]
fn names_follow_the_template_and_are_numbered_where_they_are_taken() {
    let world = World::new();
    let config = with(&world, "file_name = \"{stem}_x{scale}\"\nname_taken = \"number\"\nmode = \"0604\"");
    let pictures = [("a.png", pattern(9, 8, 3)), ("a.PNG", pattern(8, 8, 3)), ("a.Png", pattern(7, 8, 3))];
    for (name, picture) in &pictures {
        world.put(name, png(picture));
    }
    let places = ["a_x2.png", "a_x2-2.png", "a_x2-3.png"].map(|name| world.output.join(name));
    serve(&world, &config, "three results", || places.iter().all(|place| place.exists()));
    let results = places.each_ref().map(|place| open(place));
    for (_, picture) in &pictures {
        assert!(results.contains(&nearest(picture, 2)));
    }
    for place in &places {
        assert_eq!(place.metadata().expect("there").permissions().mode() & 0o777, 0o604);
    }
    // Each has its own place, also when it changes, and when another's result was taken away.
    let second = open(&places[1]);
    let (name, _) = pictures.iter().find(|(_, picture)| nearest(picture, 2) == second).expect("one of them");
    fs::remove_file(&places[0]).expect("ours");
    world.put(name, png(&pattern(20, 8, 3)));
    serve(&world, &config, "the changed one", || {
        fs::metadata(&places[1]).is_ok() && open(&places[1]) == nearest(&pattern(20, 8, 3), 2)
    });
    assert!(!places[0].exists() && !world.output.join("a_x2-4.png").exists(), "{:?}", world.outputs());
}

#[test]
fn choices_that_make_no_sense_are_told_at_once() {
    let world = World::new();
    let keys = "originals = \"burn\"\nfile_name = \"x\"\nmode = \"rw\"\ngroup = \"nobody-at-all\"\n\
                originals_folder = \"in/done\"\nname_taken = \"overwrite\"";
    let config = with(&world, keys);
    let said = daemon(&world, &config).wait();
    assert_eq!(said.code(), 2, "{said:?}");
    for told in [
        "pipeline 1: file_name: without {stem} all results would have one name",
        "pipeline 1: name_taken is \"overwrite\", not one of refuse, number",
        "pipeline 1: mode: \"rw\" is not octal permission bits",
        "pipeline 1: group: there is no group \"nobody-at-all\"",
        "pipeline 1: originals is \"burn\", not one of keep, move, trash, delete",
        "originals = \"move\" and originals_folder go together",
    ] {
        assert!(said.stderr.contains(told), "{told}\n{}", said.stderr);
    }
    let config = with(&world, "originals = \"move\"\noriginals_folder = \"in/done\"");
    let said = daemon(&world, &config).wait();
    assert!(
        said.stderr.contains("the originals folder ") && said.stderr.contains(" lies inside the input"),
        "{said:?}"
    );
}
