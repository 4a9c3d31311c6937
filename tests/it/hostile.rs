//! Files that were made to hurt: each costs its reason and no memory, and no part of a picture is taken for
//! the whole. And all that fuzzing has ever found.

use crate::properties;
use crate::support::fake::Fake;
use crate::support::pictures::{jpeg, jpeg_bomb, pattern, png, png_bomb};
use crate::support::process::repository;
use crate::support::{Bench, World};
use image::{DynamicImage, ImageFormat};
use onestep::edge::codec::{Effort, decode, probe};
use std::fs;
use std::io::Cursor;

/// What must hold for any bytes.
type Property = fn(&[u8]);

/// What a chunk of a few kilobytes inflates to.
const INFLATED_BYTES: usize = 1 << 30;
/// Far below anything that these files ask for.
const MOST_MB: u64 = 300;

#[test]
fn bombs_cost_a_reason_and_no_memory() {
    let world = World::new();
    let bomb = inflating();
    world.put("a.jpg", jpeg_bomb());
    world.put("b.png", png_bomb());
    world.put("c.png", claiming(9000));
    world.put("d.png", with_chunk(b"zTXt", &[b"Comment\0\0", &bomb[..]].concat()));
    world.put("e.png", with_chunk(b"iCCP", &[b"icc\0\0", &bomb[..]].concat()));
    world.put("f.png", with_chunk(b"iTXt", &[b"Comment\0\x01\0\0\0", &bomb[..]].concat()));
    world.put("g.gif", frames(100_000));
    world.put("h.tif", looping());
    world.put("i.bmp", b"\0\0\x01\0\x01\0\xFF\xFF\0\0\x01\0\x20\0\xFF\xFF\xFF\xFF\x16\0\0\0");
    let before = peak_mb();
    let ran = Bench::new(&world, &Fake::new(2, 1), 1).run();
    let grown = peak_mb() - before;
    assert!(grown < MOST_MB, "{grown} MB more");
    let outputs = ["d.png", "e.png", "f.png", "g.png"];
    assert_eq!((ran.summary.done, ran.summary.failed), (outputs.len(), 5), "{:?}", ran.outcomes());
    assert!(outputs.iter().all(|name| world.output.join(name).exists()), "{:?}", world.outputs());
    let class = |place: &str| world.reason(place).0;
    assert_eq!((class("a.jpg"), class("b.png")), ("too-large".into(), "too-large".into()));
    assert_eq!(class("i.bmp"), "not-a-picture", "an icon, whatever it is called");
    assert!(world.reason("h.tif").1.contains("a cycle"), "{:?}", world.reason("h.tif"));
    let told = "picture has 9000×9000 pixels in 67 bytes, the limit is 2000 pixels a byte";
    assert_eq!(world.reason("c.png"), ("too-large".into(), told.into()));
}

/// Cut at each hundredth: never a panic, and never half a picture that passes for the whole.
#[test]
fn no_part_of_a_file_passes_for_the_whole() {
    let picture = pattern(64, 48, 3);
    let rgb = image::RgbImage::from_raw(64, 48, picture.samples.clone()).expect("as many samples");
    let written = |format| {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(rgb.clone()).write_to(&mut bytes, format).expect("memory");
        bytes.into_inner()
    };
    let others = [
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
        ImageFormat::Qoi,
    ];
    let mut files = vec![jpeg(&picture), png(&picture)];
    files.extend(others.map(written));
    for file in files {
        let read = |bytes: &[u8]| {
            let header = probe(&mut Cursor::new(bytes)).ok()?;
            decode(bytes, &header, Effort { deep: true, limit_s: 60 }).ok().map(|decoded| decoded.pixels)
        };
        let whole = read(&file).expect("a picture");
        for hundredth in 0..100 {
            let part = &file[..file.len() * hundredth / 100];
            let same = read(part).is_none_or(|pixels| pixels == whole);
            assert!(same, "{:?} cut at {hundredth} %", &file[..4]);
        }
    }
}

#[test]
fn what_fuzzing_found_stays_found() {
    let found: [(&str, Property); 4] = [
        ("picture", properties::picture),
        ("metadata", properties::metadata),
        ("card", properties::card),
        ("config", properties::config),
    ];
    let mut files = 0;
    for (target, property) in found {
        for folder in ["regressions", "seeds"] {
            let folder = repository().join("fuzz").join(folder).join(target);
            for entry in fs::read_dir(folder).into_iter().flatten() {
                property(&fs::read(entry.expect("an entry").path()).expect("a file"));
                files += 1;
            }
        }
    }
    assert!(files > 30, "{files} files");
}

/// The most memory that this process ever had.
fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1000
}

/// A zlib stream of zeros: each 13 bits after the first are a match of 258 bytes at distance 1 (RFC 1951,
/// 3.2.6).
fn inflating() -> Vec<u8> {
    let (mut bits, mut bytes) = ((0u32, 0), vec![0x78, 0x9C]);
    let mut put = |value: u32, length: u32| {
        bits = (bits.0 | value << bits.1, bits.1 + length);
        while bits.1 >= 8 {
            bytes.push(bits.0 as u8);
            bits = (bits.0 >> 8, bits.1 - 8);
        }
    };
    put(0b011, 3); // the last block, of fixed codes
    put(0b0000_1100, 8); // a zero
    for _ in 0..INFLATED_BYTES / 258 {
        put(0b1010_0011, 8); // 258, its code from the top bit
        put(0, 5); // at distance 1
    }
    put(0, 7 + 8); // the end, and the rest of the byte
    bytes.extend([0; 4]);
    bytes
}

fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [&name[..], body].concat();
    let mut crc = u32::MAX;
    for byte in &named {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [&(body.len() as u32).to_be_bytes()[..], &named, &(!crc).to_be_bytes()].concat()
}

/// A small PNG with this chunk behind its header.
fn with_chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let png = png(&pattern(9, 7, 3));
    [&png[..33], &chunk(name, body), &png[33..]].concat()
}

/// A PNG of many pixels and few bytes.
fn claiming(side: u32) -> Vec<u8> {
    let size = side.to_be_bytes();
    let header = chunk(b"IHDR", &[&size[..], &size, &[8, 0, 0, 0, 0]].concat());
    let pixels = chunk(b"IDAT", &[0x78, 0x9C, 0x63, 0, 0, 0, 0, 1, 0, 1]);
    [&b"\x89PNG\r\n\x1a\n"[..], &header, &pixels, &chunk(b"IEND", b"")].concat()
}

/// A GIF of 2×1 pixels that moves so often.
fn frames(count: usize) -> Vec<u8> {
    let head = b"GIF89a\x02\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF";
    let frame = b"\x2C\0\0\0\0\x02\0\x01\0\0\x02\x02\x44\x0A\0";
    [&head[..], &frame.repeat(count), b"\x3B"].concat()
}

/// A TIFF of one white pixel, whose second page is its first.
fn looping() -> Vec<u8> {
    let entry = |tag: u16, kind: u16, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1u32.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let entries =
        [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1), (279, 1)]
            .map(|(tag, value)| entry(tag, if tag == 273 { 4 } else { 3 }, value));
    let head = [&b"II*\0"[..], &8u32.to_le_bytes(), &(entries.len() as u16).to_le_bytes()].concat();
    [head, entries.concat(), 8u32.to_le_bytes().to_vec(), vec![0xFF]].concat()
}
