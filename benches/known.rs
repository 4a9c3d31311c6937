//! Known pictures cost nothing (promise 9): CPU of an idle daemon over a minute with 10,000 known files, and
//! how long a restart over 50,000 known files takes until the one new picture behind them is done.
//! `cargo bench --bench known`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod tiny;

use std::path::Path;
use std::time::{Duration, Instant};
use support::{configure, cpu_seconds_of, onestep, print, spread, terminate, until};
use tiny::pictures::{pattern, png};

const IDLE_FILES: usize = 10_000;
const RESTART_FILES: usize = 50_000;
const IDLE: Duration = Duration::from_secs(60);
const RESTARTS: usize = 5;
const LIMIT: Duration = Duration::from_secs(900);

fn main() {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let model = tiny::onnx::tiny(&folder.path().join("models"));
    let config = configure(folder.path(), model.to_str().expect("text"), 0.0, 2);
    let start = || {
        onestep(folder.path(), &["run", "--config", config.to_str().expect("text")])
            .spawn()
            .expect("onestep starts")
    };
    fill(folder.path(), 0..IDLE_FILES);
    let begin = Instant::now();
    let child = start();
    until("all are done", LIMIT, || done(folder.path()) >= IDLE_FILES);
    print(&format!("{IDLE_FILES} pictures of 4×4 pixels done in {:.1} s", begin.elapsed().as_secs_f64()));
    std::thread::park_timeout(Duration::from_secs(3));
    let before = cpu_seconds_of(child.id());
    let begin = Instant::now();
    while begin.elapsed() < IDLE {
        std::thread::park_timeout(IDLE.saturating_sub(begin.elapsed()));
    }
    let spent = cpu_seconds_of(child.id()) - before;
    print(&format!("idle for {} s with {IDLE_FILES} known files: {spent:.2} CPU-s", IDLE.as_secs()));

    fill(folder.path(), IDLE_FILES..RESTART_FILES);
    until("all are done", LIMIT, || done(folder.path()) >= RESTART_FILES);
    terminate(child);
    let mut seconds = Vec::new();
    for n in 0..RESTARTS {
        // Old enough not to be waited for, and last in the order of names.
        let (new, result) = (format!("in/99/z{n}.png"), folder.path().join(format!("out/99/z{n}.png")));
        std::fs::write(folder.path().join(new), png(&pattern(4, 4, 3))).expect("room");
        std::thread::park_timeout(Duration::from_secs(3));
        let begin = Instant::now();
        let child = start();
        until("the new one", LIMIT, || result.exists());
        seconds.push(begin.elapsed().as_secs_f64());
        terminate(child);
    }
    let (middle, least, most) = spread(&mut seconds);
    print(&format!(
        "restart over {RESTART_FILES} known files: {middle:.2} s (least {least:.2}, most {most:.2}) until \
         the new \
         picture behind them is done, loading of runtime and model included"
    ));
}

fn fill(folder: &Path, numbers: std::ops::Range<usize>) {
    let bytes = png(&pattern(4, 4, 3));
    for n in numbers {
        let place = folder.join(format!("in/{:02}", n % 100));
        if n < 100 {
            std::fs::create_dir_all(&place).expect("room");
        }
        std::fs::write(place.join(format!("{n}.png")), &bytes).expect("room");
    }
}

fn done(folder: &Path) -> usize {
    let text = std::fs::read(folder.join("out/receipts.jsonl")).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}
