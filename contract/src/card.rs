//! The model card: what a model file says about itself, as (key, value) strings in the file's own metadata,
//! so that card and weights cannot part. `docs/card.md` lists the keys. Knows nothing of ONNX: the trainer
//! writes the pairs into `metadata_props`, the daemon reads them back.
//!
//! Rules for readers: another version is refused, a missing or malformed key is named (all of them at once),
//! an unknown key is ignored with a note.

mod read;

use crate::golden::{F16_GOLDEN_TOLERANCE, GOLDEN_TOLERANCE, Golden, INT8_GOLDEN_TOLERANCE};
use crate::source::Source;
use read::Reader;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// The version of the card that this code writes and reads.
pub const VERSION: u32 = 1;
/// Every key of ours starts with this.
pub const PREFIX: &str = "onestep.";

/// What a model does to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Enlarges by the card's scale.
    SuperResolution,
    /// Repairs what a mask marks: takes a `mask` (N×1×H×W, see [`crate::mask`]) beside the image, whose holes
    /// come filled.
    Inpainting,
}

impl Task {
    /// The word in cards.
    pub fn word(self) -> &'static str {
        match self {
            Task::SuperResolution => "super-resolution",
            Task::Inpainting => "inpainting",
        }
    }
}

/// Which estimate a file's `output` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The posterior mean μ: `image` (and `source`) → `output`.
    Mean,
    /// μ + strength · (one-step consistency sample − μ): `image`, `noise`, `strength` (and `source`) →
    /// `output`.
    Sample,
}

/// What a file computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 8-bit integers inside: fast where the processor multiplies bytes, inexact elsewhere.
    Int8,
    /// 16-bit floats inside: fast on GPUs, and slower than 32 bits on any processor.
    F16,
}

impl Precision {
    /// The word in cards, configurations and marks.
    pub fn word(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
            Precision::F16 => "f16",
        }
    }
}

/// Facts about one model file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCard {
    /// Name users type, e.g. `sr-x4`; the file is `<name>.onnx`.
    pub name: String,
    /// What it does.
    pub task: Task,
    /// Which estimate it gives.
    pub role: Role,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// Radius in input pixels beyond which nothing can influence an output pixel.
    pub receptive_field: usize,
    /// Context in input pixels that serving gives each tile: measured so that tiled = untiled within 1/255.
    pub halo: usize,
    /// Window sides must be multiples of this.
    pub multiple: usize,
    /// The one side that windows have, of a model from elsewhere whose shapes are fixed; `None`: any. Not a
    /// key of cards: graphs that carry one have free sides.
    pub window: Option<usize>,
    /// The largest circle in a hole, as its diameter in pixels, that one evaluation repairs (inpainting
    /// only): deeper ones are repaired coarse to fine.
    pub hole_px: usize,
    /// What the model can be told of where a picture comes from (the `source` input); empty where it has no
    /// such input.
    pub sources: Vec<Source>,
    /// The file with the mean alone, for strength 0 (sample files only).
    pub companion: Option<String>,
    /// What it computes with.
    pub precision: Precision,
    /// The file of the same model in int8, if there is one.
    pub int8: Option<String>,
    /// The file of the same model in f16, if there is one.
    pub f16: Option<String>,
    /// The strength that looks best (0 for mean files).
    pub default_strength: f32,
    /// RMS of truth − μ on held-out crops, RGB in [0, 1] (the s_r of the residual normalisation).
    pub residual_rms: f32,
    /// Noise level at which the one-step sample starts, in units of the normalised residual.
    pub sigma_max: f32,
    /// SPDX-like licence of the weights.
    pub licence: String,
    /// Free facts, written under `data.*`, `training.*` and `score.*`, e.g. `score.set5.psnr_y`.
    pub facts: BTreeMap<String, String>,
    /// An input with its known answer.
    pub golden: Golden,
}

/// Everything that is wrong with a card, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CardError {
    /// One sentence a problem.
    pub problems: Vec<String>,
}

impl fmt::Display for CardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

impl ModelCard {
    /// Side of the smallest window that proves the golden crop: its middle with all that it can depend on,
    /// and a little more where windows must be multiples. A net that repairs looks so far that a crop's
    /// context has to do.
    pub fn golden_side(&self) -> usize {
        if let Some(side) = self.window {
            return side;
        }
        let least = match self.task {
            Task::SuperResolution => self.halo.max(self.receptive_field),
            Task::Inpainting => self.halo,
        };
        let side = self.golden.image.size.width;
        let mut fits = (least..least + self.multiple).map(|context| side + 2 * context);
        fits.find(|side| side.is_multiple_of(self.multiple)).unwrap_or(side + 2 * least)
    }

    /// The largest difference from the golden answer that this file may show.
    pub fn golden_tolerance(&self) -> f32 {
        match self.precision {
            Precision::F32 => GOLDEN_TOLERANCE,
            Precision::Int8 => INT8_GOLDEN_TOLERANCE,
            Precision::F16 => F16_GOLDEN_TOLERANCE,
        }
    }

    /// The card as metadata pairs, each key with [`PREFIX`].
    pub fn to_pairs(&self) -> Vec<(String, String)> {
        let mut pairs = vec![
            ("card", VERSION.to_string()),
            ("name", self.name.clone()),
            ("task", self.task.word().into()),
            ("role", if self.role == Role::Mean { "mean" } else { "sample" }.into()),
            ("scale", self.scale.to_string()),
            ("receptive_field", self.receptive_field.to_string()),
            ("halo", self.halo.to_string()),
            ("multiple", self.multiple.to_string()),
            ("default_strength", self.default_strength.to_string()),
            ("residual_rms", self.residual_rms.to_string()),
            ("sigma_max", self.sigma_max.to_string()),
            ("licence", self.licence.clone()),
            ("golden.side", self.golden.image.size.width.to_string()),
            ("golden.seed", self.golden.seed.to_string()),
            ("golden.middle", self.golden.middle.to_string()),
            ("golden.image", to_hex(&self.golden.image.samples)),
            ("golden.expected", {
                let bytes: Vec<u8> = self.golden.expected.iter().flat_map(|v| v.to_be_bytes()).collect();
                to_hex(&bytes)
            }),
        ];
        if let Some(companion) = &self.companion {
            pairs.push(("companion", companion.clone()));
        }
        if self.task == Task::Inpainting {
            pairs.push(("hole_px", self.hole_px.to_string()));
        }
        if self.precision != Precision::F32 {
            pairs.push(("precision", self.precision.word().into()));
        }
        for (key, file) in [("int8", &self.int8), ("f16", &self.f16)] {
            pairs.extend(file.clone().map(|file| (key, file)));
        }
        if !self.sources.is_empty() {
            let words: Vec<&str> = self.sources.iter().map(|source| source.word()).collect();
            pairs.push(("sources", words.join(", ")));
        }
        pairs.extend(self.facts.iter().map(|(key, value)| (key.as_str(), value.clone())));
        pairs.into_iter().map(|(key, value)| (format!("{PREFIX}{key}"), value)).collect()
    }

    /// Reads a card from metadata pairs. Also gives the keys under [`PREFIX`] that it does not know.
    ///
    /// # Errors
    /// All missing or malformed keys at once, or the one sentence that the card has another version or is
    /// absent.
    pub fn from_pairs(pairs: &BTreeMap<String, String>) -> Result<(ModelCard, Vec<String>), CardError> {
        let mut reader = Reader { pairs, problems: Vec::new(), used: vec!["card"] };
        match reader.text("card").as_str() {
            "" => return Err(single("the file carries no onestep model card (key onestep.card)")),
            version if version != VERSION.to_string() => {
                let problem = format!("model card version {version}, this program reads version {VERSION}");
                return Err(single(&problem));
            }
            _ => {}
        }
        let card = reader.card();
        reader.judge(&card);
        if !reader.problems.is_empty() {
            return Err(CardError { problems: reader.problems });
        }
        let unknown = reader.unknown();
        Ok((card, unknown))
    }
}

fn single(problem: &str) -> CardError {
    CardError { problems: vec![problem.to_owned()] }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;
    use crate::pixels::Picture;

    fn card() -> ModelCard {
        let image = Picture { size: Size::new(4, 4), channels: 3, samples: (0..48).collect() };
        let facts = [("score.set5.psnr_y", "31.40"), ("data.name", "test")];
        ModelCard {
            name: "sr-x4".into(),
            task: Task::SuperResolution,
            role: Role::Sample,
            scale: 4,
            receptive_field: 33,
            halo: 12,
            multiple: 1,
            window: None,
            hole_px: 0,
            sources: vec![Source::Clean, Source::Photo],
            companion: Some("sr-x4-mean.onnx".into()),
            precision: Precision::F32,
            int8: Some("sr-x4-int8.onnx".into()),
            f16: Some("sr-x4-f16.onnx".into()),
            default_strength: 0.25,
            residual_rms: 0.0542,
            sigma_max: 20.0,
            licence: "CC-BY-SA-4.0".into(),
            facts: facts.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            golden: Golden { image, seed: 9, middle: 1, expected: (0..48).map(|v| v * 1000).collect() },
        }
    }

    fn pairs() -> BTreeMap<String, String> {
        card().to_pairs().into_iter().collect()
    }

    #[test]
    fn a_card_survives_the_round_trip() {
        assert_eq!(ModelCard::from_pairs(&pairs()), Ok((card(), vec![])));
        let precision = Precision::Int8;
        let mean =
            ModelCard { role: Role::Mean, companion: None, int8: None, f16: None, precision, ..card() };
        assert_eq!(ModelCard::from_pairs(&mean.to_pairs().into_iter().collect()), Ok((mean, vec![])));
    }

    #[test]
    fn unknown_keys_are_noted_and_foreign_ones_ignored() {
        let mut pairs = pairs();
        pairs.insert("onestep.colour_of_the_day".into(), "blue".into());
        pairs.insert("author".into(), "somebody".into());
        let (read, unknown) = ModelCard::from_pairs(&pairs).expect("still a whole card");
        assert_eq!((read, unknown), (card(), vec!["onestep.colour_of_the_day".to_owned()]));
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let mut pairs = pairs();
        pairs.remove("onestep.halo");
        pairs.insert("onestep.role".into(), "median".into());
        pairs.insert("onestep.scale".into(), "four".into());
        let problems = ModelCard::from_pairs(&pairs).expect_err("three things are wrong").problems;
        assert_eq!(
            problems,
            [
                "model card key onestep.role is \"median\", not one of mean, sample",
                "model card key onestep.scale is \"four\", not a number",
                "model card lacks the key onestep.halo",
            ]
        );
    }

    #[test]
    fn other_versions_foreign_files_and_wandering_companions_are_refused() {
        let refusal = |key: &str, value: Option<&str>| {
            let mut pairs = pairs();
            pairs.remove(key);
            pairs.extend(value.map(|v| (key.to_owned(), v.to_owned())));
            ModelCard::from_pairs(&pairs).expect_err("refused").to_string()
        };
        assert_eq!(refusal("onestep.card", Some("2")), "model card version 2, this program reads version 1");
        assert_eq!(
            refusal("onestep.card", None),
            "the file carries no onestep model card (key onestep.card)"
        );
        assert_eq!(
            refusal("onestep.companion", Some("../../etc/passwd")),
            "model card: companion must be a bare file name"
        );
        assert_eq!(refusal("onestep.scale", Some("0")).matches("scale must be 1 to 8").count(), 1);
    }

    #[test]
    fn the_golden_window_honours_the_multiple() {
        for multiple in [1, 2, 3, 8, 64] {
            let card = ModelCard { multiple, ..card() };
            let (crop, side) = (card.golden.image.size.width, card.golden_side());
            assert!((crop + 66..crop + 66 + 2 * multiple).contains(&side));
            assert_eq!(side % multiple, 0);
        }
    }

    /// A window of any size is the same picture further out.
    #[test]
    fn a_larger_golden_window_has_the_same_middle() {
        let golden = card().golden;
        let crop = golden.image.size.width;
        let middle = |side: usize| {
            let window = golden.window(side);
            let input = golden.input(window);
            assert_eq!(input.len(), 3 * side * side);
            golden.middle_of(&input, window, 1)
        };
        assert!(middle(crop).iter().any(|value| *value > 0.0));
        for side in [crop + 1, crop + 8, crop + 33, 192] {
            assert_eq!(middle(side), middle(crop), "{side}");
        }
    }

    #[test]
    fn the_golden_answer_tells_a_wrong_output() {
        let golden = card().golden;
        let mut output = vec![0.0; 3 * 48 * 48]; // scale 4: a 12-pixel window
        let window = golden.window(12);
        let middle = golden.middle_of(&(0..3 * 48 * 48).map(|i| i as f32).collect::<Vec<_>>(), window, 4);
        for (&at, &known) in middle.iter().zip(&golden.expected) {
            output[at as usize] = f32::from(known) / 65535.0;
        }
        assert_eq!(golden.error(&output, window, 4), 0.0);
        output[middle[5] as usize] += 0.01;
        assert!((golden.error(&output, window, 4) - 0.01).abs() < 1e-6);
        output[middle[5] as usize] = f32::NAN;
        assert_eq!(golden.error(&output, window, 4), 1.0);
    }
}
