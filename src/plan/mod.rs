//! Options and model cards → the few values each stage gets. The last place that sees both: after it, no
//! stage can meet a pair that does not fit. Reads no files, starts nothing.

mod choice;

pub use choice::{Choice, Computing, Limits, MAX_STRENGTH, Megapixels, Supervision, Wish, default_threads};

use crate::edge::model::{Facts, Serving};
use crate::edge::originals::Originals;
use crate::edge::store::Access;
use crate::error::StartError;
use crate::work::backoff::Backoff;
use crate::work::device::joined;
use crate::work::file_name::FileName;
use crate::work::format::Format;
use crate::work::mark::Fingerprint;
use crate::work::masking::MaskFrom;
use crate::work::precision::Wanted;
use crate::work::tiling::{Tiling, pool_bytes};
use crate::work::told::Telling;
use contract::card::{Precision, Task};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a tile waits for company: far below an evaluation, far above the gap between two tiles of one
/// picture.
const LINGER: Duration = Duration::from_millis(5);
/// Less than this for pictures would refuse nearly all.
const LEAST_PICTURES_MB: u64 = 64;

/// One value for each stage that needs one.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is done to the pictures of each input; sightings carry their line's number.
    pub lines: Vec<Line>,
    /// For `admit`.
    pub admission: Admission,
    /// Threads of `decode`.
    pub decoders: usize,
    /// For `batch`.
    pub batching: Batching,
    /// For `infer`.
    pub inferring: Inferring,
    /// Threads of `encode`.
    pub encoders: usize,
    /// For `record`.
    pub recording: Recording,
    /// For `supervise`.
    pub supervision: Supervision,
}

/// One `[[pipeline]]` of the configuration, married to its model. All lines share the threads.
#[derive(Debug, Clone)]
pub struct Line {
    /// What the pipeline is called; empty in `once`.
    pub name: String,
    /// The output folder.
    pub output: PathBuf,
    /// How large its pictures are.
    pub megapixels: Megapixels,
    /// What results are called.
    pub file_name: FileName,
    /// Whether a name that another picture's result has gets a number.
    pub number: bool,
    /// Who may do what with results.
    pub access: Access,
    /// What becomes of pictures that are done.
    pub originals: Originals,
    /// What makes a result the one we would make.
    pub wanted: Fingerprint,
    /// The same as the ledger has it for what is done.
    pub done: String,
    /// And for what failed: limits and version decide there too.
    pub failed: String,
    /// What networks do to its pictures, one after the other: one step, or two where what is repaired is
    /// enlarged then.
    pub steps: Vec<Step>,
    /// Output pixels per input pixel along a side, after all steps.
    pub scale: usize,
    /// For marks: name of the last step's model.
    pub model_name: String,
    /// For marks: what it computes with.
    pub precision: Precision,
    /// For marks: where the network runs; several devices of one kind share its tiles.
    pub device: String,
    /// For `status`: what serves it, and why nothing better does.
    pub served: String,
}

/// What a line stands on, beside its input folder.
#[derive(Debug, Clone, Copy)]
pub struct StandsOn<'a> {
    /// What it is called: by that it is paused.
    pub name: &'a str,
    /// Where its results go.
    pub output: &'a Path,
    /// Where its masks lie, if they have a folder of their own.
    pub masks: Option<&'a Path>,
}

/// One network's part in what is done to a picture.
#[derive(Debug, Clone)]
pub struct Step {
    /// How its pictures are cut.
    pub tiling: Tiling,
    /// Output pixels per input pixel along a side.
    pub scale: usize,
    /// Which of the models that were opened for this step.
    pub model: usize,
    /// The λ of out = μ + λ·(sample − μ).
    pub strength: f32,
    /// Samples of an uncertainty map.
    pub uncertainty: Option<u16>,
}

/// The lines as the threads see them that do this step of each: those that have it.
#[derive(Debug, Clone, Copy)]
pub struct Leg<'a> {
    /// All lines.
    pub lines: &'a [Line],
    /// Which step, counted from 0.
    pub number: usize,
}

impl<'a> Leg<'a> {
    /// What is done to a picture of this line.
    ///
    /// # Panics
    /// If the line has no such step: its pictures do not come here.
    pub fn step(self, line: usize) -> &'a Step {
        &self.lines[line].steps[self.number]
    }
}

/// What `admit` needs.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Limits.
    pub limits: Limits,
    /// Memory for pictures: what is left of the limit when tiles have theirs.
    pub memory_mb: usize,
    /// Room on the outputs' disks that is never filled.
    pub reserve_mb: u64,
    /// Give up what stands where a result goes, whoever made it.
    pub force: bool,
    /// Somebody waits for these very pictures; see [`Choice::once`].
    pub once: bool,
    /// How often what fails for now is tried, and how soon.
    pub backoff: Backoff,
}

/// What `record` needs.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// For reason files.
    pub limits: Limits,
    /// Somebody waits for these very pictures; see [`Choice::once`].
    pub once: bool,
}

/// What `batch` needs.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Most tiles of an evaluation.
    pub tiles: usize,
    /// Tiles that wait for company, at most.
    pub gathered: usize,
    /// Tiles that wait before that.
    pub queued: usize,
    /// How long a tile waits for company.
    pub linger: Duration,
}

impl Batching {
    /// Batches of at most so many tiles, for so many workers.
    pub fn new(tiles: usize, workers: usize) -> Batching {
        Batching {
            tiles,
            // Of two kinds that come in turn both have whole batches; a batch of one waits for nobody.
            gathered: if tiles > 1 { 2 * tiles } else { 1 },
            // Two for each worker, or two batches: a batch for each worker waits behind that.
            queued: 2 * workers.max(tiles),
            linger: LINGER,
        }
    }
}

/// What `infer` needs.
#[derive(Debug, Clone, Copy)]
pub struct Inferring {
    /// Most tiles of an evaluation.
    pub tiles: usize,
    /// After so long a device must give the golden tile again before it serves.
    pub prove: Duration,
}

impl Plan {
    /// Marries a choice and the wishes of each line to their opened models, one for each step, and to what
    /// serves them.
    ///
    /// # Errors
    /// If a model cannot do what is wished, or the tiles of all threads do not leave enough memory for a
    /// small picture.
    pub fn new(
        choice: &Choice,
        serving: &Serving,
        wishes: &[(Wish, Vec<Facts>)],
    ) -> Result<Plan, StartError> {
        let Serving { workers, tiles, .. } = *serving;
        let threads = choice.computing.threads;
        // On the CPU the network takes nearly all the time; on a GPU, packing PNGs does.
        let encoders = if serving.is_on_cpu() { threads.div_ceil(2) } else { threads };
        let decoders = threads.div_ceil(4);
        let batching = Batching::new(tiles, workers);
        // Tiles of all lines share the queues of a step.
        let pool_mb = |step: usize| {
            let cutters = if step == 0 { decoders } else { 1 };
            let of_line = wishes.iter().filter_map(|(wish, all)| {
                let facts = all.get(step)?;
                let mapped = wish.uncertainty.is_some() && step + 1 == all.len();
                let (window, foreign) = (facts.tiling.largest(), facts.terms.is_some());
                let counts = (batching.queued + batching.gathered, facts.tiling.together(tiles));
                let bytes = pool_bytes(&facts.card, window, counts, (workers, cutters), (mapped, foreign));
                Some(bytes.div_ceil(1_000_000))
            });
            of_line.max().unwrap_or(0)
        };
        let pool_mb = pool_mb(0) + pool_mb(1);
        let Limits { memory_mb, .. } = choice.limits;
        let left_mb = memory_mb.saturating_sub(pool_mb);
        if left_mb < LEAST_PICTURES_MB {
            let names = wishes.iter().flat_map(|(_, facts)| facts).map(|facts| facts.card.name.as_str());
            let names: Vec<&str> = names.collect();
            return Err(StartError::usage(format!(
                "memory_mb is {memory_mb}, but the tiles of {workers} threads with model {} take \
                 {pool_mb} MB: give it at least {}, or fewer threads{}",
                names.join(", "),
                pool_mb + LEAST_PICTURES_MB,
                if tiles > 1 { format!(", or a batch of less than {tiles}") } else { String::new() }
            )));
        }
        let lines = wishes.iter().map(|(wish, facts)| Line::new(choice, serving, wish, facts));
        let (limits, once) = (choice.limits, choice.once);
        Ok(Plan {
            lines: lines.collect::<Result<_, _>>()?,
            admission: Admission {
                limits,
                memory_mb: usize::try_from(left_mb).unwrap_or(usize::MAX),
                reserve_mb: choice.reserve_mb,
                force: choice.force,
                once,
                backoff: Backoff::default(),
            },
            decoders,
            batching,
            inferring: Inferring { tiles, prove: choice.computing.prove },
            encoders,
            recording: Recording { limits, once },
            supervision: choice.supervision,
        })
    }
}

impl Line {
    /// Where the result of a picture goes that is written as this.
    pub fn target(&self, relative: &Path, format: Format) -> PathBuf {
        self.file_name.target(&self.output, relative, self.scale, &self.model_name, format)
    }

    /// The step after which nothing comes but the result.
    pub fn last(&self) -> &Step {
        self.steps.last().expect("a line has a step")
    }

    /// What must be there for it to go on.
    pub fn stands_on(&self) -> StandsOn<'_> {
        let masks = match self.wanted.masking.as_ref().map(|masking| &masking.from) {
            Some(MaskFrom::Folder(folder, _)) => Some(folder.as_path()),
            _ => None,
        };
        StandsOn { name: &self.name, output: &self.output, masks }
    }

    fn new(choice: &Choice, serving: &Serving, wish: &Wish, steps: &[Facts]) -> Result<Line, StartError> {
        let (facts, before) = steps.split_last().expect("a line has a model");
        let refused = |problem| StartError::Model { name: facts.card.name.clone(), problem };
        check(choice.computing.precision, wish, steps)?;
        let telling = Telling::new(&facts.card.sources, wish.source).map_err(refused)?;
        let wanted = Fingerprint {
            model_sha256: facts.sha256.clone(),
            terms: facts.terms.clone(),
            repaired_by: before.first().map(Facts::to_text),
            strength: facts.strength,
            seed: wish.seed,
            telling,
            masking: wish.masking.clone(),
            uncertainty: wish.uncertainty,
            keeping: wish.keeping,
            source_type: wish.source_type,
            format: wish.format,
            precision: choice.computing.precision,
        };
        let done = wanted.to_text();
        let Megapixels { least, most } = wish.megapixels;
        let rule = if wish.megapixels == Megapixels::default() {
            String::new()
        } else {
            format!(" {least} to {most} MP")
        };
        let failed = format!("{done} {:?}{rule} version {}", choice.limits, env!("CARGO_PKG_VERSION"));
        Ok(Line {
            name: wish.name.clone(),
            output: wish.output.clone(),
            megapixels: wish.megapixels,
            file_name: wish.file_name.clone(),
            number: wish.number,
            access: wish.access,
            originals: wish.originals.clone(),
            wanted,
            done,
            failed,
            steps: steps
                .iter()
                .enumerate()
                .map(|(number, facts)| Step {
                    tiling: facts.tiling,
                    scale: facts.card.scale,
                    model: facts.model,
                    strength: facts.strength,
                    uncertainty: wish.uncertainty.filter(|_| number + 1 == steps.len()),
                })
                .collect(),
            scale: steps.iter().map(|facts| facts.card.scale).product(),
            model_name: facts.card.name.clone(),
            precision: facts.card.precision,
            served: served(steps, serving),
            device: joined(&serving.devices),
        })
    }
}

/// What serves a line, as people read it.
fn served(steps: &[Facts], serving: &Serving) -> String {
    let fallen = serving.fallen.as_ref();
    let why = fallen.map_or_else(String::new, |why| format!(", since CUDA is not usable: {why}"));
    let step = |facts: &Facts| format!("{} in {}", facts.card.name, facts.card.precision.word());
    let steps: Vec<String> = steps.iter().map(step).collect();
    format!("{} on {}{why}", steps.join(", then "), joined(&serving.devices))
}

/// Whether each model can do its step, and as it is wished.
fn check(precision: Wanted, wish: &Wish, steps: &[Facts]) -> Result<(), StartError> {
    let repairs = usize::from(wish.masking.is_some());
    for (number, Facts { card, terms, .. }) in steps.iter().enumerate() {
        let task = if number < repairs { Task::Inpainting } else { Task::SuperResolution };
        let problem = if card.task != task {
            wrong_task(&wish.name, card.task, terms.is_some())
        } else if !precision.accepts(card.precision) {
            let word = card.precision.word();
            let by_itself = format!("it computes in {word} by itself: leave precision at auto");
            if terms.is_some() { by_itself } else { format!("{by_itself}, or name the file in f32") }
        } else if steps.len() == repairs && wish.uncertainty.is_some() {
            "an uncertainty map is for super-resolution: leave uncertainty out".into()
        } else {
            continue;
        };
        return Err(StartError::Model { name: card.name.clone(), problem });
    }
    Ok(())
}

/// A model can do one of both tasks, and is asked for the other.
fn wrong_task(pipeline: &str, task: Task, is_declared: bool) -> String {
    let says = if is_declared { "it is declared (task of its [[model]]) as" } else { "its card says" };
    let asked_by = if pipeline.is_empty() { "what is asked for".to_owned() } else { pipeline.to_owned() };
    match task {
        Task::Inpainting => format!(
            "{says} inpainting, and the task of {asked_by} is super-resolution: name a model that \
             enlarges, or make the task inpaint"
        ),
        Task::SuperResolution => format!(
            "{says} super-resolution, and the task of {asked_by} is inpaint: name a model that \
             repairs, or make the task super-resolution"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::device::Device;
    use crate::work::masking::Masking;
    use crate::work::tiling::card;
    use contract::card::ModelCard;

    #[test]
    fn too_little_memory_is_refused_with_what_it_takes() {
        let facts = Facts {
            card: card(8, 1),
            sha256: "feed".into(),
            terms: None,
            strength: 0.0,
            tiling: Tiling::new(&card(8, 1), Device::Cpu, None),
            model: 0,
        };
        let choice = |memory_mb| Choice {
            computing: Computing { threads: 2, ..Computing::default() },
            limits: Limits { memory_mb, ..Limits::default() },
            reserve_mb: 0,
            force: false,
            once: true,
            supervision: Supervision::default(),
        };
        let wish = Wish::new("/out".into());
        // Ten windows of 384² and what is kept of five outputs, 16 times as large, two bytes a sample.
        let pool = 10 * 12 * 384 * 384 + 5 * 2 * 3 * 16 * 384 * 384;
        let plan = |memory_mb, uncertainty| {
            let serving = Serving::on_cpu(2);
            Plan::new(
                &choice(memory_mb),
                &serving,
                &[(Wish { uncertainty, ..wish.clone() }, vec![facts.clone()])],
            )
        };
        let error = plan(100, None).expect_err("too little").to_string();
        let told = format!("take {} MB: give it at least {}", pool / 1_000_000 + 1, pool / 1_000_000 + 65);
        assert!(error.contains(&told), "{error}");
        assert_eq!(plan(500, None).expect("enough").admission.memory_mb, 500 - pool / 1_000_000 - 1);
        // One more channel of what is kept, and two floats a pixel in each thread.
        let mapped = pool + (5 + 2 * 8) * 16 * 384 * 384;
        assert_eq!(plan(500, Some(2)).expect("enough").admission.memory_mb, 500 - mapped / 1_000_000 - 1);
        // A model from elsewhere has its values in its own order, twice, in each thread.
        let left = |wish: &Wish, steps: Vec<Facts>| {
            let plan = Plan::new(&choice(900), &Serving::on_cpu(2), &[(wish.clone(), steps)]);
            plan.expect("enough").admission.memory_mb
        };
        let foreign = Facts { terms: Some("other".into()), ..facts.clone() };
        let converted = pool + 2 * 32 * (384 * 384 + 16 * 384 * 384);
        assert_eq!(left(&wish, vec![foreign]), 900 - converted / 1_000_000 - 1);
        // Two steps have queues of their own.
        let repairs = ModelCard { task: Task::Inpainting, scale: 1, hole_px: 64, ..card(8, 1) };
        let tiling = Tiling::new(&repairs, Device::Cpu, None);
        let repairs = Facts { tiling, card: repairs, ..facts.clone() };
        let masked = Wish { masking: Some(Masking::new(MaskFrom::Alpha)), ..wish.clone() };
        let alone = 900 - left(&masked, vec![repairs.clone()]);
        assert_eq!(900 - left(&masked, vec![repairs, facts.clone()]), alone + pool / 1_000_000 + 1);
    }
}
