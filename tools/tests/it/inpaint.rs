//! A model that repairs: trained, exported, read back, and measured on holes.

use crate::support::samples;
use contract::card::{Role, Task};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tools::evaluate::{Rows, evaluate_file};
use tools::inspect::inspect;
use tools::recipe::{InpaintChoices, ModelSize};
use tools::start::Start;
use tools::train_inpaint::{InpaintExport, Repairing, train_inpaint};

fn train(runs: &Path, out: &Path, init_from: Option<&Path>) -> std::path::PathBuf {
    let choices = InpaintChoices {
        data: samples(),
        size: ModelSize::S,
        held_out: None,
        init_from: init_from.map(Path::to_owned),
        device: "cpu".into(),
        budget: std::time::Duration::from_secs(60),
        steps: Some(1),
        micro_batches: 1,
        seed: 1,
    };
    let export =
        InpaintExport { out: out.to_owned(), licence: "CC0-1.0".into(), threads: 1, slow_average: false };
    let start = Start::New(runs.to_owned(), Box::new(choices));
    match train_inpaint(&start, &export, &AtomicBool::new(false)).unwrap() {
        Repairing::Exported(file) => file,
        Repairing::Interrupted(run) => panic!("nobody stopped {}", run.display()),
    }
}

#[test]
fn a_model_that_repairs_is_trained_exported_and_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    // The export itself refuses a file that differs from the network.
    let file = train(&place("runs"), &place("out"), None);
    let inspection = inspect(&file).unwrap();
    assert!(inspection.is_well(), "{inspection}");
    let card = inspection.card.unwrap();
    assert_eq!((card.name.as_str(), card.task, card.role), ("inpaint-mean", Task::Inpainting, Role::Mean));
    assert_eq!((card.scale, card.multiple, card.hole_px), (1, 8, 64));
    train(&place("runs"), &place("again"), Some(&file));
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sr-x4-mean.onnx");
    let wrong = std::panic::catch_unwind(|| train(&place("runs"), &place("wrong"), Some(&other)));
    assert!(wrong.is_err(), "weights of another network are refused");
}

/// What ships knows more than the smooth fill it starts from.
#[test]
fn the_shipped_model_beats_the_fill() {
    let sets = tempfile::tempdir().unwrap();
    for folder in ["city", "masks"] {
        fs::create_dir(sets.path().join(folder)).unwrap();
    }
    // Held out of training.
    fs::copy(samples().join("city.jpg"), sets.path().join("city/city.jpg")).unwrap();
    // Two scratches, white on black.
    let mask = image::GrayImage::from_fn(256, 256, |x, y| {
        image::Luma([if x.abs_diff(y) < 4 || (x + y).abs_diff(200) < 3 { 255 } else { 0 }])
    });
    mask.save(sets.path().join("masks/thin_00.png")).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/inpaint-mean.onnx");
    let evaluation = evaluate_file(&model, sets.path(), contract::source::Source::Clean, None).unwrap();
    let Rows::Repaired(rows) = &evaluation.rows else { panic!("it repairs") };
    let [fill, mean] = &rows[..] else { panic!("two rows: {evaluation}") };
    assert_eq!((fill.masks.as_str(), mean.method.as_str()), ("thin", "strength 0"));
    assert!(mean.psnr > fill.psnr + 0.1 && mean.ssim_y > fill.ssim_y, "{evaluation}");
}
