//! What the benchmarks share: the shipped model, a clock of CPU time, and a line on stdout.

#![allow(dead_code, reason = "each benchmark uses its part")]

use onestep::edge::model::{Device, Opened, Request, open};
use onestep::edge::{library, model_file};
use std::io::Write;
use std::path::Path;

/// `sr-x4` at a strength, one session on the CPU.
pub fn open_model(strength: f32) -> Opened {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = model_file::find("sr-x4", None, here, here).expect("models/sr-x4.onnx is there");
    let library = library::find(None, None, here, here).expect("run scripts/fetch-runtime first");
    let request = Request { file, strength: Some(strength), device: Device::Cpu, threads: 1 };
    open(&library, &request).expect("the shipped model opens")
}

/// User and system time of this process and of its ended children, in seconds; 10 ms resolution.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // Fields are counted behind the program's name, which may hold blanks: utime is the 14th of all, cstime
    // the 17th.
    let behind = stat.rsplit_once(") ").expect("a name in parentheses").1;
    let ticks = behind.split(' ').skip(11).take(4).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// One line on stdout.
pub fn print(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout is open");
}
