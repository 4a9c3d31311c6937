//! A model that repairs: trained, exported, read back, and measured on holes.

use crate::support::samples;
use contract::card::{Role, Task};
use contract::geometry::{Rect, Size};
use contract::mask;
use contract::noise;
use contract::pixels::Planes;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tch::{Device, Tensor};
use tools::data::{Corpus, CorpusOptions};
use tools::evaluate::{EvaluateError, Rows, evaluate_file, uncertainty_of};
use tools::export::ModelFiles;
use tools::export::read::{repair_weights, start_weights};
use tools::inspect::{card, inspect};
use tools::net::{RepairConfig, RepairSamplerConfig};
use tools::onnx::{Asked, OnnxModel};
use tools::progress::Progress;
use tools::quantize::{HalveChoices, halve};
use tools::recipe::{InpaintChoices, InpaintRecipe};
use tools::run_folder::RunFolder;
use tools::start::Start;
use tools::train::{self, InpaintSession, Interrupted};
use tools::train_inpaint::{InpaintExport, Repairing, train_inpaint};

fn train(runs: &Path, out: &Path, steps: [u64; 5], init_from: Option<&Path>) -> ModelFiles {
    let mut choices = InpaintChoices::new(samples());
    (choices.steps, choices.init_from) = (Some(steps), init_from.map(Path::to_owned));
    let export = InpaintExport {
        out: out.to_owned(),
        default_strength: 0.75,
        chroma: 0.3,
        licence: "CC0-1.0".into(),
        threads: 1,
        slow_average: false,
    };
    let start = Start::New(runs.to_owned(), Box::new(choices));
    match train_inpaint(&start, &export, &AtomicBool::new(false)).unwrap() {
        Repairing::Exported(files) => files,
        Repairing::Interrupted(run) => panic!("nobody stopped {}", run.display()),
    }
}

#[test]
fn a_mean_that_repairs_is_trained_exported_and_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    // The export itself refuses a file that differs from the network.
    let files = train(&place("runs"), &place("out"), [1, 0, 0, 0, 0], None);
    assert!(!files.sample.exists(), "a mean alone has no samples");
    let inspection = inspect(&files.mean).unwrap();
    assert!(inspection.is_well(), "{inspection}");
    let card = inspection.card.unwrap();
    assert_eq!((card.name.as_str(), card.task, card.role), ("inpaint-mean", Task::Inpainting, Role::Mean));
    assert_eq!((card.scale, card.multiple, card.hole_px), (1, 8, 64));
    train(&place("runs"), &place("again"), [1, 0, 0, 0, 0], Some(&files.mean));
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sr-x4-mean.onnx");
    let wrong =
        std::panic::catch_unwind(|| train(&place("runs"), &place("wrong"), [1, 0, 0, 0, 0], Some(&other)));
    assert!(wrong.is_err(), "weights of another network are refused");
}

/// All stages, then what the daemon asks of the two files.
#[test]
fn a_sample_that_repairs_is_trained_exported_and_adds_to_its_mean_in_holes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let files = train(&place("runs"), &place("out"), [1, 2, 2, 2, 2], None);
    for file in [&files.sample, &files.mean] {
        let inspection = inspect(file).unwrap();
        assert!(inspection.is_well(), "{inspection}");
    }
    let told = card(&files.sample).unwrap();
    assert_eq!((told.name.as_str(), told.task, told.role), ("inpaint", Task::Inpainting, Role::Sample));
    assert_eq!((told.companion.as_deref(), told.default_strength), (Some("inpaint-mean.onnx"), 0.75));
    assert!(told.residual_rms > 0.0 && told.sigma_max == 80.0);
    assert_eq!(told.facts["training.chroma"], "0.3");

    let size = Size::new(64, 48);
    let mut image = Planes::new(size, 3);
    noise::fill(3, 0, Rect { x: 0, y: 0, size }, &mut image.values);
    image.values.iter_mut().for_each(|v| *v = 0.5 + 0.1 * *v);
    let holes: Vec<f32> = (0..size.area())
        .map(|i| match (i % 64, i / 64) {
            (10..30, 5..40) => mask::UNKNOWN,
            (35..50, 5..40) => mask::COARSE,
            _ => 0.0,
        })
        .collect();
    let mut sample = OnnxModel::open(&files.sample, 1, 1).unwrap();
    let mut mean = OnnxModel::open(&files.mean, 1, 1).unwrap();
    let mut drawn = |seed, strength| sample.repair(&image, &holes, Asked::clean(seed, strength)).unwrap();
    let expected = mean.repair(&image, &holes, Asked::clean(1, 0.0)).unwrap();
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect::<Vec<f32>>();
    assert!(apart(&drawn(1, 0.0), &expected).iter().all(|gap| *gap < 1e-5), "strength 0 is the mean");
    let first = drawn(1, 1.0);
    let added = apart(&first, &expected);
    for (i, hole) in holes.iter().cycle().take(added.len()).enumerate() {
        assert!(*hole > 0.0 || added[i] < 1e-5, "what is known is not drawn: {i}");
    }
    for kind in [mask::UNKNOWN, mask::COARSE] {
        let most = added.iter().zip(holes.iter().cycle()).filter(|(_, hole)| **hole == kind);
        assert!(most.map(|(gap, _)| *gap).fold(0.0, f32::max) > 1e-3, "{kind}");
    }
    let half = apart(&drawn(1, 0.5), &expected);
    assert!(half.iter().zip(&added).all(|(half, whole)| (2.0 * half - whole).abs() < 1e-4));
    assert!(apart(&drawn(2, 1.0), &first).iter().any(|gap| *gap > 1e-3), "another seed");
    assert_eq!(drawn(1, 1.0), first);

    // It is a start again, and its halves are for GPUs.
    train(&place("runs"), &place("again"), [0, 1, 1, 1, 1], Some(&files.sample));
    let data = samples();
    let made = halve(&HalveChoices {
        file: files.sample.clone(),
        data,
        held_out: Default::default(),
        keep: Default::default(),
    })
    .unwrap();
    assert_eq!(made.iter().map(|one| one.parity.len()).collect::<Vec<_>>(), [1, 2]);
    assert!(made.iter().all(|one| inspect(&one.file).unwrap().is_well()));
    let refused = uncertainty_of(&files.sample, &place("sets"), contract::source::Source::Clean, 2);
    assert!(matches!(refused, Err(EvaluateError::Repairs(_))));
}

/// Networks of a few thousand parameters, every stage real.
fn recipe(steps: u64) -> InpaintRecipe {
    tch::set_num_threads(1);
    let mut choices = InpaintChoices::new(samples());
    (choices.steps, choices.seed) = (Some([steps; 5]), 3);
    let mut recipe = InpaintRecipe::resolve(&choices);
    recipe.net = RepairConfig { widths: [8, 8, 8], dilations: vec![1, 2] };
    recipe.sampler = RepairSamplerConfig { widths: [8, 8, 8], dilations: vec![1] };
    (recipe.run.batch, recipe.patch, recipe.run.log_every) = (2, 32, 1);
    recipe.hole_px = 12;
    recipe
}

/// Weights as numbers: mean net, scale head, consistency net, and what was measured between them.
fn numbers(session: &InpaintSession) -> Vec<f32> {
    let parts = &session.parts;
    let calibration = parts.calibration.as_ref().unwrap();
    let flat = [
        parts.mean.average.flat(),
        parts.scale.average.flat(),
        parts.sampler.trainee.average.flat(),
        calibration.feature_mean.reshape([-1]),
        calibration.feature_std.reshape([-1]),
    ];
    Vec::<f32>::try_from(Tensor::cat(&flat, 0)).unwrap()
}

#[test]
fn a_repair_that_is_stopped_anywhere_and_resumed_ends_the_same() {
    let runs = tempfile::tempdir().unwrap();
    let recipe = recipe(3);
    let corpus = Corpus::load(&CorpusOptions {
        folder: samples(),
        held_out: Default::default(),
        only_held_out: false,
        scale: 1,
        min_side: recipe.patch,
        seed: 3,
    })
    .unwrap();
    let run = |session: &mut InpaintSession, folder: &mut RunFolder, stop: &AtomicBool| {
        train::run(session, &corpus, folder, &Progress::new(), stop).unwrap()
    };
    let mut whole = InpaintSession::new(recipe.clone(), Device::Cpu);
    let mut folder = RunFolder::create(runs.path(), &recipe).unwrap();
    assert_eq!(run(&mut whole, &mut folder, &AtomicBool::new(false)), Interrupted::No);

    let mut folder = RunFolder::create(runs.path(), &recipe).unwrap();
    let (log, checkpoint) = (folder.file("log.jsonl"), folder.file("checkpoint.safetensors"));
    let lines = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let mut interruptions = 0;
    let resumed = loop {
        let mut session = InpaintSession::new(recipe.clone(), Device::Cpu);
        if checkpoint.is_file() {
            train::resume(&mut session, &checkpoint).unwrap();
        }
        let (stop, ended, before) = (AtomicBool::new(false), AtomicBool::new(false), lines());
        let end = std::thread::scope(|scope| {
            scope.spawn(|| {
                while lines() < before + 2 && !ended.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                stop.store(true, Ordering::Relaxed);
            });
            let end = run(&mut session, &mut folder, &stop);
            ended.store(true, Ordering::Relaxed);
            end
        });
        if end == Interrupted::No {
            break session;
        }
        interruptions += 1;
    };
    assert!(interruptions >= 2, "{interruptions}");
    assert_eq!(numbers(&resumed), numbers(&whole));

    // And its weights, whole, are a start.
    let path = folder.file("weights.safetensors");
    resumed.parts.save_weights(&path).unwrap();
    let mut next = InpaintSession::new(recipe, Device::Cpu);
    next.init_from(&start_weights(&path, &repair_weights).unwrap(), &path).unwrap();
    assert_eq!(numbers(&next), numbers(&resumed));
    // Of a finished run nothing is left to do.
    next.take_finished(&path, false, folder.logged_seconds().unwrap()).unwrap();
    assert!(next.total_seconds() > 0.0 && next.total_seconds() <= resumed.total_seconds());
    assert_eq!(run(&mut next, &mut folder, &AtomicBool::new(false)), Interrupted::No);
    assert_eq!(numbers(&next), numbers(&resumed));
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
    // The sample begins with that mean, and puts detail where it has none.
    let model = model.with_file_name("inpaint.onnx");
    let evaluation = evaluate_file(&model, sets.path(), contract::source::Source::Clean, None).unwrap();
    let Rows::Repaired(with_sample) = &evaluation.rows else { panic!("it repairs") };
    let [_, same, half, _] = &with_sample[..] else { panic!("four rows: {evaluation}") };
    assert_eq!(same.psnr, mean.psnr);
    assert!(half.psnr < same.psnr && half.spectrum_error < same.spectrum_error, "{evaluation}");
}
