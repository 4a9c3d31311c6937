//! What pictures are read as, and what results are written as.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The formats we take in, told by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Baseline or progressive.
    Jpeg,
    /// 1 to 16 bits.
    Png,
    /// Lossy or lossless; of a moving one the first picture.
    WebP,
    /// Its first page.
    Tiff,
    /// Its first picture.
    Gif,
    /// With or without alpha.
    Bmp,
    /// PBM, PGM, PPM, PAM.
    Pnm,
    /// With or without alpha.
    Qoi,
    /// Where the program was built with the feature `jxl`.
    Jxl,
}

impl Kind {
    /// Whether saving in it loses something.
    pub fn is_lossy(self) -> bool {
        matches!(self, Kind::Jpeg | Kind::WebP | Kind::Jxl)
    }
}

/// What a result is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Nothing is lost.
    #[default]
    Png,
    /// With this quality, 1 to 100.
    Jpeg(u8),
    /// Nothing is lost.
    WebP,
    /// With this quality, 1 to 100.
    LossyWebP(u8),
    /// Nothing is lost.
    Tiff,
}

/// The quality of JPEG where none is named: losses that are hard to see.
pub const DEFAULT_QUALITY: u8 = 92;

impl Format {
    /// Those that results may be that are each as their picture; `quality` is that of JPEG.
    pub fn of_same(quality: u8) -> [Format; 4] {
        [Format::Png, Format::Jpeg(quality), Format::WebP, Format::Tiff]
    }

    /// The end of results' names.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg(_) => "jpg",
            Format::WebP | Format::LossyWebP(_) => "webp",
            Format::Tiff => "tif",
        }
    }

    /// Most pixels along a side.
    pub fn most_side(self) -> usize {
        match self {
            Format::Png | Format::Tiff => i32::MAX as usize,
            Format::Jpeg(_) => 65_535,
            Format::WebP | Format::LossyWebP(_) => 16_383,
        }
    }

    /// Whether it keeps 16 bits a sample.
    pub fn is_deep(self) -> bool {
        matches!(self, Format::Png | Format::Tiff)
    }

    /// Bytes that its encoder holds for each pixel of so many samples of so many bytes, beside the pixels
    /// themselves: the written file, and what it makes of them before.
    pub fn held_px_bytes(self, channels: usize, sample_bytes: usize) -> usize {
        match self {
            Format::Png | Format::Jpeg(_) => 0,
            // A copy as RGBA, and the file, at worst as large as the picture.
            Format::WebP | Format::LossyWebP(_) => 4 + channels,
            Format::Tiff => channels * sample_bytes,
        }
    }

    /// Whether it is a WebP, whose pixels are never grey and which has no place for some of what is said.
    pub fn is_webp(self) -> bool {
        matches!(self, Format::WebP | Format::LossyWebP(_))
    }

    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == Format::Png
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Png => f.write_str("png"),
            Format::Jpeg(quality) => write!(f, "jpeg {quality}"),
            Format::WebP => f.write_str("webp"),
            Format::LossyWebP(quality) => write!(f, "webp {quality}"),
            Format::Tiff => f.write_str("tiff"),
        }
    }
}

/// What the user wants results written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// All as this.
    As(Format),
    /// Each as its picture, where that is a format we write; else as PNG. JPEG with this quality.
    Same(u8),
}

impl Default for Writing {
    fn default() -> Writing {
        Writing::As(Format::default())
    }
}

const NO_AVIF: &str =
    "avif is not written, its encoders leave colour profiles out: one of same, png, jpeg, webp, tiff";
const LOSSLESS_WEBP: &str =
    "webp loses nothing in this build: for a quality build onestep with --features webp-lossy";

impl Writing {
    /// From the user's words.
    ///
    /// # Errors
    /// A sentence, where they make no sense.
    pub fn new(word: &str, quality: Option<u8>) -> Result<Writing, String> {
        let of_jpeg = quality.unwrap_or(DEFAULT_QUALITY);
        let format = match word {
            "same" => return Ok(Writing::Same(of_jpeg)),
            "jpeg" => return Ok(Writing::As(Format::Jpeg(of_jpeg))),
            "png" => Format::Png,
            "webp" => Format::WebP,
            "tiff" => Format::Tiff,
            "avif" => return Err(NO_AVIF.into()),
            _ => return Err(format!("{word:?} is not one of same, png, jpeg, webp, tiff")),
        };
        match quality {
            None => Ok(Writing::As(format)),
            Some(quality) if format == Format::WebP && cfg!(feature = "webp-lossy") => {
                Ok(Writing::As(Format::LossyWebP(quality)))
            }
            Some(_) if format == Format::WebP => Err(LOSSLESS_WEBP.into()),
            Some(_) => Err(format!("{word} loses nothing: quality is for jpeg and same")),
        }
    }

    /// What most results are: for a name, until the picture is known.
    pub fn usual(self) -> Format {
        self.of(Kind::Png)
    }

    /// What the result of such a picture is.
    pub fn of(self, kind: Kind) -> Format {
        match (self, kind) {
            (Writing::As(format), _) => format,
            (Writing::Same(quality), Kind::Jpeg) => Format::Jpeg(quality),
            (Writing::Same(_), Kind::WebP) => Format::WebP,
            (Writing::Same(_), Kind::Tiff) => Format::Tiff,
            (Writing::Same(_), _) => Format::Png,
        }
    }

    /// Whether a result that was written so is what is wanted, of whatever picture.
    pub fn accepts(self, format: Format) -> bool {
        match self {
            Writing::As(wanted) => wanted == format,
            Writing::Same(quality) => Format::of_same(quality).contains(&format),
        }
    }

    /// For fingerprints; empty for the usual one.
    pub fn to_text(self) -> String {
        match self {
            Writing::As(format) if format.is_usual() => String::new(),
            Writing::As(format) => format!(" as {format}"),
            Writing::Same(quality) => format!(" as same {quality}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_nonsense_is_refused() {
        let jpeg = |quality| Ok(Writing::As(Format::Jpeg(quality)));
        assert_eq!(Writing::new("jpeg", None), jpeg(DEFAULT_QUALITY));
        assert_eq!(
            (Writing::new("png", None), Writing::new("jpeg", Some(80))),
            (Ok(Writing::default()), jpeg(80))
        );
        assert_eq!(Writing::new("same", Some(80)), Ok(Writing::Same(80)));
        assert!(Writing::new("png", Some(80)).is_err() && Writing::new("gif", None).is_err());
        let lossy = Writing::new("webp", Some(80));
        let is_built = cfg!(feature = "webp-lossy");
        assert_eq!(
            lossy,
            if is_built { Ok(Writing::As(Format::LossyWebP(80))) } else { Err(LOSSLESS_WEBP.into()) }
        );
        assert!(Writing::new("avif", None).is_err());
    }

    #[test]
    fn same_is_what_the_picture_is_where_we_write_that() {
        let same = Writing::Same(80);
        let formats = [Kind::Jpeg, Kind::WebP, Kind::Tiff, Kind::Png, Kind::Gif].map(|kind| same.of(kind));
        assert_eq!(formats, [Format::Jpeg(80), Format::WebP, Format::Tiff, Format::Png, Format::Png]);
        assert!(formats.into_iter().all(|format| same.accepts(format)) && !same.accepts(Format::Jpeg(81)));
    }
}
