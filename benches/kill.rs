//! Promise 1, the long form: 500 pictures, 200 × `kill -9` at random moments, one clean run. Prints how many
//! pictures were lost, doubled or half written: all 0. `cargo bench --bench kill`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod tiny;

use onestep::edge::record::Receipt;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{onestep, print};
use tiny::World;
use tiny::pictures::{nearest, open, pattern, png};

const PICTURES: usize = 500;
const KILLS: u32 = 200;
/// Every such picture is damaged, and must end with a reason instead of a result.
const DAMAGED: usize = 25;

fn main() {
    // How long a run takes, with and without pictures, tells which moments there are.
    let (empty, trial) = (World::new(), filled());
    let start_up = timed(&empty);
    let work = timed(&trial).saturating_sub(start_up);
    let world = filled();
    let mut random = std::process::id();
    let (mut half, mut ended) = (0, 0);
    for _ in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // On average half of this, and all kills together about all of the work.
        let longest = start_up + 2 * work / KILLS;
        let moment = longest.mul_f64(f64::from(random >> 16) / 65536.0);
        let mut child = once(&world).spawn().expect("onestep starts");
        std::thread::park_timeout(moment);
        ended += usize::from(child.try_wait().expect("ours").is_some());
        child.kill().expect("ours");
        child.wait().expect("ours");
        half += half_written(&world);
    }
    let done_before = results(&world).len();
    let status = once(&world).status().expect("onestep starts");
    half += half_written(&world);
    let (results, reasons) = (results(&world), tiny::files_below(&world.output.join("failed")));
    let (mut lost, mut doubled) = (0, 0);
    for n in 0..PICTURES {
        let name = format!("{n:03}");
        let files = results.iter().filter(|result| result.contains(&name)).count()
            + reasons.iter().filter(|reason| reason.contains(&name)).count();
        lost += usize::from(files == 0);
        doubled += usize::from(files > 1);
    }
    let text = std::fs::read_to_string(world.output.join("receipts.jsonl")).expect("there");
    let mut receipts: HashMap<String, usize> = HashMap::new();
    for receipt in text.lines().filter_map(Receipt::from_line) {
        *receipts.entry(receipt.mark.source).or_default() += 1;
    }
    let again = receipts.values().filter(|count| **count > 1).count();
    print(&format!(
        "{PICTURES} pictures, {KILLS} kills ({ended} came after the end), {done_before} results before the \
         last run, \
         which ended with {status}"
    ));
    print(&format!("lost {lost}, doubled {doubled}, half written {half}"));
    print(&format!(
        "{} results, {} reasons, {again} made a second time into the same place",
        results.len(),
        reasons.len()
    ));
    assert_eq!((lost, doubled, half), (0, 0, 0));
}

fn filled() -> World {
    let world = World::new();
    for n in 0..PICTURES {
        let bytes = png(&pattern(300 + n % 7, 200, 3));
        let length = if n % DAMAGED == 0 { bytes.len() / 2 } else { bytes.len() };
        world.put(&format!("{}/{n:03}.png", n % 3), &bytes[..length]);
    }
    world
}

fn once(world: &World) -> Command {
    let model = tiny::onnx::tiny(&world.root.path().join("models"));
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    let (input, output, model) = (path(&world.input), path(&world.output), path(&model));
    let words = ["once", &input, "-o", &output, "--model", &model, "--device=cpu", "--strength=0"];
    onestep(world.root.path(), &words)
}

fn timed(world: &World) -> Duration {
    let begin = Instant::now();
    once(world).status().expect("onestep starts");
    begin.elapsed()
}

fn results(world: &World) -> Vec<String> {
    let mut files = world.outputs();
    files.retain(|name| name.ends_with(".png"));
    files
}

/// Results that are not, to the last pixel, what they should be; and reasons that are not whole.
fn half_written(world: &World) -> usize {
    let bad_result = |name: &String| {
        let picture = std::panic::catch_unwind(|| open(&world.output.join(name)));
        let n: usize = name[2..5].parse().expect("a number");
        !picture.is_ok_and(|picture| picture == nearest(&pattern(300 + n % 7, 200, 3), 2))
    };
    let bad_reason = |name: &String| {
        let text = std::fs::read_to_string(world.output.join(name)).expect("there");
        serde_json::from_str::<serde_json::Value>(&text).is_err()
    };
    let reasons = world.outputs().into_iter().filter(|name| name.ends_with(".json"));
    results(world).iter().filter(|name| bad_result(name)).count() + reasons.filter(bad_reason).count()
}
