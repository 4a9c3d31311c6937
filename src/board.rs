//! What each pipeline says of itself while it works: `watch-n`, `admit` and `record` write it, `supervise`
//! reads it and has it written down for those who ask. Decides nothing.

use std::sync::{Arc, Mutex, PoisonError};

/// One pipeline's news.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// How its folder is watched, e.g. "by events".
    pub watched: String,
    /// Files that may still be in writing.
    pub settling: usize,
    /// Files that are whole, and wait where they were seen.
    pub ready: usize,
    /// Files that are whole, and on their way to whoever admits. Counted by both sides, each after a change
    /// of its own making: so the last word is true.
    pub sent: usize,
    /// Files that were looked at, and wait until it is no longer held.
    pub kept: usize,
    /// Files that were looked at, and wait for their masks.
    pub unmasked: usize,
    /// Why it begins nothing new, if it does not.
    pub held: Option<String>,
    /// Why `record` cannot write what became of its pictures, if it cannot: `admit` holds it then.
    pub unwritten: Option<String>,
    /// What the file in its folder is to say, until that is written.
    pub notice: Option<String>,
}

/// The news of all lines, by their number.
#[derive(Debug, Clone)]
pub struct Board(Arc<[Mutex<News>]>);

impl Board {
    /// Nothing is known yet of so many lines.
    pub fn new(lines: usize) -> Board {
        Board((0..lines).map(|_| Mutex::default()).collect())
    }

    /// Changes what is known of one line.
    pub fn tell(&self, line: usize, change: impl FnOnce(&mut News)) {
        // Each field is whole by itself, also where a change panicked half way.
        change(&mut self.0[line].lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What the file in a line's folder is to say, for whoever writes it.
    pub fn take_notice(&self, line: usize) -> Option<String> {
        self.0[line].lock().unwrap_or_else(PoisonError::into_inner).notice.take()
    }

    /// What is known of one line.
    pub fn read(&self, line: usize) -> News {
        self.0[line].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
