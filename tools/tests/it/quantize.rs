//! `quantize` gives files of bytes and of halves that compute nearly the same, and that the f32 file names.

use crate::support::{corpus, recipe, samples, trained};
use contract::card::Precision;
use contract::golden::F16_GOLDEN_TOLERANCE;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tools::export::{ExportOptions, ModelFiles, export};
use tools::inspect::{card, inspect};
use tools::quantize::{HalveChoices, QuantizeChoices, QuantizeError, halve, quantize};

/// Both files of a small net in `folder`, whose layers are `channels` wide.
fn exported(folder: &Path, channels: i64) -> ModelFiles {
    let mut recipe = recipe(3);
    (recipe.mean.channels, recipe.sampler.channels) = (channels, channels);
    let (session, _) = trained(&recipe, folder);
    let picture = corpus(&recipe).pairs[0].small.clone();
    let options = ExportOptions {
        default_strength: 0.25,
        chroma: 0.5,
        licence: "CC0-1.0".into(),
        facts: [("data.name".to_owned(), "samples".to_owned())].into(),
        pictures: std::slice::from_ref(&picture),
    };
    export(&session, folder, &options).unwrap().0
}

fn half_of(file: &Path) -> HalveChoices {
    HalveChoices { file: file.to_owned(), data: samples(), held_out: BTreeSet::new(), keep: BTreeSet::new() }
}

#[test]
fn an_int8_file_computes_nearly_the_same_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // Wide enough that convolutions are worth quantising.
    let files = exported(folder.path(), 16);
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
    let unknown = QuantizeChoices { keep: BTreeSet::from(["mean.ouput".to_owned()]), ..choices.clone() };
    let refused = quantize(&unknown).unwrap_err().to_string();
    assert!(refused.contains("has no node called mean.ouput"), "{refused}");
    let repairs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/inpaint-mean.onnx");
    let refused = quantize(&QuantizeChoices { file: repairs, ..choices.clone() });
    assert!(matches!(refused, Err(QuantizeError::Repairs(_))));
    let again = QuantizeChoices { file: made[0].file.clone(), ..choices };
    assert!(matches!(quantize(&again), Err(QuantizeError::Already(_, Precision::Int8))));
    let again = halve(&half_of(&made[0].file)).unwrap_err().to_string();
    assert!(again.contains("is int8 already"), "{again}");
}

#[test]
fn an_f16_file_computes_nearly_the_same_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = exported(folder.path(), 16);
    let (mean, sample) = (card(&files.mean).unwrap(), card(&files.sample).unwrap());
    let made = halve(&half_of(&files.sample)).unwrap();
    let names = ["sr-x4-mean-f16.onnx", "sr-x4-f16.onnx"].map(|name| folder.path().join(name));
    assert_eq!(made.iter().map(|one| one.file.clone()).collect::<Vec<_>>(), names);
    for (one, (before, of)) in made.iter().zip([(mean, &files.mean), (sample, &files.sample)]) {
        let [halves, all] = one.convolutions;
        assert!(halves > 0 && halves < all, "{one}");
        assert!(one.parity.iter().all(|parity| parity.largest > 0.0 && parity.largest < 1.0), "{one}");
        let strengths: Vec<f32> = one.parity.iter().map(|parity| parity.strength).collect();
        assert_eq!(strengths, if before.companion.is_some() { vec![0.0, 1.0] } else { vec![0.0] });
        let inspection = inspect(&one.file).unwrap();
        assert!(inspection.is_well(), "{inspection}");
        let text = inspection.to_string();
        let lines = |key: &'static str| text.lines().filter(move |line| line.starts_with(key));
        assert!(lines("input").chain(lines("output")).all(|line| line.ends_with(" f32")), "{text}");
        assert!(
            text.contains(" of them in f16") && text.contains(" Cast") && !text.contains("Shape,"),
            "{text}"
        );
        let told = inspection.card.unwrap();
        assert_eq!((told.precision, &told.golden), (Precision::F16, &before.golden), "the truth stays");
        assert!(told.halo >= before.halo);
        assert_eq!(told.companion.is_some(), before.companion.is_some());
        let name = one.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let after = card(of).unwrap();
        assert_eq!((after.precision, &after.f16), (Precision::F32, &name));
        assert!(inspect(of).unwrap().is_well());
        assert!(fs::metadata(&one.file).unwrap().len() < fs::metadata(of).unwrap().len());
    }
    assert_eq!(card(&names[1]).unwrap().companion.as_deref(), Some("sr-x4-mean-f16.onnx"));
    for file in &names {
        assert!(matches!(halve(&half_of(file)), Err(QuantizeError::Already(_, Precision::F16))));
    }
}

/// Whatever is refused leaves everything as it was.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
fn what_f16_would_not_do_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let [narrow, wide] = ["narrow", "wide"].map(|name| {
        fs::create_dir(place(name)).unwrap();
        exported(&place(name), if name == "narrow" { 8 } else { 16 }).mean
    });
    let bytes = fs::read(&wide).unwrap();
    let at = |key: &[u8]| bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    // The leading digit of some value of the golden answer: the file is far from it in any precision.
    let (mut far, mut bare) = (bytes.clone(), bytes.clone());
    let digit = at(b"onestep.golden.expected") + 64;
    let other = if far[digit] == b'0' { b"ffff" } else { b"0000" };
    far[digit..digit + 4].copy_from_slice(other);
    bare[at(b"onestep.car")] = b't';
    let (far, bare) = ((place("far.onnx"), far), (place("bare.onnx"), bare));
    for (path, bytes) in [&far, &bare] {
        fs::write(path, bytes).unwrap();
    }
    let refusal = |file: &Path| halve(&half_of(file)).unwrap_err();
    assert!(matches!(refusal(&narrow), QuantizeError::Small(_)));
    let said = refusal(&bare.0).to_string();
    assert!(said.contains("carries no onestep model card"), "{said}");
    let said = refusal(&far.0);
    assert!(said.to_string().contains("in f16 its golden tile differs from f32 by "), "{said}");
    assert!(matches!(said, QuantizeError::Far { by, .. } if by > F16_GOLDEN_TOLERANCE));
    // Nothing but the two files and the two folders: no draft, no f16 file.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    assert_eq!((fs::read(&far.0).unwrap(), fs::read(&wide).unwrap()), (far.1, bytes));
    assert!(!place("narrow/sr-x4-mean-f16.onnx").exists());
}
