//! What a model is told of where a picture comes from: what was asked for, else what the picture's format
//! gives away. Knows no formats, only whether one loses something.

use contract::source::Source;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How it is decided what a model is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// The model has no ear for it.
    Nothing,
    /// A photo where the format loses something (JPEG, WebP, JPEG XL), clean where it does not.
    ByFormat,
    /// Always this.
    Always(Source),
}

impl Telling {
    /// `sources` are what the model's card names, `asked` what the user wants said.
    ///
    /// # Errors
    /// A sentence, where the model cannot be told what was asked for.
    pub fn new(sources: &[Source], asked: Option<Source>) -> Result<Telling, String> {
        match asked {
            None if sources.contains(&Source::Clean) && sources.contains(&Source::Photo) => {
                Ok(Telling::ByFormat)
            }
            None => Ok(Telling::Nothing),
            Some(source) if sources.contains(&source) => Ok(Telling::Always(source)),
            Some(source) if sources.is_empty() => {
                Err(format!("cannot be told that pictures are {source}: it has no source input"))
            }
            Some(source) => {
                let known: Vec<&str> = sources.iter().map(|source| source.word()).collect();
                Err(format!("cannot be told that pictures are {source}: it knows {}", known.join(", ")))
            }
        }
    }

    /// What is said of a picture whose format is lossy or not.
    pub fn of(self, lossy: bool) -> Option<Told> {
        match self {
            Telling::Nothing => None,
            Telling::ByFormat => {
                let source = if lossy { Source::Photo } else { Source::Clean };
                Some(Told { source, asked: false })
            }
            Telling::Always(source) => Some(Told { source, asked: true }),
        }
    }

    /// Whether this would say again what was said of the same picture.
    pub fn agrees(self, told: Option<Told>) -> bool {
        match (self, told) {
            (Telling::Nothing, None) => true,
            (Telling::ByFormat, Some(told)) => !told.asked,
            (Telling::Always(source), Some(told)) => told.asked && told.source == source,
            _ => false,
        }
    }

    /// For fingerprints; empty where nothing is told.
    pub fn to_text(self) -> String {
        match self {
            Telling::Nothing => String::new(),
            Telling::ByFormat => " source by format".into(),
            Telling::Always(source) => format!(" source {source}"),
        }
    }
}

/// What a model was told of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Where it was said to come from.
    #[serde(serialize_with = "word", deserialize_with = "from_word")]
    pub source: Source,
    /// Whether the user asked for it; else the format decided.
    pub asked: bool,
}

fn word<S: Serializer>(source: &Source, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(source.word())
}

fn from_word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Source, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_decides_unless_the_user_does() {
        let by_format = Telling::new(&Source::ALL, None).unwrap();
        assert_eq!(by_format.of(true), Some(Told { source: Source::Photo, asked: false }));
        assert_eq!(by_format.of(false), Some(Told { source: Source::Clean, asked: false }));
        let heavy = Telling::new(&Source::ALL, Some(Source::Heavy)).unwrap();
        assert_eq!(heavy.of(false), Some(Told { source: Source::Heavy, asked: true }));
        assert_eq!(Telling::new(&[], None).unwrap().of(true), None);
    }

    #[test]
    fn a_model_that_cannot_be_told_is_not() {
        let refusal = |sources: &[Source]| Telling::new(sources, Some(Source::Heavy)).unwrap_err();
        assert!(refusal(&[]).contains("no source input"));
        assert!(refusal(&[Source::Clean, Source::Photo]).ends_with("it knows clean, photo"));
    }

    #[test]
    fn what_was_asked_for_once_is_no_answer_to_the_format() {
        let by_format = Telling::ByFormat;
        assert!(by_format.agrees(by_format.of(true)) && by_format.agrees(by_format.of(false)));
        let asked = Telling::Always(Source::Photo);
        assert!(asked.agrees(asked.of(false)) && !asked.agrees(by_format.of(true)));
        assert!(!by_format.agrees(asked.of(true)) && !Telling::Nothing.agrees(asked.of(true)));
        assert!(!asked.agrees(None) && Telling::Nothing.agrees(None));
    }
}
