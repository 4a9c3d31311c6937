//! The shipped models: tiles join within one 8-bit step, for tiles of several sizes.

use crate::support::process::repository;
use contract::geometry::{Rect, Size, TileGrid};
use contract::pixels::{Picture, cut_window, to_byte};
use contract::{card::ModelCard, card::Role, noise};
use onestep::edge::model::{Asked, BatchInput, Model, Request, open};
use onestep::edge::{library, model_file};
use onestep::work::precision::Wanted;

/// One window through the model, noise of its place.
fn window(model: &mut dyn Model, picture: &Picture, window: Rect, strength: f32) -> Vec<f32> {
    let card = model.card().clone();
    let mut image = vec![0.0; 3 * window.size.area()];
    cut_window(picture, [0, 1, 2], window, &mut image);
    let place = window.times(card.scale);
    let mut drawn = vec![0.0; 3 * place.size.area()];
    noise::fill(11, 0, place, &mut drawn);
    let (size, strength) = (window.size, [strength]);
    let input = BatchInput {
        tiles: 1,
        window: size,
        image: &image,
        mask: &[],
        noise: &drawn,
        strength: &strength,
        source: &[0.0],
    };
    let mut output = Vec::new();
    model.run(&input, &mut |values| output = values.to_vec()).expect("the shipped model runs");
    output
}

/// The picture put together from tiles of a grid.
fn enlarged(model: &mut dyn Model, picture: &Picture, grid: &TileGrid, strength: f32) -> Vec<u8> {
    let scale = model.card().scale;
    let large = picture.size.times(scale);
    let mut out = vec![0; 3 * large.area()];
    for tile in grid.tiles() {
        let values = window(model, picture, tile.window, strength);
        let (keep, place) = (tile.keep.times(scale), tile.window.times(scale));
        for plane in 0..3 {
            for row in 0..keep.size.height {
                let y = (keep.y - place.y) as usize + row;
                let from = (plane * place.size.height + y) * place.size.width + (keep.x - place.x) as usize;
                let to = plane * large.area() + (keep.y as usize + row) * large.width + keep.x as usize;
                for column in 0..keep.size.width {
                    out[to + column] = to_byte(values[from + column]);
                }
            }
        }
    }
    out
}

fn check(model: &mut dyn Model, picture: &Picture, strength: f32) {
    let ModelCard { halo, receptive_field, name, .. } = model.card().clone();
    // One window with all the context there can be.
    let Size { width, height } = picture.size;
    let whole = Size::new(width + 2 * receptive_field, height + 2 * receptive_field);
    let whole = TileGrid::fixed(picture.size, whole, receptive_field).expect("it has a core");
    let untiled = enlarged(model, picture, &whole, strength);
    for side in [2 * halo + 24, 2 * halo + 61, 128] {
        let grid = TileGrid::fitted(picture.size, side, halo, 1).expect("it has a core");
        assert!(grid.len() > 1, "{name}: {side} would not cut the picture");
        let tiled = enlarged(model, picture, &grid, strength);
        let worst = tiled.iter().zip(&untiled).map(|(a, b)| a.abs_diff(*b)).max().expect("pixels");
        assert!(worst <= 1, "{name}: windows of {side} differ by {worst} levels");
    }
}

#[test]
fn tiled_and_untiled_agree() {
    agree(Wanted::F32);
}

#[test]
fn tiled_and_untiled_agree_in_int8() {
    agree(Wanted::Int8);
}

/// The shipped models, whole and in tiles, in this precision.
fn agree(precision: Wanted) {
    let here = repository();
    let library = library::find(None, None, here, here).expect("scripts/fetch-runtime was run");
    let models = ["sr-x4", "sr-x2"].map(|name| {
        let file = model_file::find(name, None, here, here).expect("it ships");
        Asked { file, strength: Some(1.0), samples: true, terms: None, second: false }
    });
    let models = models.to_vec();
    let request = Request { precision, ..Request::on_cpu(models, 1) };
    let mut opened = open(&library, &request).expect("the shipped model opens");
    assert!(opened.facts.iter().all(|facts| facts.card.role == Role::Sample));
    for name in ["city.jpg", "grass.jpg"] {
        let rgb = image::open(here.join("samples").join(name)).expect("a sample").into_rgb8();
        // A part of it: as many seams for half the time.
        let rgb = image::imageops::crop_imm(&rgb, 30, 40, 170, 150).to_image();
        let picture = Picture { size: Size::new(170, 150), channels: 3, samples: rgb.into_raw() };
        for strength in [0.0, 1.0] {
            for model in &mut opened.workers[0] {
                check(model.as_mut(), &picture, strength);
            }
        }
    }
}
