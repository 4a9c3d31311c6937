//! Memory (promise 6): resident memory of `onestep once` while it works through 2,000 mixed pictures, which
//! must not grow; and its peak against the size of one picture, with the limit's own estimate beside it.
//! `cargo bench --bench memory`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;
#[path = "../tests/it/support/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod tiny;

use onestep::edge::codec::probe;
use onestep::work::footprint::{Marked, Shape, Stored, footprint};
use std::path::Path;
use std::time::Duration;
use support::{memory_mb, mosaic, onestep, print};

const PICTURES: usize = 2000;

fn main() {
    mixed();
    print(
        "one picture ×2, identity network, one thread: peak of the process and what the limit reckons with",
    );
    for megapixels in [1, 4, 16, 50, 100] {
        for kind in ["jpg", "png"] {
            single(megapixels, kind);
        }
    }
    for strength in ["0", "0.5"] {
        shipped(strength);
    }
}

/// The shipped mean at strength 0 on pictures of many sizes, kinds and faults.
fn mixed() {
    let folder = tempfile::tempdir().expect("a temp folder");
    std::fs::create_dir(folder.path().join("in")).expect("writable");
    let source = mosaic(2, 0);
    for n in 0..PICTURES as u32 {
        let (width, height) = (24 + n * 37 % 160, 24 + n * 53 % 130);
        let crop = image::imageops::crop_imm(&source, n % 300, n * 7 % 300, width, height).to_image();
        let crop = image::DynamicImage::from(crop);
        let path = |kind: &str| folder.path().join(format!("in/{n:04}.{kind}"));
        match n % 10 {
            0 => std::fs::write(path("jpg"), "no picture").expect("writable"),
            1 => crop.to_luma8().save(path("png")).expect("writable"),
            2 => crop.to_rgba8().save(path("png")).expect("writable"),
            3 => crop.to_rgb16().save(path("png")).expect("writable"),
            4..=6 => crop.save(path("jpg")).expect("writable"),
            _ => crop.save(path("png")).expect("writable"),
        }
    }
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    let words = ["once", input.to_str().expect("text"), "-o", out.to_str().expect("text")];
    let more = ["--device=cpu", "--strength=0", "--threads=2"];
    let mut child = onestep(folder.path(), &[&words[..], &more].concat()).spawn().expect("onestep starts");
    let mut trace = Vec::new();
    while child.try_wait().expect("ours").is_none() {
        let done = std::fs::read_dir(&out).map_or(0, Iterator::count);
        trace.extend(memory_mb(child.id(), "VmRSS").map(|mb| (done, mb)));
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let mean = |from: usize, to: usize| {
        let part: Vec<f64> =
            trace.iter().filter(|(done, _)| (from..to).contains(done)).map(|(_, mb)| *mb).collect();
        part.iter().sum::<f64>() / part.len() as f64
    };
    let most = trace.iter().map(|(_, mb)| *mb).fold(0.0, f64::max);
    print(&format!(
        "{PICTURES} mixed pictures: resident {:.0} MB over results 200–600, {:.0} MB over 1000–1400, {:.0} \
         MB over \
         1400–1800; most {most:.0} MB",
        mean(200, 600),
        mean(1000, 1400),
        mean(1400, 1800)
    ));
}

fn single(megapixels: usize, kind: &str) {
    let folder = tempfile::tempdir().expect("a temp folder");
    let side = ((megapixels * 1_000_000) as f64).sqrt() as u32;
    let source = mosaic(3, 0);
    let large = image::RgbImage::from_fn(side, side, |x, y| *source.get_pixel(x % 768, y % 768));
    let path = folder.path().join(format!("a.{kind}"));
    large.save(&path).expect("writable");
    let model = tiny::onnx::tiny(folder.path());
    let peak = peak_mb(folder.path(), &path, model.to_str().expect("text"), "0", "1");
    print(&format!(
        "{megapixels:4} Mpx {kind}: peak {peak:6.0} MB, reckoned {:6.0} MB",
        reckoned_mb(&path, 2)
    ));
}

/// The shipped model, two threads: what is beyond the picture and the tiles is the runtime's fixed cost.
fn shipped(strength: &str) {
    let folder = tempfile::tempdir().expect("a temp folder");
    let path = folder.path().join("a.jpg");
    mosaic(4, 0).save(&path).expect("writable");
    let peak = peak_mb(folder.path(), &path, "sr-x4", strength, "2");
    print(&format!(
        "sr-x4 on 1024×1024 pixels, strength {strength}, two threads: peak {peak:.0} MB, of which {:.0} MB are \
         reckoned for the picture",
        reckoned_mb(&path, 4)
    ));
}

/// What the limit reckons with for one picture.
fn reckoned_mb(path: &Path, scale: usize) -> f64 {
    let header =
        probe(&mut std::io::BufReader::new(std::fs::File::open(path).expect("there"))).expect("a picture");
    let shape = Shape {
        stored: Stored {
            bytes: path.metadata().expect("there").len(),
            size: header.size,
            channels: header.channels,
            sample_bytes: header.sample_bytes,
            decoder_bytes: header.decoder_bytes,
        },
        marked: Marked::Not,
        scale,
        band_px: onestep::work::tiling::CPU_WINDOW_SIDE_PX,
        mapped: false,
        deep: false,
        held_px_bytes: 0,
    };
    footprint(&shape) as f64 / 1e6
}

/// Peak of a whole `onestep once`.
fn peak_mb(folder: &Path, picture: &Path, model: &str, strength: &str, threads: &str) -> f64 {
    let out = folder.join("out");
    let words = ["once", picture.to_str().expect("text"), "-o", out.to_str().expect("text"), "--device=cpu"];
    let more = ["--model", model, "--strength", strength, "--threads", threads];
    let mut child = onestep(folder, &[&words[..], &more].concat()).spawn().expect("onestep starts");
    let mut peak = 0.0;
    while child.try_wait().expect("ours").is_none() {
        peak = memory_mb(child.id(), "VmHWM").unwrap_or(peak);
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(out.join("a.png").exists());
    peak
}
