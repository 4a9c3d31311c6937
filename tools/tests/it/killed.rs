//! The program killed at any moment: gone on with, it ends where an uninterrupted run ends.

use crate::generation::pack;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn start(arguments: &[&str], out: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tools"));
    command.args(["train-export", "cifar10", "--threads", "1", "--out"]).arg(out).args(arguments);
    command.stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until `done`, or a minute.
fn wait_for(done: &dyn Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "a minute passed");
        std::thread::yield_now();
    }
}

#[test]
fn a_run_killed_at_any_moment_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let data = pack(folder.path());
    let (runs, out) = (folder.path().join("runs"), folder.path().join("out"));
    let new = ["--steps", "2,2", "--data", data.to_str().unwrap(), "--runs", runs.to_str().unwrap()];
    assert!(start(&new, &out).wait().unwrap().success());

    let run = runs.join("00001-cifar10");
    let resume = ["--resume", run.to_str().unwrap()];
    let lines = || std::fs::read_to_string(run.join("log.jsonl")).unwrap_or_default().lines().count();
    // In the first stage, then in the second, whose first step is the second line.
    let moments: [(&[&str], &dyn Fn() -> bool); 2] = [
        (&new, &|| lines() == 1),
        (&resume, &|| run.join("checkpoint.safetensors").is_file() && lines() > 1),
    ];
    for (arguments, moment) in moments {
        let mut child = start(arguments, &out);
        wait_for(moment);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    }
    assert!(!run.join("weights.safetensors").is_file(), "killed before its end");
    assert!(start(&resume, &out).wait().unwrap().success());
    let weights = |name: &str| std::fs::read(runs.join(name).join("weights.safetensors")).unwrap();
    assert!(weights("00000-cifar10") == weights("00001-cifar10"));
}
