//! What a whole run costs: CPU-seconds per megapixel of input of `onestep once`, start-up, decoding, encoding
//! and syncs included, at strength 0 and 0.5, and their ratio. `cargo bench --bench cost`

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use support::{cpu_seconds, print};

/// Pictures in a run, each a mosaic of the samples.
const PICTURES: usize = 2;
/// Samples along a side of a mosaic: 768×768 pixels.
const ALONG: u32 = 3;
/// Runs of each strength, in turn.
const ROUNDS: usize = 3;

fn main() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let megapixels = mosaics(folder.path());
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for (strength, costs) in ["0", "0.5"].iter().zip(&mut costs) {
            let out = folder.path().join(format!("out-{round}-{strength}"));
            let before = cpu_seconds();
            let ended = Command::new(env!("CARGO_BIN_EXE_onestep"))
                .arg("once")
                .arg(folder.path().join("in"))
                .arg("-o")
                .arg(&out)
                .args(["--device", "cpu", "--strength", strength])
                .stderr(Stdio::null())
                .status()
                .expect("onestep starts");
            assert!(ended.success(), "{ended}");
            costs.push((cpu_seconds() - before) / megapixels);
        }
    }
    for (strength, costs) in ["0", "0.5"].iter().zip(&mut costs) {
        costs.sort_by(f64::total_cmp);
        print(&format!(
            "strength {strength:3}: {:.2} CPU-s per input megapixel (least {:.2}, most {:.2}, {ROUNDS} runs)",
            costs[ROUNDS / 2],
            costs[0],
            costs[ROUNDS - 1]
        ));
    }
    print(&format!("ratio of medians: {:.2}", costs[1][ROUNDS / 2] / costs[0][ROUNDS / 2]));
}

/// Writes the input pictures; gives their megapixels together.
fn mosaics(folder: &Path) -> f64 {
    let mut samples: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples"))
        .expect("samples")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "jpg"))
        .collect();
    samples.sort();
    std::fs::create_dir(folder.join("in")).expect("writable");
    let side = 256 * ALONG;
    for number in 0..PICTURES {
        let mut mosaic = image::RgbImage::new(side, side);
        for cell in 0..ALONG * ALONG {
            let sample = image::open(&samples[(cell as usize + number) % samples.len()]).expect("a picture");
            let (x, y) = (cell % ALONG * 256, cell / ALONG * 256);
            image::imageops::replace(&mut mosaic, &sample.into_rgb8(), i64::from(x), i64::from(y));
        }
        mosaic.save(folder.join(format!("in/{number}.png"))).expect("writable");
    }
    PICTURES as f64 * f64::from(side * side) / 1e6
}
