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
