//! The report of a model: public sets through the ONNX files that ship, samples on the held-out crops, as
//! Markdown and JSON. It says what was measured, with which seeds, and what was not.

use super::estimate::SECOND_STEPS;
use super::sample_figures::{SPECTRUM_STRENGTHS, SampleFigures};
use super::sets::{Row, TABLE_HEAD};
use contract::source::Source;
use serde::Serialize;

/// R² above which the forecast of what a strength costs may be promised.
const FORECAST_HOLDS: f64 = 0.999;

/// What the sample figures were measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Crops.
    pub crops: usize,
    /// Whether they were kept out of training; without a held-out list the first training crops stand in.
    pub held_out: bool,
    /// Samples of each, with seeds 1 to this.
    pub samples: usize,
}

/// Everything measured on one model.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Model name.
    pub model: String,
    /// Minutes of training.
    pub minutes: f64,
    /// What it was trained on.
    pub device: String,
    /// Seed of the training.
    pub training_seed: u64,
    /// Seed of the samples on the public sets.
    pub sets_seed: u64,
    /// Parameters: mean net, scale head, consistency net.
    pub parameters: [i64; 3],
    /// Largest difference between files and networks.
    pub parity: f32,
    /// The public sets.
    pub rows: Vec<Row>,
    /// Figures of samples of clean pictures; none of a mean net alone.
    pub samples: Option<Samples>,
    /// The same of pictures that were damaged, and said to be, for every source that was trained on.
    pub damaged: Vec<Damaged>,
}

/// Figures of samples, the network's and the baseline's.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Samples {
    /// The crops behind them.
    pub judged: Judged,
    /// One-step samples.
    pub sample: SampleFigures,
    /// After a second step from each of [`SECOND_STEPS`], where consistency training came last.
    pub two_steps: Option<[SampleFigures; SECOND_STEPS.len()]>,
    /// The grain baseline.
    pub grain: SampleFigures,
}

/// Figures of samples of damaged pictures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Damaged {
    /// What was done to them, and what the networks were told.
    #[serde(serialize_with = "named")]
    pub source: Source,
    /// Their figures.
    pub samples: Samples,
}

fn named<S: serde::Serializer>(source: &Source, into: S) -> Result<S::Ok, S::Error> {
    into.collect_str(source)
}

impl Report {
    /// The report as a page.
    pub fn to_markdown(&self) -> String {
        let [mean, scale, sampler] = self.parameters;
        let mut lines = vec![
            format!("# {}\n", self.model),
            format!("Trained {:.1} minutes on {}, seed {}.", self.minutes, self.device, self.training_seed),
            format!("Parameters: mean net {mean}, scale head {scale}, consistency net {sampler}."),
            format!("ONNX Runtime (CPU, f32) differs from the networks by at most {:.1e}.\n", self.parity),
        ];
        if !self.rows.is_empty() {
            lines.push(format!("Public sets, bicubic degradation, seed {}:\n", self.sets_seed));
            lines.push(TABLE_HEAD.into());
            lines.extend(self.rows.iter().map(Row::to_markdown));
            lines.push(String::new());
        }
        if let Some(samples) = &self.samples {
            samples.add_table(Source::Clean, &mut lines);
            samples.add_strength_table(&mut lines);
        }
        for Damaged { source, samples } in &self.damaged {
            samples.add_table(*source, &mut lines);
        }
        lines.push(self.not_measured());
        lines.join("\n") + "\n"
    }

    fn not_measured(&self) -> String {
        let mut missing = vec!["the public sets damaged", "spread over training seeds", "FD"];
        if self.rows.is_empty() {
            missing.insert(0, "the public sets");
        }
        format!("One training run, one seed. Not measured: {}.", missing.join(", "))
    }
}

impl Samples {
    fn add_table(&self, source: Source, lines: &mut Vec<String>) {
        let Judged { crops, held_out, samples } = self.judged;
        let kind = if held_out { "held-out crops" } else { "crops of the training data (none is held out)" };
        let damage = match source {
            Source::Clean => String::new(),
            damage => format!(", damaged as of source {damage} and said to be"),
        };
        lines.push(format!(
            "{crops} {kind}{damage}, {samples} samples each (seeds 1 to {samples}), strength 1:\n"
        ));
        let heads = ["std ratio", "block correlation", "energy score", "kurtosis"];
        let heads = [&heads[..], &["quiet ratio", "quiet colour", "posterior gain dB"]].concat();
        let spectra = SPECTRUM_STRENGTHS.map(|strength| format!("spectrum error at {strength}"));
        let heads: Vec<String> = heads.into_iter().chain(["spread/skill"]).map(str::to_owned).collect();
        let heads = [heads, spectra.to_vec()].concat();
        lines.push(format!("| | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len())));
        let again = SECOND_STEPS.iter().zip(self.two_steps.into_iter().flatten());
        let again = again.map(|(level, figures)| (format!("two steps, again from σ = {level}"), figures));
        let (one, grain) =
            (("one-step sample".to_owned(), self.sample), ("grain, no network".into(), self.grain));
        for (name, f) in std::iter::once(one).chain(again).chain([grain]) {
            let figures = [f.std_ratio, f.block_correlation, f.energy_score, f.kurtosis];
            let quiet = [f.quiet_ratio, f.quiet_colour, f.posterior_gain, f.spread_skill];
            let figures = [&figures[..], &quiet, &f.spectrum_error].concat();
            let figures: Vec<String> = figures.iter().map(|v| format!("{v:.4}")).collect();
            lines.push(format!("| {name} | {} |", figures.join(" | ")));
        }
        let (kurtosis, gain) = (self.sample.truth_kurtosis, ideal_gain(samples));
        let none = "| 0 ".repeat(SPECTRUM_STRENGTHS.len());
        lines.push(format!(
            "| right | 1 | 1 | lower is better | {kurtosis:.4} | 1 | 1 | {gain:.4} | 1 {none}|\n"
        ));
    }

    /// What strength costs, forecast and measured.
    fn add_strength_table(&self, lines: &mut Vec<String>) {
        let (sample, grain) = (self.sample.strength, self.grain.strength);
        let (half, all) = (self.judged.samples / 2, self.judged.samples);
        lines.push(format!(
            "What strength costs: PSNR (RGB, dB) of the mean squared error over the same crops, forecast \
             A − 2λB + λ²C from seeds 1 to {half}, measured with seeds {} to {all}, as it is and on 8-bit \
             pictures:\n",
            half + 1
        ));
        let heads = ["forecast", "measured", "8 bit"];
        let heads = ["sample", "grain"].map(|name| heads.map(|head| format!("{name}, {head}")).join(" | "));
        lines.push(format!("| strength | {} |\n|---|---|---|---|---|---|---|", heads.join(" | ")));
        for (point, baseline) in sample.points.iter().zip(&grain.points) {
            let cells = [point, baseline]
                .map(|p| format!("{:.2} | {:.2} | {:.2}", p.forecast, p.measured, p.eight_bit));
            lines.push(format!("| {} | {} |", point.strength, cells.join(" | ")));
        }
        lines.push(String::new());
        for (name, curve) in [("Sample", sample), ("Grain", grain)] {
            let holds = if curve.r_squared > FORECAST_HOLDS { "" } else { ", too little to promise it" };
            lines.push(format!(
                "{name}: A = {:.4e}, B = {:.4e}, C = {:.4e}; R² of the forecast {:.5}{holds}.",
                curve.a, curve.b, curve.c, curve.r_squared
            ));
        }
        lines.push(String::new());
    }
}

/// Posterior gain of a perfect sampler with k samples: 10·log₁₀(2 / (1 + 1/k)).
fn ideal_gain(k: usize) -> f64 {
    10.0 * (2.0 / (1.0 + 1.0 / k as f64)).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{CURVE, StrengthCurve, StrengthPoint};

    fn report(rows: Vec<Row>, r_squared: f64) -> Report {
        let points =
            CURVE.map(|strength| StrengthPoint { strength, forecast: 25.0, measured: 24.0, eight_bit: 23.0 });
        let figures = SampleFigures {
            std_ratio: 0.9,
            block_correlation: 0.8,
            energy_score: 0.7,
            kurtosis: 3.3,
            truth_kurtosis: 15.8,
            quiet_ratio: 1.25,
            quiet_colour: 0.625,
            posterior_gain: 2.1,
            spread_skill: 0.95,
            spectrum_error: [1.75, 0.74, 0.42],
            strength: StrengthCurve { a: 4e-3, b: 1e-5, c: 3e-3, points, r_squared },
        };
        let judged = Judged { crops: 24, held_out: true, samples: 8 };
        Report {
            model: "sr-x4".into(),
            minutes: 12.34,
            device: "a device".into(),
            training_seed: 7,
            sets_seed: crate::measure::SETS_SEED,
            parameters: [1, 2, 3],
            parity: 1e-6,
            rows,
            samples: Some(Samples {
                judged,
                sample: figures,
                two_steps: Some([figures, SampleFigures { kurtosis: 0.87, ..figures }, figures]),
                grain: SampleFigures { spread_skill: 1.05, ..figures },
            }),
            damaged: vec![Damaged {
                source: Source::Photo,
                samples: Samples { judged, sample: figures, two_steps: None, grain: figures },
            }],
        }
    }

    /// Every table has as many cells in each line as its head.
    fn assert_tables(page: &str) {
        let mut columns = None;
        for line in page.lines() {
            let bars = line.matches('|').count();
            if bars == 0 {
                columns = None;
            } else {
                assert_eq!(*columns.get_or_insert(bars), bars, "{line}");
            }
        }
    }

    #[test]
    fn a_report_says_what_with_which_seeds_and_what_not() {
        let set = "Set5".to_owned();
        let method = "strength 0.5".to_owned();
        let row =
            Row { set, method, pictures: 5, psnr_y: 30.0, ssim_y: 0.9, lr_psnr_y: 50.0, spectrum_error: 0.5 };
        let made = report(vec![row], 0.9999);
        assert_eq!(serde_json::to_value(&made).unwrap()["damaged"][0]["source"], "photo");
        let page = made.to_markdown();
        assert_tables(&page);
        for words in [
            "Trained 12.3 minutes on a device, seed 7.",
            "| Set5 (5) | strength 0.5 | 30.00 | 0.9000 | 50.0 | 0.500 |",
            "24 held-out crops, 8 samples each (seeds 1 to 8)",
            "24 held-out crops, damaged as of source photo and said to be, 8 samples each",
            "| one-step sample | 0.9000 | 0.8000 | 0.7000 | 3.3000 | 1.2500 | 0.6250 | 2.1000 | 0.9500 |",
            " | 2.1000 | 0.9500 | 1.7500 | 0.7400 | 0.4200 |",
            "| two steps, again from σ = 0.8 | 0.9000 | 0.8000 | 0.7000 | 0.8700 |",
            "| grain, no network | 0.9000 | 0.8000 | 0.7000 | 3.3000 | 1.2500 | 0.6250 | 2.1000 | 1.0500 |",
            "| 0.75 | 25.00 | 24.00 | 23.00 | 25.00 | 24.00 | 23.00 |",
            "from seeds 1 to 4, measured with seeds 5 to 8",
            "Not measured: the public sets damaged,",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        assert!(!page.contains("too little"), "{page}");

        let mut other = report(vec![], 0.99);
        other.samples.as_mut().unwrap().judged.held_out = false;
        let page = other.to_markdown();
        assert_tables(&page);
        assert!(page.contains("0.99000, too little to promise it"), "{page}");
        assert!(page.contains("24 crops of the training data (none is held out)"), "{page}");
        assert!(page.contains("Not measured: the public sets, the public sets damaged"), "{page}");
    }
}
