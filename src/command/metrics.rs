//! `onestep status --prometheus`: what `status` knows as metrics in Prometheus' text format, version 0.0.4.
//! Knows no ledger.

use crate::edge::ledger::PipelineRow;
use crate::edge::record::Status;
use std::fmt::Write;

/// One metric: name, what it says, and its value of each ledger or pipeline.
struct Metric {
    name: &'static str,
    help: &'static str,
    values: Vec<(String, f64)>,
}

/// All metrics of these ledgers, each told apart by its state folder. All are gauges: `retry` and a changed
/// picture take away from what is done or failed.
pub(super) fn exposition(statuses: &[Status]) -> String {
    let mut text = String::new();
    for Metric { name, help, values } in of_ledgers(statuses).into_iter().chain(of_pipelines(statuses)) {
        if values.is_empty() {
            continue;
        }
        let lines = values.iter().map(|(labels, value)| format!("onestep_{name}{{{labels}}} {value}\n"));
        let lines: String = lines.collect();
        // Into a String: cannot fail.
        write!(text, "# HELP onestep_{name} {help}\n# TYPE onestep_{name} gauge\n{lines}").ok();
    }
    text
}

fn of_ledgers(statuses: &[Status]) -> [Metric; 6] {
    let each = |value: &dyn Fn(&Status) -> f64| {
        statuses.iter().map(|status| (label("state", &status.state), value(status))).collect()
    };
    let pictures = statuses.iter().flat_map(|status| {
        let counts = [("done", status.done), ("failed", status.failed), ("started", status.started)];
        counts.map(|(outcome, count)| {
            (format!("{},{}", label("state", &status.state), label("outcome", outcome)), count as f64)
        })
    });
    let left = statuses.iter().filter_map(|status| {
        status.minutes_left.map(|minutes| (label("state", &status.state), minutes * 60.0))
    });
    let help = "Pictures in the ledger; started: in work, or interrupted where none is at work.";
    [
        Metric {
            name: "up",
            help: "Whether a onestep is at work.",
            values: each(&|status| f64::from(status.at_work.is_some())),
        },
        Metric {
            name: "paused",
            help: "Whether it was asked to pause.",
            values: each(&|status| f64::from(status.paused)),
        },
        Metric { name: "pictures", help, values: pictures.collect() },
        Metric {
            name: "done_last_hour",
            help: "Pictures done in the last hour.",
            values: each(&|status| status.done_in_last_hour as f64),
        },
        Metric {
            name: "done_per_minute",
            help: "Pictures done a minute, in the last ten minutes of this run.",
            values: each(&|status| status.done_a_minute.unwrap_or(0.0)),
        },
        Metric {
            name: "left_seconds",
            help: "How long what waits takes at that rate.",
            values: left.collect(),
        },
    ]
}

fn of_pipelines(statuses: &[Status]) -> [Metric; 3] {
    let each = |value: &dyn Fn(&PipelineRow) -> f64| {
        let rows = statuses.iter().flat_map(|status| status.pipelines.iter().map(move |row| (status, row)));
        rows.map(|(status, row)| {
            let labels = format!("{},{}", label("state", &status.state), label("pipeline", &row.name));
            (labels, value(row))
        })
        .collect()
    };
    [
        Metric {
            name: "waiting",
            help: "Pictures that are whole and wait.",
            values: each(&|row| row.waiting as f64),
        },
        Metric {
            name: "settling",
            help: "Files that may still be in writing.",
            values: each(&|row| row.settling as f64),
        },
        Metric {
            name: "held",
            help: "Whether the pipeline begins nothing new, by a pause or by trouble with its folders.",
            values: each(&|row| f64::from(row.held.is_some())),
        },
    ]
}

/// `name="value"`, escaped as the format wants it.
fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str) -> Status {
        let row = PipelineRow { name: "a \"b\"\\\n".into(), waiting: 7, settling: 2, ..Default::default() };
        let held = PipelineRow { name: "c".into(), held: Some("no room".into()), ..Default::default() };
        Status {
            state: state.into(),
            at_work: Some("12".into()),
            paused: false,
            began: None,
            ended: None,
            ending: String::new(),
            started: 1,
            done: 20,
            failed: 3,
            done_in_last_hour: 4,
            done_a_minute: Some(0.5),
            minutes_left: Some(16.0),
            pipelines: vec![row, held],
            failures: Vec::new(),
        }
    }

    #[test]
    fn every_count_has_its_metric_and_its_labels() {
        let gone = Status { at_work: None, paused: true, minutes_left: None, ..status("/b") };
        let text = exposition(&[status("/a"), gone]);
        for line in [
            "onestep_up{state=\"/a\"} 1",
            "onestep_up{state=\"/b\"} 0",
            "onestep_paused{state=\"/a\"} 0",
            "onestep_paused{state=\"/b\"} 1",
            "onestep_pictures{state=\"/a\",outcome=\"done\"} 20",
            "onestep_pictures{state=\"/a\",outcome=\"failed\"} 3",
            "onestep_pictures{state=\"/b\",outcome=\"started\"} 1",
            "onestep_done_last_hour{state=\"/a\"} 4",
            "onestep_done_per_minute{state=\"/a\"} 0.5",
            "onestep_left_seconds{state=\"/a\"} 960",
            "onestep_waiting{state=\"/a\",pipeline=\"a \\\"b\\\"\\\\\\n\"} 7",
            "onestep_settling{state=\"/a\",pipeline=\"c\"} 0",
            "onestep_settling{state=\"/b\",pipeline=\"a \\\"b\\\"\\\\\\n\"} 2",
            "onestep_held{state=\"/a\",pipeline=\"c\"} 1",
            "onestep_held{state=\"/a\",pipeline=\"a \\\"b\\\"\\\\\\n\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}\n{text}");
        }
        // What is not known is not told, and each metric is declared once, before its values.
        assert!(!text.contains("onestep_left_seconds{state=\"/b\"}"));
        assert_eq!(text.matches("# TYPE onestep_pictures gauge\n").count(), 1);
        assert_eq!(text.matches("# TYPE").count(), 9);
        assert_eq!(exposition(&[]), "");
    }
}
