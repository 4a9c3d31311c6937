//! Every picture comes back whole: formats, colour profiles, Exif, XMP and texts.

use crate::support::World;
use crate::support::pictures::{nearest, open, pattern, png};
use crate::support::process::{Said, once, onestep, said};
use contract::pixels::Picture;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat};
use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// The least that is one.
const XMP: &str = "<r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'></r:RDF>";

/// What a result says of itself: ICC profile, Exif, XMP.
fn says(path: &Path) -> [Option<Vec<u8>>; 3] {
    let file = std::io::BufReader::new(fs::File::open(path).expect("there"));
    let mut decoder = image::codecs::png::PngDecoder::new(file).expect("a PNG");
    [decoder.icc_profile(), decoder.exif_metadata(), decoder.xmp_metadata()]
        .map(|piece| piece.expect("readable"))
}

/// Bytes that claim to be a profile of this colour space.
fn profile(space: &[u8; 4]) -> Vec<u8> {
    let mut icc: Vec<u8> = (0..3000u32).map(|n| (n * 7 % 251) as u8).collect();
    icc[16..20].copy_from_slice(space);
    icc
}

/// Big-endian Exif: orientation, width and height of the small picture, and a place.
fn exif(orientation: u16) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, value: [u8; 4]| {
        [&tag.to_be_bytes()[..], &kind.to_be_bytes(), &1u32.to_be_bytes(), &value].concat()
    };
    let short = |value: u16| [value.to_be_bytes(), [0, 0]].concat().try_into().expect("four bytes");
    let first = [
        entry(0x0112, 3, short(orientation)),
        entry(0x8769, 4, 50u32.to_be_bytes()),
        entry(0x8825, 4, 80u32.to_be_bytes()),
    ];
    let more = [entry(0xA002, 3, short(24)), entry(0xA003, 3, short(16))];
    let place = [entry(1, 2, *b"N\0\0\0")];
    let directory = |entries: &[Vec<u8>]| {
        [&(entries.len() as u16).to_be_bytes()[..], &entries.concat(), &[0; 4]].concat()
    };
    [b"MM\0*\0\0\0\x08".to_vec(), directory(&first), directory(&more), directory(&place)].concat()
}

fn jpeg_with(picture: &Picture, icc: Option<Vec<u8>>, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    if let Some(icc) = icc {
        encoder.set_icc_profile(icc).expect("JPEG has room for it");
    }
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).expect("JPEG has room for it");
    }
    let colour = if picture.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let (width, height) = (picture.size.width as u32, picture.size.height as u32);
    encoder.write_image(&picture.samples, width, height, colour).expect("memory");
    bytes
}

#[test]
fn every_format_that_is_read_comes_back_pixel_for_pixel() {
    let world = World::new();
    let picture = pattern(24, 16, 3);
    let rgb = image::RgbImage::from_raw(24, 16, picture.samples.clone()).expect("as many samples");
    let formats = [
        ("webp", ImageFormat::WebP),
        ("tiff", ImageFormat::Tiff),
        ("bmp", ImageFormat::Bmp),
        ("ppm", ImageFormat::Pnm),
        ("qoi", ImageFormat::Qoi),
        ("png", ImageFormat::Png),
    ];
    for (name, format) in formats {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(rgb.clone()).write_to(&mut bytes, format).expect("memory");
        // The name says something else than the content: the content counts.
        world.put(&format!("{name}.jpg"), bytes.into_inner());
    }
    let said = once(&world, &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    for (name, _) in formats {
        assert_eq!(open(&world.output.join(format!("{name}.png"))), nearest(&picture, 2), "{name}");
    }
}

#[test]
fn each_format_can_come_back_as_itself_and_is_known_again() {
    let world = World::new();
    let picture = pattern(24, 16, 3);
    let rgb = image::RgbImage::from_raw(24, 16, picture.samples.clone()).expect("as many samples");
    let deep = DynamicImage::from(rgb.clone()).into_rgba16();
    let formats = [
        ("grün.webp", "grün.webp", ImageFormat::WebP),
        ("grün.tiff", "grün.tif", ImageFormat::Tiff),
        ("c.png", "c.png", ImageFormat::Png),
        ("d.bmp", "d.png", ImageFormat::Bmp),
    ];
    for (name, _, format) in formats {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(rgb.clone()).write_to(&mut bytes, format).expect("memory");
        world.put(name, bytes.into_inner());
    }
    for (name, format) in [("deep.tif", ImageFormat::Tiff), ("deep2.png", ImageFormat::Png)] {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(deep.clone()).write_to(&mut bytes, format).expect("memory");
        world.put(name, bytes.into_inner());
    }
    // A JPEG by content, whatever it is called.
    world.put("e.png.jpeg", jpeg_with(&picture, Some(profile(b"RGB ")), Some(exif(1))));
    let said = once(&world, &["--format", "same"]);
    assert!(said.code() == 0 && said.stderr.contains("7 done"), "{said:?}");
    for (_, name, format) in formats {
        let path = world.output.join(name);
        assert_eq!(open(&path), nearest(&picture, 2), "{name}");
        let bytes = fs::read(&path).expect("there");
        assert_eq!(
            image::guess_format(&bytes).expect("known"),
            if name == "d.png" { ImageFormat::Png } else { format }
        );
    }
    for name in ["deep.tif", "deep2.png"] {
        let image = image::open(world.output.join(name)).expect("a picture");
        let (result, expected) = (image.into_rgba16(), nearest(&picture, 2));
        assert_eq!(result.dimensions(), (48, 32), "{name}");
        let eight = result.pixels().flat_map(|pixel| pixel.0[..3].to_vec()).map(|v| (v / 257) as u8);
        assert!(eight.eq(expected.samples.iter().copied()), "{name}");
    }
    let jpeg = fs::read(world.output.join("e.png.jpg")).expect("there");
    assert_eq!(image::guess_format(&jpeg).expect("known"), ImageFormat::Jpeg);
    let said = once(&world, &["--format", "same"]);
    assert!(said.stderr.contains("0 done, 7 already there"), "{said:?}");
    // Without the ledger the results themselves say what they are.
    fs::remove_dir_all(world.root.path().join(".local")).expect("the state folder");
    fs::remove_file(world.output.join("receipts.jsonl")).expect("ours");
    let said = once(&world, &["--format", "same"]);
    assert!(said.stderr.contains("0 done, 7 already there"), "{said:?}");
}

#[test]
fn webp_and_tiff_carry_what_they_can() {
    let world = World::new();
    let (picture, icc) = (pattern(24, 16, 3), profile(b"RGB "));
    world.put("a.jpg", jpeg_with(&picture, Some(icc.clone()), Some(exif(6))));
    for format in ["webp", "tiff"] {
        let said = once(&world, &["--format", format]);
        assert_eq!(said.code(), 0, "{said:?}");
    }
    let webp = fs::read(world.output.join("a.webp")).expect("there");
    let mut decoder = image::codecs::webp::WebPDecoder::new(Cursor::new(&webp)).expect("a WebP");
    assert_eq!(
        (decoder.icc_profile().expect("readable"), decoder.dimensions()),
        (Some(icc.clone()), (32, 48))
    );
    let turned = image::metadata::Orientation::from_exif_chunk(
        &decoder.exif_metadata().expect("readable").expect("there"),
    );
    assert_eq!(turned, Some(image::metadata::Orientation::NoTransforms));
    let tiff = fs::read(world.output.join("a.tif")).expect("there");
    let mut decoder = image::codecs::tiff::TiffDecoder::new(Cursor::new(&tiff)).expect("a TIFF");
    assert_eq!((decoder.icc_profile().expect("readable"), decoder.dimensions()), (Some(icc), (32, 48)));
    let said = said_of_verify(&world);
    assert_eq!(said.code(), 0, "{said:?}");
}

fn said_of_verify(world: &World) -> Said {
    let words: [&OsStr; 3] = ["verify".as_ref(), "-o".as_ref(), world.output.as_ref()];
    said(&mut onestep(world.root.path(), &words))
}

#[test]
fn of_a_moving_picture_the_first_is_taken_and_alpha_comes_where_there_is_some() {
    let world = World::new();
    let frame = |red: u8, alpha: u8| {
        image::Frame::new(image::RgbaImage::from_pixel(8, 6, image::Rgba([red, 0, 0, alpha])))
    };
    for (name, frames) in
        [("opaque.gif", [frame(255, 255), frame(0, 255)]), ("clear.gif", [frame(0, 0), frame(9, 255)])]
    {
        let mut bytes = Vec::new();
        image::codecs::gif::GifEncoder::new(&mut bytes).encode_frames(frames).expect("memory");
        world.put(name, bytes);
    }
    let said = once(&world, &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    let opaque = open(&world.output.join("opaque.png"));
    assert_eq!((opaque.size.width, opaque.channels), (16, 3));
    assert!(opaque.samples.chunks_exact(3).all(|pixel| pixel == [255, 0, 0]), "the first frame");
    let clear = open(&world.output.join("clear.png"));
    assert!(clear.channels == 4 && clear.samples.chunks_exact(4).all(|pixel| pixel[3] == 0));
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let world = World::new();
    world.put("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    world.put("b.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf");
    world.put("c.jxl", b"\xff\x0a\x7f\x7f rest of it, which nobody reads");
    let said = once(&world, &[]);
    assert_eq!(said.code(), 1);
    for name in ["HEIC and its relatives are", "AVIF is"] {
        assert!(said.stderr.contains(&format!("cannot be read: {name} not read")), "{name} {said:?}");
    }
    let jxl = if cfg!(feature = "jxl") { "cannot be decoded: " } else { "build onestep with --features jxl" };
    assert!(world.reason("c.jxl").1.contains(jxl), "{:?}", world.reason("c.jxl"));
    assert_eq!(world.reason("a.heic").0, "unsupported");
}

#[test]
fn profile_and_exif_come_along_and_are_true_of_the_result() {
    let world = World::new();
    world.put("a.jpg", jpeg_with(&pattern(24, 16, 3), Some(profile(b"RGB ")), Some(exif(6))));
    world.put("grey.jpg", jpeg_with(&pattern(24, 16, 1), Some(profile(b"GRAY")), None));
    world.put("wrong.jpg", jpeg_with(&pattern(24, 16, 3), Some(profile(b"CMYK")), None));
    let said = once(&world, &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    let [icc, exif, _] = says(&world.output.join("a.png"));
    assert_eq!(icc, Some(profile(b"RGB ")), "byte for byte");
    let exif = exif.expect("it came along");
    // Turned upright: 16×24, twice as large.
    let size = open(&world.output.join("a.png")).size;
    assert_eq!((size.width, size.height), (32, 48));
    let short = |at: usize| u16::from_be_bytes([exif[at], exif[at + 1]]);
    assert_eq!((short(18), short(60), short(72)), (1, 32, 48), "orientation, width, height");
    assert_eq!(u32::from_be_bytes(exif[42..46].try_into().expect("four")), 80, "the place is kept");
    assert_eq!(says(&world.output.join("grey.png"))[0], Some(profile(b"GRAY")));
    assert_eq!(open(&world.output.join("grey.png")).channels, 1);
    assert_eq!(says(&world.output.join("wrong.png"))[0], None, "a profile of other pixels is a wrong one");
    assert!(
        said.stderr.contains("left out: an ICC profile of another colour space than its pixels: "),
        "{said:?}"
    );
}

#[test]
fn what_is_not_to_be_kept_is_left_out_and_asked_for_it_is_another_result() {
    let world = World::new();
    world.put("a.jpg", jpeg_with(&pattern(24, 16, 3), Some(profile(b"RGB ")), Some(exif(1))));
    let result = world.output.join("a.png");
    let run = |words: &[&str]| {
        let said = once(&world, words);
        assert!(said.stderr.contains("1 done"), "{said:?}");
        says(&result)
    };
    let all = run(&[]);
    assert!(all[1].as_ref().expect("kept").windows(2).any(|two| two == b"N\0"));
    let [icc, exif, _] = run(&["--metadata", "no-gps"]);
    assert_eq!(icc, all[0]);
    assert!(!exif.expect("the rest is kept").windows(2).any(|two| two == b"N\0"));
    assert_eq!(run(&["--metadata", "strip"]), [Some(profile(b"RGB ")), None, None]);
    assert!(once(&world, &["--metadata", "strip"]).stderr.contains("0 done, 1 already there"));
    assert_eq!(once(&world, &["--metadata", "all"]).code(), 2);
}

#[test]
fn what_only_png_has_comes_along() {
    let world = World::new();
    let picture = pattern(10, 8, 3);
    let mut bytes = Vec::new();
    {
        let mut info = png::Info::with_size(10, 8);
        (info.color_type, info.bit_depth) = (png::ColorType::Rgb, png::BitDepth::Eight);
        info.source_gamma = Some(png::ScaledFloat::new(0.7));
        info.pixel_dims = Some(png::PixelDimensions { xppu: 11811, yppu: 11811, unit: png::Unit::Meter });
        let mut encoder = png::Encoder::with_info(&mut bytes, info).expect("a header");
        encoder.add_text_chunk("Author".into(), "me".into()).expect("latin");
        encoder.add_ztxt_chunk("Comment".into(), "long".repeat(50)).expect("latin");
        encoder.add_itxt_chunk("XML:com.adobe.xmp".into(), XMP.into()).expect("text");
        let mut writer = encoder.write_header().expect("memory");
        writer.write_image_data(&picture.samples).expect("memory");
    }
    world.put("a.png", bytes);
    // A mark of ours in a picture that is enlarged again is not its result's.
    world.put("ours.png", png(&picture));
    let said = once(&world, &[]);
    assert_eq!(said.code(), 0, "{said:?}");
    let file = std::io::BufReader::new(fs::File::open(world.output.join("a.png")).expect("there"));
    let reader = png::Decoder::new(file).read_info().expect("a PNG");
    let info = reader.info();
    assert_eq!(info.gama_chunk, Some(png::ScaledFloat::new(0.7)));
    assert_eq!(info.pixel_dims.map(|dims| dims.xppu), Some(11811));
    let texts: Vec<&str> = info.uncompressed_latin1_text.iter().map(|text| text.keyword.as_str()).collect();
    assert_eq!(texts, ["Author"]);
    let packed = &info.compressed_latin1_text[0];
    assert_eq!((packed.keyword.as_str(), packed.get_text().expect("latin")), ("Comment", "long".repeat(50)));
    let keywords: Vec<&str> = info.utf8_text.iter().map(|text| text.keyword.as_str()).collect();
    assert_eq!(keywords, ["XML:com.adobe.xmp", "onestep"]);
    let text = fs::read(world.output.join("ours.png")).expect("there");
    assert_eq!(text.windows(11).filter(|bytes| bytes == b"iTXtonestep").count(), 1);
}

#[test]
fn results_may_be_jpeg_and_are_known_again_all_the_same() {
    let world = World::new();
    let flat = Picture { samples: [200, 40, 90].repeat(24 * 16), ..pattern(24, 16, 3) };
    world.put("a.jpg", jpeg_with(&flat, Some(profile(b"RGB ")), Some(exif(6))));
    world.put("clear.png", png(&Picture { samples: [9, 9, 9, 0].repeat(64), ..pattern(8, 8, 4) }));
    let said = once(&world, &["--format", "jpeg", "--quality", "97"]);
    assert_eq!(said.code(), 0, "{said:?}");
    let path = world.output.join("a.jpg");
    let mut decoder =
        image::codecs::jpeg::JpegDecoder::new(std::io::BufReader::new(fs::File::open(&path).expect("there")))
            .expect("a JPEG");
    assert_eq!(decoder.dimensions(), (32, 48));
    assert_eq!(decoder.icc_profile().expect("readable"), Some(profile(b"RGB ")));
    let exif = decoder.exif_metadata().expect("readable").expect("it came along");
    assert_eq!(u16::from_be_bytes([exif[18], exif[19]]), 1, "upright");
    let result = open(&path);
    let off = result
        .samples
        .chunks_exact(3)
        .map(|pixel| pixel.iter().zip([200u8, 40, 90]).map(|(a, b)| a.abs_diff(b)).max().expect("three"));
    assert!(off.max().expect("pixels") <= 4);
    assert!(
        open(&world.output.join("clear.jpg")).samples.iter().all(|&sample| sample > 250),
        "white shows through"
    );
    // By the ledger, and by the mark alone; another quality is another result.
    let again = || once(&world, &["--format", "jpeg", "--quality", "97"]).stderr;
    assert!(again().contains("0 done, 2 already there"));
    fs::remove_dir_all(world.root.path().join(".local")).expect("it was there");
    fs::remove_file(world.output.join("receipts.jsonl")).expect("it was there");
    assert!(again().contains("0 done, 2 already there"));
    assert!(once(&world, &["--format", "jpeg"]).stderr.contains("2 done"));
    assert_eq!(once(&world, &["--quality", "80"]).code(), 2, "quality is for JPEG");
}

#[test]
fn a_result_that_jpeg_has_no_numbers_for_is_refused_before_it_is_made() {
    let world = World::new();
    world.put("long.png", png(&pattern(33_000, 1, 1)));
    let said = once(&world, &["--format", "jpeg"]);
    assert_eq!(said.code(), 1, "{said:?}");
    assert!(said.stderr.contains("a result of 66000×2 pixels: jpeg 92 ends at 65535"), "{said:?}");
}
