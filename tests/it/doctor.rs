//! `doctor`: what is well is said to be well, and each thing that is broken is named with what to do about
//! it.

use crate::support::World;
use crate::support::onnx;
use crate::support::process::{Said, onestep, said};
use contract::card::ModelCard;
use std::fs;

/// A folder with this model file and, if it has a text, a configuration.
fn ask(world: &World, config: Option<&str>, words: &[&str]) -> Said {
    let models = world.root.path().join("models");
    fs::create_dir_all(&models).expect("writable");
    let good = models.join("tiny-mean.onnx");
    if !good.exists() {
        fs::write(good, onnx::model(&onnx::mean_card())).expect("writable");
    }
    let mut all: Vec<String> = ["doctor", "--folder"].map(str::to_owned).to_vec();
    all.push(models.to_str().expect("text").to_owned());
    if let Some(text) = config {
        let file = world.root.path().join("my.toml");
        fs::write(&file, text).expect("writable");
        all.extend(["--config".to_owned(), file.to_str().expect("text").to_owned()]);
    }
    all.extend(words.iter().map(|word| (*word).to_owned()));
    said(onestep(world.root.path(), &all).current_dir(world.root.path()))
}

/// The checks of a JSON answer: area, name, state, what was said, remedy.
fn checks(said: &Said) -> Vec<[String; 5]> {
    let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().expect("a list");
    let keys = ["area", "name", "state", "said", "remedy"];
    checks.iter().map(|check| keys.map(|key| text(check, key))).collect()
}

const GOOD: &str = "[[pipeline]]\nname = \"p\"\ninput = \"in\"\noutput = \"out\"\n\
                    model = \"models/tiny-mean.onnx\"\n[device]\ndevice = \"cpu\"\n\
                    [service]\nstate = \"state\"\n";

#[test]
fn what_is_well_is_said_to_be_well_and_nothing_is_changed() {
    let world = World::new();
    fs::create_dir_all(world.input.join("a/b")).expect("writable");
    let told = ask(&world, Some(GOOD), &[]);
    assert_eq!(told.code(), 0, "{told:?}");
    for line in [
        "ok    ONNX Runtime: 1.",
        "ok    telemetry: off",
        "ok    tiny-mean.onnx: f32 on cpu, golden tile differs by ",
        "ok    p: input: local, 3 folders: ",
        "ok    watches: 3 of the ",
        "ok    p: output: writable: ",
        "all is well",
    ] {
        assert!(told.stdout.contains(line), "{line}: {told:?}");
    }
    assert!(!world.root.path().join("state").exists(), "it only looks");
    let json = ask(&world, Some(GOOD), &["--json"]);
    assert_eq!((json.code(), checks(&json).iter().filter(|check| check[2] == "bad").count()), (0, 0));
}

#[test]
fn a_promised_device_that_is_absent_is_78_with_all_that_is_missing_for_it() {
    let world = World::new();
    for device in ["cuda:99", "tensorrt:99"] {
        let told = ask(&world, None, &["--device", device, "--json"]);
        assert_eq!(told.code(), 78, "{told:?}");
        let bad: Vec<[String; 5]> = checks(&told).into_iter().filter(|check| check[2] == "bad").collect();
        assert!(bad.iter().any(|check| check[4].contains("device cpu runs without a GPU")), "{bad:?}");
    }
    // Whether or not there is a GPU, a model that is well on the processor is not called broken.
    let told = ask(&world, None, &["--device", "cpu"]);
    assert_eq!(told.code(), 0, "{told:?}");
}

#[test]
fn each_broken_thing_is_named_and_hides_no_other() {
    let world = World::new();
    let models = world.root.path().join("models");
    fs::create_dir_all(&models).expect("writable");
    let mut wrong = ModelCard { name: "wrong".into(), ..onnx::mean_card() };
    wrong.golden.expected[3] = 0x8000;
    fs::write(models.join("wrong.onnx"), onnx::model(&wrong)).expect("writable");
    fs::write(models.join("noise.onnx"), [7; 100]).expect("writable");
    fs::remove_dir(&world.input).expect("empty");
    let config = GOOD.replace("[service]", "[limits]\nreserve_mb = 1000000\n[service]");
    let config = config.replace("models/tiny-mean.onnx", "sr-x9");
    let told = ask(&world, Some(&config), &["--json"]);
    assert_eq!(told.code(), 2, "{told:?}");
    let checks = checks(&told);
    let find = |name: &str| {
        let check = checks.iter().find(|check| check[1] == name);
        check
            .map(|check| (check[2].as_str(), check[3].as_str()))
            .unwrap_or_else(|| panic!("{name}: {checks:?}"))
    };
    assert_eq!(find("tiny-mean.onnx").0, "ok");
    assert!(matches!(find("wrong.onnx"), ("bad", said) if said.contains("its golden tile differs by")));
    assert!(matches!(find("noise.onnx"), ("bad", said) if said.contains("is no model")));
    assert!(matches!(find("sr-x9"), ("bad", said) if said.contains("sr-x9")));
    assert!(matches!(find("p: input"), ("bad", said) if said.contains("No such file")));
    assert!(matches!(find("p: disk"), ("bad", said) if said.contains("reserve_mb keeps 1000000")));
}

#[test]
fn a_runtime_or_a_configuration_that_is_not_there_is_bad_and_the_rest_is_still_told() {
    let world = World::new();
    let told = ask(&world, Some("[[pipeline]]\nseed = -1\n"), &["--ort-lib", "/no/such.so"]);
    assert_eq!(told.code(), 2, "{told:?}");
    for line in ["BAD   ONNX Runtime", "→ scripts/fetch-runtime", "seed is -1", "ok    cores: "] {
        assert!(told.stdout.contains(line), "{line}: {told:?}");
    }
}
