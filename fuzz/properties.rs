//! What must hold for any bytes whatever, of whoever made them. The fuzz targets look for bytes for which it
//! does not; the tests look at all that were ever found (`fuzz/regressions`).

use contract::card::ModelCard;
use image::metadata::Orientation;
use onestep::config::read;
use onestep::edge::codec::{Effort, decode, probe, read_mark};
use onestep::work::{exif, iptc, xmp};
use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

/// Pixels that are decoded at most: large ones show nothing new, and take long.
const MOST_PIXELS: usize = 1 << 20;

/// As a picture: the header is read, and what is within limits is decoded, as `admit` and `decode` do. What
/// comes out is what the header said.
pub fn picture(bytes: &[u8]) {
    read_mark(&mut Cursor::new(bytes)).expect("memory is always read");
    let Ok(header) = probe(&mut Cursor::new(bytes)) else { return };
    if header.size.width.saturating_mul(header.size.height) > MOST_PIXELS {
        return;
    }
    let (deep, stored) = (header.sample_bytes > 1, header.size);
    // A decoder may panic: it costs the picture, as in the `decode` stage.
    let decoded = catch_unwind(|| decode(bytes, &header, Effort { deep, limit_s: 60 }));
    if let Ok(Ok(decoded)) = decoded {
        let pixels = decoded.pixels;
        let turned = (stored.height, stored.width);
        assert!(pixels.size() == stored || (pixels.size().width, pixels.size().height) == turned);
        assert_eq!(pixels.is_deep(), deep, "memory was reckoned for another depth");
        assert!(pixels.channels() <= header.channels, "memory was reckoned for fewer channels");
    }
}

/// As Exif: what is carried does not turn the picture, and is no longer than it was. As what else there is
/// of a picture's own words: it is read and written without a panic.
pub fn metadata(bytes: &[u8]) {
    for keep_place in [true, false] {
        if let Some(once) = exif::corrected(bytes, (800, 600), keep_place) {
            assert!(once.len() <= bytes.len());
            let turns = Orientation::from_exif_chunk(&once);
            assert!(matches!(turns, None | Some(Orientation::NoTransforms)), "{turns:?}");
        }
    }
    let owner = exif::ownership(bytes).or_else(|| exif::gathered(bytes));
    let joined = exif::joined(bytes.to_vec(), Some(owner.as_deref().unwrap_or(bytes)), Vec::new());
    let again = exif::joined(joined.clone(), None, Vec::new());
    assert!(joined == bytes || again != joined, "what was written can be read");
    exif::records(bytes);
    exif::density(bytes);
    iptc::in_resources(bytes).map(iptc::ownership);
    if let Ok(text) = str::from_utf8(bytes) {
        let outcome =
            xmp::Outcome { width: 8, height: 6, keep_place: false, keep_all: true, source_type: None };
        if let Some(once) = xmp::corrected(Some(text), &outcome) {
            assert_eq!(
                xmp::corrected(Some(&once), &outcome),
                Some(once.clone()),
                "there is nothing left to do"
            );
        }
    }
}

/// As a model card, a line of `key=value` each: what is read is written back as the same card.
pub fn card(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    if let Ok((card, _notes)) = ModelCard::from_pairs(&pairs) {
        let again = card.to_pairs().into_iter().collect();
        let (same, _notes) = ModelCard::from_pairs(&again).expect("what we wrote");
        assert_eq!(same.to_pairs(), card.to_pairs());
        assert!(card.golden_side() < 1 << 17);
    }
}

/// As a configuration: read whole, or every problem told.
pub fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(problems) = read(text, Path::new("/etc/onestep")) {
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.is_empty()));
    }
}
