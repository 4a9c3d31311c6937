//! Repaired, then enlarged, without a file between: the pictures that two runs give, and one mark that tells
//! of both.

use crate::masks::{beside, white};
use crate::support::fake::{Fake, Fault, LOST, card};
use crate::support::pictures::{nearest, open, pattern, png, png16};
use crate::support::process::{Said, onestep, said, start, until};
use crate::support::{Bench, World, onnx};
use contract::card::{ModelCard, Task};
use contract::geometry::Size;
use contract::pixels::Picture;
use onestep::error::Fatal;
use onestep::job::Outcome;
use onestep::plan::Wish;
use onestep::work::masking::Masking;
use std::ffi::OsString;
use std::fs;

/// What a picture becomes through networks, one after the other.
fn result(bytes: &[u8], mask: Option<&[u8]>, fakes: &[&Fake]) -> Picture {
    let world = World::new();
    world.put("a.png", bytes);
    if let Some(mask) = mask {
        world.put("a.mask.png", mask);
    }
    let masking = mask.map(|_| Masking { grow_px: 0, ..beside() });
    let wish = Wish { masking, ..Wish::new(world.output.clone()) };
    let ran = Bench::in_steps(&world, fakes, 2, wish).with_seed(7).run();
    assert_eq!((ran.end.clone(), ran.summary.done), (Ok(()), 1), "{ran:?}");
    open(&world.output.join("a.png"))
}

/// In grey and colour, with alpha and without: more tiles than one, and holes in several of them.
#[test]
fn a_chain_gives_what_two_runs_give() {
    let (repairs, enlarges) = (Fake::inpainting(), Fake::new(2, 3));
    let size = Size::new(430, 90);
    let is_hole = |at: usize| (at % 430) % 97 < 9 && (20..50).contains(&(at / 430));
    let marks = (0..size.area()).map(|at| if is_hole(at) { 255 } else { 0 }).collect();
    let mask = png(&Picture { size, channels: 1, samples: marks });
    for channels in [1, 2, 3, 4] {
        let picture = png(&pattern(size.width, size.height, channels));
        let repaired = result(&picture, Some(&mask), &[&repairs]);
        let two = result(&png(&repaired), None, &[&enlarges]);
        let chain = result(&picture, Some(&mask), &[&repairs, &enlarges]);
        assert_eq!(chain.size, size.times(2));
        assert!(chain == two, "{channels} channels: the chain gives something else");
        assert!(repaired != open_of(&picture), "{channels} channels: something was repaired");
    }
}

fn open_of(png: &[u8]) -> Picture {
    let world = World::new();
    open(&world.put("a.png", png))
}

/// Sixteen bits stay so through both, and a picture of which nothing is to be repaired is enlarged all the
/// same.
#[test]
fn what_is_whole_is_enlarged_too() {
    let (repairs, enlarges) = (Fake::inpainting(), Fake::new(2, 3));
    let none = png(&white(9, 8, 0));
    let picture = pattern(9, 8, 3);
    assert_eq!(result(&png(&picture), Some(&none), &[&repairs, &enlarges]), nearest(&picture, 2));
    let world = World::new();
    world.put("a.png", png16(9, 8, 0x1234));
    world.put("a.mask.png", png(&white(9, 8, 5)));
    let wish = Wish { masking: Some(beside()), ..Wish::new(world.output.clone()) };
    let ran = Bench::in_steps(&world, &[&repairs, &enlarges], 1, wish).run();
    assert_eq!(ran.end, Ok(()));
    let deep = image::open(world.output.join("a.png")).expect("a picture").into_luma16();
    assert_eq!(deep.dimensions(), (18, 16));
    assert!(deep.pixels().all(|pixel| pixel.0[0] == 0x1234), "all of it, repaired or not");
    let made = ran.settled.iter().find_map(|end| match &end.outcome {
        Outcome::Done(made) => Some(made.mark.clone()),
        _ => None,
    });
    let mark = made.expect("one was done");
    let by = format!("as-it-is {} strength 0", "feed".repeat(16));
    assert_eq!((mark.model.as_str(), mark.repaired_by), ("nearest-x2", Some(by)));
    assert!(mark.mask.is_some_and(|mask| mask.repaired > 0));
}

/// A step that fails fails its picture alone; one whose device is gone ends the run, and the next does the
/// rest.
#[test]
fn a_fault_in_either_step_loses_nothing() {
    let world = World::new();
    for n in 0..6 {
        world.put(&format!("{n}.png"), png(&pattern(9, 8, 3)));
        world.put(&format!("{n}.mask.png"), png(&white(9, 8, 3)));
    }
    let run = |faults: [Fault; 2]| {
        let [repairs, enlarges] = faults;
        let fakes = [&Fake::inpainting().with(repairs), &Fake::new(2, 1).with(enlarges)];
        let wish = Wish { masking: Some(beside()), ..Wish::new(world.output.clone()) };
        Bench::in_steps(&world, &fakes, 1, wish).run()
    };
    for fault in [[Fault::DeviceGone(0), Fault::None], [Fault::None, Fault::DeviceGone(1)]] {
        let ran = run(fault);
        assert_eq!(ran.end, Err(Fatal::Device(LOST.into())));
        assert!(ran.summary.done < 6 && ran.summary.failed == 0, "{ran:?}");
    }
    let ran = run([Fault::None, Fault::NotANumber(0)]);
    assert_eq!((ran.end.clone(), ran.summary.failed), (Ok(()), 1), "{ran:?}");
    let rest = run([Fault::NotANumber(0), Fault::LostAt(0)]);
    assert_eq!((rest.end.clone(), rest.summary.failed, rest.started), (Ok(()), 1, 0), "{rest:?}");
    let last = run([Fault::None, Fault::None]);
    assert_eq!((last.end, last.summary.done), (Ok(()), 1));
    assert_eq!(world.outputs().len(), 6);
}

fn models(world: &World) -> String {
    let folder = world.root.path().join("models");
    onnx::tiny(&folder);
    let model = ModelCard { name: "as-it-is".into(), task: Task::Inpainting, hole_px: 64, ..card(1, 1) };
    fs::write(folder.join("as-it-is.onnx"), onnx::model(&model)).expect("writable");
    ["as-it-is.onnx", "tiny.onnx"].map(|name| folder.join(name).display().to_string()).join(",")
}

fn once(world: &World, words: &[&str]) -> Said {
    let mut all: Vec<OsString> =
        vec!["once".into(), (&world.input).into(), "-o".into(), (&world.output).into()];
    all.extend(["--device=cpu"].iter().chain(words).map(OsString::from));
    said(&mut onestep(world.root.path(), &all))
}

#[test]
fn once_takes_two_tasks_and_two_models() {
    let world = World::new();
    let names = models(&world);
    let picture = pattern(9, 8, 3);
    world.put("a.png", png(&picture));
    world.put("a.mask.png", png(&white(9, 8, 0)));
    let chain = ["--task=inpaint,super-resolution", "--strength=0", "--model", &names];
    let said = once(&world, &chain);
    assert!(said.code() == 0 && said.stderr.contains("1 done, 0 already there"), "{said:?}");
    assert_eq!(open(&world.output.join("a.png")), nearest(&picture, 2));
    let receipts = fs::read_to_string(world.output.join("receipts.jsonl")).expect("receipts");
    assert!(receipts.contains("\"repaired_by\":\"as-it-is "), "{receipts}");
    assert!(once(&world, &chain).stderr.contains("0 done, 1 already there"));
    // The enlarging alone is another result.
    let (_, enlarging) = names.split_once(',').expect("two");
    let alone = once(&world, &["--strength=0", "--model", enlarging]);
    assert!(alone.stderr.contains("2 done, 0 already there"), "mask and picture: {alone:?}");
    let refused = |words: &[&str], sentence: &str| {
        let said = once(&world, words);
        assert!(said.code() == 2 && said.stderr.contains(sentence), "{said:?}");
    };
    refused(
        &["--task=super-resolution,inpaint"],
        "--task masks have the size of their pictures: inpaint com",
    );
    let first = ["--task=inpaint,super-resolution", "--model", enlarging];
    refused(&first, "--model names as many as there are tasks");
    let turned = format!("{enlarging},{enlarging}");
    refused(
        &["--task=inpaint,super-resolution", "--model", &turned],
        "its card says super-resolution, and the task of what is asked for is inpaint",
    );
}

#[test]
fn a_daemon_does_both_and_says_so() {
    let world = World::new();
    models(&world);
    let config = world.root.path().join("config.toml");
    let text = "[[pipeline]]\ninput = \"in\"\noutput = \"out\"\nsettle_ms = 100\n\
                task = [\"inpaint\", \"super-resolution\"]\nmodel = [\"as-it-is\", \"tiny\"]\n\
                strength = 0.0\n\
                [[pipeline]]\nname = \"plain\"\ninput = \"in2\"\noutput = \"out2\"\nmodel = \"tiny\"\n\
                [models]\nfolder = \"models\"\n[device]\ndevice = \"cpu\"\nthreads = 2\n";
    fs::write(&config, text).expect("writable");
    fs::create_dir(world.root.path().join("in2")).expect("writable");
    let ask = |word: &str| {
        let words = [word.into(), "--config".into(), config.clone()];
        said(&mut onestep(world.root.path(), &words))
    };
    let validated = ask("validate");
    assert!(
        validated.stdout.contains("model   as-it-is, then tiny-mean on cpu, strength 0"),
        "{validated:?}"
    );
    world.put("b.png", png(&pattern(9, 8, 3)));
    world.put("b.mask.png", png(&white(9, 8, 0)));
    let ahead = ask("plan");
    assert!(ahead.stdout.contains("new      1 pictures") && ahead.stdout.contains("repairing not counted"));
    let child =
        start(&mut onestep(world.root.path(), &["run".as_ref(), "--config".as_ref(), config.as_os_str()]));
    until("b.png", || world.output.join("b.png").exists());
    fs::write(world.root.path().join("in2/c.png"), png(&pattern(9, 8, 3))).expect("writable");
    until("c.png", || world.root.path().join("out2/c.png").exists());
    let status = ask("status");
    assert!(status.stdout.contains("as-it-is in f32, then tiny-mean in f32 on cpu"), "{status:?}");
    child.signal("TERM");
    let said = child.wait();
    assert!(said.code() == 0 && said.stderr.contains("2 done, "), "{said:?}");
    assert_eq!(open(&world.output.join("b.png")), nearest(&pattern(9, 8, 3), 2));
}
