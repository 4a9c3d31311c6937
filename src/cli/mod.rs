//! The words of the command line. The only folder that names `clap`. Knows words and ranges, not what they
//! do.

mod ask;
mod work;

pub use ask::{Asked, Doctor, Models, Pause, Reprocess, Retry, Status, Verify, Why};
pub use work::{Bench, FormatName, Once, ResizeName, Run, TaskName};

use crate::plan::MAX_STRENGTH;
use clap::{Parser, Subcommand, ValueEnum};
use std::time::Duration;

/// Gives every picture back enlarged, or repaired where a mask marks it, in one network evaluation.
#[derive(Debug, Parser)]
#[command(name = "onestep", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How lines of the log look: for people, or one JSON object a line.
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Enlarge these pictures and folders, then end. A second run skips what is finished.
    Once(Once),
    /// Watch a folder and enlarge what lands in it, until SIGINT or SIGTERM.
    Run(Run),
    /// Tell what became of pictures, or why nothing did. Works beside a onestep at work and after its end.
    Why(Why),
    /// Tell how far everything is. Works beside a onestep at work and after its end.
    Status(Status),
    /// Forget failures, so that these pictures are tried again when they are seen next.
    Retry(Retry),
    /// Forget with which options results were made, so that these pictures are done again when they are seen
    /// next.
    Reprocess(Reprocess),
    /// Tell what run would do now: how many pictures, how long, how much disk, which would be refused and
    /// why.
    Plan(Run),
    /// Compare every result with its receipt, byte for byte.
    Verify(Verify),
    /// Let what is in flight land, and begin nothing new. Holds also when it is started anew.
    Pause(Pause),
    /// Go on after a pause.
    Resume(Pause),
    /// List the models that are there: what each can do, and what a strength costs.
    Models(Models),
    /// Check the configuration, its folders and its model, and tell everything that is wrong.
    Validate(Run),
    /// Tell what is here and what is missing: runtime, devices, libraries, models, folders. Exit code 78
    /// where a device that is named cannot be used, 2 where something else is bad.
    Doctor(Doctor),
    /// Measure this machine: tiles and pictures a second, the share of each stage, and how near the whole run
    /// comes to its network alone.
    Bench(Bench),
}

/// Reads the command line; ends the process with code 2 and a sentence where it makes no sense.
pub fn parse() -> Cli {
    Cli::parse()
}

/// A time span: a number and m, h or d.
fn ago(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and m, h or d, e.g. 90m, 12h or 2d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let minutes: u64 = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = number.parse().ok().filter(|count| *count <= 1_000_000).ok_or_else(wrong)?;
    Ok(Duration::from_secs(60 * minutes * count))
}

fn side(text: &str) -> Result<u16, String> {
    let side = text.parse().ok().filter(|side| (16..=8192).contains(side));
    side.ok_or_else(|| "a side is 16 to 8192 pixels".to_owned())
}

fn strength(text: &str) -> Result<f32, String> {
    let strength = text.parse::<f32>().ok().filter(|strength| (0.0..=MAX_STRENGTH).contains(strength));
    strength.ok_or_else(|| format!("a strength is a number from 0 to {MAX_STRENGTH}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_words_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        let minutes = |text| ago(text).map(|span| span.as_secs() / 60);
        assert_eq!((minutes("90m"), minutes("12h"), minutes("2d")), (Ok(90), Ok(720), Ok(2880)));
        for wrong in ["", "2", "d", "-1d", "2w", "1.5h", "99999999d", "2ä"] {
            assert!(ago(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn strengths_out_of_range_are_refused() {
        for text in ["-0.1", "1.3", "NaN", "inf", "much"] {
            assert!(strength(text).is_err(), "{text}");
        }
        assert_eq!((strength("0"), strength("1.2")), (Ok(0.0), Ok(1.2)));
    }
}
