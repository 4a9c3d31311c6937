//! What writing a result costs, for each format: CPU-seconds for 2048×2048 pixels of photographs, and how
//! large the file becomes. `cargo bench --bench encode`

#![allow(clippy::disallowed_methods, reason = "a benchmark's own files need not be durable")]

#[path = "support/mod.rs"]
mod support;

use contract::geometry::Size;
use contract::pixels::Picture;
use image::imageops::{crop_imm, replace, rotate180};
use onestep::edge::codec::{Metadata, encode};
use onestep::work::format::Format;
use onestep::work::pixels::Pixels;
use support::{mosaic, print};

const SIDE: u32 = 2048;
const ROUNDS: usize = 7;

fn main() {
    // Photographs at their own resolution: what was enlarged packs better. Nothing comes twice in a row of
    // them, or packing would be easy.
    let mut picture = mosaic(SIDE / 256, 0);
    for (x, y) in (6..SIDE / 256).flat_map(|column| (0..SIDE / 256).map(move |row| (256 * column, 256 * row)))
    {
        let turned = rotate180(&crop_imm(&picture, x, y, 256, 256).to_image());
        replace(&mut picture, &turned, i64::from(x), i64::from(y));
    }
    let size = Size::new(SIDE as usize, SIDE as usize);
    let eight = Picture { size, channels: 3, samples: picture.into_raw() };
    let samples = eight.samples.iter().map(|sample| u16::from(*sample) * 257).collect();
    let sixteen = Pixels::Sixteen(Picture { size, channels: 3, samples });
    let eight = Pixels::Eight(eight);
    for format in Format::of_same(92) {
        time(&eight, format, &format!("{format}"));
    }
    time(&sixteen, Format::Png, "png of 16 bits");
}

fn time(pixels: &Pixels, format: Format, name: &str) {
    let (mut seconds, mut bytes) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let mut file = Vec::new();
        let begin = cpu_s();
        encode(pixels, "{}", &Metadata::default(), format, &mut file).expect("memory");
        seconds.push(cpu_s() - begin);
        bytes = file.len();
    }
    seconds.sort_by(f64::total_cmp);
    let (least, middle, most) = (seconds[0], seconds[ROUNDS / 2], seconds[ROUNDS - 1]);
    print(&format!("{name:16} {middle:.3} ({least:.3} to {most:.3}) CPU-s, {:.1} MB", bytes as f64 / 1e6));
}

/// CPU time of this process.
fn cpu_s() -> f64 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}
