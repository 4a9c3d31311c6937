//! What `why` and `status` answer: beside a daemon at work, after its end, and of pictures nobody ever took.

use crate::run::{comes_back, configure, daemon};
use crate::support::pictures::{pattern, png};
use crate::support::process::{Said, onestep, said, until};
use crate::support::{World, files_below};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn ask(world: &World, words: &[&OsStr]) -> Said {
    let mut command = onestep(world.root.path(), words);
    said(command.current_dir("/"))
}

fn why(world: &World, path: &Path) -> Said {
    ask(world, &["why".as_ref(), path.as_os_str()])
}

#[test]
fn what_became_of_a_picture_is_told_beside_the_daemon_and_after_its_end() {
    let world = World::new();
    let (good, bad) = (world.put("sub/a.png", png(&pattern(9, 8, 3))), world.put("bad.jpg", "hello"));
    let child = daemon(&world, &configure(&world, 100));
    comes_back(&world, "sub/a.png", &pattern(9, 8, 3));
    until("a reason", || world.output.join("failed/bad.jpg.reason.json").exists());
    // The file is visible before its row is written.
    until("the row", || why(&world, &good).stdout.contains("  done  "));

    let answer = why(&world, &good);
    assert_eq!(answer.code(), 0, "{answer:?}");
    let target = world.output.join("sub/a.png");
    for part in [
        format!("→ {}", target.display()),
        format!("pid {}, began ", child.id()),
        ", at work\n".into(),
        "now      the picture is as it was then\n".into(),
        "options  ".into(),
        "content  SHA-256 ".into(),
    ] {
        assert!(answer.stdout.contains(&part), "{part}: {answer:?}");
    }
    assert!(why(&world, &target).stdout.contains("  done  "), "a result has its picture's story");
    until("the failure's row", || why(&world, &bad).stdout.contains("  failed  "));
    assert!(
        why(&world, &bad).stdout.contains("content is neither JPEG, PNG, WebP, TIFF, GIF, BMP, PNM nor QOI")
    );
    let status = ask(&world, &["status".as_ref()]).stdout;
    assert!(status.contains("1 done, 1 failed, 0 in work"), "{status}");
    assert!(status.contains(&format!("at work: pid {}", child.id())), "{status}");
    let words: [&OsStr; 3] = ["status".as_ref(), "--prometheus".as_ref(), "--check".as_ref()];
    let metrics = ask(&world, &words);
    assert_eq!(metrics.code(), 0, "{metrics:?}");
    for (name, value) in [("onestep_up{", "} 1"), ("onestep_pictures{", ",outcome=\"failed\"} 1")] {
        let has = |line: &str| line.starts_with(name) && line.ends_with(value);
        assert!(metrics.stdout.lines().any(has), "{name}: {metrics:?}");
    }
    let pause = |word: &str| assert_eq!(ask(&world, &[word.as_ref()]).code(), 0);
    pause("pause");
    assert_eq!(ask(&world, &words).code(), 1);
    pause("resume");
    assert_eq!(ask(&world, &words).code(), 0);

    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    fs::write(&good, png(&pattern(10, 8, 3))).expect("writable");
    fs::remove_file(&target).expect("ours");
    let later = why(&world, &good).stdout;
    assert!(later.contains("the picture has changed since"), "{later}");
    assert!(later.contains("its result was taken away") && later.contains(", ended "), "{later}");
    let metrics = ask(&world, &words);
    assert!(metrics.code() == 1 && metrics.stdout.contains("\nonestep_up{state="), "{metrics:?}");
    let json = ask(&world, &["status".as_ref(), "--json".as_ref()]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((json[0]["done"].as_u64(), json[0]["failed"].as_u64()), (Some(1), Some(1)));
    assert_eq!((json[0]["at_work"].as_str(), json[0]["ending"].as_str()), (None, Some("ended")));
    assert!(json[0]["failures"][0]["source"].as_str().expect("a path").ends_with("in/bad.jpg"));
}

#[test]
fn a_picture_is_known_by_whatever_name_its_folder_has() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    let config = configure(&world, 100);
    let (root, text) = (world.root.path(), fs::read_to_string(&config).expect("there"));
    symlink(&world.input, root.join("link")).expect("a link");
    fs::create_dir(root.join("conf")).expect("a folder");
    let places = text.replace("\"out\"", "\"../out\"").replace("\"models\"", "\"../models\"");
    for (number, input) in ["../in", "../link"].into_iter().enumerate() {
        let config = root.join(format!("conf/{number}.toml"));
        fs::write(&config, places.replace("\"in\"", &format!("\"{input}\""))).expect("writable");
        let child = daemon(&world, &config);
        comes_back(&world, "a.png", &pattern(9, 8, 3));
        for path in [&picture, &world.output.join("a.png")] {
            until(input, || why(&world, path).stdout.contains("  done  "));
        }
        child.signal("TERM");
        assert_eq!(child.wait().code(), 0);
        fs::remove_file(world.output.join("a.png")).expect("there");
        // Or the first folder's row would answer for the second.
        fs::remove_dir_all(root.join(".local/state/onestep")).expect("there");
        fs::remove_file(world.output.join("receipts.jsonl")).expect("there");
    }
}

#[test]
fn why_a_picture_was_never_taken_in_is_told() {
    let world = World::new();
    let nobody = why(&world, &world.put("a.png", png(&pattern(9, 8, 3))));
    assert_eq!(nobody.code(), 1);
    assert!(nobody.stdout.contains("no onestep of this user has a ledger"), "{nobody:?}");

    let child = daemon(&world, &configure(&world, 100));
    comes_back(&world, "a.png", &pattern(9, 8, 3));
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
    symlink(world.input.join("a.png"), world.input.join("link.png")).expect("writable");
    fs::write(world.root.path().join("elsewhere.png"), "x").expect("writable");
    for (path, part) in [
        (world.put("late.png", png(&pattern(9, 8, 3))), "not seen yet: no onestep is at work on its folder"),
        (world.put("a.png.part", "x"), "its name says hidden or unfinished"),
        (world.put(".cache/b.png", "x"), "it lies in a folder that is hidden or unfinished"),
        (world.put("notes.txt", "x"), "its name does not end as a picture's does"),
        (world.input.join("link.png"), "it is a link"),
        (world.input.clone(), "a folder: ask for a picture in it"),
        (world.input.join("gone.png"), "cannot be looked at"),
        (world.root.path().join("elsewhere.png"), "it lies in no folder"),
    ] {
        let answer = why(&world, &path);
        assert!(answer.code() == 1 && answer.stdout.contains(part), "{part}: {answer:?}");
    }
    // Looking leaves nothing behind: the ledger of a daemon that ended is at rest.
    let state = files_below(&world.root.path().join(".local/state/onestep"));
    assert!(!state.iter().any(|name| name.ends_with("-wal") || name.ends_with("-shm")), "{state:?}");
    let empty = world.root.path().join("empty");
    fs::create_dir(&empty).expect("writable");
    let none = ask(&world, &["status".as_ref(), "--state".as_ref(), empty.as_os_str()]);
    assert!(none.code() == 2 && none.stderr.contains("there is no ledger"), "{none:?}");
}

/// A failure is remembered until it is asked for again; then the next start tries it, and others stay.
#[test]
fn a_failure_that_is_retried_is_forgotten_and_tried_again() {
    let world = World::new();
    let config = configure(&world, 100);
    let bad = world.put("bad.jpg", "hello");
    let reason = world.output.join("failed/bad.jpg.reason.json");
    let run = || {
        let child = daemon(&world, &config);
        until("the failure's row", || why(&world, &bad).stdout.contains("  failed  "));
        child.signal("TERM");
        let said = child.wait();
        assert_eq!(said.code(), 0, "{said:?}");
    };
    run();
    assert!(reason.exists());
    let retry = |words: &[&str]| {
        let words: Vec<&OsStr> = ["retry"].iter().chain(words).map(AsRef::as_ref).collect();
        let said = ask(&world, &words);
        assert_eq!(said.code(), 0, "{said:?}");
        said.stdout
    };
    assert!(retry(&["--reason", "too large"]).contains("no failure is remembered that fits"));
    assert!(why(&world, &bad).stdout.contains("  failed  "), "what did not fit stays");
    let told = retry(&["--since", "2d", "--reason", "neither JPEG"]);
    assert!(told.contains("bad.jpg: ") && told.contains("1 to be tried again at the next start"), "{told}");
    assert!(
        why(&world, &bad).stdout.contains("not seen yet") || !why(&world, &bad).stdout.contains("failed")
    );
    run();
    assert!(reason.exists());
}

#[test]
fn a_picture_that_the_configuration_ignores_is_told_so() {
    let world = World::new();
    let config = configure(&world, 100);
    let text = fs::read_to_string(&config).expect("there");
    fs::write(&config, text.replace("[models]", "ignore = [\"raw\"]\n[models]")).expect("writable");
    let ignored = world.put("sub/raw/a.png", png(&pattern(9, 8, 3)));
    let words = ["why".as_ref(), ignored.as_os_str(), "--config".as_ref(), config.as_os_str()];
    let child = daemon(&world, &config);
    until("a scan", || child.stderr().contains("watching: "));
    let answer = ask(&world, &words);
    assert!(answer.stdout.contains("never taken in: `ignore` of pipeline 1 leaves it alone"), "{answer:?}");
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);
}
