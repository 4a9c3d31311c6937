//! The whole topology on one screen: every channel, every thread, in the order of the data. Decides nothing.

use crate::board::Board;
use crate::crew::Crew;
use crate::edge::ledger::Ledger;
use crate::edge::model::Model;
use crate::error::End;
use crate::flight::Flight;
use crate::job::{Ended, Job, Settled, Sighting};
use crate::plan::{Leg, Plan};
use crate::pulse::Trap;
use crate::stage::originals::Landed;
use crate::stage::record::Summary;
use crate::stage::report::Report;
use crate::stage::watch::Watching;
use crate::stage::{self, Batch, Finished, Inferred, Onward, Tile, admit};
use crate::stop::{Never, Stop, StopHandle};
use crossbeam_channel::{Receiver, bounded};
use std::sync::{Arc, OnceLock};

/// Sightings on their way to `admit`: a hint is small, and a full queue only makes `watch` wait.
const SIGHTINGS: usize = 1024;
/// Ends on their way to `record`: enough that a burst of skips does not wait for the log.
const ENDED: usize = 64;

/// What is repaired and waits to be enlarged, so that lines of one step seldom wait for it: its memory is
/// reckoned with its picture's.
const REPAIRED: usize = 256;

/// Where pictures come from.
pub enum Intake {
    /// These, then the end.
    List(Box<dyn Iterator<Item = Sighting> + Send>),
    /// Whatever comes into these folders, until the stop.
    Folders(Vec<Watching>),
}

/// What the pipeline works with.
pub struct Edges<'a> {
    /// The networks of each `infer` thread, in the order that lines count them.
    pub workers: Vec<Vec<Box<dyn Model>>>,
    /// The same for what is repaired and then enlarged; none where nothing is.
    pub second: Vec<Vec<Box<dyn Model>>>,
    /// Where pictures come from.
    pub intake: Intake,
    /// Three connections to one ledger: for what is about to be done, for what became of it, and for facts of
    /// the machine.
    pub ledgers: [Ledger; 3],
    /// Sees each picture's end.
    pub observe: Box<dyn FnMut(&Settled) + Send + 'a>,
    /// Faults, for tests.
    pub trap: Option<Trap>,
}

/// Runs to the end of the intake, the stop, or a fatal error; all threads are joined when it returns.
pub fn run(plan: &Plan, edges: Edges<'_>, stop_handle: &StopHandle, stop: &Stop) -> (Summary, End) {
    let Edges { workers, second, intake, ledgers: [intents, ends, mut facts], mut observe, trap } = edges;
    let (mut summary, flight) = (Summary::default(), Flight::default());
    let places: Vec<_> = plan.lines.iter().map(|_| OnceLock::new()).collect();
    let end = std::thread::scope(|scope| {
        let (lines, places) = (plan.lines.as_slice(), places.as_slice());
        let (decoders, encoders) = (plan.decoders.max(1), plan.encoders.max(1));
        let (job_tx, job_rx) = bounded::<Arc<Job>>(decoders); // one ready for each decoder
        let (tile_tx, tile_rx) = bounded::<Tile>(plan.batching.queued);
        let (finished_tx, finished_rx) = bounded::<Finished>(encoders); // one ready for each encoder
        let (repaired_tx, repaired_rx) = bounded::<Finished>(REPAIRED);
        let (ended_tx, ended_rx) = bounded::<Ended>(ENDED);
        let (landed_tx, landed_rx) = bounded::<Landed>(ENDED); // as `record` tells them
        let (alive, over) = bounded::<Never>(0); // closes when `originals`, the last of all, ends
        let mut crew = Crew::new(scope, stop_handle.clone(), trap);

        let board = Board::new(lines.len());
        let mut report = Report::new(&intake, lines, board.clone());
        let recorded = board.clone();
        let inboxes = watch(&mut crew, intake, &board, stop);
        let doors = admit::Doors {
            inboxes,
            outbox: job_tx,
            ends: ended_tx,
            ledger: intents,
            flight: flight.clone(),
            board,
            stop: stop.clone(),
        };
        crew.spawn("admit", move |pulse| admit::run(&plan.admission, lines, pulse, doors));
        let enlarge = (!second.is_empty()).then_some(repaired_tx);
        let onward = Onward { encode: finished_tx.clone(), enlarge };
        for n in 0..decoders {
            let (inbox, outboxes) = (job_rx.clone(), (tile_tx.clone(), onward.clone()));
            let name = format!("decode-{n}");
            crew.spawn(&name, move |pulse| {
                stage::decode::run((lines, &plan.admission.limits), pulse, inbox, outboxes)
            });
        }
        drop((job_rx, tile_tx));
        leg(&mut crew, (plan, 0), workers, tile_rx, onward);
        if !second.is_empty() {
            let (tile_tx, tile_rx) = bounded::<Tile>(plan.batching.queued);
            crew.spawn("enlarge", move |pulse| stage::enlarge::run(pulse, repaired_rx, tile_tx));
            leg(&mut crew, (plan, 1), second, tile_rx, Onward { encode: finished_tx, enlarge: None });
        } else {
            drop((finished_tx, repaired_rx));
        }
        for n in 0..encoders {
            let inbox = finished_rx.clone();
            let name = format!("encode-{n}");
            crew.spawn(&name, move |pulse| stage::encode::run((lines, places), pulse, inbox));
        }
        drop(finished_rx);
        let (summary, observe) = (&mut summary, observe.as_mut());
        crew.spawn("record", move |pulse| {
            let doors = (&ended_rx, landed_tx);
            stage::record::run((&plan.recording, &recorded), lines, pulse, doors, ends, summary, observe)
        });
        crew.spawn("originals", move |pulse| {
            let _alive = alive;
            stage::originals::run(lines, pulse, &landed_rx)
        });
        let (pulses, flight) = (crew.pulses(), flight.clone());
        crew.spawn("supervise", move |_| {
            stage::supervise::run(&plan.supervision, &mut report, &pulses, &flight, &mut facts, stop, &over)
        });
        crew.join()
    });
    (summary, end)
}

/// The threads that do one step of each line, from tiles to whole pictures. What goes through two has two of
/// each, one behind the other: no edge goes back.
fn leg<'scope>(
    crew: &mut Crew<'scope, '_>,
    (plan, number): (&'scope Plan, usize),
    networks: Vec<Vec<Box<dyn Model>>>,
    tiles: Receiver<Tile>,
    onward: Onward,
) {
    let (leg, workers) = (Leg { lines: &plan.lines, number }, networks.len());
    let (batch_tx, batch_rx) = bounded::<Batch>(workers); // one ready for each worker
    let (inferred_tx, inferred_rx) = bounded::<Inferred>(workers); // one from each worker
    let named = |stage: &str| if number == 0 { stage.to_owned() } else { format!("{stage}-{}", number + 1) };
    crew.spawn(&named("batch"), move |pulse| stage::batch::run(&plan.batching, pulse, &tiles, &batch_tx));
    for (n, models) in networks.into_iter().enumerate() {
        let (inbox, outbox) = (batch_rx.clone(), inferred_tx.clone());
        let name = format!("{}-{n}", named("infer"));
        crew.spawn(&name, move |pulse| {
            stage::infer::run((leg, plan.inferring), pulse, models, inbox, outbox)
        });
    }
    crew.spawn(&named("blend"), move |pulse| stage::blend::run(leg, pulse, inferred_rx, onward));
}

/// One thread sees pictures for each folder, or for the list, and tells them on a channel of its own. Gives
/// those channels.
fn watch<'scope>(
    crew: &mut Crew<'scope, '_>,
    intake: Intake,
    board: &Board,
    stop: &Stop,
) -> Vec<admit::Inbox> {
    let watchings = match intake {
        Intake::List(list) => {
            let (stop, (outbox, inbox)) = (stop.clone(), bounded(SIGHTINGS));
            crew.spawn("watch", move |_| stage::watch::list(list, &outbox, &stop));
            return vec![admit::Inbox { line: 0, priority: 0, sightings: inbox }];
        }
        Intake::Folders(watchings) => watchings,
    };
    let mut inboxes = Vec::new();
    for (n, watching) in watchings.into_iter().enumerate() {
        let (board, stop, (outbox, inbox)) = (board.clone(), stop.clone(), bounded(SIGHTINGS));
        inboxes.push(admit::Inbox { line: watching.line, priority: watching.priority, sightings: inbox });
        let name = format!("watch-{n}");
        crew.spawn(&name, move |pulse| stage::watch::folder(&watching, pulse, &outbox, &board, &stop));
    }
    inboxes
}
