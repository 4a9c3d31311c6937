//! `loss.svg`: the losses of a run, drawn from its log.jsonl, one panel a stage. The one door to plotters;
//! knows the log's lines and nothing of training, so a new stage needs nothing here.

use crate::run_folder;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use serde::Deserialize;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Width of the drawing and height of a panel, in pixels.
const PANEL: (u32, u32) = (900, 250);
/// Most points of a thin line: two a pixel column.
const RAW_POINTS: usize = 1600;
/// Most points of a thick line.
const MEDIAN_POINTS: usize = 400;
/// The running median is over one in so many readings of a stage, but over five at least.
const MEDIAN_SHARE: usize = 20;
const RAW: RGBColor = RGBColor(150, 170, 200);
const MEDIAN: RGBColor = RGBColor(20, 60, 130);
const BLOWN_UP: RGBColor = RGBColor(200, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
const INK: RGBColor = RGBColor(40, 40, 40);

/// Why there is no drawing.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The log cannot be read or the drawing not be written.
    #[error("{source}: {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log has no line with a finite loss.
    #[error("no losses to draw: {}", .0.display())]
    Empty(PathBuf),
    /// plotters' own words.
    #[error("{0}")]
    Draw(String),
}

/// What a line of log.jsonl says that is drawn. A loss that was not finite is logged as null.
#[derive(Debug, Deserialize)]
struct Reading {
    stage: String,
    step: u64,
    seconds: f64,
    loss: Option<f64>,
    #[serde(default)]
    blown_up: bool,
}

/// The finite losses of one stage, in the order of their steps.
struct Curve {
    stage: String,
    /// (step, loss, whether it blew up).
    points: Vec<(f64, f64, bool)>,
    /// At the last reading.
    seconds: f64,
}

/// Draws `log` (log.jsonl) into `out` (SVG): thin the losses as logged, thick their running median,
/// logarithmic wherever a stage's losses are all positive. Lines that are torn (a kill in mid-write, with
/// whatever a resumed run wrote behind it) are left out; steps that a resumed run did again count once, as
/// they were done last.
///
/// # Errors
/// If the log cannot be read or holds no loss, or the drawing cannot be written.
pub fn plot_losses(log: &Path, out: &Path) -> Result<(), PlotError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PlotError::File { path, source }
    };
    let text = std::fs::read(log).map_err(failed(log))?;
    let (curves, torn) = curves(&String::from_utf8_lossy(&text));
    if torn > 0 {
        log::warn!("{torn} torn lines left out of the drawing: {}", log.display());
    }
    if curves.is_empty() {
        return Err(PlotError::Empty(log.to_owned()));
    }
    let svg = draw(&curves).map_err(|error| PlotError::Draw(error.to_string()))?;
    run_folder::replace(out, svg.as_bytes()).map_err(failed(out))
}

/// Stages in the order in which they begin, and the number of lines that are none.
fn curves(text: &str) -> (Vec<Curve>, usize) {
    let mut curves: Vec<Curve> = Vec::new();
    let mut torn = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Ok(Reading { stage, step, seconds, loss, blown_up }) = serde_json::from_str(line) else {
            torn += 1;
            continue;
        };
        let place = curves.iter().position(|curve| curve.stage == stage).unwrap_or_else(|| {
            curves.push(Curve { stage, points: Vec::new(), seconds });
            curves.len() - 1
        });
        let (curve, step) = (&mut curves[place], step as f64);
        while curve.points.last().is_some_and(|point| point.0 >= step) {
            curve.points.pop();
        }
        curve.seconds = seconds;
        curve.points.extend(loss.filter(|loss| loss.is_finite()).map(|loss| (step, loss, blown_up)));
    }
    curves.retain(|curve| !curve.points.is_empty());
    (curves, torn)
}

/// Medians of the readings around places spread evenly over the curve; near its ends of those there are.
fn running_median(points: &[(f64, f64)], half: usize) -> Vec<(f64, f64)> {
    let last = points.len() - 1;
    let places = (0..last).step_by(points.len().div_ceil(MEDIAN_POINTS)).chain([last]);
    let median = |place: usize| {
        let near = &points[place.saturating_sub(half)..=(place + half).min(last)];
        let mut losses: Vec<f64> = near.iter().map(|point| point.1).collect();
        losses.sort_by(f64::total_cmp);
        (points[place].0, (losses[(losses.len() - 1) / 2] + losses[losses.len() / 2]) / 2.0)
    };
    places.map(median).collect()
}

/// At most [`RAW_POINTS`] of the points: the lowest and highest of each stretch, so that no spike is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= RAW_POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(RAW_POINTS / 2);
    let ends = |points: &[(f64, f64)]| {
        let by_loss = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let mut pair =
            [points.iter().min_by(by_loss), points.iter().max_by(by_loss)].map(|p| *p.unwrap_or(&points[0]));
        pair.sort_by(|a, b| a.0.total_cmp(&b.0));
        pair
    };
    points.chunks(stretch).flat_map(ends).collect()
}

/// An axis of losses: logarithmic where they are all positive, as the likelihood of the scale head is not.
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn of(points: &[(f64, f64)]) -> Axis {
        let (low, high) = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(point.1), high.max(point.1))
        });
        let logarithmic = low > 0.0;
        let mut axis = Axis { low, high, logarithmic };
        // A little air, and an axis at all where every loss is the same.
        let air = ((axis.place(high) - axis.place(low)) * 0.05).max(0.01);
        (axis.low, axis.high) = (axis.value(axis.place(low) - air), axis.value(axis.place(high) + air));
        axis
    }

    fn place(&self, value: f64) -> f64 {
        if self.logarithmic { value.log10() } else { value }
    }

    fn value(&self, place: f64) -> f64 {
        if self.logarithmic { 10f64.powf(place) } else { place }
    }

    /// Round values: 1, 2 and 5 of each decade over more than one, powers of ten over many.
    fn ticks(&self) -> Vec<f64> {
        let decades = self.place(self.high) - self.place(self.low);
        let values: Vec<f64> = if self.logarithmic && decades > 1.0 {
            let digits: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let range = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
            range.flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power))).collect()
        } else {
            let rough = (self.high - self.low) / 4.0;
            let ten = 10f64.powf(rough.log10().floor());
            let step = ten * [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * ten >= rough).unwrap_or(10.0);
            let first = (self.low / step).ceil() as i64;
            (0..6).map(|i| (first + i) as f64 * step).collect()
        };
        values.into_iter().filter(|v| (self.low..=self.high).contains(v)).collect()
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let [low, value, high] = [self.low, *value, self.high].map(|v| self.place(v));
        from + ((value - low) / (high - low) * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(value: &f64) -> String {
        let value: f64 = format!("{value:.3e}").parse().unwrap_or(f64::NAN);
        match value.abs() {
            size if size != 0.0 && !(1e-3..1e7).contains(&size) => format!("{value:e}"),
            _ => format!("{value}"),
        }
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type DrawError = DrawingAreaErrorKind<io::Error>;

fn draw(curves: &[Curve]) -> Result<String, DrawError> {
    let mut svg = String::new();
    {
        let size = (PANEL.0, PANEL.1 * curves.len() as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (area, curve) in root.split_evenly((curves.len(), 1)).iter().zip(curves) {
            draw_panel(area, curve)?;
        }
        root.present()?;
    }
    Ok(svg)
}

fn draw_panel(area: &Area<'_>, curve: &Curve) -> Result<(), DrawError> {
    let points: Vec<(f64, f64)> = curve.points.iter().map(|&(step, loss, _)| (step, loss)).collect();
    let half = (points.len() / MEDIAN_SHARE / 2).max(2);
    let axis = Axis::of(&points);
    let last = points[points.len() - 1].0;
    let red = if curve.points.iter().any(|point| point.2) { "; red: blown up" } else { "" };
    let (window, minutes) = (2 * half + 1, curve.seconds / 60.0);
    let title = format!(
        "{}: to step {last}, {minutes:.1} minutes (thin: as logged; thick: running median of {window}{red})",
        curve.stage
    );
    let loss = if axis.logarithmic { "loss (log)" } else { "loss" };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, ("sans-serif", 17).into_font().color(&INK))
        .x_label_area_size(36)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..last.max(1.0), axis)?;
    let text = ("sans-serif", 14).into_font().color(&INK);
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc("step")
        .y_desc(loss)
        .x_label_formatter(&Axis::format)
        .draw()?;
    chart.draw_series(LineSeries::new(thinned(&points), RAW.stroke_width(1)))?;
    chart.draw_series(LineSeries::new(running_median(&points, half), MEDIAN.stroke_width(3)))?;
    if let [only] = points[..] {
        chart.draw_series([Circle::new(only, 3, MEDIAN.filled())])?; // One point is no line.
    }
    let blown_up = curve.points.iter().filter(|point| point.2);
    chart.draw_series(blown_up.map(|&(step, loss, _)| Circle::new((step, loss), 3, BLOWN_UP.filled())))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: &str, step: u64, loss: &str, blown_up: bool) -> String {
        format!(
            "{{\"stage\":\"{stage}\",\"step\":{step},\"seconds\":{}.5,\"loss\":{loss},\"gradient_norm\":1.0,\
             \"learning_rate\":0.001,\"blown_up\":{blown_up}}}\n",
            step / 4
        )
    }

    /// A run of three stages: the second negative at its end, the third with a spike and a loss that is NaN.
    fn synthetic() -> String {
        let wobble = |step: u64| (step * 2_654_435_761 % 4_294_967_296) as f64 / 4_294_967_296.0;
        let mut text = String::new();
        for step in (0..9000).step_by(50) {
            let loss = 0.2 / (1.0 + step as f64 / 300.0) + 0.01 + 0.01 * wobble(step);
            text += &line("mean", step, &loss.to_string(), false);
        }
        for step in (0..2300).step_by(50) {
            let loss = 1.2 - step as f64 / 1500.0 + 0.2 * wobble(step);
            text += &line("scale", step, &loss.to_string(), false);
        }
        for step in 0..5000 {
            let spike = step == 700;
            let loss = if spike { 60.0 } else { 0.5 / (1.0 + step as f64 / 900.0) * (0.7 + wobble(step)) };
            let loss = if step == 900 { "null".into() } else { loss.to_string() };
            text += &line("consistency", step, &loss, spike);
        }
        text
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own temporary files")]
    fn plotted(text: &str) -> (Result<(), PlotError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let (log, out) = (folder.path().join("log.jsonl"), folder.path().join("loss.svg"));
        std::fs::write(&log, text).unwrap();
        let result = plot_losses(&log, &out);
        let svg = std::fs::read_to_string(&out).unwrap_or_default();
        (result, svg)
    }

    /// Lines drawn in a colour.
    fn lines(svg: &str, RGBColor(r, g, b): RGBColor) -> usize {
        let stroke = format!("stroke=\"#{r:02X}{g:02X}{b:02X}\"");
        svg.lines().filter(|line| line.contains("<polyline") && line.contains(&stroke)).count()
    }

    #[test]
    fn each_stage_has_a_panel_with_its_losses_and_their_median() {
        let (result, svg) = plotted(&synthetic());
        result.unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert_eq!((lines(&svg, RAW), lines(&svg, MEDIAN)), (3, 3));
        assert_eq!(
            (svg.matches("<circle").count(), svg.matches("red: blown up").count()),
            (1, 1),
            "the spike"
        );
        assert_eq!(svg.matches("loss (log)").count(), 2, "negative losses have a linear axis");
        for words in
            ["mean: to step 8950", "scale: to step 2250", "consistency: to step 4999", "step", "0.05"]
        {
            assert!(svg.contains(words), "{words}");
        }
        assert!(svg.len() < 120_000, "5,000 readings are thinned: {} bytes", svg.len());
    }

    /// A kill tears a line; the resumed run writes on behind it and does some steps again.
    #[test]
    fn torn_lines_are_left_out_and_steps_done_again_count_once() {
        let whole = [0, 1, 2, 3].map(|step| line("mean", step, "0.5", false)).concat();
        let again = [2, 3, 4].map(|step| line("mean", step, "0.25", false)).concat();
        let (curves, torn) = curves(&format!("{whole}{{\"stage\":\"mean\",\"st{again}{{\"sta"));
        assert_eq!(torn, 2);
        let losses: Vec<(f64, f64)> = curves[0].points.iter().map(|p| (p.0, p.1)).collect();
        // Step 2 was glued to the torn line.
        assert_eq!(losses, [(0.0, 0.5), (1.0, 0.5), (2.0, 0.5), (3.0, 0.25), (4.0, 0.25)]);

        let (result, svg) = plotted(&format!("{whole}{{\"stage\":\"me"));
        result.unwrap();
        assert_eq!((lines(&svg, RAW), lines(&svg, MEDIAN)), (1, 1));
        assert!(svg.contains("mean: to step 3,"), "{svg}");
        let (result, svg) = plotted(&line("mean", 0, "0.5", false));
        result.unwrap();
        assert_eq!(svg.matches("<circle").count(), 1, "one reading is a dot: {svg}");
    }

    #[test]
    fn a_log_without_losses_is_said_to_have_none() {
        for text in ["", "{\"stage\":", &line("mean", 0, "null", false)] {
            let error = plotted(text).0.unwrap_err().to_string();
            assert!(error.starts_with("no losses to draw: ") && error.ends_with("log.jsonl"), "{error}");
        }
        let error = plot_losses(Path::new("nowhere/log.jsonl"), Path::new("loss.svg")).unwrap_err();
        assert!(matches!(error, PlotError::File { .. }), "{error}");
    }

    #[test]
    fn thinning_keeps_spikes_and_the_median_ignores_them() {
        let spike = 12_345;
        let points: Vec<(f64, f64)> =
            (0..20_000).map(|i| (f64::from(i), if i == spike { 1e6 } else { 1.0 })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= RAW_POINTS && thin.contains(&(f64::from(spike), 1e6)), "{}", thin.len());
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        let median = running_median(&points, 2);
        assert!(median.len() <= MEDIAN_POINTS + 1 && median.iter().all(|point| point.1 == 1.0));
        assert_eq!((median[0].0, median[median.len() - 1].0), (0.0, 19_999.0));
        assert_eq!(running_median(&points[..1], 2), [(0.0, 1.0)]);
        assert_eq!(running_median(&[(0.0, 1.0), (1.0, 2.0)], 2), [(0.0, 1.5), (1.0, 1.5)]);
    }

    #[test]
    fn ticks_are_round() {
        let labels = |low, high, logarithmic| {
            let axis = Axis { low, high, logarithmic };
            axis.ticks().iter().map(Axis::format).collect::<Vec<_>>()
        };
        assert_eq!(labels(0.008, 0.3, true), ["0.01", "0.02", "0.05", "0.1", "0.2"]);
        assert_eq!(labels(0.5, 0.71, true), ["0.5", "0.6", "0.7"]);
        assert_eq!(labels(0.3e-4, 7e7, true).len(), 12);
        assert_eq!(labels(-0.3, 1.4, false), ["0", "0.5", "1"]);
    }
}
