//! A card out of metadata pairs: keys, ranges and consistency, all problems at once. Knows no file.

use super::{ModelCard, PREFIX, Precision, Role, Task};
use crate::geometry::Size;
use crate::golden::Golden;
use crate::pixels::Picture;
use crate::source::Source;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Free facts live under these words; anything else unknown is noted.
const FACTS: [&str; 3] = ["data.", "training.", "score."];

/// Reads keys and remembers what was wrong, so that all problems are told at once.
pub(super) struct Reader<'a> {
    pub(super) pairs: &'a BTreeMap<String, String>,
    pub(super) problems: Vec<String>,
    pub(super) used: Vec<&'static str>,
}

impl Reader<'_> {
    pub(super) fn card(&mut self) -> ModelCard {
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
            window: None,
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
    pub(super) fn judge(&mut self, card: &ModelCard) {
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

    pub(super) fn text(&mut self, key: &'static str) -> String {
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

    pub(super) fn unknown(&self) -> Vec<String> {
        let known = |key: &str| self.used.contains(&key) || FACTS.iter().any(|word| key.starts_with(word));
        self.ours().filter(|(key, _)| !known(key)).map(|(key, _)| format!("{PREFIX}{key}")).collect()
    }
}

/// A companion lies beside its model: a path in a model file must not lead anywhere else.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\']) && name != ".."
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let digits = digits?;
    (digits.len() % 2 == 0).then(|| digits.chunks_exact(2).map(|d| d[0] << 4 | d[1]).collect())
}
