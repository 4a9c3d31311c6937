//! `quantize` gives a file of bytes that computes nearly the same, and that the f32 file names.

use crate::support::{corpus, recipe, samples, trained};
use contract::card::Precision;
use std::collections::BTreeSet;
use tools::export::{ExportOptions, export};
use tools::inspect::{card, inspect};
use tools::quantize::{QuantizeChoices, QuantizeError, quantize};

#[test]
fn an_int8_file_computes_nearly_the_same_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(3);
    // Wide enough that convolutions are worth quantising.
    (recipe.mean.channels, recipe.sampler.channels) = (16, 16);
    let (session, _) = trained(&recipe, folder.path());
    let picture = corpus(&recipe).pairs[0].small.clone();
    let options = ExportOptions {
        default_strength: 0.25,
        licence: "CC0-1.0".into(),
        facts: [("data.name".to_owned(), "samples".to_owned())].into(),
        pictures: std::slice::from_ref(&picture),
    };
    let (files, _) = export(&session, folder.path(), &options).unwrap();
    let choices = QuantizeChoices {
        file: files.sample.clone(),
        data: samples(),
        held_out: BTreeSet::new(),
        crops: 2,
        keep: BTreeSet::from(["mean.output".to_owned()]),
    };
    let made = quantize(&choices).unwrap();
    let names = ["sr-x4-mean-int8.onnx", "sr-x4-int8.onnx"].map(|name| folder.path().join(name));
    assert_eq!(made.iter().map(|one| one.file.clone()).collect::<Vec<_>>(), names);
    for one in &made {
        assert!(one.agreement > 35.0, "{one}");
        assert!((one.psnr_y[0] - one.psnr_y[1]).abs() < 0.5, "{one}");
        let told = card(&one.file).unwrap();
        assert_eq!((told.precision, told.facts["data.name"].as_str()), (Precision::Int8, "samples"));
        assert!(inspect(&one.file).unwrap().is_well(), "its own golden tile");
    }
    assert!(made[1].convolutions > made[0].convolutions);
    assert_eq!(card(&made[1].file).unwrap().companion.as_deref(), Some("sr-x4-mean-int8.onnx"));
    for (file, int8) in [(&files.mean, "sr-x4-mean-int8.onnx"), (&files.sample, "sr-x4-int8.onnx")] {
        let told = card(file).unwrap();
        assert_eq!((told.precision, told.int8.as_deref()), (Precision::F32, Some(int8)));
        assert!(inspect(file).unwrap().is_well());
    }
    let again = QuantizeChoices { file: made[0].file.clone(), ..choices };
    assert!(matches!(quantize(&again), Err(QuantizeError::Already(_))));
}
