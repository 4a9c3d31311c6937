//! How soon a result is visible (promise 8): from the last byte of a 256×256 picture written into a folder in
//! memory to its ×4 result, less the settling of a closed file and less the network's own time (from the
//! receipt). `cargo bench --bench latency`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use onestep::edge::record::Receipt;
use onestep::work::settle::AFTER_CLOSE;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{configure, onestep, print, samples, spread, terminate, until};

const PICTURES: usize = 60;

fn main() {
    for (format, ending) in [("png", "png"), ("jpeg", "jpg")] {
        let (mut beyond, settling) = (measure(format, ending), AFTER_CLOSE.as_millis());
        let (middle, least, most) = spread(&mut beyond);
        let p95 = beyond[beyond.len() * 95 / 100];
        print(&format!(
            "closed → visible as {format}, beyond settling ({settling} ms) and network: p50 {middle:.1} ms, \
             p95 {p95:.1} ms (least {least:.1}, most {most:.1}, {PICTURES} pictures)"
        ));
    }
}

/// Milliseconds of each picture in turn, results in that format.
fn measure(format: &str, ending: &str) -> Vec<f64> {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let model = support::here().join("models/sr-x4.onnx");
    let config = configure(folder.path(), model.to_str().expect("text"), 0.0, 2);
    let text = std::fs::read_to_string(&config).expect("written just now");
    let text = text.replacen("strength", &format!("format = \"{format}\"\nstrength"), 1);
    std::fs::write(&config, text).expect("writable");
    let child = onestep(folder.path(), &["run", "--config", config.to_str().expect("text")])
        .spawn()
        .expect("onestep starts");
    let limit = Duration::from_secs(60);
    let mut beyond = Vec::new();
    for (n, sample) in samples().iter().cycle().take(PICTURES + 2).enumerate() {
        let (input, output) = (format!("in/{n}.jpg"), folder.path().join(format!("out/{n}.{ending}")));
        let bytes = std::fs::read(sample).expect("a sample");
        std::fs::write(folder.path().join(input), bytes).expect("room");
        let begin = Instant::now();
        until("the result", limit, || output.exists());
        let visible = begin.elapsed();
        until("the receipt", limit, || receipt(folder.path(), n).is_some());
        let network = receipt(folder.path(), n).expect("there").seconds.inferring;
        // The first ones wait for the daemon to start and for the session's first run.
        if n >= 2 {
            beyond.push((visible.as_secs_f64() - AFTER_CLOSE.as_secs_f64() - network) * 1e3);
        }
    }
    terminate(child);
    beyond
}

fn receipt(folder: &Path, n: usize) -> Option<Receipt> {
    let text = std::fs::read_to_string(folder.join("out/receipts.jsonl")).ok()?;
    let name = format!("{n}.jpg");
    text.lines().filter_map(Receipt::from_line).find(|receipt| receipt.mark.source == name)
}
