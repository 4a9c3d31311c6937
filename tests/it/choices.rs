//! What the user may choose beside the model: what it is told of pictures, and in which precision it runs.

use crate::support::World;
use crate::support::onnx::{self, TOLD};
use crate::support::pictures::{jpeg, nearest, open, pattern, png};
use crate::support::process::{Said, onestep, said};
use contract::card::{ModelCard, Precision};
use contract::geometry::Size;
use contract::pixels::Picture;
use contract::source::Source;
use onestep::edge::machine;
use std::ffi::OsString;
use std::fs;

/// `once` on the world's folders with a mean model of these cards; the first is named.
fn once(world: &World, cards: &[ModelCard], words: &[&str]) -> Said {
    for card in cards {
        fs::write(world.root.path().join(format!("{}.onnx", card.name)), onnx::model(card))
            .expect("writable");
    }
    let model = world.root.path().join(format!("{}.onnx", cards[0].name));
    let fixed: [OsString; 6] = [
        "once".into(),
        (&world.input).into(),
        "-o".into(),
        (&world.output).into(),
        "--model".into(),
        model.into(),
    ];
    let device: &[&str] = if words.contains(&"--device") { &[] } else { &["--device", "cpu"] };
    said(&mut onestep(
        world.root.path(),
        &[&fixed[..], &device.iter().chain(words).map(OsString::from).collect::<Vec<_>>()].concat(),
    ))
}

fn telling() -> ModelCard {
    ModelCard { sources: Source::ALL.to_vec(), ..onnx::mean_card() }
}

/// How much brighter than black the results are, a.png and b.jpg, in [0, 1].
fn brightness(world: &World) -> [f32; 2] {
    ["a.png", "b.png"].map(|name| f32::from(open(&world.output.join(name)).samples[0]) / 255.0)
}

fn black(world: &World) {
    let picture = Picture::new(Size::new(16, 16), 3);
    world.put("a.png", png(&picture));
    world.put("b.jpg", jpeg(&picture));
}

#[test]
fn jpeg_is_told_as_photo_and_png_as_clean_unless_the_user_says_so() {
    let world = World::new();
    black(&world);
    let near = |found: [f32; 2], sources: [Source; 2]| {
        let expected = sources.map(|source| TOLD * source.value());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 0.003), "{found:?} {expected:?}");
    };
    let said = once(&world, &[telling()], &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    near(brightness(&world), [Source::Clean, Source::Photo]);
    let receipts = fs::read_to_string(world.output.join("receipts.jsonl")).expect("there");
    assert!(receipts.contains("\"told\":{\"source\":\"photo\",\"asked\":false}"), "{receipts}");
    // What was asked for is another result, and asking again is not.
    let said = once(&world, &[telling()], &["--source", "heavy"]);
    assert!(said.stderr.contains("2 done, 0 already there"), "{said:?}");
    near(brightness(&world), [Source::Heavy, Source::Heavy]);
    let said = once(&world, &[telling()], &["--source", "heavy"]);
    assert!(said.stderr.contains("0 done, 2 already there"), "{said:?}");
    let said = once(&world, &[telling()], &[]);
    assert!(said.stderr.contains("2 done, 0 already there"), "{said:?}");
}

#[test]
fn a_model_without_ears_is_not_told() {
    let world = World::new();
    black(&world);
    let said = once(&world, &[onnx::mean_card()], &["--source", "photo"]);
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("cannot be told that pictures are photo"), "{said:?}");
    let said = once(&world, &[onnx::mean_card()], &["--source", "sharp"]);
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("clean, photo or heavy is"), "{said:?}");
    let said = once(&world, &[onnx::mean_card()], &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert_eq!(brightness(&world), [0.0, 0.0]);
}

fn pair() -> [ModelCard; 2] {
    let int8 = ModelCard { name: "small".into(), precision: Precision::Int8, ..onnx::mean_card() };
    [ModelCard { int8: Some("small.onnx".into()), ..onnx::mean_card() }, int8]
}

#[test]
fn precision_chooses_the_file() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 9, 3)));
    let runs = |words: &[&str]| {
        let said = once(&world, &pair(), words);
        assert_eq!(said.code(), 0, "{said:?}");
        if said.stderr.contains("model small on cpu") { Precision::Int8 } else { Precision::F32 }
    };
    assert_eq!(runs(&["--precision", "int8"]), Precision::Int8);
    assert_eq!(runs(&["--precision", "int8", "--device", "auto"]), Precision::Int8);
    assert_eq!(runs(&["--precision", "f32"]), Precision::F32);
    let fast = if machine::multiplies_bytes() { Precision::Int8 } else { Precision::F32 };
    assert_eq!(runs(&[]), fast);
    // One that does not prove itself here is passed over, unless it was asked for by name.
    let [named, mut wrong] = pair();
    wrong.golden.expected[3] = 0x8000;
    let said = once(&world, &[named.clone(), wrong.clone()], &[]);
    assert!(said.code() == 0 && said.stderr.contains("model tiny-mean on cpu"), "{said:?}");
    assert_eq!(once(&world, &[named, wrong], &["--precision", "int8"]).code(), 2);
    // A file that is named itself is no other precision than its own.
    let [_, small] = pair();
    let said = once(&world, std::slice::from_ref(&small), &["--precision", "f32"]);
    assert!(said.code() == 2 && said.stderr.contains("it computes in int8 by itself"), "{said:?}");
    assert_eq!(once(&world, std::slice::from_ref(&small), &["--device", "auto"]).code(), 0);
    let half = ModelCard { name: "half".into(), precision: Precision::F16, ..small };
    let said = once(&world, &[half], &[]);
    assert!(said.code() == 2 && said.stderr.contains("half.onnx: is rounded to f16, for GPUs"), "{said:?}");
    // Only where it was asked for by name must it be there.
    fs::remove_file(world.root.path().join("small.onnx")).expect("it was there");
    let said = once(&world, &pair()[..1], &[]);
    assert_eq!(said.code(), 0, "{said:?}");
}

#[test]
fn a_promised_precision_is_kept_or_refused() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 9, 3)));
    let refusal = |cards: &[ModelCard], sentence: &str| {
        let said = once(&world, cards, &["--precision", "int8"]);
        assert_eq!(said.code(), 2, "{said:?}");
        assert!(said.stderr.contains(sentence), "{said:?}");
    };
    refusal(&[onnx::mean_card()], "names no int8 version of itself");
    let [named, other] = pair();
    let golden = contract::golden::Golden { expected: vec![0; 3 * 4 * 9], ..other.golden.clone() };
    let said = once(&world, &pair(), &["--precision", "int8", "--device", "cuda"]);
    assert!(said.code() == 2 && said.stderr.contains("GPUs run f16 and f32"), "{said:?}");
    // Nor does a processor run what is for GPUs, whether it was named or `auto` came to it.
    let half = ModelCard { precision: Precision::F16, ..other.clone() };
    let halves = [ModelCard { f16: Some("small.onnx".into()), ..onnx::mean_card() }, half];
    for (cards, device, code, sentence) in [
        (&halves, "cpu", 2, "precision f16 is for GPUs"),
        (&pair(), "auto", 2, "names no f16 version of itself"),
        (&halves, "cuda:99", 78, "device cuda:99 is not usable"),
    ] {
        let said = once(&world, cards, &["--precision", "f16", "--device", device]);
        assert!(said.code() == code && said.stderr.contains(sentence), "{said:?}");
    }
    // Where there is no GPU at all, it was not the precision, and nobody is warned of it.
    let said = once(&world, &halves, &["--device", "auto"]);
    assert!(said.code() == 0 && !said.stderr.contains("WARN"), "{said:?}");
    refusal(&[named, ModelCard { scale: 3, golden, ..other }], "but is another model");
}

#[test]
fn models_are_listed_with_what_a_strength_costs() {
    let world = World::new();
    let folder = world.root.path().join("models");
    onnx::tiny(&folder);
    let mut card = onnx::sample_card();
    card.name = "fine".into();
    card.int8 = Some("fine-int8.onnx".into());
    card.sources = vec![Source::Clean, Source::Photo];
    card.facts = [("0", "0.00"), ("0.25", "-0.21"), ("1", "-2.90")]
        .map(|(at, loss)| (format!("score.strength.{at}"), loss.to_owned()))
        .into();
    fs::write(folder.join("fine.onnx"), onnx::model(&card)).expect("writable");
    fs::write(folder.join("torn.onnx"), "no model").expect("writable");
    let list = || {
        let words: [OsString; 3] = ["models".into(), "--folder".into(), (&folder).into()];
        said(&mut onestep(world.root.path(), &words))
    };
    let told = list();
    assert_eq!(told.code(), 2, "one of them is torn: {told:?}");
    for line in [
        "fine: enlarges ×2, CC0-1.0, ",
        "  strength  0.5 unless you say another",
        "  PSNR beside strength 0, measured on held-out pictures: 0.25: -0.21 dB, 1: -2.90 dB",
        "  source    clean, photo",
        "  precision f32, int8 (fine-int8.onnx)",
        "tiny: enlarges ×2",
        "/torn.onnx\n  cannot be used: ",
    ] {
        assert!(told.stdout.contains(line), "{line}\n{told:?}");
    }
    assert!(!told.stdout.contains("tiny-mean:"), "a companion is told with its model: {told:?}");
    fs::remove_dir_all(&folder).expect("ours");
    fs::create_dir(&folder).expect("ours");
    let none = list();
    assert_eq!(none.code(), 2, "{none:?}");
    assert!(none.stderr.contains("there is no model (.onnx) in any of these folders"), "{none:?}");
}

/// The samples of the tiny model deviate by a tenth in each plane, so their luma by 0.0669, or 17.05 levels.
#[test]
fn an_uncertainty_map_tells_how_far_samples_lie_apart() {
    let world = World::new();
    let grey = Picture { samples: vec![128; 3 * 40 * 30], ..Picture::new(Size::new(40, 30), 3) };
    world.put("a.png", png(&grey));
    let said =
        once(&world, &[onnx::sample_card(), onnx::mean_card()], &["--strength", "0", "--uncertainty", "32"]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert_eq!(open(&world.output.join("a.png")), nearest(&grey, 2), "strength 0 is the mean all the same");
    let map = open(&world.output.join("a.uncertainty.png"));
    assert_eq!((map.size, map.channels), (Size::new(80, 60), 1));
    let mean = map.samples.iter().map(|&v| f64::from(v)).sum::<f64>() / map.samples.len() as f64;
    assert!((mean / 8.0 - 17.05).abs() < 0.35, "{mean}");
    // Both are of one picture, and known again; without its map a result is not whole.
    let words = ["--strength", "0", "--uncertainty", "32"];
    let again = || once(&world, &[onnx::sample_card(), onnx::mean_card()], &words);
    assert!(again().stderr.contains("0 done, 1 already there"));
    fs::remove_file(world.output.join("a.uncertainty.png")).expect("it was there");
    assert!(again().stderr.contains("1 done, 0 already there"));
    assert!(open(&world.output.join("a.uncertainty.png")) == map, "the same samples again");
    let receipts = fs::read_to_string(world.output.join("receipts.jsonl")).expect("there");
    assert!(receipts.contains("\"uncertainty\":32"), "{receipts}");
}

#[test]
fn an_uncertainty_map_takes_no_other_pictures_place() {
    let world = World::new();
    for name in ["a.png", "a.uncertainty.png"] {
        world.put(name, png(&pattern(9, 9, 3)));
    }
    let words = ["--uncertainty", "2"];
    let said = once(&world, &[onnx::sample_card(), onnx::mean_card()], &words);
    assert_eq!(said.code(), 1, "{said:?}");
    assert_eq!(said.stderr.matches("output name taken by").count(), 1, "{said:?}");
    // Nor one that nobody claims now.
    let world = World::new();
    world.put("a.png", png(&pattern(9, 9, 3)));
    fs::create_dir_all(&world.output).expect("writable");
    fs::write(world.output.join("a.uncertainty.png"), "mine").expect("writable");
    let said = once(&world, &[onnx::sample_card(), onnx::mean_card()], &words);
    assert_eq!((said.code(), world.outputs().contains(&"a.png".into())), (1, false), "{said:?}");
    assert_eq!(fs::read(world.output.join("a.uncertainty.png")).expect("there"), b"mine");
}

#[test]
fn a_mean_alone_has_no_uncertainty() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 9, 3)));
    let said = once(&world, &[onnx::mean_card()], &["--uncertainty", "4"]);
    assert_eq!(said.code(), 2, "{said:?}");
    assert!(said.stderr.contains("has no samples to tell uncertainty by"), "{said:?}");
    assert_eq!(once(&world, &[onnx::sample_card(), onnx::mean_card()], &["--uncertainty", "1"]).code(), 2);
}
