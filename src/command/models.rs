//! `onestep models`: which models are there, what each can do, and what a strength costs, from the cards in
//! their files.

use crate::cli;
use crate::edge::model::cards;
use crate::edge::{library, model_file};
use crate::error::{CommandError, Exit};
use contract::card::{ModelCard, Precision, Role, Task};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The card facts that say what a strength costs begin so.
const COSTS: &str = "score.strength.";

pub(super) fn main(words: &cli::Models) -> Result<Exit, CommandError> {
    let executable = std::env::current_exe().unwrap_or_default();
    let working = std::env::current_dir().unwrap_or_default();
    let variable = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let files = model_file::list(words.folder.as_deref(), &executable, &working)?;
    let library = library::find(words.ort_lib.as_deref(), variable.as_deref(), &executable, &working)?;
    let read = cards(&library, &files)?;
    let good: BTreeMap<String, &ModelCard> = files
        .iter()
        .zip(&read)
        .filter_map(|(file, card)| Some((name_of(file), card.as_ref().ok()?)))
        .collect();
    let mut text = String::new();
    for (file, card) in files.iter().zip(&read) {
        match card {
            Ok(card) if !is_behind_another(&name_of(file), &good) => text.push_str(&told(file, card)),
            Ok(_) => {}
            Err(problem) => writeln!(text, "{}\n  cannot be used: {problem}", file.display()).unwrap_or(()),
        }
    }
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(Exit::AllDone)
}

fn name_of(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Companions and int8 versions are told with the model that names them.
fn is_behind_another(name: &str, cards: &BTreeMap<String, &ModelCard>) -> bool {
    cards
        .values()
        .any(|card| [&card.companion, &card.int8, &card.f16].into_iter().any(|n| n.as_deref() == Some(name)))
}

/// A model as a few lines.
fn told(file: &Path, card: &ModelCard) -> String {
    let ModelCard { name, scale, licence, default_strength, .. } = card;
    let does = match card.task {
        Task::SuperResolution => format!("enlarges ×{scale}"),
        Task::Inpainting => "repairs".to_owned(),
    };
    let mut lines = vec![format!("{name}: {does}, {licence}, {}", file.display())];
    if card.role == Role::Sample {
        lines.push(format!("  strength  {default_strength} unless you say another"));
        let costs: Vec<String> = costs(card).map(|(at, loss)| format!("{at}: {loss} dB")).collect();
        if !costs.is_empty() {
            lines.push(format!(
                "  PSNR beside strength 0, measured on held-out pictures: {}",
                costs.join(", ")
            ));
        }
    } else {
        lines.push("  strength  0 alone: it gives the mean".into());
    }
    if !card.sources.is_empty() {
        let words: Vec<&str> = card.sources.iter().map(|source| source.word()).collect();
        lines.push(format!("  source    {}", words.join(", ")));
    }
    let others = [(Precision::Int8, &card.int8), (Precision::F16, &card.f16)];
    let others: Vec<String> = others
        .into_iter()
        .filter_map(|(precision, file)| Some(format!(", {} ({})", precision.word(), file.as_ref()?)))
        .collect();
    if !others.is_empty() || card.precision != Precision::F32 {
        lines.push(format!("  precision {}{}", card.precision.word(), others.concat()));
    }
    lines.join("\n") + "\n"
}

/// Strengths above 0 and what they cost, in rising order.
fn costs(card: &ModelCard) -> impl Iterator<Item = (&str, &str)> {
    let facts = card.facts.iter().filter_map(|(key, loss)| Some((key.strip_prefix(COSTS)?, loss.as_str())));
    facts.filter(|(strength, _)| *strength != "0")
}
