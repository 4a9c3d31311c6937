//! One `[[pipeline]]`, checked. Problems are told with the name of the pipeline before the key.

use super::{Check, raw};
use crate::edge::originals::Originals;
use crate::edge::store::Access;
use crate::edge::users::group_id;
use crate::plan::{MAX_STRENGTH, Megapixels};
use crate::stage::watch::Notice;
use crate::work::file_name::FileName;
use crate::work::format::Writing;
use crate::work::ignore::Ignore;
use crate::work::keeping::Keeping;
use crate::work::masking::Masking;
use crate::work::order::Order;
use contract::source::Source;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DEFAULT_SETTLE_MS: u64 = 2000;
const DEFAULT_POLL: Duration = Duration::from_secs(5);
/// Bounds of the samples of an uncertainty map: one has no spread.
const UNCERTAINTY: (u64, u64) = (2, 64);

/// One input folder, and what is done to its pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// What it is called in messages.
    pub name: String,
    /// Folder that pictures land in.
    pub input: PathBuf,
    /// Folder for results.
    pub output: PathBuf,
    /// How long a file that nobody closes must stay the same.
    pub settle: Duration,
    /// How changes are noticed.
    pub notice: Notice,
    /// How often it is looked through where it is polled.
    pub poll: Duration,
    /// What is left alone.
    pub ignore: Ignore,
    /// Which of its pictures that wait comes first.
    pub order: Order,
    /// Pictures of a higher one are admitted first.
    pub priority: i64,
    /// Whether `_status.txt` is written into the input folder.
    pub status_file: bool,
    /// What tells which pixels are to be repaired, or `None`: pictures are enlarged.
    pub masking: Option<Masking>,
    /// Name or path of the model that repairs pictures before they are enlarged, where both is done.
    pub repair_model: Option<String>,
    /// Name or path of the model, of the last task.
    pub model: String,
    /// λ, or `None` for the card's default.
    pub strength: Option<f32>,
    /// A fixed seed, or `None`: from the content.
    pub seed: Option<u64>,
    /// What the model is told of pictures, or `None`: as their format has it.
    pub source: Option<Source>,
    /// Samples of an uncertainty map, or `None`: no map.
    pub uncertainty: Option<u16>,
    /// What is kept of what pictures say of themselves.
    pub keeping: Keeping,
    /// Whether results say how they came to be (IPTC's Digital Source Type).
    pub source_type: bool,
    /// What results are written as.
    pub format: Writing,
    /// How large its pictures are.
    pub megapixels: Megapixels,
    /// What results are called.
    pub file_name: FileName,
    /// Whether a name that another picture's result has gets a number.
    pub number: bool,
    /// Who may do what with results.
    pub access: Access,
    /// What becomes of pictures that are done.
    pub originals: Originals,
}

impl Check {
    /// The pipeline of this number, counted from 1.
    pub(super) fn pipeline(&mut self, number: usize, raw: raw::Pipeline, folder: &Path) -> Pipeline {
        let name = raw.name.clone().unwrap_or_else(|| format!("pipeline {number}"));
        let key = |key: &str| format!("{name}: {key}");
        let path = |path: PathBuf| folder.join(path);
        let tasks = self.tasks(&name, raw.task.as_ref());
        let masking = self.masking(&name, (&raw, tasks), folder);
        let (repair_model, model) = self.models(&name, (tasks, raw.model.as_ref()), folder);
        let input = self.present(&key("input"), raw.input).map(path).unwrap_or_default();
        let output = self.present(&key("output"), raw.output).map(path).unwrap_or_default();
        let settle_ms = self.number(&key("settle_ms"), raw.settle_ms, DEFAULT_SETTLE_MS, (100, 3_600_000));
        Pipeline {
            input,
            output,
            settle: Duration::from_millis(settle_ms),
            notice: self.word(
                &key("watch"),
                raw.watch,
                [("auto", Notice::Auto), ("events", Notice::Events), ("poll", Notice::Poll)],
            ),
            poll: self.seconds(&key("poll_s"), raw.poll_s, DEFAULT_POLL),
            order: self.word(
                &key("order"),
                raw.order,
                [
                    ("arrival", Order::Arrival),
                    ("name", Order::Name),
                    ("oldest", Order::Oldest),
                    ("newest", Order::Newest),
                    ("smallest", Order::Smallest),
                ],
            ),
            priority: raw.priority.unwrap_or(0),
            status_file: raw.status_file,
            ignore: self.parsed(&key("ignore"), Ignore::new(&raw.ignore)).unwrap_or_default(),
            masking,
            repair_model,
            model,
            strength: raw.strength.map(|strength| self.strength(&key("strength"), strength)),
            seed: raw.seed.map(|seed| self.number(&key("seed"), Some(seed), 0, (0, i64::MAX as u64))),
            source: raw.source.and_then(|text| self.parsed(&key("source"), text.parse::<Source>())),
            uncertainty: raw
                .uncertainty
                .map(|samples| self.number(&key("uncertainty"), Some(samples), 0, UNCERTAINTY) as u16),
            source_type: raw.digital_source_type.unwrap_or(false),
            keeping: raw
                .metadata
                .and_then(|text| self.parsed(&key("metadata"), text.parse()))
                .unwrap_or_default(),
            format: self.format(&name, raw.format, raw.quality),
            megapixels: self.megapixels(&name, raw.min_mpx, raw.max_mpx),
            file_name: raw
                .file_name
                .and_then(|text| self.parsed(&key("file_name"), text.parse()))
                .unwrap_or_default(),
            number: self.word(&key("name_taken"), raw.name_taken, [("refuse", false), ("number", true)]),
            access: Access {
                mode: raw.mode.and_then(|text| self.parsed(&key("mode"), mode(&text))),
                group: raw.group.and_then(|text| self.parsed(&key("group"), group_id(&text))),
            },
            originals: self.originals(&name, raw.originals, raw.originals_folder.map(path)),
            name,
        }
    }

    fn megapixels(&mut self, name: &str, least: Option<f64>, most: Option<f64>) -> Megapixels {
        let all = Megapixels::default();
        let megapixels = Megapixels { least: least.unwrap_or(all.least), most: most.unwrap_or(all.most) };
        let Megapixels { least, most } = megapixels;
        if !(0.0 <= least && least <= most) {
            self.problems.push(format!("{name}: min_mpx {least} to max_mpx {most} takes no picture"));
        }
        megapixels
    }

    fn format(&mut self, name: &str, word: Option<String>, quality: Option<i64>) -> Writing {
        let quality =
            quality.map(|quality| self.number(&format!("{name}: quality"), Some(quality), 1, (1, 100)) as u8);
        let format = Writing::new(word.as_deref().unwrap_or("png"), quality);
        self.parsed(&format!("{name}: format"), format).unwrap_or_default()
    }

    fn originals(&mut self, name: &str, word: Option<String>, folder: Option<PathBuf>) -> Originals {
        let words = [
            ("keep", Originals::Keep),
            ("move", Originals::Move(folder.clone().unwrap_or_default())),
            ("trash", Originals::Trash),
            ("delete", Originals::Delete),
        ];
        let originals = self.word(&format!("{name}: originals"), word, words);
        if matches!(originals, Originals::Move(_)) != folder.is_some() {
            self.problems.push(format!("{name}: originals = \"move\" and originals_folder go together"));
        }
        originals
    }

    /// One of these words, or the first.
    pub(super) fn word<T, const N: usize>(
        &mut self,
        key: &str,
        word: Option<String>,
        words: [(&str, T); N],
    ) -> T {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let at = word.as_ref().map_or(Some(0), |word| known.iter().position(|known| known == word));
        if at.is_none() {
            let word = word.unwrap_or_default();
            self.problems.push(format!("{key} is {word:?}, not one of {}", known.join(", ")));
        }
        words.into_iter().nth(at.unwrap_or(0)).map(|(_, value)| value).expect("there are words")
    }

    pub(super) fn parsed<T>(&mut self, key: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|problem| self.problems.push(format!("{key}: {problem}"))).ok()
    }

    fn strength(&mut self, key: &str, strength: f64) -> f32 {
        if !(0.0..=f64::from(MAX_STRENGTH)).contains(&strength) {
            self.problems.push(format!("{key} is {strength}, not 0 to {MAX_STRENGTH}"));
        }
        strength as f32
    }
}

/// Permission bits, written as `chmod` takes them.
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("{text:?} is not octal permission bits such as \"0640\""))
}
