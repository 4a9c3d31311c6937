//! Where a small picture comes from: what a model is told of the damage it may find. One number, so that a
//! model can be told "between photo and heavy" one day.

/// The damage a model is told to expect, as the value of its `source` input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Shrunk or rendered, stored without loss: every pixel is meant.
    Clean,
    /// From a camera or the web: light blur, a little noise, JPEG at quality 60 to 95.
    Photo,
    /// Blurred, noisy, saved badly or often.
    Heavy,
}

impl Source {
    /// All of them, from least to most damage.
    pub const ALL: [Source; 3] = [Source::Clean, Source::Photo, Source::Heavy];

    /// The value of the `source` input: 0, ½ or 1.
    pub fn value(self) -> f32 {
        match self {
            Source::Clean => 0.0,
            Source::Photo => 0.5,
            Source::Heavy => 1.0,
        }
    }

    /// The word for it, in options, receipts and reports.
    pub fn word(self) -> &'static str {
        match self {
            Source::Clean => "clean",
            Source::Photo => "photo",
            Source::Heavy => "heavy",
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        let found = Source::ALL.into_iter().find(|source| source.word() == text);
        found.ok_or_else(|| format!("{text:?} is not a source; clean, photo or heavy is"))
    }
}
