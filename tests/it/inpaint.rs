//! Repairing as it is typed: the words of `once`, and a daemon that takes picture and mask in either order.
//! The masks mark nothing, so what comes back is the picture itself.

use crate::masks::white;
use crate::support::fake::card;
use crate::support::pictures::{pattern, png};
use crate::support::process::{self, Process, Said, onestep, said, start, until};
use crate::support::{World, onnx};
use contract::card::{ModelCard, Task};
use std::fs;
use std::path::Path;

/// Writes a model that repairs, as ONNX. Gives its path.
fn model(world: &World) -> std::path::PathBuf {
    let path = world.root.path().join("as-it-is.onnx");
    let model = ModelCard { name: "as-it-is".into(), task: Task::Inpainting, hole_px: 64, ..card(1, 1) };
    fs::write(&path, onnx::model(&model)).expect("writable");
    path
}

fn once(world: &World, inputs: &[&Path], words: &[&str]) -> Said {
    let mut all: Vec<std::ffi::OsString> = vec!["once".into()];
    all.extend(inputs.iter().map(|path| path.into()));
    all.extend([
        "-o".into(),
        (&world.output).into(),
        "--device=cpu".into(),
        "--model".into(),
        model(world).into(),
    ]);
    all.extend(words.iter().map(|word| word.into()));
    said(&mut onestep(world.root.path(), &all))
}

#[test]
fn once_counts_pictures_and_no_masks() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    let mask = world.put("a.mask.png", png(&white(9, 8, 0)));
    let inpaint = ["--task", "inpaint"];
    let all = once(&world, &[&world.input], &inpaint);
    assert!(all.code() == 0 && all.stderr.contains("1 done, 0 already there, 0 failed"), "{all:?}");
    // As a shell names them, and the mask alone.
    for inputs in [vec![mask.as_path(), picture.as_path()], vec![mask.as_path()]] {
        let named = once(&world, &inputs, &inpaint);
        assert!(named.code() == 0 && named.stderr.contains("0 done, 1 already there"), "{named:?}");
    }
    assert_eq!(world.outputs(), ["a.png"]);
    let words = ["models".into(), "--folder".into(), world.root.path().to_owned()];
    let models = process::said(&mut onestep(world.root.path(), &words));
    assert!(models.stdout.contains("as-it-is: repairs, CC0-1.0, "), "{models:?}");
    world.put("b.png", png(&pattern(9, 8, 3)));
    let lacking = once(&world, &[&world.input], &inpaint);
    assert!(lacking.code() == 1 && lacking.stderr.contains("b.mask.png or b_mask.png"), "{lacking:?}");
    let lone = world.put("lone/c.mask.png", png(&white(9, 8, 0)));
    let refused = once(&world, &[&lone], &inpaint);
    assert!(refused.code() == 2 && refused.stderr.contains("masks alone were given"), "{refused:?}");
}

#[test]
fn words_that_do_not_go_together_are_refused() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    let refused = |words: &[&str], sentences: &[&str]| {
        let said = once(&world, &[&world.input], words);
        assert_eq!(said.code(), 2, "{said:?}");
        sentences.iter().for_each(|sentence| assert!(said.stderr.contains(sentence), "{said:?}"));
    };
    refused(
        &[],
        &["model as-it-is: its card says inpainting, and the task of what is asked for is super-res"],
    );
    refused(
        &["--mask", "alpha", "--mask-grow-px", "1"],
        &["--mask is for --task inpaint", "--mask-grow-px is"],
    );
    let inpaint = ["--task", "inpaint", "--mask"];
    let with = |mask: &'static str| [&inpaint[..], &[mask]].concat();
    refused(&with("masks"), &["is not one of sidecar, alpha, a colour such as #FF00FF, or a path"]);
    refused(
        &[&inpaint[..], &["alpha", "--mask-white", "keep"]].concat(),
        &["--mask-white is about mask files, and here the picture's own pixels are the mask"],
    );
    refused(&with("./nowhere"), &["the mask folder is not a folder: "]);
    refused(&with("./nowhere.png"), &["the mask is not a file: "]);
    let inside = world.put("logo.png", png(&white(9, 8, 0)));
    let inside = inside.to_str().expect("text");
    refused(&[&inpaint[..], &[inside]].concat(), &["lies inside the input folder"]);
    let enlarging = onnx::tiny(&world.root.path().join("models"));
    let words = ["--model", enlarging.to_str().expect("text"), "--task", "inpaint", "--mask", "alpha"];
    let all: Vec<std::ffi::OsString> =
        ["once".into(), (&world.input).into(), "-o".into(), (&world.output).into()]
            .into_iter()
            .chain(words.map(Into::into))
            .chain(["--device=cpu".into()])
            .collect();
    let said = said(&mut onestep(world.root.path(), &all));
    assert!(
        said.code() == 2 && said.stderr.contains("its card says super-resolution, and the task of"),
        "{said:?}"
    );
}

fn daemon(world: &World, wait_s: u32) -> Process {
    daemon_with(world, wait_s, "sidecar")
}

fn daemon_with(world: &World, wait_s: u32, mask: &str) -> Process {
    model(world);
    let config = world.root.path().join("config.toml");
    let text = format!(
        "[[pipeline]]\ninput = \"in\"\noutput = \"out\"\nsettle_ms = 100\ntask = \"inpaint\"\n\
         model = \"./as-it-is.onnx\"\nmask_wait_s = {wait_s}\nignore = [\"raw\"]\nmask = \"{mask}\"\n\
         [device]\ndevice = \"cpu\"\nthreads = 1\n"
    );
    fs::write(&config, text).expect("writable");
    start(&mut onestep(world.root.path(), &["run".as_ref(), "--config".as_ref(), config.as_os_str()]))
}

#[test]
fn a_daemon_takes_picture_and_mask_in_either_order() {
    let world = World::new();
    let (picture, mask) = (png(&pattern(9, 8, 3)), png(&white(9, 8, 0)));
    let child = daemon(&world, 600);
    until("watching", || child.stderr().contains("watching: "));
    world.put("a_mask.png", &mask);
    world.put("a.png", &picture);
    world.put("b.png", &picture);
    until("a wait", || {
        child.stderr().contains("waiting for its mask: ") && world.output.join("a.png").exists()
    });
    world.put("b.mask.png", &mask);
    until("b.png", || world.output.join("b.png").exists());
    // What is left alone is not sighted by its mask either.
    world.put("raw/c.png", &picture);
    world.put("raw/c.mask.png", &mask);
    world.put("d.mask.png", &mask);
    world.put("d.png", &picture);
    until("d.png", || world.output.join("d.png").exists());
    child.signal("TERM");
    let said = child.wait();
    assert!(
        said.code() == 0 && said.stderr.contains("3 done, ") && said.stderr.contains(" 0 failed"),
        "{said:?}"
    );
    assert!(!said.stderr.contains("passed over"), "{said:?}");
    assert_eq!(world.outputs(), ["a.png", "b.png", "d.png"]);
    let why = |name: &str| {
        let words =
            ["why".into(), world.input.join(name), "--config".into(), world.root.path().join("config.toml")];
        process::said(&mut onestep(world.root.path(), &words)).stdout
    };
    let told = why("a.png");
    assert!(
        told.contains("nothing was to be repaired, the picture was copied, by mask file white repair"),
        "{told}"
    );
    assert!(told.contains(": a_mask.png ("), "{told}");
    assert!(why("a_mask.png").contains("for pipeline 1 it is a mask"), "{}", why("a_mask.png"));
    let words = ["plan", "--config", world.root.path().join("config.toml").to_str().expect("text")]
        .map(str::to_owned);
    world.put("e.png", &picture);
    let plan = process::said(&mut onestep(world.root.path(), &words));
    assert!(
        plan.stdout.contains("new      0 pictures") && plan.stdout.contains("3 done, 0 failed"),
        "{plan:?}"
    );
    assert!(plan.stdout.contains("waiting  1 pictures for their masks"), "{plan:?}");
}

#[test]
fn a_mask_that_comes_late_or_changes_has_its_picture_done() {
    let world = World::new();
    let child = daemon(&world, 0);
    world.put("a.png", png(&pattern(9, 8, 3)));
    let reason = world.output.join("failed/a.png.reason.json");
    until("a reason", || reason.exists());
    world.put("a.mask.png", png(&white(9, 8, 0)));
    until("a.png", || world.output.join("a.png").exists() && !reason.exists());
    world.put("a.mask.png", png(&white(9, 8, 72)));
    until("a reason", || reason.exists());
    child.signal("TERM");
    let said = child.wait();
    assert!(said.code() == 0 && said.stderr.contains("1 done, "), "{said:?}");
}

/// In a folder of their own, also in one that comes later, and as one for all.
#[test]
fn masks_that_lie_apart_are_heard_too() {
    let world = World::new();
    let masks = world.root.path().join("masks");
    fs::create_dir(&masks).expect("writable");
    // However it is spelled.
    let child = daemon_with(&world, 0, "./in/../masks");
    let failed = |name: &str| world.output.join(format!("failed/{name}.reason.json"));
    let done = |name: &str| world.output.join(name).exists() && !failed(name).exists();
    for name in ["a.png", "sub/b.png"] {
        world.put(name, png(&pattern(9, 8, 3)));
        until("a reason", || failed(name).exists());
    }
    fs::write(masks.join("a.png"), png(&white(9, 8, 0))).expect("writable");
    until("a.png", || done("a.png"));
    fs::create_dir(masks.join("sub")).expect("writable");
    fs::write(masks.join("sub/b_mask.png"), png(&white(9, 8, 0))).expect("writable");
    until("b.png", || done("sub/b.png"));
    // Without its folder a picture waits, and does not fail.
    let away = world.root.path().join("away");
    fs::rename(&masks, &away).expect("ours");
    world.put("c.png", png(&pattern(9, 8, 3)));
    until("a pause", || child.stderr().contains("paused: the mask folder is gone"));
    assert!(!failed("c.png").exists());
    fs::write(away.join("c.png"), png(&white(9, 8, 0))).expect("writable");
    fs::rename(&away, &masks).expect("ours");
    until("c.png", || done("c.png"));
    // A folder that is made anew is heard as well.
    fs::remove_dir_all(&masks).expect("ours");
    fs::create_dir(&masks).expect("writable");
    until("a new watch", || child.stderr().contains("since masks lie in another folder"));
    // A mask that covers all is refused: so this one was looked at.
    fs::write(masks.join("a.png"), png(&white(9, 8, 72))).expect("writable");
    until("a reason", || failed("a.png").exists());
    child.signal("TERM");
    assert_eq!(child.wait().code(), 0);

    let world = World::new();
    let logo = world.root.path().join("logo.png");
    fs::write(&logo, png(&white(9, 8, 0))).expect("writable");
    world.put("a.png", png(&pattern(9, 8, 3)));
    let child = daemon_with(&world, 0, "./logo.png");
    until("a.png", || world.output.join("a.png").exists());
    fs::write(world.root.path().join("neighbour.png"), "no picture of ours").expect("writable");
    fs::write(&logo, png(&white(9, 8, 72))).expect("writable");
    until("a reason", || world.output.join("failed/a.png.reason.json").exists());
    child.signal("TERM");
    let said = child.wait();
    assert!(said.code() == 0 && !said.stderr.contains("neighbour"), "{said:?}");
}
