//! What onestep reads and writes where it was built with more: JPEG XL in, WebP with losses out.

use crate::support::World;
#[cfg(any(feature = "jxl", feature = "webp-lossy"))]
use crate::support::pictures::open;
use crate::support::pictures::{pattern, png};
use crate::support::process::once;

/// Three stripes of four columns, the last one half transparent, 12×8 pixels: `cjxl -d 0` of libjxl 0.7.
const JXL: [u8; 57] = [
    0xFF, 0x0A, 0x01, 0xC1, 0x82, 0xE2, 0x42, 0x08, 0x08, 0x10, 0x00, 0xB0, 0x00, 0x4B, 0x18, 0x8B, 0x15,
    0x00, 0xD4, 0x66, 0x19, 0xC9, 0x58, 0x5F, 0x40, 0x06, 0x00, 0x89, 0x71, 0x01, 0x00, 0x42, 0x31, 0x44,
    0x88, 0xFF, 0x54, 0x04, 0x17, 0x4B, 0xD3, 0x44, 0x0B, 0xBE, 0x80, 0x13, 0xF0, 0xA3, 0xE5, 0xC6, 0x5A,
    0x44, 0x92, 0x50, 0x80, 0xBE, 0x00,
];
const STRIPES: [[u8; 4]; 3] = [[200, 30, 40, 255], [20, 160, 90, 255], [30, 60, 220, 128]];

#[test]
#[cfg(feature = "jxl")]
fn jpeg_xl_is_read_to_its_end_or_not_at_all() {
    use contract::geometry::Size;
    use onestep::edge::codec::{Effort, decode, probe};
    use std::io::Cursor;
    let world = World::new();
    world.put("a.jxl", JXL);
    assert_eq!(once(&world, &["--format", "same"]).code(), 0);
    let result = open(&world.output.join("a.png"));
    assert_eq!((result.size, result.channels), (Size::new(24, 16), 4));
    for (at, pixel) in result.samples.chunks_exact(4).enumerate() {
        // Alpha is read between pixels.
        let (x, inside) = (at % 24, (at % 8) > 1 && (at % 8) < 6);
        assert_eq!(pixel[..3], STRIPES[x / 8][..3], "{x}");
        assert!(!inside || pixel[3].abs_diff(STRIPES[x / 8][3]) < 4, "{x}: {pixel:?}");
    }
    for length in 12..JXL.len() {
        let read = probe(&mut Cursor::new(&JXL[..length]))
            .and_then(|header| decode(&JXL[..length], &header, Effort { deep: false, limit_s: 60 }));
        assert!(read.is_err(), "{length} bytes");
    }
}

#[test]
#[cfg(not(feature = "jxl"))]
fn jpeg_xl_is_refused_with_what_would_read_it() {
    let world = World::new();
    world.put("a.jxl", JXL);
    assert_eq!((once(&world, &[]).code(), STRIPES.len()), (1, 3));
    let reason = "cannot be read: JPEG XL is not read by this build: build onestep with --features jxl";
    assert_eq!(world.reason("a.jxl"), ("unsupported".into(), reason.into()));
}

#[test]
#[cfg(feature = "webp-lossy")]
fn webp_may_lose_something_and_is_known_again() {
    use contract::geometry::Size;
    use contract::pixels::Picture;
    use std::fs;
    let world = World::new();
    let grey =
        Picture { samples: (0..64 * 64).map(|at| (at / 64 * 3) as u8).collect(), ..pattern(64, 64, 1) };
    let clear = Picture { samples: STRIPES[2].repeat(64 * 64), ..pattern(64, 64, 4) };
    world.put("grey.png", png(&grey));
    world.put("clear.png", png(&clear));
    let words = ["--format", "webp", "--quality", "70"];
    let said = once(&world, &words);
    assert_eq!(said.code(), 0, "{said:?}");
    let result = open(&world.output.join("clear.webp"));
    assert_eq!((result.size, result.channels), (Size::new(128, 128), 4));
    let off = result
        .samples
        .chunks_exact(4)
        .flat_map(|pixel| [0, 1, 2, 3].map(|i| pixel[i].abs_diff(STRIPES[2][i])));
    assert!(off.max() <= Some(6));
    let result = open(&world.output.join("grey.webp"));
    assert!(
        result
            .samples
            .iter()
            .zip((0..128 * 128).flat_map(|at| [(at / 256 * 3) as u8; 3]))
            .all(|(a, b)| a.abs_diff(b) < 9)
    );
    assert!(fs::read(world.output.join("grey.webp")).expect("there").len() < 4000);
    assert!(once(&world, &words).stderr.contains("0 done, 2 already there"));
    fs::remove_dir_all(world.root.path().join(".local")).expect("it was there");
    fs::remove_file(world.output.join("receipts.jsonl")).expect("it was there");
    assert!(once(&world, &words).stderr.contains("0 done, 2 already there"), "the results say it themselves");
    assert!(once(&world, &["--format", "webp"]).stderr.contains("2 done"), "without losses it is another");
}

#[test]
#[cfg(not(feature = "webp-lossy"))]
fn webp_with_a_quality_is_refused_with_what_would_write_it() {
    let world = World::new();
    world.put("a.png", png(&pattern(8, 8, 3)));
    let said = once(&world, &["--format", "webp", "--quality", "70"]);
    assert!(said.code() == 2 && said.stderr.contains("build onestep with --features webp-lossy"), "{said:?}");
}
