//! The mark that every result carries, and what it means for a picture that would go to the same place: skip,
//! redo or refuse. Knows neither PNG nor JSON.

use crate::error::JobError;
use crate::work::format::{Format, Writing};
use crate::work::keeping::Keeping;
use crate::work::masking::{Masked, Masking, agrees};
use crate::work::precision::Wanted;
use crate::work::told::{Telling, Told};
use contract::card::Precision;
use serde::{Deserialize, Serialize};

/// Bytes and times of a file: changes when the file does. The modification time alone can be set back by
/// anybody, the change time cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Length.
    pub bytes: u64,
    /// When its content changed, nanoseconds since 1970, negative before.
    pub modified_ns: i64,
    /// When its content, name or rights changed, likewise.
    pub changed_ns: i64,
}

/// What was done to which picture, written into the result itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// The picture's place in its tree.
    pub source: String,
    /// Its length.
    pub bytes: u64,
    /// Its modification time, nanoseconds since 1970.
    pub modified_ns: i64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// Name of the model, from its card.
    pub model: String,
    /// SHA-256 of the model's f32 file, hexadecimal.
    pub model_sha256: String,
    /// What was declared of a model from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// What repaired it before, where that was enlarged: name and SHA-256 of a model, and its strength.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired_by: Option<String>,
    /// The λ of out = μ + λ·(sample − μ).
    pub strength: f32,
    /// The strength that was wanted, where a result with that did harm and this one is without a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<f32>,
    /// Seed of the noise.
    pub seed: u64,
    /// What the model was told of the picture, if it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// What was repaired of it, where that was the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Masked>,
    /// Samples of the uncertainty map beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<u16>,
    /// What was kept of what the picture says of itself.
    #[serde(default, skip_serializing_if = "Keeping::is_usual")]
    pub keeping: Keeping,
    /// Whether it says how it came to be (IPTC's Digital Source Type).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub source_type: bool,
    /// What it was written as.
    #[serde(default, skip_serializing_if = "Format::is_usual")]
    pub format: Format,
    /// Whether the model's int8 version did it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub int8: bool,
    /// Whether it was done in 16-bit floats.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub f16: bool,
    /// The device that really did it; several of one kind share a picture's tiles.
    pub device: String,
    /// Version of onestep.
    pub version: String,
}

impl Mark {
    /// What the network computed with.
    pub fn precision(&self) -> Precision {
        match (self.int8, self.f16) {
            (true, _) => Precision::Int8,
            (_, true) => Precision::F16,
            _ => Precision::F32,
        }
    }
}

/// The options that decide a result beside the picture itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Fingerprint {
    /// SHA-256 of the model file, hexadecimal.
    pub model_sha256: String,
    /// What is declared of a model from elsewhere.
    pub terms: Option<String>,
    /// What repairs pictures before, where what is repaired is enlarged.
    pub repaired_by: Option<String>,
    /// The λ of out = μ + λ·(sample − μ).
    pub strength: f32,
    /// A fixed seed, or `None`: from the content.
    pub seed: Option<u64>,
    /// What the model is told of pictures.
    pub telling: Telling,
    /// What tells which pixels are to be repaired, where that is the task.
    pub masking: Option<Masking>,
    /// Samples of an uncertainty map.
    pub uncertainty: Option<u16>,
    /// What is kept of what a picture says of itself.
    pub keeping: Keeping,
    /// Whether results say how they came to be (IPTC's Digital Source Type).
    pub source_type: bool,
    /// What results are written as.
    pub format: Writing,
    /// In which precision.
    pub precision: Wanted,
}

impl Fingerprint {
    /// As text, for the ledger and receipts: equal where a result would be.
    pub fn to_text(&self) -> String {
        let seed = self.seed.map_or_else(|| "content".to_owned(), |seed| seed.to_string());
        let (told, precision) = (self.telling.to_text(), self.precision.to_text());
        let map = self.uncertainty.map_or_else(String::new, |samples| format!(" uncertainty {samples}"));
        let (model, format) = (&self.model_sha256, self.format.to_text());
        let (kept, strength) = (self.keeping.to_text(), self.strength);
        let said = if self.source_type { " source type" } else { "" };
        let mask = self.masking.as_ref().map(|masking| format!(" {}", masking.to_text()));
        let by = self.repaired_by.as_ref().map(|by| format!(" repaired by {by}"));
        let mask = [mask, by].map(Option::unwrap_or_default).concat();
        let terms = self.terms.as_ref().map_or_else(String::new, |terms| format!(" ({terms})"));
        format!(
            "model {model}{terms} strength {strength} seed {seed}{told}{map}{kept}{said}{format}{precision}\
             {mask}"
        )
    }
}

/// What stands where a result would go.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing.
    Free,
    /// A whole result of ours.
    Ours(Box<Mark>),
    /// Something that carries no mark.
    Foreign,
}

/// What to do with a picture, given what stands in its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Do it; what stands there is replaced.
    Do,
    /// Exactly this was done already.
    AlreadyThere,
    /// Leave both alone and say so.
    Refuse(JobError),
}

/// Decides; `mask` is the stamp of the picture's mask file, where it has one. `force` gives up what stands
/// there, whoever made it, but never redoes what is already there.
pub fn answer(
    standing: &Standing,
    source: &str,
    (stamp, mask): (Stamp, Option<Stamp>),
    wanted: &Fingerprint,
    force: bool,
) -> Answer {
    match standing {
        Standing::Free => Answer::Do,
        Standing::Ours(mark) if mark.source == source => {
            let same_file = (mark.bytes, mark.modified_ns) == (stamp.bytes, stamp.modified_ns);
            let same_options = mark.model_sha256 == wanted.model_sha256
                && mark.terms == wanted.terms
                && mark.repaired_by == wanted.repaired_by
                && mark.instead_of.unwrap_or(mark.strength) == wanted.strength
                && wanted.telling.agrees(mark.told)
                && agrees(wanted.masking.as_ref(), mask, mark.mask.as_ref())
                && mark.uncertainty == wanted.uncertainty
                && mark.keeping == wanted.keeping
                && mark.source_type == wanted.source_type
                && wanted.format.accepts(mark.format)
                && wanted.precision.accepts(mark.precision())
                && Some(mark.seed) == wanted.seed.or_else(|| seed_of(&mark.sha256));
            if same_file && same_options { Answer::AlreadyThere } else { Answer::Do }
        }
        _ if force => Answer::Do,
        Standing::Ours(mark) => Answer::Refuse(JobError::NameTaken { by: mark.source.clone() }),
        Standing::Foreign => Answer::Refuse(JobError::ForeignTarget),
    }
}

/// The seed that belongs to a content: the first eight bytes of its SHA-256, given in hexadecimal.
pub fn seed_of(sha256: &str) -> Option<u64> {
    u64::from_str_radix(sha256.get(..16)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::masking::MaskFrom;
    use contract::source::Source;

    const SHA: &str = "00000000000000ffaaaa";

    fn mark() -> Mark {
        Mark {
            source: "a/b.jpg".into(),
            bytes: 10,
            modified_ns: -5,
            sha256: SHA.into(),
            model: "sr-x4".into(),
            model_sha256: "feed".into(),
            terms: None,
            repaired_by: None,
            strength: 0.25,
            instead_of: None,
            seed: 255,
            told: Some(Told { source: Source::Photo, asked: false }),
            mask: None,
            uncertainty: None,
            keeping: Keeping::All,
            source_type: false,
            format: Format::Png,
            int8: true,
            f16: false,
            device: "cpu".into(),
            version: "0.1.0".into(),
        }
    }

    fn wanted() -> Fingerprint {
        Fingerprint {
            model_sha256: "feed".into(),
            terms: None,
            repaired_by: None,
            strength: 0.25,
            seed: None,
            telling: Telling::ByFormat,
            masking: None,
            uncertainty: None,
            keeping: Keeping::All,
            source_type: false,
            format: Writing::default(),
            precision: Wanted::Auto,
        }
    }

    #[track_caller]
    fn check(source: &str, stamp: (u64, i64), wanted: &Fingerprint, force: bool, expected: Answer) {
        let stamp = Stamp { bytes: stamp.0, modified_ns: stamp.1, changed_ns: 99 };
        assert_eq!(answer(&Standing::Ours(Box::new(mark())), source, (stamp, None), wanted, force), expected);
    }

    #[test]
    fn the_same_picture_with_the_same_options_is_already_there() {
        check("a/b.jpg", (10, -5), &wanted(), false, Answer::AlreadyThere);
        check("a/b.jpg", (10, -5), &wanted(), true, Answer::AlreadyThere);
        check("a/b.jpg", (10, -5), &Fingerprint { seed: Some(255), ..wanted() }, false, Answer::AlreadyThere);
    }

    #[test]
    fn another_content_or_another_option_is_done_again() {
        check("a/b.jpg", (11, -5), &wanted(), false, Answer::Do);
        check("a/b.jpg", (10, -4), &wanted(), false, Answer::Do);
        check("a/b.jpg", (10, -5), &Fingerprint { seed: Some(1), ..wanted() }, false, Answer::Do);
        check("a/b.jpg", (10, -5), &Fingerprint { strength: 0.3, ..wanted() }, false, Answer::Do);
        let masking = Some(Masking::new(MaskFrom::Alpha));
        check("a/b.jpg", (10, -5), &Fingerprint { masking, ..wanted() }, false, Answer::Do);
        let telling = Telling::Always(Source::Photo);
        check("a/b.jpg", (10, -5), &Fingerprint { telling, ..wanted() }, false, Answer::Do);
        check("a/b.jpg", (10, -5), &Fingerprint { uncertainty: Some(4), ..wanted() }, false, Answer::Do);
        let repaired_by = Some("inpaint-mean beef strength 0".to_owned());
        check("a/b.jpg", (10, -5), &Fingerprint { repaired_by, ..wanted() }, false, Answer::Do);
        let terms = Some("x4 0..1".to_owned());
        check("a/b.jpg", (10, -5), &Fingerprint { terms, ..wanted() }, false, Answer::Do);
        let keeping = Keeping::Nothing;
        check("a/b.jpg", (10, -5), &Fingerprint { keeping, ..wanted() }, false, Answer::Do);
        let precision = Wanted::F32;
        check("a/b.jpg", (10, -5), &Fingerprint { precision, ..wanted() }, false, Answer::Do);
        let precision = Wanted::Int8;
        check("a/b.jpg", (10, -5), &Fingerprint { precision, ..wanted() }, false, Answer::AlreadyThere);
        check(
            "a/b.jpg",
            (10, -5),
            &Fingerprint { model_sha256: "beef".into(), ..wanted() },
            false,
            Answer::Do,
        );
    }

    #[test]
    fn somebody_elses_place_is_refused_unless_forced() {
        let taken = Answer::Refuse(JobError::NameTaken { by: "a/b.jpg".into() });
        check("a/b.png", (10, -5), &wanted(), false, taken);
        check("a/b.png", (10, -5), &wanted(), true, Answer::Do);
        let foreign = |force| answer(&Standing::Foreign, "a", (Stamp::default(), None), &wanted(), force);
        assert_eq!(foreign(false), Answer::Refuse(JobError::ForeignTarget));
        assert_eq!(foreign(true), Answer::Do);
    }

    #[test]
    fn fingerprints_differ_where_results_would() {
        assert_eq!(wanted().to_text(), "model feed strength 0.25 seed content source by format");
        let masking = Some(Masking::new(MaskFrom::Alpha));
        let repaired = Fingerprint { masking, ..wanted() }.to_text();
        assert_eq!(repaired, format!("{} mask alpha grow 2", wanted().to_text()));
        let foreign = Fingerprint { terms: Some("x4 0..1".into()), ..wanted() };
        assert!(foreign.to_text().starts_with("model feed (x4 0..1) strength 0.25 "));
        let seeded = Fingerprint { seed: Some(7), ..wanted() };
        assert_eq!(seeded.to_text(), "model feed strength 0.25 seed 7 source by format");
    }

    #[test]
    fn the_seed_is_the_first_eight_bytes() {
        assert_eq!((seed_of(SHA), seed_of("12"), seed_of("zz00000000000000")), (Some(255), None, None));
    }
}
