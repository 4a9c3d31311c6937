//! Many pictures, bad ones among them: each has exactly one result or one reason, and nothing else appears.

use crate::support::fake::{Fake, Fault};
use crate::support::pictures::{self, difference, jpeg, nearest, open, pattern, png, with_orientation};
use crate::support::{Bench, World};
use contract::geometry::Size;
use contract::pixels::{Picture, Planes};
use contract::resample::enlarge;
use onestep::edge::scan::sighting;
use onestep::error::JobError;
use onestep::job::Outcome;
use onestep::work::pixels::Pixels;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

fn run(world: &World) -> crate::support::Ran {
    Bench::new(world, &Fake::new(2, 1), 2).run()
}

#[test]
fn every_picture_has_one_result_or_one_reason() {
    let world = World::new();
    let good = pattern(9, 7, 3);
    world.put("good.png", png(&good));
    world.put("deep/er/photo.JPG", jpeg(&pattern(20, 12, 3)));
    world.put("really-a-png.jpg", png(&good));
    world.put("text.jpg", "hello, world");
    world.put("empty.png", "");
    let whole = jpeg(&pattern(64, 64, 3));
    world.put("truncated.jpg", &whole[..whole.len() / 2]);
    let whole = png(&pattern(64, 64, 3));
    world.put("half.png", &whole[..whole.len() / 2]);
    world.put("bomb.jpg", pictures::jpeg_bomb());
    world.put("boom.png", pictures::png_bomb());
    world.put("notes.txt", "not a picture, and not called one");
    world.put("unfinished.png.part", png(&good));
    let ran = run(&world);
    assert_eq!(ran.end, Ok(()));
    assert_eq!((ran.summary.done, ran.summary.failed), (3, 6), "{ran:?}");
    let expected = [
        "deep/er/photo.png",
        "failed/bomb.jpg.reason.json",
        "failed/boom.png.reason.json",
        "failed/empty.png.reason.json",
        "failed/half.png.reason.json",
        "failed/text.jpg.reason.json",
        "failed/truncated.jpg.reason.json",
        "good.png",
        "really-a-png.png",
    ];
    assert_eq!(world.outputs(), expected);
    assert_eq!(open(&world.output.join("really-a-png.png")), nearest(&good, 2));
    let class = |place: &str| world.reason(place).0;
    assert_eq!(class("text.jpg"), "not-a-picture");
    assert_eq!(class("empty.png"), "damaged");
    assert_eq!((class("truncated.jpg"), class("half.png")), ("damaged".into(), "damaged".into()));
    let told = "picture has 64250×64250 pixels (4128.1 Mpx), the limit is 100 Mpx (max_input_mpx of `run`)";
    assert_eq!(world.reason("bomb.jpg"), ("too-large".into(), told.into()));
    assert_eq!(world.reason("boom.png").1, told);
}

/// Something stands where reasons go: then the log has to do, and nobody waits for it.
#[test]
fn r3_a_reason_that_can_never_be_written_stops_nobody() {
    let world = World::new();
    world.put("bad.jpg", "hello");
    world.put("good.png", png(&pattern(9, 7, 3)));
    fs::write(world.output.join("failed"), "a file where a folder should be").expect("writable");
    let ran = run(&world);
    assert_eq!((ran.end, ran.summary.done, ran.summary.failed), (Ok(()), 1, 1));
    fs::remove_file(world.output.join("failed")).expect("ours");
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.plan.admission.once = false;
    assert_eq!(bench.run().summary.failed, 1, "what was not told is tried again");
    assert_eq!(world.outputs(), ["failed/bad.jpg.reason.json", "good.png"]);
}

#[test]
fn a_second_run_does_nothing_and_a_repaired_picture_loses_its_reason() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 7, 3)));
    let whole = jpeg(&pattern(16, 16, 3));
    world.put("b.jpg", &whole[..whole.len() - 40]);
    assert_eq!(run(&world).summary.done, 1);
    let before = fs::metadata(world.output.join("a.png")).expect("done").modified().expect("a time");
    world.put("b.jpg", whole);
    let ran = run(&world);
    assert_eq!((ran.summary.done, ran.summary.already_there, ran.summary.failed), (1, 1, 0));
    assert_eq!(world.outputs(), ["a.png", "b.png"]);
    let after = fs::metadata(world.output.join("a.png")).expect("done").modified().expect("a time");
    assert_eq!(before, after, "what is finished is not touched");
    assert_eq!(run(&world).summary.already_there, 2);
}

#[test]
fn a_changed_picture_or_another_option_is_done_again_in_place() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 7, 3)));
    run(&world);
    let other = pattern(5, 5, 3);
    world.put("a.png", png(&other));
    assert_eq!(run(&world).summary.done, 1);
    assert_eq!(open(&world.output.join("a.png")), nearest(&other, 2));
    let seeded = || Bench::new(&world, &Fake::new(2, 1), 1).with_seed(5);
    assert_eq!(seeded().run().summary.done, 1);
    assert_eq!(seeded().run().summary.already_there, 1);
}

#[test]
fn pictures_of_one_name_never_overwrite_each_other() {
    let world = World::new();
    world.put("a.jpg", jpeg(&pattern(8, 8, 3)));
    world.put("a.png", png(&pattern(9, 9, 3)));
    for _ in 0..2 {
        let ran = run(&world);
        assert_eq!(ran.summary.failed, 1, "{ran:?}");
        assert_eq!(world.outputs(), ["a.png", "failed/a.png.reason.json"]);
        assert_eq!(open(&world.output.join("a.png")).size, Size::new(16, 16));
    }
    // In another run, without the first one in sight, its mark speaks for it.
    fs::remove_file(world.input.join("a.jpg")).expect("ours");
    let ran = run(&world);
    let taken = Outcome::Failed { stage: "admit", error: JobError::NameTaken { by: "a.jpg".into() } };
    assert_eq!(ran.outcomes()["a.png"], &taken);
    let taken =
        "output name taken by a.jpg (another name or output folder, or name_taken = \"number\" of `run`)";
    assert_eq!(world.reason("a.png"), ("name-taken".into(), taken.into()));
}

#[test]
fn a_strangers_file_is_left_alone_unless_forced() {
    let world = World::new();
    let picture = pattern(6, 6, 3);
    world.put("a.jpg", png(&picture));
    fs::write(world.output.join("a.png"), "precious").expect("writable");
    assert_eq!(run(&world).summary.failed, 1);
    assert_eq!(fs::read(world.output.join("a.png")).expect("there"), b"precious");
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.plan.admission.force = true;
    assert_eq!(bench.run().summary.done, 1);
    assert_eq!(world.outputs(), ["a.png"]);
    assert_eq!(open(&world.output.join("a.png")), nearest(&picture, 2));
}

/// Also one that comes while the picture is in work.
#[test]
fn a_strangers_file_that_is_faster_is_left_alone() {
    let world = World::new();
    world.put("a.jpg", png(&pattern(6, 6, 3)));
    let (place, mut bench) = (world.output.join("a.png"), Bench::new(&world, &Fake::new(2, 1), 1));
    let theirs = place.clone();
    bench.trap = Some(std::sync::Arc::new(move |name: &str| {
        if name.starts_with("infer") {
            fs::write(&theirs, "precious").expect("writable");
        }
    }));
    let ran = bench.run();
    let taken = Outcome::Failed { stage: "encode", error: JobError::ForeignTarget };
    assert_eq!(ran.outcomes()["a.jpg"], &taken, "{ran:?}");
    assert_eq!(fs::read(place).expect("there"), b"precious");
}

#[test]
fn a_picture_is_never_overwritten_by_its_own_result() {
    let world = World::new();
    let path = world.output.join("a.png");
    fs::write(&path, png(&pattern(6, 6, 3))).expect("writable");
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1).with_named(vec![sighting(
        &world.output.as_path().into(),
        &path,
        true,
    )]);
    bench.plan.admission.force = true;
    let ran = bench.run();
    assert_eq!(ran.outcomes()["a.png"], &Outcome::Failed { stage: "admit", error: JobError::OverItself });
    assert_eq!(open(&path), pattern(6, 6, 3));
}

#[test]
fn grey_stays_grey_and_alpha_is_enlarged_by_itself() {
    let world = World::new();
    // Of what has alpha, half is hidden.
    let seen = |channels: usize| {
        let mut picture = pattern(12, 9, channels);
        if channels.is_multiple_of(2) {
            let pixels = picture.samples.chunks_mut(channels).enumerate();
            pixels.filter(|(at, _)| at % 12 > 5).for_each(|(_, pixel)| pixel[channels - 1] = 0);
        }
        picture
    };
    for channels in [1, 2, 4] {
        world.put(&format!("{channels}.png"), png(&seen(channels)));
    }
    world.put("grey.jpg", jpeg(&pattern(12, 9, 1)));
    assert_eq!(run(&world).summary.done, 4);
    assert_eq!(open(&world.output.join("1.png")), nearest(&pattern(12, 9, 1), 2));
    assert_eq!(open(&world.output.join("grey.png")).channels, 1);
    for channels in [2, 4] {
        let (source, result) = (seen(channels), open(&world.output.join(format!("{channels}.png"))));
        let colours = |picture: &Picture| -> Vec<u8> {
            picture.samples.chunks(channels).flat_map(|pixel| pixel[..channels - 1].to_vec()).collect()
        };
        // Of what nobody sees, the border takes the colours beside it.
        let mut grown = Pixels::Eight(source.clone());
        grown.grow_colours(&grown.alpha().expect("there is some"));
        assert_eq!(colours(&result), colours(&nearest(&grown.to_eight(), 2)));
        assert!(grown != Pixels::Eight(source.clone()), "something of it is hidden");
        let planes = Planes::from_picture(&source);
        let alpha = Planes { size: source.size, channels: 1, values: planes.plane(channels - 1).to_vec() };
        let alpha = enlarge(&alpha, 2).to_picture().samples;
        let has: Vec<u8> = result.samples.chunks(channels).map(|pixel| pixel[channels - 1]).collect();
        assert_eq!(has, alpha);
    }
}

#[test]
fn sixteen_bits_stay_sixteen() {
    let world = World::new();
    world.put("deep.png", pictures::png16(5, 4, 0x8123));
    assert_eq!(run(&world).summary.done, 1);
    let result = image::open(world.output.join("deep.png")).expect("a picture");
    assert_eq!((result.width(), result.height(), result.color()), (10, 8, image::ColorType::L16));
    assert!(result.into_luma16().into_raw().iter().all(|&v| v == 0x8123));
}

/// The result is compared with its picture: what a sample spoils is done without, and what is spoiled anyway
/// is refused.
#[test]
fn a_result_that_would_do_harm_is_made_without_a_sample_or_not_at_all() {
    let world = World::new();
    let picture = pattern(24, 16, 3);
    world.put("a.png", png(&picture));
    let with = |strength: f32| {
        let mut bench = Bench::new(&world, &Fake::new(2, 1).with(Fault::Brighter), 1);
        bench.set_strength(strength);
        bench.run()
    };
    let ran = with(0.5);
    assert_eq!((ran.summary.done, ran.summary.failed), (1, 0), "{ran:?}");
    assert_eq!(open(&world.output.join("a.png")), nearest(&picture, 2));
    let Outcome::Done(made) = ran.outcomes()["a.png"] else { panic!("{ran:?}") };
    assert_eq!((made.mark.strength, made.mark.instead_of), (0.0, Some(0.5)));
    assert!(made.figures.is_some_and(|figures| figures.blocks_db > 50.0), "{:?}", made.figures);
    assert_eq!(with(0.5).summary.already_there, 1, "it was asked for 0.5, and this is what came of it");
    world.put("b.png", png(&picture));
    let mut bench = Bench::new(&world, &Fake::new(2, 1).with(Fault::Always), 1);
    bench.set_strength(0.5);
    assert_eq!(bench.run().summary.failed, 1);
    assert!(!world.output.join("b.png").exists());
    let (class, message) = world.reason("b.png");
    assert_eq!(class, "harmful");
    assert!(message.starts_with("the result would do harm: reduced again it differs"), "{message}");
}

/// Orientation 6: the camera was turned, the first row is the right side.
#[test]
fn exif_orientation_is_applied() {
    let world = World::new();
    let upright = jpeg(&Picture { size: Size::new(16, 8), channels: 1, samples: (0..128).collect() });
    world.put("upright.jpg", &upright);
    world.put("turned.jpg", with_orientation(&upright, 6));
    assert_eq!(run(&world).summary.done, 2);
    let (upright, turned) = (open(&world.output.join("upright.png")), open(&world.output.join("turned.png")));
    assert_eq!(turned.size, Size::new(16, 32));
    let mut expected = Picture::new(turned.size, 1);
    for y in 0..16 {
        for x in 0..32 {
            expected.samples[x * 16 + 15 - y] = upright.samples[y * 32 + x];
        }
    }
    assert_eq!(difference(&turned, &expected), 0);
}

#[test]
fn links_pipes_and_sockets_are_passed_over_and_links_out_of_the_tree_not_followed() {
    let world = World::new();
    let outside = world.root.path().join("outside.png");
    fs::write(&outside, png(&pattern(4, 4, 3))).expect("writable");
    symlink(&outside, world.input.join("link.png")).expect("writable");
    let _socket = UnixListener::bind(world.input.join("socket.png")).expect("a socket");
    let ran = run(&world);
    assert_eq!((ran.summary.passed_over, ran.summary.done), (2, 0));
    assert!(world.outputs().is_empty());
    // The same link by name is what the user wants.
    let named = sighting(&world.input.as_path().into(), &world.input.join("link.png"), true);
    assert_eq!(Bench::new(&world, &Fake::new(2, 1), 1).with_named(vec![named]).run().summary.done, 1);
}

#[test]
fn limits_hold_before_anything_is_decoded() {
    let world = World::new();
    world.put("a.png", png(&pattern(1100, 1000, 1)));
    let refused = |change: fn(&mut onestep::plan::Limits)| {
        let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
        change(&mut bench.plan.admission.limits);
        assert_eq!(bench.run().summary.failed, 1);
        world.reason("a.png").1
    };
    assert_eq!(
        refused(|l| l.max_input_mpx = 1),
        "picture has 1100×1000 pixels (1.1 Mpx), the limit is 1 Mpx (max_input_mpx of `run`)"
    );
    assert_eq!(
        refused(|l| l.max_output_mpx = 4),
        "result would have 2200×2000 pixels (4.4 Mpx), the limit is 4 Mpx (max_output_mpx of `run`; a \
         model that enlarges less)"
    );
    assert!(refused(|l| l.max_file_mb = 0).ends_with("bytes, the limit is 0 MB (max_file_mb of `run`)"));
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.plan.admission.memory_mb = 11;
    assert_eq!(bench.run().summary.failed, 1);
    // The canvas is 4.4 MB, a band of the picture a little, what its file of 1.2 MB may say of itself 2.4 MB,
    // and four megabytes (of 2²⁰) for the rest.
    let told = "would take 12 MB of memory (1100×1000 pixels, ×2), pictures may take 11 MB";
    assert_eq!(world.reason("a.png"), ("too-large".into(), told.into()));
    let mut bench = Bench::new(&world, &Fake::new(2, 1), 1);
    bench.plan.admission.memory_mb = 12;
    assert_eq!(bench.run().summary.done, 1);
}

#[test]
fn what_is_not_finite_costs_one_picture() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.put(&format!("{name}.png"), png(&pattern(8, 8, 3)));
    }
    let ran = Bench::new(&world, &Fake::new(2, 1).with(Fault::NotANumber(1)), 1).run();
    assert_eq!((ran.end, ran.summary.done, ran.summary.failed), (Ok(()), 2, 1));
    assert_eq!(world.outputs(), ["a.png", "c.png", "failed/b.png.reason.json"]);
    assert_eq!(world.reason("b.png").0, "not-finite");
}
