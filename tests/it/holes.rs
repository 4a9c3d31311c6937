//! Holes are repaired in their places, and what is known stays bit for bit.

use crate::masks::{beside, run};
use crate::support::fake::{Fake, Fault};
use crate::support::pictures::{open, png};
use crate::support::{Bench, World};
use contract::card::Role;
use contract::geometry::{Rect, Size};
use contract::pixels::Picture;
use onestep::edge::codec::{Metadata, encode};
use onestep::plan::Wish;
use onestep::work::format::Format;
use onestep::work::pixels::Pixels;

/// Promise 4: known pixels are bit-identical, in 8 and 16 bits, with alpha, in grey; those of the hole are
/// what the network gave, in their places. The fake gives back its input, whose holes are filled from around.
#[test]
fn only_the_hole_changes_and_the_rest_stays_bit_for_bit() {
    let size = Size::new(200, 150);
    let is_hole = |at: usize| (60..90).contains(&(at % 200)) && (40..55).contains(&(at / 200));
    let marks = (0..size.area()).map(|at| if is_hole(at) { 255 } else { 0 }).collect();
    let mask = png(&Picture { size, channels: 1, samples: marks });
    for channels in [1, 2, 3, 4] {
        let world = World::new();
        // Grey by half around, black in the hole; and one pixel that tells whether all are in their places.
        let value = |at: usize| if is_hole(at) { 0 } else { 100 + (at % 3) as u8 };
        let samples = (0..size.area()).flat_map(|at| vec![value(at); channels]).collect();
        let picture = Picture { size, channels, samples };
        world.put("a.png", png(&picture));
        world.put("a.mask.png", mask.clone());
        run(&world, &beside());
        let result = open(&world.output.join("a.png"));
        assert_eq!((result.size, result.channels), (size, channels));
        let colours = channels - usize::from(channels % 2 == 0);
        for at in 0..size.area() {
            let (now, was) =
                (&result.samples[at * channels..][..channels], &picture.samples[at * channels..][..channels]);
            if is_hole(at) {
                assert!(now[..colours].iter().all(|v| (99..=103).contains(v)), "{at}: {now:?}");
                assert_eq!(now[colours..], was[colours..], "alpha stays");
            } else {
                assert_eq!(now, was, "{at}");
            }
        }
    }
}

/// Holes in several places, one deeper than the network knows, one as long as the picture: crops, levels and
/// pieces all find their way back.
#[test]
fn many_holes_of_every_kind_find_their_places() {
    let size = Size::new(1500, 400);
    let is_hole = |at: usize| {
        let (x, y) = (at % 1500, at / 1500);
        y.abs_diff(20) < 2
            || (x.abs_diff(300) < 60 && y.abs_diff(200) < 60)
            || (x > 900 && x % 90 < 5 && y % 90 < 7)
    };
    let world = World::new();
    let value = |at: usize| if is_hole(at) { 255 } else { 90 };
    let samples = (0..size.area()).flat_map(|at| [value(at), value(at) / 2, 7]).collect();
    let picture = Picture { size, channels: 3, samples };
    world.put("a.png", png(&picture));
    let marks = (0..size.area()).map(|at| if is_hole(at) { 255 } else { 0 }).collect();
    world.put("a.mask.png", png(&Picture { size, channels: 1, samples: marks }));
    run(&world, &beside());
    let result = open(&world.output.join("a.png"));
    let wrong = result.samples.chunks_exact(3).position(|pixel| pixel != [90, 45, 7]);
    assert_eq!(wrong, None, "an even picture is whole again");
}

/// What lies under transparency is no colour that anybody knows: it stays, and nothing is made of it.
#[test]
fn colours_that_nobody_sees_are_not_taken_for_surroundings() {
    let size = Size::new(120, 80);
    let is_hole = |at: usize| (40..60).contains(&(at % 120)) && (20..60).contains(&(at / 120));
    // To the right of the hole all is transparent, and black beneath.
    let value = |at: usize| match (is_hole(at), at % 120 < 60) {
        (true, _) => [255, 255, 255, 255],
        (_, true) => [100, 110, 120, 255],
        (_, false) => [0, 0, 0, 0],
    };
    let picture = Picture { size, channels: 4, samples: (0..size.area()).flat_map(value).collect() };
    let marks = (0..size.area()).map(|at| if is_hole(at) { 255 } else { 0 }).collect();
    let world = World::new();
    world.put("a.png", png(&picture));
    world.put("a.mask.png", png(&Picture { size, channels: 1, samples: marks }));
    run(&world, &beside());
    let result = open(&world.output.join("a.png"));
    for (at, pixel) in result.samples.chunks_exact(4).enumerate() {
        let expected = if is_hole(at) { [100, 110, 120, 255] } else { value(at) };
        assert_eq!(pixel, expected, "{at}");
    }
}

/// A sample is drawn once, at the full resolution, with the noise of each pixel's place in the picture:
/// pieces of a long hole, crops and levels of a deep one agree.
#[test]
fn noise_belongs_to_places_in_the_picture() {
    let (size, seed) = (Size::new(1500, 400), 11);
    let is_hole = |at: usize| {
        let (x, y) = (at % 1500, at / 1500);
        y.abs_diff(20) < 4 || (x.abs_diff(300) < 60 && y.abs_diff(200) < 60)
    };
    let world = World::new();
    world.put("a.png", png(&Picture { size, channels: 3, samples: vec![128; 3 * size.area()] }));
    let marks = (0..size.area()).map(|at| if is_hole(at) { 255 } else { 0 }).collect();
    world.put("a.mask.png", png(&Picture { size, channels: 1, samples: marks }));
    let mut fake = Fake::inpainting().with(Fault::Drawn);
    fake.card.role = Role::Sample;
    let wish = Wish { masking: Some(beside()), ..Wish::new(world.output.clone()) };
    let mut bench = Bench::of(&world, &fake, 2, wish).with_seed(seed);
    bench.set_strength(0.5);
    assert_eq!(bench.run().summary.done, 1);
    let mut noise = vec![0.0; 3 * size.area()];
    contract::noise::fill(seed, 0, Rect { x: 0, y: 0, size }, &mut noise);
    let result = open(&world.output.join("a.png"));
    for (i, sample) in result.samples.iter().enumerate() {
        let (at, plane) = (i / 3, i % 3);
        let drawn = 128.0 + 255.0 * 0.05 * noise[plane * size.area() + at];
        let expected = if is_hole(at) { drawn } else { 128.0 };
        assert!((f32::from(*sample) - expected).abs() < 1.0, "{at}: {sample} instead of {expected}");
    }
}

/// The same in 16 bits: no sample of what is known loses its lower half.
#[test]
fn a_hole_in_sixteen_bits_leaves_the_rest_bit_for_bit() {
    let size = Size::new(120, 90);
    let is_hole = |at: usize| (50..60).contains(&(at % 120)) && (30..44).contains(&(at / 120));
    let value = |at: usize| if is_hole(at / 3) { 65_535 } else { 20_000 + (at * 7919 % 251) as u16 };
    let picture = Picture { size, channels: 3, samples: (0..size.area() * 3).map(value).collect() };
    let world = World::new();
    let mut bytes = Vec::new();
    let (pixels, metadata) = (Pixels::Sixteen(picture.clone()), Metadata::default());
    encode(&pixels, "{}", &metadata, Format::Png, &mut bytes).expect("memory");
    world.put("a.png", bytes);
    let marks = (0..size.area()).map(|at| if is_hole(at) { 255 } else { 0 }).collect();
    world.put("a.mask.png", png(&Picture { size, channels: 1, samples: marks }));
    run(&world, &beside());
    let result = image::open(world.output.join("a.png")).expect("a PNG");
    assert_eq!(result.color(), image::ColorType::Rgb16);
    for (at, (now, was)) in result.into_rgb16().into_raw().into_iter().zip(picture.samples).enumerate() {
        let is_right = if is_hole(at / 3) { (19_900..20_400).contains(&now) } else { now == was };
        assert!(is_right, "{at}: {now} of {was}");
    }
}
