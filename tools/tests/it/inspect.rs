//! `inspect` agrees with what is known otherwise: the card's receptive field, and the golden tile.

use contract::card::{ModelCard, Precision};
use std::fs;
use std::path::{Path, PathBuf};
use tools::inspect::{card, inspect};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name)
}

/// The exporter computes the radius from the networks, `inspect` from the graph: two ways to one number.
#[test]
fn shipped_models_are_well_and_look_as_far_as_their_cards_say() {
    for name in ["sr-x4.onnx", "sr-x4-mean.onnx", "sr-x4-f16.onnx", "sr-x2-f16.onnx", "sr-x2-mean-f16.onnx"] {
        let inspection = inspect(&shipped(name)).expect("a model");
        assert!(inspection.is_well(), "{inspection}");
        let card = inspection.card.as_ref().expect("a card");
        let told = inspection.to_string();
        let reach = format!(
            "reach     {0} pixels on each side by the graph; the card says {0}",
            card.receptive_field
        );
        assert!(told.contains(&reach), "{told}");
        assert!(!told.contains("not counted") && !told.contains(".golden."), "{told}");
    }
}

#[test]
fn shipped_models_that_repair_are_well() {
    for name in ["inpaint.onnx", "inpaint-mean.onnx"] {
        let inspection = inspect(&shipped(name)).expect("a model");
        assert!(inspection.is_well(), "{inspection}");
    }
    let sample = card(&shipped("inpaint.onnx")).expect("a card");
    assert_eq!((sample.companion.as_deref(), sample.hole_px), (Some("inpaint-mean.onnx"), 48));
}

/// An f16 version is the model that names it: the same golden tile and task, and halos that suffice.
#[test]
fn shipped_models_have_an_f16_version_that_is_the_same_model() {
    for name in ["sr-x4", "sr-x4-mean", "sr-x2", "sr-x2-mean", "inpaint-mean"] {
        let whole = card(&shipped(&format!("{name}.onnx"))).expect("a card");
        let half = format!("{name}-f16.onnx");
        assert_eq!(whole.f16.as_deref(), Some(half.as_str()));
        let inspection = inspect(&shipped(&half)).expect("a model");
        assert!(inspection.is_well(), "{inspection}");
        let companion = whole.companion.as_deref().map(|name| name.replace(".onnx", "-f16.onnx"));
        let half = inspection.card.expect("a card");
        assert!(half.halo >= whole.halo);
        let expected = ModelCard {
            name: format!("{name}-f16"),
            precision: Precision::F16,
            halo: half.halo,
            companion,
            int8: None,
            f16: None,
            ..whole
        };
        assert_eq!(half, expected);
    }
}

/// One digit of the golden answer changed: the file is whole, but does not do what its card says.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
fn a_model_that_does_not_give_its_golden_tile_is_not_well() {
    let mut bytes = fs::read(shipped("sr-x4-mean.onnx")).expect("there");
    let key = b"onestep.golden.expected";
    let at = bytes.windows(key.len()).position(|window| window == key).expect("a golden tile");
    // The leading digit of some value, behind the lengths of the field.
    let digit = at + key.len() + 64;
    let other = if bytes[digit] == b'0' { b"ffff" } else { b"0000" };
    bytes[digit..digit + 4].copy_from_slice(other);
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("broken.onnx");
    fs::write(&file, bytes).expect("writable");
    let inspection = inspect(&file).expect("a model");
    assert!(!inspection.is_well());
    assert!(inspection.to_string().contains("NOT what the card promises"), "{inspection}");
}

#[test]
fn what_is_no_model_is_said() {
    let error = inspect(&shipped("README.md")).expect_err("text").to_string();
    assert!(error.starts_with("is no ONNX file ("), "{error}");
}
