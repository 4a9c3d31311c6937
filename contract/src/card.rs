//! The model card: what a model file says about itself, as (key, value) strings in the file's own metadata,
//! so that card and weights cannot part. `docs/card.md` lists the keys. Knows nothing of ONNX: the trainer
//! writes the pairs into `metadata_props`, the daemon reads them back.
//!
//! Rules for readers: another version is refused, a missing or malformed key is named (all of them at once),
//! an unknown key is ignored with a note.

use crate::geometry::Size;
use crate::golden::{F16_GOLDEN_TOLERANCE, GOLDEN_TOLERANCE, Golden, INT8_GOLDEN_TOLERANCE};
use crate::pixels::Picture;
use crate::source::Source;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

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

/// Free facts live under these words; anything else unknown is noted.
const FACTS: [&str; 3] = ["data.", "training.", "score."];

/// Reads keys and remembers what was wrong, so that all problems are told at once.
struct Reader<'a> {
    pairs: &'a BTreeMap<String, String>,
    problems: Vec<String>,
    used: Vec<&'static str>,
}

impl Reader<'_> {
    fn card(&mut self) -> ModelCard {
        let tasks = [Task::SuperResolution, Task::Inpainting].map(|task| (task.word(), task));
        let task = self.one_of("task", &tasks);
        ModelCard {
            name: self.text("name"),
            task,
            hole_px: if task == Task::Inpainting { self.number("hole_px") } else { 0 },
            role: self.one_of("role", &[("mean", Role::Mean), ("sample", Role::Sample)]),
            scale: self.number("scale"),
            receptive_field: self.number("receptive_field"),
            halo: self.number("halo"),
            multiple: self.number("multiple"),
            sources: self.sources(),
            companion: self.optional("companion"),
            precision: self.precision(),
            int8: self.optional("int8"),
            f16: self.optional("f16"),
            default_strength: self.number("default_strength"),
            residual_rms: self.number("residual_rms"),
            sigma_max: self.number("sigma_max"),
            licence: self.text("licence"),
            facts: self.facts(),
            golden: self.golden(),
        }
    }

    /// Ranges and consistency, after every key was read.
    fn judge(&mut self, card: &ModelCard) {
        // Whatever the file says: numbers that leave their range must not wrap on the way here.
        let side = card.golden.image.size.width;
        let middle = card.golden.middle.saturating_mul(card.scale);
        let thrice_squared = |side: usize| side.saturating_mul(side).saturating_mul(3);
        let rules = [
            ((1..=8).contains(&card.scale), "scale must be 1 to 8"),
            (
                card.task != Task::Inpainting || (card.scale == 1 && (1..=4096).contains(&card.hole_px)),
                "scale must be 1 and hole_px 1 to 4096 where the task is inpainting",
            ),
            (card.halo <= 512, "halo must be at most 512"),
            (card.receptive_field <= 4096, "receptive_field must be at most 4096"),
            ((1..=256).contains(&card.multiple), "multiple must be 1 to 256"),
            ((0.0..=1.2).contains(&card.default_strength), "default_strength must be 0 to 1.2"),
            (card.golden.image.samples.len() == thrice_squared(side), "golden.image must hold 3·side² bytes"),
            (
                card.golden.expected.len() == thrice_squared(middle),
                "golden.expected must hold 3·(middle·scale)² values",
            ),
            (card.golden.middle <= side && middle > 0, "golden.middle must be 1 to golden.side"),
            (
                side.is_multiple_of(2) || !card.multiple.is_multiple_of(2),
                "golden.side must be even where multiple is",
            ),
            (card.companion.as_deref().is_none_or(is_file_name), "companion must be a bare file name"),
            (card.int8.as_deref().is_none_or(is_file_name), "int8 must be a bare file name"),
            (card.f16.as_deref().is_none_or(is_file_name), "f16 must be a bare file name"),
        ];
        if self.problems.is_empty() {
            let broken = rules.iter().filter(|(holds, _)| !holds);
            self.problems.extend(broken.map(|(_, rule)| format!("model card: {rule}")));
        }
    }

    fn optional(&mut self, key: &'static str) -> Option<String> {
        self.used.push(key);
        self.pairs.get(&format!("{PREFIX}{key}")).cloned()
    }

    fn text(&mut self, key: &'static str) -> String {
        self.optional(key).unwrap_or_else(|| {
            self.problems.push(format!("model card lacks the key {PREFIX}{key}"));
            String::new()
        })
    }

    fn bad(&mut self, key: &str, text: &str, wanted: &str) {
        let shown: String = text.chars().take(40).collect();
        self.problems.push(format!("model card key {PREFIX}{key} is {shown:?}, not {wanted}"));
    }

    fn number<T: FromStr + Default>(&mut self, key: &'static str) -> T {
        let text = self.text(key);
        text.parse().unwrap_or_else(|_| {
            if !text.is_empty() {
                self.bad(key, &text, "a number");
            }
            T::default()
        })
    }

    fn one_of<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> T {
        let text = self.text(key);
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() && !text.is_empty() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.bad(key, &text, &format!("one of {}", known.join(", ")));
        }
        found.unwrap_or(&words[0]).1
    }

    fn hex(&mut self, key: &'static str) -> Vec<u8> {
        let text = self.text(key);
        from_hex(&text).unwrap_or_else(|| {
            self.bad(key, &text, "hexadecimal");
            Vec::new()
        })
    }

    fn precision(&mut self) -> Precision {
        match self.optional("precision").as_deref() {
            None | Some("f32") => Precision::F32,
            Some("int8") => Precision::Int8,
            Some("f16") => Precision::F16,
            Some(other) => {
                self.bad("precision", other, "one of f32, int8, f16");
                Precision::F32
            }
        }
    }

    fn sources(&mut self) -> Vec<Source> {
        let Some(text) = self.optional("sources") else { return Vec::new() };
        let read: Result<Vec<Source>, String> = text.split(", ").map(str::parse).collect();
        read.unwrap_or_else(|_unknown| {
            self.bad("sources", &text, "a list of clean, photo, heavy");
            Vec::new()
        })
    }

    fn golden(&mut self) -> Golden {
        let side = self.number("golden.side");
        let words = self.hex("golden.expected");
        Golden {
            image: Picture { size: Size::new(side, side), channels: 3, samples: self.hex("golden.image") },
            seed: self.number("golden.seed"),
            middle: self.number("golden.middle"),
            expected: words.chunks_exact(2).map(|w| u16::from_be_bytes([w[0], w[1]])).collect(),
        }
    }

    fn ours(&self) -> impl Iterator<Item = (&str, &String)> {
        self.pairs.iter().filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
    }

    fn facts(&self) -> BTreeMap<String, String> {
        let facts = self.ours().filter(|(key, _)| FACTS.iter().any(|word| key.starts_with(word)));
        facts.map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    fn unknown(&self) -> Vec<String> {
        let known = |key: &str| self.used.contains(&key) || FACTS.iter().any(|word| key.starts_with(word));
        self.ours().filter(|(key, _)| !known(key)).map(|(key, _)| format!("{PREFIX}{key}")).collect()
    }
}

/// A companion lies beside its model: a path in a model file must not lead anywhere else.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\']) && name != ".."
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

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
