//! `bench`: what it says adds up, and nothing of it stays behind.

use crate::support::World;
use crate::support::onnx;
use crate::support::pictures::{pattern, png};
use crate::support::process::{Said, onestep, said};
use std::ffi::OsString;
use std::fs;

fn bench(world: &World, words: &[&str]) -> Said {
    let (model, temporary) = (world.root.path().join("tiny-mean.onnx"), world.root.path().join("tmp"));
    fs::write(&model, onnx::model(&onnx::mean_card())).expect("writable");
    fs::create_dir_all(&temporary).expect("writable");
    let fixed = ["bench", "--device=cpu", "--json", "--model"].map(OsString::from);
    let words: Vec<OsString> =
        fixed.into_iter().chain([model.into_os_string()]).chain(words.iter().map(OsString::from)).collect();
    let told = said(onestep(world.root.path(), &words).env("TMPDIR", &temporary));
    assert_eq!(fs::read_dir(&temporary).expect("there").count(), 0, "something stayed behind");
    told
}

#[test]
fn what_was_measured_adds_up() {
    let world = World::new();
    let told = bench(&world, &["--pictures", "3", "--side", "90", "--window", "64", "--threads", "2"]);
    assert_eq!(told.code(), 0, "{told:?}");
    let report: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key}: {report}"));
    let per = |key: &str| number(key) / number("seconds");
    for (is, should) in [
        (number("pictures"), 3.0),
        (number("megapixels"), 3.0 * 90.0 * 90.0 / 1e6),
        (number("workers"), 2.0),
        (number("pictures_per_s"), per("pictures")),
        (number("tiles_per_s"), per("tiles")),
        (number("overhead_ratio"), number("tiles_per_s") / number("bare_tiles_per_s")),
        (
            ["decode", "infer", "encode"]
                .iter()
                .map(|s| report["stages"][s].as_f64().expect("a share"))
                .sum(),
            1.0,
        ),
    ] {
        assert!((is - should).abs() < 1e-6 * should, "{is} {should}: {report}");
    }
    assert!(number("tiles") >= 12.0, "windows of 64 cut each into four: {report}");
    assert_eq!((&report["device"], &report["precision"]), (&"cpu".into(), &"f32".into()));
    assert!(report["joules_per_picture"].is_null() || number("joules_per_picture") > 0.0);
}

#[test]
fn pictures_of_ones_own_are_measured_and_what_cannot_be_done_gives_no_figure() {
    let world = World::new();
    let input = world.input.to_str().expect("text").to_owned();
    let told = bench(&world, &[&input]);
    assert!(told.code() == 2 && told.stderr.contains("there is no picture"), "{told:?}");
    world.put("a.png", png(&pattern(20, 20, 3)));
    let told = bench(&world, &[&input]);
    assert!(told.code() == 0 && told.stdout.contains("\"pictures\": 1,"), "{told:?}");
    let whole = png(&pattern(20, 20, 3));
    world.put("b.png", &whole[..whole.len() / 2]);
    let told = bench(&world, &[&input]);
    assert!(told.code() == 1 && told.stdout.is_empty(), "{told:?}");
    assert!(told.stderr.contains("not every picture was done"), "{told:?}");
    assert!(world.outputs().is_empty());
}
