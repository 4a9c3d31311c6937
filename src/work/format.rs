//! What results are written as.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What results are written as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Nothing is lost.
    #[default]
    Png,
    /// With this quality, 1 to 100.
    Jpeg(u8),
}

/// The quality of JPEG where none is named: losses that are hard to see.
pub const DEFAULT_QUALITY: u8 = 92;

impl Format {
    /// From the user's words.
    ///
    /// # Errors
    /// A sentence, where they make no sense.
    pub fn new(word: &str, quality: Option<u8>) -> Result<Format, String> {
        match (word, quality) {
            ("png", None) => Ok(Format::Png),
            ("png", Some(_)) => Err("png loses nothing: quality is for jpeg".into()),
            ("jpeg", quality) => Ok(Format::Jpeg(quality.unwrap_or(DEFAULT_QUALITY))),
            _ => Err(format!("{word:?} is not one of png, jpeg")),
        }
    }

    /// The end of results' names.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg(_) => "jpg",
        }
    }

    /// Most pixels along a side.
    pub fn most_side(self) -> usize {
        match self {
            Format::Png => i32::MAX as usize,
            Format::Jpeg(_) => 65_535,
        }
    }

    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == Format::Png
    }

    /// For fingerprints; empty for the usual one.
    pub fn to_text(self) -> String {
        if self.is_usual() { String::new() } else { format!(" as {self}") }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Png => f.write_str("png"),
            Format::Jpeg(quality) => write!(f, "jpeg {quality}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_nonsense_is_refused() {
        assert_eq!(Format::new("jpeg", None), Ok(Format::Jpeg(DEFAULT_QUALITY)));
        assert_eq!(
            (Format::new("png", None), Format::new("jpeg", Some(80))),
            (Ok(Format::Png), Ok(Format::Jpeg(80)))
        );
        assert!(Format::new("png", Some(80)).is_err() && Format::new("gif", None).is_err());
    }
}
