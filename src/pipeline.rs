//! The whole topology on one screen: every channel, every thread, in the order of the data. Decides nothing.

use crate::crew::Crew;
use crate::edge::model::Model;
use crate::error::End;
use crate::job::{Job, Settled, Sighting};
use crate::plan::Plan;
use crate::stage::record::{Recording, Summary};
use crate::stage::watch::Watching;
use crate::stage::{self, Batch, Finished, Inferred, Tile, admit};
use crate::stop::{Stop, StopHandle};
use crossbeam_channel::bounded;
use std::sync::Arc;

/// Sightings on their way to `admit`: a hint is small, and a full queue only makes `watch` wait.
const SIGHTINGS: usize = 1024;
/// Ends on their way to `record`: enough that a burst of skips does not wait for the log.
const SETTLED: usize = 64;

/// Where pictures come from.
pub enum Intake {
    /// These, then the end.
    List(Box<dyn Iterator<Item = Sighting> + Send>),
    /// Whatever comes into a folder, until the stop.
    Folder(Watching),
}

/// What the pipeline works with.
pub struct Edges<'a> {
    /// One for each `infer` thread.
    pub models: Vec<Box<dyn Model>>,
    /// Where pictures come from.
    pub intake: Intake,
    /// Sees each picture's end.
    pub observe: Box<dyn FnMut(&Settled) + Send + 'a>,
}

/// Runs to the end of the intake, the stop, or a fatal error; all threads are joined when it returns.
pub fn run(plan: &Plan, edges: Edges<'_>, stop_handle: &StopHandle, stop: &Stop) -> (Summary, End) {
    let Edges { models, intake, mut observe } = edges;
    let mut summary = Summary::default();
    let end = std::thread::scope(|scope| {
        let (workers, tiles) = (models.len(), plan.batching.tiles);
        let (decoders, encoders) = (plan.decoding.threads.max(1), plan.encoding.threads.max(1));
        let (sighting_tx, sighting_rx) = bounded::<Sighting>(SIGHTINGS);
        let (job_tx, job_rx) = bounded::<Arc<Job>>(decoders); // one ready for each decoder
        let (tile_tx, tile_rx) = bounded::<Tile>(2 * tiles * workers); // two batches for each worker
        let (batch_tx, batch_rx) = bounded::<Batch>(workers); // one ready for each worker
        let (inferred_tx, inferred_rx) = bounded::<Inferred>(workers); // one from each worker
        let (finished_tx, finished_rx) = bounded::<Finished>(encoders); // one ready for each encoder
        let (settled_tx, settled_rx) = bounded::<Settled>(SETTLED);
        let mut crew = Crew::new(scope, stop_handle.clone());

        let watch_stop = stop.clone();
        crew.spawn("watch", move || match intake {
            Intake::List(list) => stage::watch::list(list, &sighting_tx, &watch_stop),
            Intake::Folder(watching) => stage::watch::folder(&watching, &sighting_tx, &watch_stop),
        });
        let doors =
            admit::Doors { inbox: sighting_rx, outbox: job_tx, settled: settled_tx, stop: stop.clone() };
        crew.spawn("admit", move || admit::run(&plan.admission, doors));
        for n in 0..decoders {
            let (inbox, outbox) = (job_rx.clone(), tile_tx.clone());
            crew.spawn(&format!("decode-{n}"), move || stage::decode::run(&plan.decoding, inbox, outbox));
        }
        drop((job_rx, tile_tx));
        crew.spawn("batch", move || stage::batch::run(&plan.batching, &tile_rx, &batch_tx));
        for (n, model) in models.into_iter().enumerate() {
            let (inbox, outbox) = (batch_rx.clone(), inferred_tx.clone());
            crew.spawn(&format!("infer-{n}"), move || {
                stage::infer::run(&plan.inference, model, inbox, outbox)
            });
        }
        drop((batch_rx, inferred_tx));
        crew.spawn("blend", move || stage::blend::run(&plan.inference, inferred_rx, finished_tx));
        for n in 0..encoders {
            let inbox = finished_rx.clone();
            crew.spawn(&format!("encode-{n}"), move || stage::encode::run(&plan.encoding, inbox));
        }
        drop(finished_rx);
        let recording = Recording { output: plan.output.clone(), limits: plan.admission.limits };
        let (summary, observe) = (&mut summary, observe.as_mut());
        crew.spawn("record", move || stage::record::run(&recording, settled_rx, summary, observe));
        crew.join()
    });
    (summary, end)
}
