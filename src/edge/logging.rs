//! The logger. The only file that names `env_logger`; everybody else speaks to `log`. Lines go to stderr,
//! around a progress bar where there is one: for people, or as JSON with the facts as fields. Warnings that
//! repeat are said less often.

use crate::cli::LogFormat;
use crate::edge::clock::now_text;
use crate::edge::progress::Progress;
use crate::edge::record::log_line;
use crate::work::plain::plain;
use crate::work::repeats::{Repeats, Say};
use env_logger::{Builder, Target, WriteStyle};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Record};
use std::io::{IsTerminal, Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// ONNX Runtime tells every session's inside at `info`.
const QUIET: &str = "ort=warn";

/// Starts logging at `level` (a word like `info`). RUST_LOG adds to that, and overrides it.
pub fn start(level: &str, format: LogFormat, progress: &Progress) {
    let style = if stderr().is_terminal() { WriteStyle::Auto } else { WriteStyle::Never };
    // A line is of the kind of the place in the source that says it.
    let repeats: Mutex<Repeats<(Option<String>, Option<u32>)>> = Mutex::default();
    let mut builder = Builder::new();
    builder.parse_filters(&format!("{level},{QUIET}")).parse_default_env().write_style(style);
    builder.target(Target::Pipe(Box::new(progress.around())));
    builder.format(move |out, record| {
        let mut say = Say::Line;
        if record.level() <= Level::Warn {
            let kind = (record.file().map(str::to_owned), record.line());
            say = repeats.lock().unwrap_or_else(PoisonError::into_inner).say(kind, Instant::now());
        }
        let more = match say {
            Say::Nothing => return Ok(()),
            Say::Line => String::new(),
            Say::LineAfter(hushed) => format!(" ({hushed} more like this were not said)"),
        };
        if format == LogFormat::Json {
            let message = format!("{}{more}", record.args());
            return writeln!(out, "{}", json(record, &message));
        }
        let level = out.default_level_style(record.level());
        let time = out.timestamp();
        let message = record.args().to_string();
        writeln!(out, "[{time} {level}{:<5}{level:#}] {}{more}", record.level(), plain(&message))
    });
    // A second logger in one process is a test's; the first one stays.
    builder.try_init().ok();
}

fn json(record: &Record<'_>, message: &str) -> String {
    let mut facts = Facts(Vec::new());
    // Our own visitor never fails.
    record.key_values().visit(&mut facts).ok();
    log_line(&now_text(), record.level().as_str(), message, facts.0)
}

/// What a line says in fields.
struct Facts(Vec<(String, Fact)>);

/// One field.
pub enum Fact {
    /// Not negative, whole.
    Count(u64),
    /// Any other number.
    Number(f64),
    /// Everything else.
    Text(String),
}

impl<'kvs> VisitSource<'kvs> for Facts {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let number = || value.to_f64().map(Fact::Number);
        let fact = value.to_u64().map(Fact::Count).or_else(number);
        self.0.push((key.to_string(), fact.unwrap_or_else(|| Fact::Text(value.to_string()))));
        Ok(())
    }
}
