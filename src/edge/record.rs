//! Marks and reasons as JSON. The only file that names `serde_json`. Writes no files.

use crate::error::JobError;
use crate::job::Errand;
use crate::plan::Limits;
use crate::work::mark::Mark;
use crate::work::naming::text_of;
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
    /// Length of the picture.
    pub bytes: u64,
    /// The limits in force.
    pub limits: Limits,
    /// Version of onestep.
    pub version: String,
}

impl Reason {
    /// The reason why this errand failed.
    pub fn new(errand: &Errand, stage: &str, error: &JobError, limits: Limits) -> Reason {
        Reason {
            source: absolute_text(&errand.source),
            stage: stage.to_owned(),
            class: error.class().to_owned(),
            message: error.to_string(),
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
            source: "/in/a.jpg".into(),
            relative: "a.jpg".into(),
            target: "/out/a.png".into(),
            stamp: Stamp { bytes: 5, modified_ns: 0 },
        };
        let text = Reason::new(&errand, "admit", &JobError::NotAPicture, Limits::default()).to_text();
        let expected = concat!(
            "{\n  \"source\": \"/in/a.jpg\",\n  \"stage\": \"admit\",\n  \"class\": \"not-a-picture\",\n",
            "  \"message\": \"content is neither JPEG nor PNG\",\n  \"bytes\": 5,\n  \"limits\": {\n",
            "    \"max_file_mb\": 200,\n    \"max_input_mpx\": 100,\n    \"max_output_mpx\": 800,\n",
            "    \"budget_mpx\": 256\n  },\n  \"version\": \"",
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
    fn a_foreign_mark_is_none() {
        assert_eq!(mark_from_text("{\"source\":\"a\"}"), None);
    }
}
