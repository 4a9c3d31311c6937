//! What the pipeline costs beside the work itself (promise 7): CPU-seconds of decoding, noise, network and
//! encoding measured alone, on the same pictures, tiles and number of threads, over CPU-seconds of the whole
//! run of `onestep once` less its start-up. `cargo bench --bench overhead`
#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use contract::noise;
use contract::pixels::cut_window;
use onestep::edge::codec::{Effort, Metadata, decode, encode, probe};
use onestep::edge::model::{BatchInput, Model};
use onestep::work::canvas::{Canvas, Depth, Patch};
use onestep::work::format::Format;
use onestep::work::pixels::Pixels;
use onestep::work::tiling::Tiling;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{cpu_seconds, mosaic, onestep, open_models, print, samples, spread, thread_seconds};

const THREADS: usize = 2;
const DEPTH: Depth = Depth { grey: false, deep: false };
const ROUNDS: usize = 5;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, alone, folder, strength] = &words[..]
        && alone == "alone"
    {
        print(&alone_seconds(Path::new(folder), strength.parse().expect("a number")).to_string());
        return;
    }
    let folder = tempfile::tempdir().expect("a temp folder");
    let sets = [("12 of 256×256 pixels", "small"), ("2 of 1024×1024 pixels", "large")];
    for (_, name) in sets {
        std::fs::create_dir(folder.path().join(name)).expect("writable");
    }
    std::fs::create_dir(folder.path().join("none")).expect("writable");
    for (n, sample) in samples().iter().cycle().take(12).enumerate() {
        std::fs::copy(sample, folder.path().join(format!("small/{n}.jpg"))).expect("writable");
    }
    for n in 0..2 {
        mosaic(4, n).save(folder.path().join(format!("large/{n}.jpg"))).expect("writable");
    }
    for (what, name) in sets {
        for strength in ["0", "0.5"] {
            let mut ratios: Vec<f64> =
                (0..ROUNDS).map(|round| ratio(folder.path(), name, strength, round)).collect();
            let (middle, least, most) = spread(&mut ratios);
            print(&format!(
                "{what}, strength {strength:3}: work alone ÷ whole run = {middle:.3} (least {least:.3}, most \
                 {most:.3}, {ROUNDS} rounds)"
            ));
        }
    }
}

/// One round: the work alone, the whole run, and a run without pictures, one after the other.
fn ratio(folder: &Path, set: &str, strength: &str, round: usize) -> f64 {
    let alone = Command::new(std::env::current_exe().expect("this program"))
        .args(["alone", folder.join(set).to_str().expect("text"), strength])
        .stderr(Stdio::inherit())
        .output()
        .expect("this program starts");
    let alone: f64 = String::from_utf8_lossy(&alone.stdout).trim().parse().expect("seconds");
    let once = |set: &str| {
        let out = folder.join(format!("out-{set}-{strength}-{round}"));
        let (input, out) = (folder.join(set), out.to_str().expect("text").to_owned());
        let threads = THREADS.to_string();
        let words = ["once", input.to_str().expect("text"), "-o", &out, "--device=cpu", "--precision=f32"];
        let more = ["--strength", strength, "--threads", &threads];
        let before = cpu_seconds();
        let ended = onestep(folder, &[&words[..], &more].concat()).status().expect("onestep starts");
        assert!(ended.success(), "{ended}");
        cpu_seconds() - before
    };
    alone / (once(set) - once("none"))
}

/// CPU seconds of the work on all pictures, by as many threads as the run has.
fn alone_seconds(folder: &Path, strength: f32) -> f64 {
    let opened = open_models(strength, THREADS);
    let tiling = opened.facts[0].tiling;
    let entries = std::fs::read_dir(folder).expect("readable").flatten();
    let pictures: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let hands: Vec<_> = opened
            .workers
            .into_iter()
            .map(|mut models| {
                let (pictures, next, tiling) = (&pictures, &next, &tiling);
                scope.spawn(move || {
                    let mine = || pictures.get(next.fetch_add(1, Ordering::SeqCst));
                    let work = |picture: &PathBuf| work(models[0].as_mut(), picture, tiling, strength);
                    std::iter::from_fn(mine).map(work).sum::<f64>()
                })
            })
            .collect();
        hands.into_iter().map(|hand| hand.join().expect("no panic")).sum()
    })
}

/// CPU seconds of decoding, noise, network and encoding of one picture. Cutting windows and putting results
/// together is not counted: that is the pipeline's.
fn work(model: &mut dyn Model, path: &Path, tiling: &Tiling, strength: f32) -> f64 {
    let mut spent = 0.0;
    let bytes = std::fs::read(path).expect("readable");
    let header = probe(&mut Cursor::new(&bytes)).expect("a picture");
    let begin = thread_seconds();
    let Pixels::Eight(picture) =
        decode(&bytes, &header, Effort { deep: false, limit_s: 60 }).expect("a picture").pixels
    else {
        panic!("8 bits were asked for")
    };
    spent += thread_seconds() - begin;
    let (grid, scale) = (tiling.grid(picture.size).expect("a core"), model.card().scale);
    let mut canvas = Canvas::new(picture.size, scale, DEPTH, grid.len());
    let mut normals = Vec::new();
    for tile in grid.tiles() {
        let mut image = vec![0.0; 3 * tile.window.size.area()];
        cut_window(&picture, [0, 1, 2], tile.window, &mut image);
        let place = tile.window.times(scale);
        normals.resize(3 * place.size.area(), 0.0);
        let begin = thread_seconds();
        if strength > 0.0 {
            noise::fill(7, 0, place, &mut normals);
        }
        let (window, strength) = (tile.window.size, [strength]);
        let input = BatchInput {
            tiles: 1,
            window,
            image: &image,
            mask: &[],
            noise: &normals,
            strength: &strength,
            source: &[0.0],
        };
        let mut ours = 0.0;
        let see = &mut |values: &[f32]| {
            let begin = thread_seconds();
            canvas.place(Patch::cut(&tile, scale, DEPTH, values).expect("finite"));
            ours += thread_seconds() - begin;
        };
        model.run(&input, see).expect("it runs");
        spent += thread_seconds() - begin - ours;
    }
    let result = canvas.finish(None);
    let begin = thread_seconds();
    encode(&result, "{}", &Metadata::default(), Format::Png, &mut std::io::sink()).expect("nothing can fail");
    spent + thread_seconds() - begin
}
