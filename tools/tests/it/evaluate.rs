//! `evaluate` measures the files that ship, and says when there is nothing to measure on.

use contract::source::Source;
use std::fs;
use std::path::Path;
use tools::evaluate::{EvaluateError, Rows, evaluate_file};

#[test]
fn the_shipped_mean_beats_bicubic_and_strength_costs_psnr() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sets = tempfile::tempdir().unwrap();
    fs::create_dir(sets.path().join("city")).unwrap();
    // Held out of training.
    fs::copy(here.join("../samples/city.jpg"), sets.path().join("city/city.jpg")).unwrap();
    let figures = |name: &str| {
        let evaluation =
            evaluate_file(&here.join("../models").join(name), sets.path(), Source::Clean, None).unwrap();
        let Rows::Enlarged(rows) = &evaluation.rows else { panic!("it enlarges") };
        let rows = rows.iter().map(|row| (row.method.clone(), row.psnr_y, row.spectrum_error));
        (rows.collect::<Vec<_>>(), evaluation.to_string())
    };
    let (rows, told) = figures("sr-x4.onnx");
    let methods: Vec<&str> = rows.iter().map(|(method, ..)| method.as_str()).collect();
    assert_eq!(methods, ["bicubic", "strength 0", "strength 0.3", "strength 0.5", "strength 1"]);
    assert!(rows[1].1 > rows[0].1 + 0.5, "{told}");
    assert!(rows[1..].windows(2).all(|pair| pair[0].1 > pair[1].1), "{told}");
    // The mean lacks power where the small picture has none; each strength gives some back.
    assert!(rows[..4].windows(2).all(|pair| pair[0].2 > pair[1].2), "{told}");
    assert!(told.contains("| city (1) | strength 0.3 | "), "{told}");
    // The companion by itself gives the same line.
    let (mean, _) = figures("sr-x4-mean.onnx");
    assert_eq!(mean, rows[..2]);
}

#[test]
fn an_empty_folder_is_no_set() {
    let sets = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sr-x4-mean.onnx");
    let error = evaluate_file(&model, sets.path(), Source::Clean, None).unwrap_err();
    assert!(matches!(error, EvaluateError::NoSets(_)), "{error}");
}

#[test]
fn what_a_model_cannot_be_measured_by_is_refused() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |name: &str, damage, others: Option<&Path>| {
        let file = here.join("../models").join(name);
        evaluate_file(&file, here, damage, others).unwrap_err()
    };
    let damaged = of("inpaint-mean.onnx", Source::Heavy, None);
    assert!(matches!(damaged, EvaluateError::Undamaged(_)), "{damaged}");
    let beside = of("sr-x4-mean.onnx", Source::Clean, Some(here));
    assert!(matches!(beside, EvaluateError::NoOthers(_)), "{beside}");
}

/// Masks of all kinds of use are measured on, and the rest is passed over.
#[test]
fn a_mask_that_leaves_nothing_known_is_left_out() {
    let sets = tempfile::tempdir().unwrap();
    for folder in ["city", "masks"] {
        fs::create_dir(sets.path().join(folder)).unwrap();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(here.join("../samples/city.jpg"), sets.path().join("city/city.jpg")).unwrap();
    let masks = [("all_00", 256), ("most_00", 250), ("none_00", 0)];
    for (name, width) in masks {
        let mask = image::GrayImage::from_fn(256, 256, |x, _| image::Luma([if x < width { 255 } else { 0 }]));
        mask.save(sets.path().join(format!("masks/{name}.png"))).unwrap();
    }
    let model = here.join("../models/inpaint-mean.onnx");
    let evaluation = evaluate_file(&model, sets.path(), Source::Clean, None).unwrap();
    let Rows::Repaired(rows) = &evaluation.rows else { panic!("it repairs") };
    assert!(rows.iter().all(|row| row.masks == "most") && rows.len() == 2, "{evaluation}");
}
