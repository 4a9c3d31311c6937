//! `onestep models`: which models are there, what each can do, and what a strength costs, from the cards in
//! their files.

use super::asked::CONFIG;
use crate::cli;
use crate::config::load_models;
use crate::edge::model::{BETTER_RANGE, HALO_LEVELS, TERMS, cards};
use crate::edge::{library, model_file};
use crate::error::{CommandError, Exit, StartError};
use crate::work::terms::Terms;
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
    let (elsewhere, folder) = configured(words.config.as_deref())?;
    let folder = words.folder.as_deref().or(folder.as_deref());
    let files = model_file::list(folder, &executable, &working)?.into_iter().map(|file| (file, None));
    let elsewhere = elsewhere.into_iter().map(|terms| (terms.file.clone(), Some(terms)));
    let files: Vec<(PathBuf, Option<Terms>)> = files.chain(elsewhere).collect();
    let library = library::find(words.ort_lib.as_deref(), variable.as_deref(), &executable, &working)?;
    let read = cards(&library, &files)?;
    let good: BTreeMap<String, &ModelCard> = files
        .iter()
        .zip(&read)
        .filter_map(|((file, terms), card)| {
            Some((name_of(file), card.as_ref().ok()?)).filter(|_| terms.is_none())
        })
        .collect();
    let (mut text, mut exit) = (String::new(), Exit::AllDone);
    for ((file, terms), card) in files.iter().zip(&read) {
        match (card, terms) {
            (Ok(card), Some(_)) => text.push_str(&told_under(file, card)),
            (Ok(card), None) if !is_behind_another(&name_of(file), &good) => text.push_str(&told(file, card)),
            (Ok(_), None) => {}
            (Err(problem), terms) => {
                let name = terms.as_ref().map_or_else(String::new, |terms| format!("{}: ", terms.name));
                writeln!(text, "{name}{}\n  cannot be used: {problem}", file.display()).unwrap_or(());
                exit = Exit::Usage;
            }
        }
    }
    // Nobody listens on stdout: then the exit code has to do.
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(exit)
}

/// Models from elsewhere and the folder of all others, of the configuration that is named or lies here.
fn configured(named: Option<&Path>) -> Result<(Vec<Terms>, Option<PathBuf>), StartError> {
    match named {
        Some(file) => load_models(file),
        None if Path::new(CONFIG).is_file() => Ok(load_models(Path::new(CONFIG)).unwrap_or_else(|error| {
            log::warn!("models of {CONFIG} are not listed: {error}");
            Default::default()
        })),
        None => Ok(Default::default()),
    }
}

/// A model from elsewhere as a few lines: what it is taken to be, and how well its tiles join.
fn told_under(file: &Path, card: &ModelCard) -> String {
    let mut text = told(file, card);
    if let Some(terms) = card.facts.get(TERMS) {
        writeln!(text, "  terms     {terms}").unwrap_or(());
    }
    if let Some(better) = card.facts.get(BETTER_RANGE) {
        writeln!(text, "  range     LOOK AT IT: {better}").unwrap_or(());
    }
    if let Some(side) = card.window {
        writeln!(text, "  window    {side}×{side}, the only one that it takes").unwrap_or(());
    }
    if let Some(levels) = card.facts.get(HALO_LEVELS) {
        let verdict =
            if levels.parse().is_ok_and(|levels: f32| levels <= 1.0) { "" } else { ": give it more" };
        let told = format!("{}; beyond it, tiles differ by {levels} of 255 levels{verdict}", card.halo);
        writeln!(text, "  halo      {told}").unwrap_or(());
    }
    text
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
