//! What is exported is what was trained: parity with ONNX Runtime, cards, halo, golden tile.

use crate::support::{corpus, recipe, trained};
use contract::card::{ModelCard, Role};
use contract::golden::GOLDEN_TOLERANCE;
use contract::pixels::Picture;
use contract::source::Source;
use std::collections::BTreeMap;
use std::path::Path;
use tch::Device;
use tools::export::read::super_resolution_weights;
use tools::export::{ExportOptions, PARITY, export};
use tools::measure::{Drawn, estimate};
use tools::net::BodyKind;
use tools::onnx::{Asked, OnnxModel};
use tools::train::Session;

/// Reads the metadata of an ONNX file with the few lines of protobuf that takes: field 14, submessages of two
/// strings.
fn card(path: &Path) -> ModelCard {
    let bytes = std::fs::read(path).unwrap();
    let mut pairs = BTreeMap::new();
    for (field, body) in fields(&bytes) {
        if field == 14 {
            let strings: Vec<&[u8]> = fields(body).into_iter().map(|(_, text)| text).collect();
            let [key, value] = strings.map_text();
            pairs.insert(key, value);
        }
    }
    ModelCard::from_pairs(&pairs).unwrap().0
}

trait MapText {
    fn map_text(&self) -> [String; 2];
}

impl MapText for Vec<&[u8]> {
    fn map_text(&self) -> [String; 2] {
        [0, 1].map(|i| String::from_utf8(self[i].to_vec()).unwrap())
    }
}

/// Length-delimited fields of a protobuf message; varints are skipped.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = varint(&mut bytes);
        if tag & 7 == 2 {
            let (body, rest) = bytes.split_at(value as usize);
            found.push((tag >> 3, body));
            bytes = rest;
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

#[test]
fn files_compute_what_the_networks_compute_and_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(3);
    let (session, _) = trained(&recipe, folder.path());
    let pictures: Vec<Picture> = corpus(&recipe).pairs.into_iter().take(1).map(|pair| pair.small).collect();
    let facts = BTreeMap::from([("data.name".to_owned(), "samples".to_owned())]);
    let options = ExportOptions {
        default_strength: 0.25,
        chroma: 0.5,
        licence: "CC0-1.0".into(),
        facts,
        pictures: &pictures,
    };
    let (files, difference) = export(&session, folder.path(), &options).unwrap();
    assert!(difference <= PARITY, "{difference}");

    for (path, role, radius) in [(&files.mean, Role::Mean, 7), (&files.sample, Role::Sample, 12)] {
        let card = card(path);
        assert_eq!((card.role, card.receptive_field, card.scale), (role, radius, 4));
        assert!(card.halo <= radius + 1, "{}", card.halo);
        assert_eq!(card.facts["data.name"], "samples");
        // The golden tile, at another window size than the one it was made with.
        let mut model = OnnxModel::open(path, 4, 1).unwrap();
        let golden = &card.golden;
        let window = golden.window(golden.image.size.width + 2 * (radius + 5));
        let output = model.window(&golden.image, window, Asked::clean(golden.seed, 1.0)).unwrap();
        assert!(golden.error(&output, window, 4) < GOLDEN_TOLERANCE);
        // And it tells a changed output.
        let wrong: Vec<f32> = output.iter().map(|v| v * 0.95).collect();
        assert!(golden.error(&wrong, window, 4) > GOLDEN_TOLERANCE);
    }
    assert_eq!(card(&files.sample).companion.as_deref(), Some("sr-x4-mean.onnx"));

    // Strength 0 of the sample file is the mean file.
    let mut sample = OnnxModel::open(&files.sample, 4, 1).unwrap();
    let mut mean = OnnxModel::open(&files.mean, 4, 1).unwrap();
    let a = sample.enlarge(&pictures[0], 8, Asked::clean(1, 0.0)).unwrap();
    let b = mean.enlarge(&pictures[0], 8, Asked::clean(1, 0.0)).unwrap();
    assert!(a.values.iter().zip(&b.values).all(|(x, y)| (x - y).abs() < 1e-6));
}

/// An exported model is a start: mean net, local scale and calibration come back exactly, and the consistency
/// net gives the same at σ_max.
#[test]
fn an_exported_file_is_a_start() {
    let runs = tempfile::tempdir().unwrap();
    let (session, _) = trained(&recipe(3), runs.path());
    let picture = corpus(&session.recipe).pairs[0].small.clone();
    let options = ExportOptions {
        default_strength: 0.25,
        chroma: 0.3,
        licence: "not stated".into(),
        facts: Default::default(),
        pictures: std::slice::from_ref(&picture),
    };
    let (files, _) = export(&session, runs.path(), &options).unwrap();
    let mut next = Session::new(recipe(1), Device::Cpu);
    let saved = super_resolution_weights(&files.sample).unwrap();
    next.init_from(&saved, &files.sample).unwrap();
    let flat = |params: &tools::net::Params| Vec::<f32>::try_from(params.flat()).unwrap();
    assert_eq!(flat(&next.parts.mean.params), flat(&session.parts.mean.average));
    assert_eq!(flat(&next.parts.scale.params), flat(&session.parts.scale.average));
    let drawn = |session: &Session| {
        let frozen = session.frozen(false).unwrap();
        let estimate = estimate(
            &frozen,
            &session.parts.sampler.trainee.average,
            &picture,
            Source::Clean,
            8,
            Drawn { seeds: &[1], levels: &[], chroma: 1.0 },
            session.device,
        );
        estimate.residuals[0].values.clone()
    };
    let apart = drawn(&next).iter().zip(drawn(&session)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-5, "{apart}");
    let refused = super_resolution_weights(&runs.path().join("none.onnx"));
    assert!(refused.is_err());
}

/// Every body serves what it trained (`export` refuses what differs), folded branches included; a run of the
/// mean net alone makes the mean's file alone.
#[test]
fn every_body_is_exported_and_a_mean_alone_is_too() {
    for body in [BodyKind::Residual, BodyKind::Folded, BodyKind::Gated] {
        let runs = tempfile::tempdir().unwrap();
        let mut recipe = recipe(2);
        recipe.mean.body = body;
        recipe.run.stages.truncate(1);
        assert!(recipe.mean_only());
        let (mut session, _) = trained(&recipe, runs.path());
        session.finish(&corpus(&recipe));
        let picture = corpus(&recipe).pairs[0].small.clone();
        let options = ExportOptions {
            default_strength: 0.0,
            chroma: 1.0,
            licence: "not stated".into(),
            facts: Default::default(),
            pictures: std::slice::from_ref(&picture),
        };
        let (files, difference) = export(&session, runs.path(), &options).unwrap();
        assert!(difference <= PARITY, "{body:?}: {difference}");
        assert!(files.mean.is_file() && !files.sample.exists());
        assert_eq!(card(&files.mean).sources, Source::ALL);
        // What serves is a start again.
        let mut next = Session::new(recipe.clone(), Device::Cpu);
        let saved = super_resolution_weights(&files.mean).unwrap();
        next.init_from(&saved, &files.mean).unwrap();
        let serving = |session: &Session, params| session.nets.mean.serving(params);
        let before = serving(&session, &session.parts.mean.average);
        for (name, weight) in serving(&next, &next.parts.mean.params) {
            let pairs = weight.values.iter().zip(&before[&name].values);
            let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-6, "{body:?} {name}: {apart}");
        }
    }
}
