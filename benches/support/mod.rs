//! What the benchmarks share: the shipped model, pictures, processes, a clock of CPU time, and lines on
//! stdout.

#![allow(dead_code, reason = "each benchmark uses its part")]

use onestep::edge::model::{Asked, Opened, Request, open};
use onestep::edge::{library, model_file};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `sr-x4` at a strength, one session on the CPU.
pub fn open_model(strength: f32) -> Opened {
    open_models(strength, 1)
}

/// `sr-x4` at a strength, with so many sessions on the CPU.
pub fn open_models(strength: f32, threads: usize) -> Opened {
    let file = model_file::find("sr-x4", None, here(), here()).expect("models/sr-x4.onnx is there");
    let library = library::find(None, None, here(), here()).expect("run scripts/fetch-runtime first");
    let models = vec![Asked { file, strength: Some(strength), samples: false, terms: None, second: false }];
    open(&library, &Request::on_cpu(models, threads)).expect("the shipped model opens")
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

/// CPU time of this thread, in seconds.
pub fn thread_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// One line on stdout.
pub fn print(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout is open");
}

/// The middle of some values, with the least and the most.
pub fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

/// The repository.
pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sample pictures, JPEG of 256×256 pixels.
pub fn samples() -> Vec<PathBuf> {
    let all = std::fs::read_dir(here().join("samples")).expect("samples").flatten().map(|entry| entry.path());
    let mut samples: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "jpg")).collect();
    samples.sort();
    samples
}

/// A mosaic of `along`² samples, beginning with sample number `first`.
pub fn mosaic(along: u32, first: usize) -> image::RgbImage {
    let samples = samples();
    let mut mosaic = image::RgbImage::new(256 * along, 256 * along);
    for cell in 0..along * along {
        let sample = image::open(&samples[(cell as usize + first) % samples.len()]).expect("a picture");
        let (x, y) = (cell % along * 256, cell / along * 256);
        image::imageops::replace(&mut mosaic, &sample.into_rgb8(), i64::from(x), i64::from(y));
    }
    mosaic
}

/// `onestep` with these words, its state in `home`, saying nothing.
pub fn onestep(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onestep"));
    command.args(words).env("XDG_STATE_HOME", home.join("state")).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A configuration for `run` in `home`, with folders `in` and `out`. Gives its path.
pub fn configure(home: &Path, model: &str, strength: f32, threads: usize) -> PathBuf {
    for folder in ["in", "out"] {
        std::fs::create_dir_all(home.join(folder)).expect("writable");
    }
    let path = home.join("config.toml");
    let text = format!(
        "[[pipeline]]\ninput = \"in\"\noutput = \"out\"\nmodel = \"{model}\"\nstrength = {strength:?}\n\
         [device]\ndevice = \"cpu\"\nprecision = \"f32\"\nthreads = {threads}\n[service]\nstate = \"state\"\n"
    );
    std::fs::write(&path, text).expect("writable");
    path
}

/// Asks every millisecond until `done`.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < limit, "not after {limit:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Asks a process to end, and waits until it has.
pub fn terminate(mut child: Child) {
    let sent = Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    assert!(sent.success() && child.wait().expect("ours").success());
}

/// A line of /proc/PID/status in megabytes, such as VmRSS or VmHWM.
pub fn memory_mb(pid: u32, key: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kb| kb * 1024.0 / 1e6)
}

/// CPU seconds of a process until now, user and system.
pub fn cpu_seconds_of(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let behind = stat.rsplit_once(") ").expect("a name in parentheses").1;
    let ticks = behind.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}
