//! What a person sees while training runs: one bar with the stage, the loss and the time left. Silent where
//! stderr is no terminal; log.jsonl has the numbers then.

use crate::recipe::{Limit, Stage};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;

/// Resolution of the bar.
const TICKS: u64 = 10_000;

/// The bar of one run.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    smooth: RefCell<Option<f64>>,
}

impl Progress {
    /// A bar on stderr; indicatif draws nothing where that is no terminal.
    pub fn new() -> Progress {
        let bar = ProgressBar::new(TICKS);
        let style =
            ProgressStyle::with_template("{prefix:12} {wide_bar} {percent:>3} % {eta:>5} left  loss {msg}");
        bar.set_style(style.expect("the template is a constant"));
        Progress { bar, smooth: RefCell::new(None) }
    }

    /// A new stage begins.
    pub fn stage(&self, stage: Stage, limit: Limit) {
        log::info!("stage {stage:?}: {limit:?}");
        self.bar.reset();
        self.bar.set_prefix(format!("{stage:?}").to_lowercase());
        self.smooth.replace(None);
    }

    /// A step is done; `progress` of the stage, 0…1.
    pub fn step(&self, progress: f64, loss: f64) {
        let mut smooth = self.smooth.borrow_mut();
        let value = smooth.map_or(loss, |old| 0.98 * old + 0.02 * loss);
        *smooth = Some(value);
        self.bar.set_position((progress * TICKS as f64) as u64);
        self.bar.set_message(format!("{value:.5}"));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}
