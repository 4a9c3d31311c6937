//! The logger. The only file that names `env_logger`; everybody else speaks to `log`. Lines go to stderr,
//! around a progress bar where there is one.

use crate::edge::progress::Progress;
use env_logger::{Builder, Target, WriteStyle};
use std::io::{IsTerminal, stderr};

/// ONNX Runtime tells every session's inside at `info`.
const QUIET: &str = "ort=warn";

/// Starts logging at `level` (a word like `info`). RUST_LOG adds to that, and overrides it.
pub fn start(level: &str, progress: &Progress) {
    let style = if stderr().is_terminal() { WriteStyle::Auto } else { WriteStyle::Never };
    let logger = Builder::new()
        .parse_filters(&format!("{level},{QUIET}"))
        .parse_default_env()
        .format_target(false)
        .write_style(style)
        .target(Target::Pipe(Box::new(progress.around())))
        .try_init();
    // A second logger in one process is a test's; the first one stays.
    logger.ok();
}
