//! What a whole run costs: CPU-seconds per megapixel of input of `onestep once`, start-up, decoding, encoding
//! and syncs included, of ×4 and ×2 at strength 0 and 0.5, in f32 and int8; and how much faster two threads
//! are than one.
//! `cargo bench --bench cost`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Instant;
use support::{cpu_seconds, mosaic, onestep, print, spread};

/// Pictures in a run, each a mosaic of the samples.
const PICTURES: usize = 2;
/// Samples along a side of a mosaic: 768×768 pixels.
const ALONG: u32 = 3;
/// Runs of each kind, in turn.
const ROUNDS: usize = 3;

fn main() {
    let folder = tempfile::tempdir().expect("a temp folder");
    std::fs::create_dir(folder.path().join("in")).expect("writable");
    for number in 0..PICTURES {
        mosaic(ALONG, number).save(folder.path().join(format!("in/{number}.png"))).expect("writable");
    }
    let megapixels = PICTURES as f64 * f64::from(256 * ALONG * 256 * ALONG) / 1e6;
    let kinds = ["sr-x4", "sr-x2"].map(|model| {
        [("0", "f32"), ("0", "int8"), ("0.5", "f32"), ("0.5", "int8")].map(|(a, b)| (model, a, b))
    });
    let kinds = kinds.as_flattened();
    let (mut costs, mut faster) = (vec![Vec::new(); kinds.len()], Vec::new());
    for round in 0..ROUNDS {
        for ((model, strength, precision), costs) in kinds.iter().zip(&mut costs) {
            let name = format!("{round}-{model}-{strength}-{precision}");
            let (cpu, _) = once(folder.path(), &name, (model, strength, precision), "2");
            costs.push(cpu / megapixels);
        }
        let (_, one) = once(folder.path(), &format!("{round}-one"), kinds[0], "1");
        let (_, two) = once(folder.path(), &format!("{round}-two"), kinds[0], "2");
        faster.push(one / two);
    }
    for ((model, strength, precision), costs) in kinds.iter().zip(&mut costs) {
        let (middle, least, most) = spread(costs);
        print(&format!(
            "{model}, strength {strength:3} {precision:4}: {middle:.2} CPU-s per input megapixel \
             (least {least:.2}, most {most:.2})"
        ));
    }
    for ((model, strength, _), pair) in kinds.iter().step_by(2).zip(costs.chunks_exact(2)) {
        let mut ratios: Vec<f64> = pair[0].iter().zip(&pair[1]).map(|(f32, int8)| f32 / int8).collect();
        let (middle, least, most) = spread(&mut ratios);
        print(&format!(
            "{model}, strength {strength:3}: int8 is {middle:.2}× as fast (least {least:.2}, most {most:.2})"
        ));
    }
    let (middle, least, most) = spread(&mut faster);
    print(&format!(
        "two threads against one: {middle:.2}× (least {least:.2}, most {most:.2}), start-up included"
    ));
}

/// A run. Gives CPU and wall seconds.
fn once(
    folder: &Path,
    name: &str,
    (model, strength, precision): (&str, &str, &str),
    threads: &str,
) -> (f64, f64) {
    let (input, out) = (folder.join("in"), folder.join(name));
    let (input, out) = (input.to_str().expect("text"), out.to_str().expect("text"));
    let fixed = ["once", input, "-o", out, "--device=cpu", "--model", model];
    let chosen = ["--strength", strength, "--precision", precision, "--threads", threads];
    let words = [&fixed[..], &chosen].concat();
    let (before, begin) = (cpu_seconds(), Instant::now());
    let ended = onestep(folder, &words).status().expect("onestep starts");
    assert!(ended.success(), "{ended}");
    (cpu_seconds() - before, begin.elapsed().as_secs_f64())
}
