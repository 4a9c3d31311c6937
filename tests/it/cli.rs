//! The program from outside: exit codes, sentences, and a real ONNX Runtime on real, tiny model files.

use crate::support::onnx::{self, NOISE};
use crate::support::pictures::{difference, jpeg, nearest, open, pattern, png};
use crate::support::process::{Said, onestep, said};
use crate::support::{World, files_below};
use contract::card::Role;
use contract::geometry::{Rect, Size};
use contract::noise;
use contract::pixels::{Picture, Planes};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

/// `once` on the world's folders with the tiny model.
fn once(world: &World, words: &[&str]) -> Said {
    let model = onnx::tiny(&world.root.path().join("models"));
    let mut all: Vec<OsString> =
        vec!["once".into(), (&world.input).into(), "-o".into(), (&world.output).into()];
    if !words.contains(&"--model") {
        all.extend(["--model".into(), model.into()]);
    }
    if !words.contains(&"--device") {
        all.extend(["--device".into(), "cpu".into()]);
    }
    all.extend(words.iter().map(|word| OsString::from(*word)));
    said(&mut onestep(world.root.path(), &all))
}

/// What the tiny sample model makes of a picture.
fn expected(picture: &Picture, strength: f32, seed: u64) -> Picture {
    let mut planes = Planes::from_picture(&nearest(picture, 2));
    let mut normals = vec![0.0; planes.values.len()];
    noise::fill(seed, 0, Rect { x: 0, y: 0, size: planes.size }, &mut normals);
    planes.values.iter_mut().zip(normals).for_each(|(value, n)| *value += strength * NOISE * n);
    planes.to_picture()
}

#[test]
fn a_folder_comes_back_enlarged_and_a_second_run_does_nothing() {
    let world = World::new();
    let picture = pattern(300, 40, 3);
    world.put("a.png", png(&picture));
    world.put("sub/b.jpg", jpeg(&pattern(20, 30, 3)));
    let said = once(&world, &["--strength", "0.8", "--seed", "42"]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stdout.is_empty(), "{said:?}");
    assert_eq!(world.outputs(), ["a.png", "sub/b.png"]);
    // Two windows side by side: any seam in the noise would show here.
    assert!(difference(&open(&world.output.join("a.png")), &expected(&picture, 0.8, 42)) <= 1);
    let again = once(&world, &["--strength", "0.8", "--seed", "42"]);
    assert_eq!(again.code(), 0);
    assert!(again.stderr.contains("0 done, 2 already there, 0 failed"), "{again:?}");
    let other = once(&world, &["--strength", "0.8", "--seed", "43"]);
    assert!(other.stderr.contains("2 done, 0 already there, 0 failed"), "{other:?}");
}

#[test]
fn every_number_of_threads_gives_the_same_bytes() {
    let world = World::new();
    for n in 0..6 {
        world.put(&format!("{n}.png"), png(&pattern(280 + n, 30, 3)));
    }
    let bytes = |threads: &str| {
        let said = once(&world, &["--threads", threads, "--force"]);
        assert_eq!(said.code(), 0, "{said:?}");
        let all: Vec<Vec<u8>> =
            world.outputs().iter().map(|name| fs::read(world.output.join(name)).expect("there")).collect();
        fs::remove_dir_all(&world.output).expect("ours");
        all
    };
    let one = bytes("1");
    assert_eq!(one.len(), 6);
    assert!(one == bytes("2") && one == bytes("5"));
}

#[test]
fn strength_zero_is_exactly_the_mean() {
    let world = World::new();
    let picture = pattern(21, 14, 3);
    world.put("a.png", png(&picture));
    let said = once(&world, &["--strength", "0"]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stderr.contains("model tiny-mean on cpu, strength 0"), "{said:?}");
    assert_eq!(open(&world.output.join("a.png")), nearest(&picture, 2));
    assert_eq!(open(&world.output.join("a.png")).size, onnx::enlarged(Size::new(21, 14)));
}

/// Without a companion the sample model itself is fed λ = 0.
#[test]
fn strength_zero_without_a_companion_is_the_mean_too() {
    let world = World::new();
    let picture = pattern(21, 14, 3);
    world.put("a.png", png(&picture));
    let mut card = onnx::sample_card();
    card.companion = None;
    let model = world.root.path().join("alone.onnx");
    fs::write(&model, onnx::model(&card)).expect("writable");
    let said = once(&world, &["--strength", "0", "--model", model.to_str().expect("text")]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert_eq!(open(&world.output.join("a.png")), nearest(&picture, 2));
}

#[test]
fn bad_pictures_cost_exit_code_one_and_good_ones_are_done() {
    let world = World::new();
    world.put("good.png", png(&pattern(8, 8, 3)));
    world.put("bad.jpg", "hello");
    let said = once(&world, &[]);
    assert_eq!(said.code(), 1, "{said:?}");
    let sentence = "failed in admit: content is neither JPEG, PNG, WebP, TIFF, GIF, BMP, PNM nor QOI: ";
    assert_eq!(said.stderr.matches(sentence).count(), 1, "{said:?}");
    assert_eq!(world.outputs(), ["failed/bad.jpg.reason.json", "good.png"]);
}

#[test]
fn a_picture_we_may_not_read_is_told() {
    let world = World::new();
    let path = world.put("secret.png", png(&pattern(8, 8, 3)));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("ours");
    let model = onnx::tiny(&world.root.path().join("models"));
    let words: [&OsStr; 7] = [
        "once".as_ref(),
        world.input.as_ref(),
        "-o".as_ref(),
        world.output.as_ref(),
        "--model".as_ref(),
        model.as_ref(),
        "--device=cpu".as_ref(),
    ];
    let mut command = onestep(world.root.path(), &words);
    if fs::metadata("/proc/self").expect("Linux").uid() == 0 {
        // Root may read everything, so somebody else tries.
        fs::set_permissions(world.root.path(), fs::Permissions::from_mode(0o777)).expect("ours");
        fs::set_permissions(&world.output, fs::Permissions::from_mode(0o777)).expect("ours");
        command.uid(65534).gid(65534);
    }
    let said = said(&mut command);
    assert_eq!(said.code(), 1, "{said:?}");
    assert_eq!(world.reason("secret.png").0, "unreadable");
}

#[test]
fn everything_missing_is_listed_at_once() {
    let world = World::new();
    let words = ["once", "/no/such/a.png", "/no/such/folder", "-o", world.output.to_str().expect("text")];
    let said = said(&mut onestep(world.root.path(), &words));
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("/no/such/a.png") && said.stderr.contains("/no/such/folder"), "{said:?}");
}

#[test]
fn an_output_folder_among_the_inputs_is_refused() {
    let world = World::new();
    for (output, relation) in [("in", "is"), ("in/sub/out", "lies inside"), ("", "contains")] {
        let output = world.root.path().join(output);
        let words: [&OsStr; 4] = ["once".as_ref(), world.input.as_ref(), "-o".as_ref(), output.as_ref()];
        let said = said(&mut onestep(world.root.path(), &words));
        assert_eq!(said.code(), 2, "{said:?}");
        let input = world.input.display();
        let sentence = format!("the output folder {} {relation} the input folder {input}", output.display());
        assert!(said.stderr.contains(&sentence), "{said:?}");
    }
    assert!(files_below(&world.input).is_empty());
}

#[test]
fn words_that_make_no_sense_are_usage_errors() {
    let world = World::new();
    for words in [
        &["once"][..],
        &["fly"],
        &["once", "a", "-o", "b", "--strength", "2"],
        &["once", "a", "-o", "b", "--device", "gpu"],
        &["once", "a", "-o", "b", "--threads", "0"],
    ] {
        assert_eq!(said(&mut onestep(world.root.path(), words)).code(), 2, "{words:?}");
    }
}

/// No machine has a hundred GPUs, so this holds with and without CUDA.
#[test]
fn a_promised_device_that_is_absent_is_exit_code_78() {
    let world = World::new();
    world.put("a.png", png(&pattern(8, 8, 3)));
    let said = once(&world, &["--device", "cuda:99"]);
    assert_eq!(said.code(), 78, "{said:?}");
    assert!(said.stderr.contains("device cuda:99 is not usable: "), "{said:?}");
    assert!(said.stderr.contains("; device cpu runs without a GPU"), "{said:?}");
    // Nor TensorRT, nor by a name that no GPU has.
    for device in ["tensorrt:99", "cuda:98,cuda:99", "cuda:GPU-00000000"] {
        let said = once(&world, &["--device", device]);
        assert_eq!(said.code(), 78, "{said:?}");
        assert!(said.stderr.contains(&format!("device {device} is not usable: ")), "{said:?}");
    }
    assert!(world.outputs().is_empty());
}

#[test]
fn auto_runs_anywhere_and_says_where() {
    let world = World::new();
    world.put("a.png", png(&pattern(8, 8, 3)));
    let said = once(&world, &["--device", "auto"]);
    assert_eq!(said.code(), 0, "{said:?}");
    if said.stderr.contains(" on cpu, ") {
        assert_eq!(
            said.stderr.matches("device auto: running on the CPU, since CUDA is").count(),
            1,
            "{said:?}"
        );
        assert!(!said.stderr.contains("ERROR") && !said.stderr.contains("WARN"), "{said:?}");
    }
}

#[test]
fn a_missing_runtime_is_told_with_every_place_and_the_remedy() {
    let world = World::new();
    world.put("a.png", png(&pattern(8, 8, 3)));
    let said = once(&world, &["--ort-lib", "/no/such/lib.so"]);
    assert_eq!(said.code(), 2, "{said:?}");
    assert!(said.stderr.contains("was not found; looked at:\n  /no/such/lib.so"), "{said:?}");
    assert!(said.stderr.contains("scripts/fetch-runtime fetches it"), "{said:?}");
    let text = world.root.path().join("text.so");
    fs::write(&text, "not a library").expect("writable");
    let said = once(&world, &["--ort-lib", text.to_str().expect("text")]);
    assert_eq!(said.code(), 2, "{said:?}");
    assert!(said.stderr.contains("does not load ("), "{said:?}");
}

#[test]
fn a_model_that_is_nowhere_or_no_model_is_refused() {
    let world = World::new();
    let said = once(&world, &["--model", "sr-x99"]);
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("model sr-x99: sr-x99.onnx is in none of these folders:\n"), "{said:?}");
    let text = world.put("text.onnx", "hello");
    let said = once(&world, &["--model", text.to_str().expect("text")]);
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("is no model that ONNX Runtime can open: "), "{said:?}");
}

#[track_caller]
fn refused_card(file: &[u8], words: &[&str], sentence: &str) {
    let world = World::new();
    world.put("a.png", png(&pattern(8, 8, 3)));
    let model = world.root.path().join("broken.onnx");
    fs::write(&model, file).expect("writable");
    let said = once(&world, &[&["--model", model.to_str().expect("text")], words].concat());
    assert_eq!(said.code(), 2, "{said:?}");
    assert!(said.stderr.contains(sentence), "{sentence:?} is not in {said:?}");
    assert!(world.outputs().is_empty());
}

#[test]
fn card_and_graph_must_agree() {
    let (sample, mean) = (onnx::model(&onnx::sample_card()), onnx::model(&onnx::mean_card()));
    let broken = |key: &str, text: &str| onnx::with_pair(&sample, &format!("onestep.{key}"), text);
    refused_card(&broken("card", "9"), &[], "model card version 9, this program reads version 1");
    refused_card(&broken("halo", "wide"), &[], "model card key onestep.halo is \"wide\", not a number");
    refused_card(
        &broken("role", "mean"),
        &[],
        "the graph has an input \"noise\" that its card does not promise; \
         the graph has an input \"strength\"",
    );
    refused_card(
        &onnx::with_pair(&mean, "onestep.role", "sample"),
        &[],
        "the graph has no input \"noise\", as its card promises",
    );
    refused_card(&broken("companion", "../x.onnx"), &[], "companion must be a bare file name");
    refused_card(&broken("companion", "gone.onnx"), &["--strength", "0"], "gone.onnx: cannot be read: ");
    refused_card(&mean, &["--strength", "0.5"], "gives the mean alone: its strength can only be 0");
}

#[test]
fn a_model_that_does_not_do_what_its_card_says_is_refused() {
    let mut card = onnx::sample_card();
    card.golden.expected[5] ^= 0x0800;
    refused_card(&onnx::model(&card), &[], "its golden tile differs by ");
    let mut card = onnx::sample_card();
    card.golden.seed += 1;
    refused_card(&onnx::model(&card), &[], "its golden tile differs by ");
}

#[test]
fn a_companion_must_be_the_mean() {
    let world = World::new();
    let folder = world.root.path().join("other");
    let model = onnx::tiny(&folder);
    let mut card = onnx::sample_card();
    card.role = Role::Sample;
    fs::write(folder.join("tiny-mean.onnx"), onnx::model(&card)).expect("writable");
    let said = once(&world, &["--strength", "0", "--model", model.to_str().expect("text")]);
    assert_eq!(said.code(), 2);
    assert!(said.stderr.contains("is named as companion by"), "{said:?}");
    assert!(Path::new(&folder).is_dir());
}

/// A name that is taken is no result: neither that of another picture of this tree, nor of one that has the
/// same place, length and time in another.
#[test]
fn a_result_of_another_picture_is_not_taken_for_ones_own() {
    let world = World::new();
    let (jpg, result) = (world.put("a.jpg", jpeg(&pattern(9, 8, 3))), world.output.join("a.png"));
    assert_eq!(once(&world, &[]).code(), 0);
    fs::remove_file(&result).expect("there");
    fs::rename(&jpg, world.root.path().join("a.jpg")).expect("ours");
    world.put("a.png", png(&pattern(7, 7, 3)));
    assert_eq!(once(&world, &[]).code(), 0);
    fs::rename(world.root.path().join("a.jpg"), &jpg).expect("ours");
    let third = once(&world, &[]);
    assert!(third.code() == 1 && third.stderr.contains("1 already there, 1 failed"), "{third:?}");
    assert_eq!(world.reason("a.jpg").0, "name-taken");

    let world = World::new();
    let begun = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let trees = ["cam1", "cam2"].map(|name| world.root.path().join(name));
    for (tree, value) in trees.iter().zip([10, 200]) {
        fs::create_dir(tree).expect("writable");
        let frame = tree.join("frame.bmp");
        image::RgbImage::from_pixel(8, 8, image::Rgb([value; 3])).save(&frame).expect("writable");
        fs::File::options().write(true).open(&frame).and_then(|file| file.set_modified(begun)).expect("ours");
    }
    let of = |tree: &std::path::Path| {
        let model = onnx::tiny(&world.root.path().join("models"));
        let words = ["once".as_ref(), tree, "-o".as_ref(), &world.output, "--model".as_ref(), &model];
        let words = words.into_iter().chain(["--device=cpu", "--strength=0"].map(std::path::Path::new));
        said(&mut onestep(world.root.path(), &words.collect::<Vec<_>>()))
    };
    assert_eq!(of(&trees[0]).code(), 0);
    let second = of(&trees[1]);
    assert!(second.code() == 1 && second.stderr.contains("0 already there, 1 failed"), "{second:?}");
    assert_eq!(of(&trees[0]).code(), 0, "its own is there");
}
