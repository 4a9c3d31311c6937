//! What pictures say of themselves beyond Exif and profile of a JPEG: through TIFF and back, news agencies'
//! records, long XMP, whose they are, how results came to be. And pictures of inks.

use crate::support::World;
use crate::support::pictures::{open, pattern, png};
use crate::support::process::once;
use contract::geometry::Size;
use contract::pixels::Picture;
use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use jpeg_encoder::{ColorType, Encoder};
use onestep::work::{exif, iptc, jpeg};
use std::fs;
use std::io::Cursor;
use std::path::Path;

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";

/// Little-endian Exif with an artist, an owner, a maker, a width, and a place.
fn told() -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    let directory = |entries: &[Vec<u8>]| {
        [&(entries.len() as u16).to_le_bytes()[..], &entries.concat(), &[0; 4]].concat()
    };
    // Offsets: first 8 (5 entries: 66 bytes) → Exif 74 (1: 18) → place 92 (1: 18) → maker 110.
    let first = [
        entry(0x010F, 2, 8, 110u32.to_le_bytes()),
        entry(0x013B, 2, 4, *b"Ann\0"),
        entry(0x8298, 2, 4, *b"Bob\0"),
        entry(0x8769, 4, 1, 74u32.to_le_bytes()),
        entry(0x8825, 4, 1, 92u32.to_le_bytes()),
    ];
    let more = [entry(0xA002, 3, 1, [24, 0, 0, 0])];
    let place = [entry(1, 2, 2, *b"N\0\0\0")];
    let head = b"II*\0\x08\0\0\0".to_vec();
    [head, directory(&first), directory(&more), directory(&place), b"Cameras\0".to_vec()].concat()
}

/// A title, and whose the picture is.
fn records() -> Vec<u8> {
    [&b"\x1c\x02\x05\0\x03abc"[..], b"\x1c\x02\x74\0\x03Bob"].concat()
}

fn packet(inside: &str) -> String {
    format!(
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='{RDF}'><rdf:Description rdf:about='' \
         xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:p='http://ns.adobe.com/photoshop/1.0/'>{inside}\
         </rdf:Description></rdf:RDF></x:xmpmeta>"
    )
}

/// A JPEG that says all of this.
fn talkative() -> Vec<u8> {
    let (mut bytes, picture) = (Vec::new(), pattern(24, 16, 3));
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.add_exif_metadata(&told()).expect("room");
    let resources = [b"Photoshop 3.0\0", &iptc::as_resources(&records())[..]].concat();
    encoder.add_app_segment(13, resources).expect("room");
    let xmp = packet("<dc:rights>Bob</dc:rights><p:City>Ulm</p:City>");
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", xmp.as_bytes()].concat();
    encoder.add_app_segment(1, xmp).expect("room");
    encoder.encode(&picture.samples, 24, 16, ColorType::Rgb).expect("memory");
    bytes
}

/// Whether it says so; and the Exif of a PNG, and its texts.
fn says(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn exif_and_records_come_into_a_tiff_and_out_of_it_again() {
    let world = World::new();
    world.put("a.jpg", talkative());
    assert_eq!(once(&world, &["--format", "tiff"]).code(), 0);
    let tiff = read(&world.output.join("a.tif"));
    assert_eq!(exif::records(&tiff), Some(records()));
    let decoder = TiffDecoder::new(Cursor::new(&tiff)).expect("a TIFF, for others too");
    assert_eq!(decoder.dimensions(), (48, 32));
    // The result is a picture like any other, and is enlarged again.
    let world = World::new();
    world.put("b.tif", tiff);
    for format in ["png", "jpeg", "tiff"] {
        let said = once(&world, &["--format", format]);
        assert!(said.code() == 0 && !said.stderr.contains("left out"), "{said:?}");
    }
    let mut decoder = PngDecoder::new(Cursor::new(read(&world.output.join("b.png")))).expect("a PNG");
    let exif = decoder.exif_metadata().expect("readable").expect("it came along");
    assert!(["Cameras", "Ann", "Bob"].iter().all(|word| says(&exif, word)));
    let width = exif.windows(12).find(|entry| entry[..2] == [0x02, 0xA0]).expect("an entry");
    assert_eq!(u16::from_le_bytes([width[8], width[9]]), 96, "of the result");
    // Records stand in a PNG as hexadecimal text.
    let hex: String = records().iter().map(|byte| format!("{byte:02x}")).collect();
    let png: Vec<u8> = read(&world.output.join("b.png")).into_iter().filter(|byte| *byte != b'\n').collect();
    assert!(says(&png, "Raw profile type iptc") && says(&png, &hex));
    let jpg = read(&world.output.join("b.jpg"));
    let resources = jpeg::segments(&jpg).find(|(marker, _)| *marker == 0xED).expect("a segment");
    let found = resources.1.strip_prefix(b"Photoshop 3.0\0").and_then(iptc::in_resources);
    assert_eq!(found, Some(&records()[..]));
    assert_eq!(exif::records(&read(&world.output.join("b.tif"))), Some(records()));
}

#[test]
fn of_all_that_is_said_the_ownership_can_be_kept_alone() {
    let world = World::new();
    world.put("a.jpg", talkative());
    for (format, name) in [("png", "a.png"), ("jpeg", "a.jpg"), ("webp", "a.webp"), ("tiff", "a.tif")] {
        let said = once(&world, &["--metadata", "copyright", "--format", format]);
        assert_eq!(said.code(), 0, "{said:?}");
        let bytes = read(&world.output.join(name));
        assert!(says(&bytes, "Ann\0") && says(&bytes, "Bob</dc:rights>"), "{name}");
        assert!(!["Cameras", "Ulm", "abc"].iter().any(|word| says(&bytes, word)), "{name}");
    }
    let jpg = read(&world.output.join("a.jpg"));
    assert!(says(&jpg, "\u{1c}\u{2}\u{74}\0\u{3}Bob") && !says(&jpg, "N\0\0\0"));
}

#[test]
fn places_that_are_named_go_as_coordinates_do() {
    let world = World::new();
    world.put("a.jpg", talkative());
    for (format, name) in [("png", "a.png"), ("jpeg", "a.jpg"), ("webp", "a.webp"), ("tiff", "a.tif")] {
        let said = once(&world, &["--metadata", "no-gps", "--format", format]);
        assert_eq!(said.code(), 0, "{said:?}");
        let bytes = read(&world.output.join(name));
        assert!(["Cameras", "Ann\0", "Bob</dc:rights>"].iter().all(|word| says(&bytes, word)), "{name}");
        assert!(!says(&bytes, "Ulm"), "{name}");
    }
}

#[test]
fn xmp_of_any_length_comes_through_a_jpeg() {
    let world = World::new();
    let long = format!("<p:History>{}</p:History><p:City>Ulm</p:City>", "once upon a time ".repeat(9_000));
    let mut bytes = Vec::new();
    {
        let mut encoder = png::Encoder::new(&mut bytes, 10, 8);
        encoder.set_color(png::ColorType::Rgb);
        encoder.add_itxt_chunk("XML:com.adobe.xmp".into(), packet(&long)).expect("text");
        let mut writer = encoder.write_header().expect("memory");
        writer.write_image_data(&pattern(10, 8, 3).samples).expect("memory");
    }
    world.put("a.png", bytes);
    assert_eq!(once(&world, &["--format", "jpeg"]).code(), 0);
    let jpg = read(&world.output.join("a.jpg"));
    let mut decoder = JpegDecoder::new(Cursor::new(&jpg)).expect("a JPEG");
    let main = decoder.xmp_metadata().expect("readable").expect("it has one");
    assert!(main.len() < 1000 && says(&main, "HasExtendedXMP"));
    let world = World::new();
    world.put("b.jpg", jpg.clone());
    // One of the parts is gone: what is left of them makes no sense, and fails nothing.
    let (at, _) = (0..).zip(jpg.windows(10)).filter(|(_, part)| part == b"/extension").nth(1).expect("parts");
    let mut torn = jpg;
    torn[at..at + 10].copy_from_slice(b"/elsewhere");
    world.put("torn.jpg", torn);
    let said = once(&world, &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert!(said.stderr.contains("left out: extended XMP that makes no sense: "), "{said:?}");
    let mut decoder = PngDecoder::new(Cursor::new(read(&world.output.join("b.png")))).expect("a PNG");
    let xmp = decoder.xmp_metadata().expect("readable").expect("it came along");
    assert!(says(&xmp, &long) && !says(&xmp, "HasExtendedXMP"));
}

#[test]
fn results_can_say_how_they_came_to_be() {
    let world = World::new();
    world.put("a.jpg", talkative());
    world.put("b.png", png(&pattern(10, 8, 3)));
    let said = once(&world, &["--digital-source-type"]);
    assert_eq!(said.code(), 0, "{said:?}");
    let term = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced<";
    for name in ["a.png", "b.png"] {
        assert!(says(&read(&world.output.join(name)), term), "{name}");
    }
    assert!(says(&read(&world.output.join("a.png")), "Ulm"), "beside what was there");
    assert!(once(&world, &["--digital-source-type"]).stderr.contains("0 done, 2 already there"));
    assert!(once(&world, &[]).stderr.contains("2 done"), "another result");
    assert!(!says(&read(&world.output.join("b.png")), "digitalsourcetype"));
}

/// A profile of inks whose table says: none is white, and each of the others by itself a colour that is not
/// its own. Lab of 8 bits; black makes all black.
fn print() -> Vec<u8> {
    // In the order c, m, y, the last one fastest: eight corners.
    let corners: [[u8; 3]; 8] = [
        [255, 128, 128], // no ink: white
        [137, 208, 195], // yellow prints red
        [224, 43, 212],  // magenta prints green
        [82, 207, 20],
        [250, 107, 222], // cyan prints yellow
        [137, 208, 195],
        [224, 43, 212],
        [0, 128, 128],
    ];
    let table: Vec<u8> = corners.iter().flat_map(|lab| [*lab, [0, 128, 128]].concat()).collect();
    let identity: Vec<u8> = (0..=255).collect();
    let matrix = [1u32 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 16].map(u32::to_be_bytes).concat();
    let head = [&b"mft1\0\0\0\0\x04\x03\x02\0"[..], &matrix].concat();
    let lut = [head, identity.repeat(4), table, identity.repeat(3)].concat();
    let mut icc = vec![0; 128];
    let length = 128 + 4 + 12 + lut.len();
    icc[..4].copy_from_slice(&(length as u32).to_be_bytes());
    icc[8..12].copy_from_slice(&[2, 0x40, 0, 0]);
    icc[12..24].copy_from_slice(b"prtrCMYKLab ");
    icc[36..40].copy_from_slice(b"acsp");
    icc[68..80].copy_from_slice(&[0xF6D6u32, 0x10000, 0xD32D].map(u32::to_be_bytes).concat());
    let tag = [&1u32.to_be_bytes()[..], b"A2B0", &144u32.to_be_bytes(), &(lut.len() as u32).to_be_bytes()];
    [icc, tag.concat(), lut].concat()
}

/// Stripes of 16 pixels: paper, cyan, magenta, yellow, black.
fn inked(colour: ColorType, icc: Option<&[u8]>) -> Vec<u8> {
    let inks = [[0; 4], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]];
    let row: Vec<u8> = inks.iter().flat_map(|ink| ink.repeat(16)).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 100);
    if let Some(icc) = icc {
        encoder.add_icc_profile(icc).expect("room");
    }
    encoder.encode(&row.repeat(16), 80, 16, colour).expect("memory");
    bytes
}

#[test]
fn inks_become_colours_through_their_profile_and_roughly_without() {
    let world = World::new();
    let icc = print();
    world.put("cmyk.jpg", inked(ColorType::Cmyk, Some(&icc)));
    world.put("ycck.jpg", inked(ColorType::CmykAsYcck, Some(&icc)));
    world.put("none.jpg", inked(ColorType::Cmyk, None));
    world.put("broken.jpg", inked(ColorType::Cmyk, Some(&icc[..300])));
    let said = once(&world, &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    assert_eq!(said.stderr.matches("CMYK became sRGB through its profile: ").count(), 2, "{said:?}");
    assert_eq!(said.stderr.matches("colours are rough: ").count(), 2, "{said:?}");
    let stripes = |name: &str| {
        let picture: Picture = open(&world.output.join(name));
        assert_eq!((picture.size, picture.channels), (Size::new(160, 32), 3));
        [0, 1, 2, 3, 4].map(|stripe| {
            let at = (16 * 160 + 32 * stripe + 16) * 3;
            [0, 1, 2].map(|channel| picture.samples[at + channel])
        })
    };
    let near = |found: [[u8; 3]; 5], wanted: [[u8; 3]; 5]| {
        let off = found.iter().flatten().zip(wanted.iter().flatten()).map(|(a, b)| a.abs_diff(*b));
        assert!(off.max() <= Some(12), "{found:?} is not {wanted:?}");
    };
    let through = [[255; 3], [255, 255, 0], [0, 255, 0], [255, 0, 0], [0; 3]];
    near(stripes("cmyk.png"), through);
    near(stripes("ycck.png"), through);
    let rough = [[255; 3], [0, 255, 255], [255, 0, 255], [255, 255, 0], [0; 3]];
    near(stripes("none.png"), rough);
    near(stripes("broken.png"), rough);
    let world = World::new();
    world.put("cmyk.jpg", inked(ColorType::Cmyk, Some(&icc)));
    let said = once(&world, &["--refuse-cmyk"]);
    assert_eq!(said.code(), 1, "{said:?}");
    let reason = "cannot be read: CMYK is refused (refuse_cmyk)";
    assert_eq!(world.reason("cmyk.jpg"), ("unsupported".into(), reason.into()));
    assert_eq!(once(&world, &[]).code(), 0, "another rule, another try");
}
