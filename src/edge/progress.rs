//! The progress bar of `once`, on a terminal. The only file that names `indicatif`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write, stderr};

/// A bar, or nothing where nobody would see it.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar on stderr if that is a terminal and `wanted`.
    pub fn new(wanted: bool) -> Progress {
        let bar = if wanted && stderr().is_terminal() {
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} pictures, {eta} left  {msg}");
        Progress(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// How many pictures there are.
    pub fn expect(&self, pictures: usize) {
        self.0.set_length(pictures as u64);
    }

    /// One picture is settled.
    pub fn advance(&self, name: &str) {
        self.0.set_message(name.to_owned());
        self.0.inc(1);
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        !self.0.is_hidden()
    }

    /// Ends with the summary in the bar's place.
    pub fn finish(&self, summary: &str) {
        if self.is_shown() {
            self.0.finish_and_clear();
            self.0.suspend(|| writeln!(stderr(), "{summary}").ok());
        }
    }

    /// Takes the bar away, whatever it shows.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }

    /// A writer to stderr that takes the bar away while it writes.
    pub fn around(&self) -> Around {
        Around(self.0.clone())
    }
}

/// Writes to stderr around the bar.
#[derive(Debug)]
pub struct Around(ProgressBar);

impl Write for Around {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}
