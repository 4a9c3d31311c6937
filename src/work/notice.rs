//! What people are told who see nothing but the input folder: the text of `_status.txt`. No clock: who looks
//! sees the file's own time.

use crate::work::plain::plain;

/// Name of the file, in the input folder.
pub const NOTICE: &str = "_status.txt";

/// How far the pictures of one input folder are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// In work.
    pub started: u64,
    /// Done.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// The latest failures, newest first: place and reason.
    pub failures: Vec<(String, String)>,
}

/// The text; so many are `waiting` to be looked at.
pub fn notice(progress: &Progress, waiting: u64, output: &str) -> String {
    let Progress { started, done, failed, failures } = progress;
    let mut text = format!("onestep works on the pictures that lie here; results go into {output}\n\n");
    text.push_str(&format!("{done} done, {started} in work, {waiting} waiting, {failed} failed\n"));
    for (place, reason) in failures {
        text.push_str(&format!("failed: {}: {}\n", plain(place), plain(reason)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_reasons_are_told() {
        let failures = vec![("sub/a.jpg".to_owned(), "damaged: cannot be decoded".to_owned())];
        let text = notice(&Progress { started: 1, done: 2, failed: 1, failures }, 4, "/out");
        assert!(text.contains("2 done, 1 in work, 4 waiting, 1 failed\n"), "{text}");
        assert!(text.ends_with("failed: sub/a.jpg: damaged: cannot be decoded\n"), "{text}");
    }
}
