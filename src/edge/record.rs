//! Marks, receipts and reasons as JSON. The only file that names `serde_json`. Writes no files.

use crate::edge::ledger::PipelineRow;
use crate::edge::logging::Fact;
use crate::error::JobError;
use crate::job::{Errand, Times};
use crate::plan::Limits;
use crate::work::gate::Figures;
use crate::work::mark::Mark;
use crate::work::naming::text_of;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Why a picture failed, as it lies in its reason file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The picture, absolute.
    pub source: String,
    /// The stage that found out.
    pub stage: String,
    /// A word to sort by.
    pub class: String,
    /// A sentence.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Length of the picture.
    pub bytes: u64,
    /// The limits in force.
    pub limits: Limits,
    /// Version of onestep.
    pub version: String,
}

/// Anything as JSON that people can read.
pub fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("strings and numbers always have a JSON form") + "\n"
}

/// What someone else wrote as JSON.
///
/// # Errors
/// Where it is none, or lacks what is asked for.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

impl Reason {
    /// The reason why this errand failed.
    pub fn new(errand: &Errand, stage: &str, error: &JobError, limits: Limits) -> Reason {
        Reason {
            source: absolute_text(&errand.source),
            stage: stage.to_owned(),
            class: error.class().to_owned(),
            message: error.to_string(),
            attempts: errand.attempt + 1,
            bytes: errand.stamp.bytes,
            limits,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// As the text of a file.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers always have a JSON form") + "\n"
    }

    /// Whether this text is a reason for `source`.
    pub fn is_for(text: &str, source: &Path) -> bool {
        serde_json::from_str::<Reason>(text).is_ok_and(|reason| reason.source == absolute_text(source))
    }
}

/// What was done to one picture: a line of `receipts.jsonl`, from which a lost ledger is made again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// The run that did it, as the ledger names it.
    pub run: String,
    /// The input folder.
    pub root: String,
    /// The result.
    pub target: String,
    /// The picture, model and options.
    #[serde(flatten)]
    pub mark: Mark,
    /// When the picture's content, name or rights changed, nanoseconds since 1970.
    pub changed_ns: i64,
    /// Model and options as the ledger compares them.
    pub fingerprint: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Length of the result.
    pub output_bytes: u64,
    /// SHA-256 of the result, hexadecimal.
    pub output_sha256: String,
    /// How the result compares with the picture; not of small ones, and older receipts do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Figures>,
    /// How long it took, by step.
    pub seconds: Times,
}

impl Receipt {
    /// As one line with its end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always have a JSON form") + "\n"
    }

    /// From a line; `None` where it is torn, or of another kind.
    pub fn from_line(line: &str) -> Option<Receipt> {
        serde_json::from_str(line).ok()
    }
}

/// What `status` tells of one state folder, for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The state folder.
    pub state: String,
    /// The pid of the onestep at work, if one is.
    pub at_work: Option<String>,
    /// Whether it was asked to pause.
    pub paused: bool,
    /// When the latest run began, RFC 3339 in UTC.
    pub began: Option<String>,
    /// When it ended; `None` while it works, or where it died without a word.
    pub ended: Option<String>,
    /// How it ended.
    pub ending: String,
    /// Pictures whose result was intended and is not there yet.
    pub started: u64,
    /// Pictures that are done.
    pub done: u64,
    /// Pictures that failed for good.
    pub failed: u64,
    /// Pictures done in the last hour.
    pub done_in_last_hour: u64,
    /// Pictures done a minute, in the last ten minutes of this run; `None` where none is at work or was done.
    pub done_a_minute: Option<f64>,
    /// How long what waits will take at that rate.
    pub minutes_left: Option<f64>,
    /// Each pipeline of the latest run.
    pub pipelines: Vec<PipelineRow>,
    /// The latest failures, newest first.
    pub failures: Vec<Failure>,
}

/// One picture that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The picture.
    pub source: String,
    /// Why.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

/// All of them as one JSON array.
pub fn statuses_to_text(statuses: &[Status]) -> String {
    serde_json::to_string_pretty(statuses).expect("strings and numbers always have a JSON form") + "\n"
}

/// A line of the log as one JSON object; fields come after time, level and message.
pub fn log_line(at: &str, level: &str, message: &str, facts: Vec<(String, Fact)>) -> String {
    let mut line = serde_json::Map::new();
    for (key, text) in [("at", at), ("level", level), ("message", message)] {
        line.insert(key.to_owned(), text.into());
    }
    for (key, fact) in facts {
        let value = match fact {
            Fact::Count(count) => count.into(),
            Fact::Number(number) => number.into(),
            Fact::Text(text) => text.into(),
        };
        line.insert(key, value);
    }
    serde_json::Value::Object(line).to_string()
}

/// A mark as one line of text.
pub fn mark_to_text(mark: &Mark) -> String {
    serde_json::to_string(mark).expect("strings and numbers always have a JSON form")
}

/// A mark from its text; `None` where it is not ours after all.
pub fn mark_from_text(text: &str) -> Option<Mark> {
    serde_json::from_str(text).ok()
}

fn absolute_text(path: &Path) -> String {
    text_of(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::mark::Stamp;

    #[test]
    fn a_reason_reads_well_and_knows_its_picture() {
        let errand = Errand {
            line: 0,
            root: Path::new("/in").into(),
            source: "/in/a.jpg".into(),
            relative: "a.jpg".into(),
            target: "/out/a.png".into(),
            stamp: Stamp { bytes: 5, ..Stamp::default() },
            named: false,
            attempt: 4,
            safe: false,
            is_free: false,
            mask: None,
        };
        let text = Reason::new(&errand, "admit", &JobError::NotAPicture, Limits::default()).to_text();
        let expected = concat!(
            "{\n  \"source\": \"/in/a.jpg\",\n  \"stage\": \"admit\",\n  \"class\": \"not-a-picture\",\n",
            "  \"message\": \"content is neither JPEG, PNG, WebP, TIFF, GIF, BMP, PNM nor QOI\",\n",
            "  \"attempts\": 5,\n  \"bytes\": 5,\n",
            "  \"limits\": {\n    \"max_file_mb\": 200,\n    \"max_input_mpx\": 100,\n",
            "    \"max_output_mpx\": 800,\n    \"max_px_per_byte\": 2000,\n",
            "    \"refuse_cmyk\": false,\n    \"max_decode_s\": 120,\n",
            "    \"memory_mb\": 4000\n  },\n",
            "  \"version\": \"",
            env!("CARGO_PKG_VERSION"),
            "\"\n}\n"
        );
        assert_eq!(text, expected);
        assert!(Reason::is_for(&text, Path::new("/in/a.jpg")));
        assert!(
            !Reason::is_for(&text, Path::new("/other/a.jpg")) && !Reason::is_for("{", Path::new("/in/a.jpg"))
        );
    }

    #[test]
    fn a_receipt_is_one_line_that_reads_back_and_a_torn_one_is_none() {
        let mark = concat!(
            "{\"source\":\"new\\nline.jpg\",\"bytes\":1,\"modified_ns\":2,\"sha256\":\"a\",\"model\":\"m\",",
            "\"model_sha256\":\"b\",\"strength\":0.25,",
            "\"seed\":18446744073709551615,\"device\":\"cpu\",\"version\":\"1\"}"
        );
        let receipt = Receipt {
            at: "2026-01-01T00:00:00.000Z".into(),
            run: "1-2".into(),
            root: "/in".into(),
            target: "/out/a.png".into(),
            mark: mark_from_text(mark).expect("a mark"),
            changed_ns: 3,
            fingerprint: "options".into(),
            attempts: 1,
            output_bytes: 4,
            output_sha256: "c".into(),
            compared: None,
            seconds: Times { inferring: 0.5, ..Times::default() },
        };
        let line = receipt.to_line();
        assert_eq!((line.matches('\n').count(), Receipt::from_line(line.trim())), (1, Some(receipt)));
        assert_eq!(Receipt::from_line(&line[..line.len() / 2]), None);
    }

    #[test]
    fn a_foreign_mark_is_none() {
        assert_eq!(mark_from_text("{\"source\":\"a\"}"), None);
    }
}
