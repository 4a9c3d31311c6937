//! Pictures per minute against the usual Python loop (`rival/loop.py`: watchdog, Pillow, onnxruntime),
//! promise 7: the same model file, pictures, format and cores, in turn. Needs a Python that has the three:
//! `python3 -m venv .runtime/rival && .runtime/rival/bin/pip install watchdog pillow numpy
//! onnxruntime==1.31.0`, then `cargo bench --bench rival`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{configure, here, mosaic, onestep, open_model, print, samples, spread, terminate, until};

const ROUNDS: usize = 3;
const CORES: &str = "2";
const LIMIT: Duration = Duration::from_secs(600);

fn main() {
    let python = here().join(".runtime/rival/bin/python");
    if !python.exists() {
        print(&format!("no {}: see the head of benches/rival.rs", python.display()));
        return;
    }
    let halo = open_model(0.0).facts[0].card.halo.to_string();
    let small: Vec<Vec<u8>> =
        samples().iter().cycle().take(48).map(|path| std::fs::read(path).expect("a sample")).collect();
    let mut large = Vec::new();
    mosaic(5, 0).write_to(&mut std::io::Cursor::new(&mut large), image::ImageFormat::Jpeg).expect("memory");
    for (what, pictures) in [("48 of 256×256 pixels", small), ("1 of 1280×1280 pixels", vec![large])] {
        // As fast as ours, and what Pillow does if nobody says anything.
        for level in ["1", "6"] {
            let mut faster: Vec<f64> = (0..ROUNDS)
                .map(|_| {
                    let theirs = seconds(&pictures, |home| loop_py(&python, home, &halo, level), kill);
                    theirs / seconds(&pictures, daemon, terminate)
                })
                .collect();
            let (middle, least, most) = spread(&mut faster);
            print(&format!(
                "{what}, strength 0, its PNG level {level}: {middle:.2}× the pictures per minute of the Python \
                 loop (least {least:.2}, most {most:.2}, {ROUNDS} rounds)"
            ));
        }
    }
}

fn kill(mut child: Child) {
    child.kill().and_then(|()| child.wait()).expect("ours");
}

/// From the first picture that lands to the last result, by a program that waits already.
fn seconds(pictures: &[Vec<u8>], start: impl Fn(&Path) -> Child, end: impl Fn(Child)) -> f64 {
    let folder = tempfile::tempdir().expect("a temp folder");
    let home = folder.path();
    std::fs::create_dir(home.join("in"))
        .and_then(|()| std::fs::create_dir(home.join("out")))
        .expect("writable");
    let child = start(home);
    let begin = Instant::now();
    for (n, bytes) in pictures.iter().enumerate() {
        std::fs::write(home.join(format!("in/{n}.jpg")), bytes).expect("writable");
    }
    until("all results", LIMIT, || (0..pictures.len()).all(|n| home.join(format!("out/{n}.png")).exists()));
    let seconds = begin.elapsed().as_secs_f64();
    end(child);
    seconds
}

fn loop_py(python: &Path, home: &Path, halo: &str, level: &str) -> Child {
    let mut child = Command::new(python)
        .arg(here().join("benches/rival/loop.py"))
        .arg(here().join("models/sr-x4-mean.onnx"))
        .args([home.join("in"), home.join("out")])
        .args([halo, CORES, level])
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it speaks");
    assert_eq!(line.trim(), "watching");
    child
}

fn daemon(home: &Path) -> Child {
    let model = here().join("models/sr-x4.onnx");
    let config = configure(home, model.to_str().expect("text"), 0.0, 2);
    let words = ["run", "--config", config.to_str().expect("text")];
    let mut child = onestep(home, &words).stderr(Stdio::piped()).spawn().expect("onestep starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("watching: "))));
    // It goes on speaking; nobody listens any more, which must not stop it.
    std::thread::spawn(move || lines.for_each(drop));
    child
}
