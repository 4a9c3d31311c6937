//! As a service: the supervisor hears what it must, the log can be read by machines, the configuration can be
//! checked, and a picture that brings the program down is found out.

use crate::support::pictures::{pattern, png};
use crate::support::process::{Process, onestep, said, start, until};
use crate::support::{World, onnx};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

fn configure(world: &World) -> PathBuf {
    onnx::tiny(&world.root.path().join("models"));
    let path = world.root.path().join("config.toml");
    let text = "[[pipeline]]\ninput = \"in\"\noutput = \"out\"\nsettle_ms = 100\n\
                model = \"tiny\"\nstrength = 0.0\n[models]\nfolder = \"models\"\n\
                [device]\ndevice = \"cpu\"\nthreads = 1\n[service]\nstate = \"state\"\n";
    fs::write(&path, text).expect("writable");
    path
}

fn daemon(world: &World, more: &[&str]) -> Process {
    let config = configure(world);
    let mut words = vec!["run".into(), "--config".into(), config.into_os_string()];
    words.extend(more.iter().map(Into::into));
    start(&mut onestep(world.root.path(), &words))
}

#[test]
fn the_supervisor_hears_ready_alive_and_stopping() {
    let world = World::new();
    let config = configure(&world);
    let path = world.root.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    let mut command = onestep(world.root.path(), &["run".as_ref(), "--config".as_ref(), config.as_os_str()]);
    let child = start(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "60000"));
    let hear = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("in time");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    assert_eq!(hear(), "READY=1");
    assert_eq!((hear(), hear()), ("WATCHDOG=1".into(), "WATCHDOG=1".into()));
    child.signal("TERM");
    let told = std::iter::from_fn(|| Some(hear())).find(|word| word != "WATCHDOG=1");
    assert_eq!(told.as_deref(), Some("STOPPING=1"));
    assert_eq!(child.wait().code(), 0);
}

#[test]
fn the_log_can_be_read_by_machines() {
    let world = World::new();
    world.put("a\"\n.png", png(&pattern(9, 8, 3)));
    world.put("bad.jpg", "hello");
    let child = daemon(&world, &["--log-format", "json"]);
    until("both ends", || child.stderr().contains("\"done\"") && child.stderr().contains("\"failed\""));
    child.signal("TERM");
    let said = child.wait();
    let lines: Vec<serde_json::Value> =
        said.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let done = lines.iter().find(|line| line["outcome"] == "done").expect("a line");
    assert_eq!(done["level"], "INFO");
    assert!(done["source"].as_str().expect("text").ends_with("a\"\n.png"), "{done}");
    for step in ["waiting", "decoding", "inferring", "encoding", "seconds"] {
        assert!(done[step].as_f64().is_some_and(|seconds| seconds >= 0.0), "{step}: {done}");
    }
    let failed = lines.iter().find(|line| line["outcome"] == "failed").expect("a line");
    assert_eq!((&failed["class"], &failed["stage"]), (&"not-a-picture".into(), &"admit".into()));
}

#[test]
fn a_configuration_can_be_checked_while_the_daemon_runs() {
    let world = World::new();
    let child = daemon(&world, &[]);
    until("the start", || child.stderr().contains("watching: "));
    let config = world.root.path().join("config.toml");
    let validate = || {
        said(&mut onestep(world.root.path(), &["validate".as_ref(), "--config".as_ref(), config.as_os_str()]))
    };
    let well = validate();
    assert_eq!(well.code(), 0, "{well:?}");
    assert!(
        well.stdout.contains("config.toml is well\n") && well.stdout.contains("tiny-mean on cpu"),
        "{well:?}"
    );
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);

    let text = fs::read_to_string(&config).expect("there");
    let bad = text.replace("input = \"in\"", "input = \"gone\"").replace("\"tiny\"", "\"other\"");
    fs::write(&config, bad).expect("ours");
    let told = validate();
    assert_eq!(told.code(), 2, "{told:?}");
    assert!(told.stderr.contains("pipeline 1: input is not a folder: "), "{told:?}");
    assert!(told.stderr.contains("model other: other.onnx is in none of these folders"), "{told:?}");
    fs::write(&config, text.replace("\"cpu\"", "\"cuda:99\"")).expect("ours");
    assert_eq!(validate().code(), 78);
}

/// One that crashes the program is suspected, then done alone, and left alone when it crashes that too. All
/// others come through.
#[test]
fn a_picture_that_was_in_work_in_two_crashes_is_left_alone_until_it_changes() {
    let world = World::new();
    let large = png(&pattern(2600, 2600, 3));
    world.put("poison.png", &large);
    for crash in 0..2 {
        let child = daemon(&world, &[]);
        let intended = || child.stderr().contains("suspected of a crash, done alone: ");
        until("it is in work", || in_work(&world, &child) && (crash == 0 || intended()));
        child.signal("SEGV");
        assert!(child.wait().status.code().is_none(), "killed by the signal");
    }
    world.put("innocent.png", png(&pattern(9, 8, 3)));
    let child = daemon(&world, &[]);
    until("the others", || world.output.join("innocent.png").exists());
    let reason = world.output.join("failed/poison.png.reason.json");
    until("the reason", || reason.exists());
    assert_eq!(world.reason("poison.png").0, "quarantined");
    // Its owner mends it.
    world.put("poison.png", png(&pattern(9, 9, 3)));
    until("the mended one", || world.output.join("poison.png").exists() && !reason.exists());
    child.signal("TERM");
    let said = child.wait();
    assert!(said.stderr.contains("the run before crashed (SIGSEGV)"), "{said:?}");
    assert_eq!(world.outputs(), ["innocent.png", "poison.png"]);
}

/// A picture is in work while a temp file of this process stands for its result.
fn in_work(world: &World, process: &Process) -> bool {
    let own = format!(".onestep-{}-", process.id());
    let is_own = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(&own);
    fs::read_dir(&world.output)
        .is_ok_and(|mut folder| folder.any(|entry| entry.is_ok_and(|entry| is_own(&entry.file_name()))))
}

/// A kill from outside says nothing about the pictures, however often it comes.
#[test]
fn kills_from_outside_put_nobody_under_suspicion() {
    let world = World::new();
    world.put("large.png", png(&pattern(1200, 1200, 3)));
    for _ in 0..3 {
        let mut child = daemon(&world, &[]);
        until("it is in work", || in_work(&world, &child));
        child.kill();
        child.wait();
    }
    let child = daemon(&world, &[]);
    until("the result", || world.output.join("large.png").exists());
    child.signal("TERM");
    let said = child.wait();
    assert!(said.stderr.contains("the run before did not end by itself (it was killed)"), "{said:?}");
    assert!(!said.stderr.contains("suspected"), "{said:?}");
}

/// What was in work when the run died, and has been taken away since, is not told as interrupted for ever.
#[test]
fn what_was_begun_and_is_gone_is_forgotten() {
    let world = World::new();
    let picture = world.put("large.png", png(&pattern(1200, 1200, 3)));
    let mut child = daemon(&world, &[]);
    until("it is in work", || in_work(&world, &child));
    child.kill();
    child.wait();
    let status = || {
        said(
            onestep(world.root.path(), &["status", "--config", "config.toml"]).current_dir(world.root.path()),
        )
        .stdout
    };
    assert!(status().contains("1 interrupted"), "{}", status());
    fs::remove_file(&picture).expect("ours");
    let child = daemon(&world, &[]);
    until("a word", || child.stderr().contains("begun by an earlier run, and gone: "));
    child.signal("TERM");
    child.wait();
    assert!(status().contains("0 done, 0 failed\n"), "{}", status());
}
