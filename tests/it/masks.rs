//! What is to be repaired of a picture, wherever it is said; and that a mask is never a picture itself.

use crate::support::fake::Fake;
use crate::support::pictures::{jpeg, open, pattern, png, png16, with_orientation};
use crate::support::{Bench, DEADLINE, Ran, World};
use contract::geometry::Size;
use contract::pixels::Picture;
use crossbeam_channel::bounded;
use onestep::edge::scan::sighting;
use onestep::job::{Outcome, Sighting};
use onestep::pipeline::Intake;
use onestep::plan::Wish;
use onestep::work::mark::Mark;
use onestep::work::masking::{MaskFrom, Masking, SUFFIXES, White};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn suffixes() -> Vec<String> {
    SUFFIXES.map(str::to_owned).to_vec()
}

/// Masks beside pictures, not grown, so that what they mark can be counted.
pub fn beside() -> Masking {
    plain(MaskFrom::Beside(suffixes()))
}

fn plain(from: MaskFrom) -> Masking {
    Masking { grow_px: 0, ..Masking::new(from) }
}

fn bench(world: &World, masking: &Masking) -> Bench {
    let wish = Wish { masking: Some(masking.clone()), ..Wish::new(world.output.clone()) };
    Bench::of(world, &Fake::inpainting(), 2, wish)
}

pub fn run(world: &World, masking: &Masking) -> Ran {
    let ran = bench(world, masking).run();
    assert_eq!(ran.end, Ok(()));
    ran
}

/// The one picture that was done.
#[track_caller]
fn mark(ran: &Ran) -> Mark {
    let made = ran.settled.iter().find_map(|end| match &end.outcome {
        Outcome::Done(made) => Some(made.mark.clone()),
        _ => None,
    });
    made.unwrap_or_else(|| panic!("nothing was done: {ran:?}"))
}

/// How many pixels of the one picture were marked.
#[track_caller]
fn repaired(world: &World, masking: &Masking) -> u64 {
    mark(&run(world, masking)).mask.expect("a mask").repaired
}

/// A grey mask whose first so many pixels are white.
pub fn white(width: usize, height: usize, count: usize) -> Picture {
    let size = Size::new(width, height);
    let samples = (0..size.area()).map(|at| if at < count { 255 } else { 0 }).collect();
    Picture { size, channels: 1, samples }
}

#[test]
fn masks_are_found_wherever_they_may_lie() {
    let world = World::new();
    world.put("sub/a.jpg", jpeg(&pattern(9, 8, 3)));
    let folder = world.root.path().join("masks");
    let put = |place: &str, count: usize| {
        let path = world.root.path().join(place);
        fs::create_dir_all(path.parent().expect("below the root")).expect("writable");
        fs::write(path, png(&white(9, 8, count))).expect("writable");
    };
    put("in/sub/a.mask.png", 3);
    assert_eq!(repaired(&world, &beside()), 3);
    fs::remove_file(world.input.join("sub/a.mask.png")).expect("ours");
    put("in/sub/a-m.PNG", 7);
    assert_eq!(repaired(&world, &plain(MaskFrom::Beside(vec!["-m".into()]))), 7);
    fs::remove_file(world.input.join("sub/a-m.PNG")).expect("ours");
    put("masks/sub/a.png", 4);
    let of_folder = plain(MaskFrom::Folder(folder.clone(), suffixes()));
    assert_eq!(repaired(&world, &of_folder), 4);
    fs::remove_file(folder.join("sub/a.png")).expect("ours");
    put("masks/sub/a_mask.png", 5);
    assert_eq!(repaired(&world, &of_folder), 5);
    put("logo.png", 6);
    assert_eq!(repaired(&world, &plain(MaskFrom::One(world.root.path().join("logo.png")))), 6);
    assert_eq!(world.outputs(), ["sub/a.png"], "one picture, done each time into its place");
}

#[test]
fn the_user_says_what_white_means_and_how_far_it_grows() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    world.put("a_mask.png", png(&white(9, 8, 1)));
    assert_eq!(repaired(&world, &beside()), 1);
    assert_eq!(repaired(&world, &Masking { white: White::Keep, ..beside() }), 71);
    assert_eq!(repaired(&world, &Masking { grow_px: 1, ..beside() }), 3, "a corner and its two neighbours");
}

#[test]
fn what_is_transparent_is_repaired_and_opaque_afterwards() {
    let world = World::new();
    let mut picture = pattern(9, 8, 4);
    picture.samples.chunks_exact_mut(4).enumerate().for_each(|(at, pixel)| {
        pixel[3] = match at {
            0 => 0,
            1 => 7,
            _ => 255,
        };
    });
    world.put("a.png", png(&picture));
    assert_eq!(repaired(&world, &plain(MaskFrom::Alpha)), 1);
    let result = open(&world.output.join("a.png"));
    let alphas: Vec<u8> = result.samples.chunks_exact(4).map(|pixel| pixel[3]).collect();
    assert_eq!((alphas[0], alphas[1], alphas[2]), (255, 7, 255));
}

#[test]
fn a_colour_marks_what_has_it() {
    let world = World::new();
    let mut picture = Picture { samples: vec![9; 3 * 72], ..Picture::new(Size::new(9, 8), 3) };
    picture.samples[..6].copy_from_slice(&[255, 0, 255, 252, 2, 255]);
    world.put("a.png", png(&picture));
    let key = |tolerance| Masking { tolerance, ..plain(MaskFrom::Colour([255, 0, 255])) };
    assert_eq!((repaired(&world, &key(0)), repaired(&world, &key(3))), (1, 2));
}

#[test]
fn a_mask_is_never_a_picture_and_every_picture_of_its_name_has_it() {
    let world = World::new();
    for name in ["a.png", "b.png", "sub/a.JPG"] {
        let picture = pattern(9, 8, 3);
        world.put(name, if name.ends_with("JPG") { jpeg(&picture) } else { png(&picture) });
    }
    for name in ["a.mask.png", "b_mask.webp.png", "b_mask.png", "sub/a.mask.jpg", "nobody.mask.png"] {
        world.put(name, png(&white(9, 8, 2)));
    }
    fs::remove_file(world.input.join("b_mask.webp.png")).expect("ours");
    let ran = run(&world, &beside());
    assert_eq!((ran.summary.done, ran.summary.failed, ran.summary.passed_over), (3, 0, 0), "{ran:?}");
    assert_eq!(world.outputs(), ["a.png", "b.png", "sub/a.png"]);
    assert_eq!(run(&world, &beside()).summary.already_there, 3);
}

#[test]
fn a_picture_without_its_mask_fails_at_once_where_somebody_waits_and_is_done_when_it_has_one() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    assert_eq!(run(&world, &beside()).summary.failed, 1);
    let (class, told) = world.reason("a.png");
    assert_eq!(class, "no-mask");
    assert_eq!(
        told,
        "has no mask: a.mask.png or a_mask.png (or with another picture's extension) beside it is not there; \
         put one there (white is repaired)"
    );
    let again = |once| {
        let mut bench = bench(&world, &Masking { wait: Duration::ZERO, ..beside() });
        bench.plan.admission.once = once;
        bench.run().settled.remove(0).outcome
    };
    assert_eq!(again(false), Outcome::KnownBad, "a daemon is told once");
    // An empty file is one that is still to be written.
    world.put("a.mask.png", "");
    assert_eq!(again(false), Outcome::KnownBad);
    world.put("a.mask.png", png(&white(9, 8, 2)));
    assert!(matches!(again(false), Outcome::Done(_)));
    assert_eq!(world.outputs(), ["a.png"], "and its reason is gone");
}

#[test]
fn a_daemon_waits_until_the_deadline() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    let mut bench = bench(&world, &Masking { wait: Duration::from_secs(1), ..beside() });
    bench.plan.admission.once = false;
    let ran = bench.run();
    assert_eq!((ran.end, ran.summary.failed, ran.settled.len()), (Ok(()), 1, 1));
    let told = world.reason("a.png").1;
    assert!(told.contains("is not there 1 s after the picture last changed; put one there"), "{told}");
}

#[test]
fn a_mask_that_comes_while_its_picture_waits_is_taken() {
    let world = World::new();
    let [late, other] = ["a.png", "b.png"].map(|name| world.put(name, png(&pattern(9, 8, 3))));
    world.put("b_mask.png", png(&white(9, 8, 1)));
    let (mask, bytes) = (world.input.join("a.mask.png"), png(&white(9, 8, 2)));
    let root = world.input.as_path().into();
    let sightings: Vec<Sighting> = [late, other].map(|path| sighting(&root, &path, false)).to_vec();
    let mut bench = bench(&world, &Masking { wait: DEADLINE, ..beside() });
    bench.plan.admission.once = false;
    // The mask is there only when the picture behind is done: then the one before was looked at, and waits.
    let (done, is_done) = bounded(2);
    bench.observe = Box::new(move |_| _ = done.send(()));
    let ends = std::iter::once_with(move || {
        is_done.recv_timeout(DEADLINE).expect("the other is done");
        fs::write(&mask, &bytes).expect("writable");
    });
    bench.intake = Intake::List(Box::new(sightings.into_iter().chain(ends.flat_map(|()| None))));
    let ran = bench.run();
    assert_eq!((ran.end.clone(), ran.summary.done), (Ok(()), 2), "{ran:?}");
    let names: Vec<_> = ran.settled.iter().map(|end| end.errand.relative.as_path()).collect();
    assert_eq!(names, ["b.png", "a.png"].map(Path::new));
}

#[test]
fn a_changed_mask_is_another_result_of_that_picture_alone() {
    let world = World::new();
    for name in ["a", "b"] {
        world.put(&format!("{name}.png"), png(&pattern(9, 8, 3)));
        world.put(&format!("{name}.mask.png"), png(&white(9, 8, 2)));
    }
    assert_eq!(run(&world, &beside()).summary.done, 2);
    world.put("a.mask.png", png(&white(9, 8, 30)));
    let ran = run(&world, &beside());
    assert_eq!((ran.summary.done, ran.summary.already_there), (1, 1));
    assert_eq!(mark(&ran).mask.expect("a mask").repaired, 30);
    // Without a ledger the results tell.
    let forget = || fs::remove_dir_all(world.state()).expect("ours");
    forget();
    assert_eq!(run(&world, &beside()).summary.already_there, 2);
    forget();
    world.put("b.mask.png", png(&white(9, 8, 31)));
    let ran = run(&world, &beside());
    assert_eq!((ran.summary.done, ran.summary.already_there), (1, 1));
    // Another rule is another result of all.
    assert_eq!(run(&world, &Masking { grow_px: 1, ..beside() }).summary.done, 2);
}

#[test]
fn a_result_whose_mask_was_taken_away_stays_its_result() {
    let world = World::new();
    let picture = world.put("a.png", png(&pattern(9, 8, 3)));
    let mask = world.put("a.mask.png", png(&white(9, 8, 2)));
    assert_eq!(run(&world, &beside()).summary.done, 1);
    fs::remove_file(mask).expect("ours");
    assert_eq!(run(&world, &beside()).summary.already_there, 1);
    // Also where the picture is touched, or the ledger lost.
    let touched = fs::File::open(&picture).expect("there");
    touched.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("ours");
    for _ in 0..2 {
        assert_eq!(run(&world, &beside()).summary.already_there, 1);
    }
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    let mask = world.put("a.mask.png", png(&white(9, 8, 2)));
    assert_eq!(run(&world, &beside()).summary.done, 1);
    fs::remove_file(mask).expect("ours");
    fs::remove_dir_all(world.state()).expect("ours");
    for _ in 0..2 {
        assert_eq!(run(&world, &beside()).summary.already_there, 1);
    }
}

#[test]
fn a_mask_of_another_size_is_refused_unless_it_may_be_resized() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    world.put("a.mask.png", png(&white(18, 16, 18 * 8)));
    assert_eq!(run(&world, &beside()).summary.failed, 1);
    let (class, told) = world.reason("a.png");
    assert_eq!(class, "mask");
    let begin = format!("its mask {} (white is repaired)", world.input.join("a.mask.png").display());
    let end = " has 18×16 pixels, the picture 9×8: make it as large, or set mask_resize = \"nearest\" \
               (`once --mask-resize nearest`)";
    assert_eq!(told, format!("{begin}{end}"));
    assert_eq!(repaired(&world, &Masking { resized: true, ..beside() }), 36);
}

/// A picture with a white spot in the corner that is the upper left one as it is stored and the upper right
/// one of what is seen; and masks of the spot, which is gone where they lie on it.
#[test]
fn a_mask_may_be_upright_or_lie_as_its_picture_is_stored() {
    let world = World::new();
    // Whole blocks of a JPEG, which keeps them as they are.
    let with_spot = |size: Size, channels: usize, left: usize, around: u8| {
        let is_spot = |at: usize| (left..left + 8).contains(&(at % size.width)) && at / size.width < 8;
        let samples =
            (0..size.area() * channels).map(|i| if is_spot(i / channels) { 255 } else { around }).collect();
        Picture { size, channels, samples }
    };
    let (stored, upright) = (Size::new(32, 16), Size::new(16, 32));
    let turned = with_orientation(&jpeg(&with_spot(stored, 3, 0, 100)), 6);
    world.put("stored.jpg", &turned);
    world.put("stored.mask.png", png(&with_spot(stored, 1, 0, 0)));
    world.put("upright.jpg", &turned);
    world.put("upright.mask.png", png(&with_spot(upright, 1, 8, 0)));
    // Turned by its own Exif it is as upright as its picture.
    world.put("own.jpg", &turned);
    world.put("own.mask.jpg", with_orientation(&jpeg(&with_spot(stored, 1, 0, 0)), 6));
    // Upright, and told to be turned: it fits the picture as it is stored, and lies elsewhere.
    world.put("twice.jpg", &turned);
    world.put("twice.mask.jpg", with_orientation(&jpeg(&with_spot(upright, 1, 8, 0)), 6));
    let ran = run(&world, &beside());
    assert_eq!((ran.summary.done, ran.summary.failed), (3, 1), "{ran:?}");
    for name in ["stored.png", "upright.png", "own.png"] {
        let result = open(&world.output.join(name));
        assert_eq!(result.size, upright);
        assert!(result.samples.iter().all(|value| value.abs_diff(100) < 6), "{name}: {:?}", result.samples);
    }
    let (class, told) = world.reason("twice.jpg");
    assert!(class == "mask" && told.contains(" has 32×16 pixels, the picture 16×32"), "{told}");
}

#[test]
fn a_mask_that_cannot_be_used_is_named() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    let reason = |bytes: &[u8]| {
        let path = world.put("a.mask.png", bytes);
        assert_eq!(run(&world, &beside()).summary.failed, 1);
        let (class, told) = world.reason("a.png");
        assert_eq!(class, "mask");
        let begin = format!("its mask {} (white is repaired): ", path.display());
        told.strip_prefix(&begin).unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    assert!(reason(b"hello, world").starts_with("content is neither JPEG"));
    let whole = png(&white(9, 8, 4));
    assert!(reason(&whole[..whole.len() - 20]).starts_with("cannot be decoded: "));
    assert!(reason(&crate::support::pictures::png_bomb()).contains("64250×64250 pixels"));
}

#[test]
fn a_mask_over_everything_is_refused_with_what_to_look_at() {
    let world = World::new();
    world.put("a.png", png(&pattern(9, 8, 3)));
    world.put("a.mask.png", png(&white(9, 8, 72)));
    assert_eq!(run(&world, &beside()).summary.failed, 1);
    let (class, told) = world.reason("a.png");
    assert!(class == "mask" && told.starts_with("nothing of it is known: every pixel is marked (white is"));
    assert!(told.ends_with("Then set mask_white = \"keep\""), "{told}");
    assert_eq!(repaired(&world, &Masking { white: White::Keep, ..beside() }), 0);
}

/// A copy is what its picture is, and does not say that a network had a hand in it.
#[test]
fn a_copy_says_nothing_of_how_it_came_to_be() {
    let world = World::new();
    world.put("a.png", png(&pattern(300, 200, 3)));
    for (count, is_told) in [(0, false), (1, true)] {
        world.put("a.mask.png", png(&white(300, 200, count)));
        let wish = Wish { masking: Some(beside()), source_type: true, ..Wish::new(world.output.clone()) };
        let ran = Bench::of(&world, &Fake::inpainting(), 2, wish).run();
        assert_eq!((ran.end.clone(), ran.summary.done), (Ok(()), 1), "{ran:?}");
        let (bytes, told) = (fs::read(world.output.join("a.png")).expect("there"), b"digitalsourcetype");
        assert_eq!(bytes.windows(told.len()).any(|part| part == told), is_told, "{count} pixels repaired");
    }
}

#[test]
fn a_picture_of_which_nothing_is_to_be_repaired_is_copied_bit_for_bit() {
    let world = World::new();
    for channels in 1..=4 {
        world.put(&format!("{channels}.png"), png(&pattern(300, 200, channels)));
        world.put(&format!("{channels}.mask.png"), png(&white(300, 200, 0)));
    }
    let fake = Fake::inpainting();
    let wish = Wish { masking: Some(beside()), ..Wish::new(world.output.clone()) };
    let ran = Bench::of(&world, &fake, 2, wish).run();
    assert_eq!((ran.end.clone(), ran.summary.done), (Ok(()), 4), "{ran:?}");
    assert_eq!(fake.runs.load(std::sync::atomic::Ordering::SeqCst), 0, "no network was asked");
    for name in world.outputs() {
        assert_eq!(open(&world.output.join(&name)), open(&world.input.join(&name)), "{name}");
    }
    assert_eq!(mark(&ran).mask.expect("a mask").repaired, 0);
    let receipts = fs::read_to_string(world.output.join("receipts.jsonl")).expect("there");
    assert_eq!(receipts.matches("\"repaired\":0").count(), 4, "{receipts}");
    // Sixteen bits too, and a picture without alpha that was to tell by its alpha.
    let world = World::new();
    world.put("deep.png", png16(9, 8, 0x1234));
    assert_eq!(repaired(&world, &plain(MaskFrom::Alpha)), 0);
    let bytes = fs::read(world.output.join("deep.png")).expect("there");
    let image = image::load_from_memory(&bytes).expect("a PNG").into_luma16();
    assert!(image.pixels().all(|pixel| pixel.0 == [0x1234]));
}
