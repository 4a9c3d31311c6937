//! The graph of a model from elsewhere compared with its terms: which of its inputs and outputs is what, and
//! of which shapes. Evaluates nothing.

use super::foreign::GOLDEN_SIDE;
use crate::work::terms::{Layout, Terms};
use contract::card::Task;
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

/// Terms, and the graph's own names for what they speak of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plugs {
    pub(super) terms: Terms,
    pub(super) input: String,
    pub(super) mask: Option<String>,
    pub(super) output: String,
    /// Whether the graph takes one window at a time.
    pub(super) single: bool,
}

/// The graph's names, and the side of its windows where its shapes are fixed.
///
/// # Errors
/// Everything in which graph and terms differ.
pub(super) fn plugs(session: &Session, terms: &Terms) -> Result<(Plugs, Option<usize>), Vec<String>> {
    let mut problems = Vec::new();
    let (inputs, outputs) = (session.inputs(), session.outputs());
    let layout = terms.layout.unwrap_or_else(|| told_layout(inputs.iter().chain(outputs), terms));
    let repairs = terms.task == Task::Inpainting;
    let mask = repairs.then(|| {
        let others = |outlet: &&Outlet| {
            let is_image = terms.input.as_deref() == Some(outlet.name());
            !is_image && channels(outlet, layout) != Some(terms.channels.count() as i64)
        };
        chosen("mask_input", &terms.mask_input, inputs.iter().filter(others), &mut problems)
    });
    let mask = mask.flatten();
    let is_mask = |outlet: &&Outlet| mask.is_some_and(|mask| mask.name() == outlet.name());
    let images = inputs.iter().filter(|outlet| !is_mask(outlet));
    let image = chosen("input", &terms.input, images, &mut problems);
    let first = outputs.iter().take(if terms.output.is_some() { outputs.len() } else { 1 });
    let output = chosen("output", &terms.output, first, &mut problems);
    let (Some(image), Some(output), true) = (image, output, mask.is_some() == repairs) else {
        return Err(problems);
    };
    let fed = [Some(image), mask];
    let hungry = inputs.iter().filter(|outlet| !fed.iter().flatten().any(|fed| fed.name() == outlet.name()));
    problems.extend(hungry.map(|outlet| {
        format!("the graph wants an input {:?} too, which nothing here could give it", outlet.name())
    }));
    let (mut sides, count) = (Vec::new(), terms.channels.count() as i64);
    for (key, outlet, wanted) in
        [("input", Some(image), count), ("mask_input", mask, 1), ("output", Some(output), count)]
    {
        let Some(outlet) = outlet else { continue };
        match shape(outlet, layout, wanted) {
            Ok(shape) => sides.push((key, shape)),
            Err(problem) => problems.push(format!("its {key} {:?} {problem}", outlet.name())),
        }
    }
    let taken = sides.iter().find(|(key, _)| *key == "input").map_or([-1; 3], |(_, shape)| *shape);
    let window = fixed(taken, terms).map_err(|problem| problems.push(problem)).unwrap_or(None);
    if !problems.is_empty() {
        return Err(problems);
    }
    let single = sides.iter().any(|(_, [tiles, ..])| *tiles == 1);
    let plugs = Plugs {
        terms: Terms { layout: Some(layout), ..terms.clone() },
        input: image.name().to_owned(),
        mask: mask.map(|mask| mask.name().to_owned()),
        output: output.name().to_owned(),
        single,
    };
    Ok((plugs, window))
}

/// The outlet of this name; without one the only one there is.
fn chosen<'a>(
    key: &str,
    name: &Option<String>,
    outlets: impl Iterator<Item = &'a Outlet>,
    problems: &mut Vec<String>,
) -> Option<&'a Outlet> {
    let outlets: Vec<&Outlet> = outlets.collect();
    let has: Vec<&str> = outlets.iter().map(|outlet| outlet.name()).collect();
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    let (found, problem) = match (name, &outlets[..]) {
        (Some(name), _) => (
            outlets.iter().find(|outlet| outlet.name() == name).copied(),
            format!("{key} is {name:?}, but the graph has {has}"),
        ),
        (None, [only]) => (Some(*only), String::new()),
        (None, _) => (None, format!("{key} must be named: the graph has {has}")),
    };
    if found.is_none() {
        problems.push(problem);
    }
    found
}

/// The order in which a picture's dimensions stand, as the first of these that says anything tells.
fn told_layout<'a>(mut outlets: impl Iterator<Item = &'a Outlet>, terms: &Terms) -> Layout {
    let has = |outlet: &Outlet, layout| channels(outlet, layout) == Some(terms.channels.count() as i64);
    let told = outlets.find_map(|outlet| {
        let both = [Layout::Nchw, Layout::Nhwc].map(|layout| (has(outlet, layout), layout));
        both.into_iter().find_map(|(has, layout)| has.then_some(layout))
    });
    told.unwrap_or_default()
}

/// How many channels an outlet has, where it says so.
fn channels(outlet: &Outlet, layout: Layout) -> Option<i64> {
    let ValueType::Tensor { shape, .. } = outlet.dtype() else { return None };
    shape.get(layout.channel_axis()).copied()
}

/// N, H and W of an outlet, -1 where they are free.
fn shape(outlet: &Outlet, layout: Layout, wanted: i64) -> Result<[i64; 3], String> {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else { return Err("is no tensor".into()) };
    if *ty != TensorElementType::Float32 {
        return Err(format!("holds {ty}: only 32-bit floats can be given to it"));
    }
    let &[tiles, second, third, fourth] = &shape[..] else {
        return Err(format!("has the shape {:?}: four dimensions are wanted", &shape[..]));
    };
    let (channels, height, width, other, word) = match layout {
        Layout::Nchw => (second, third, fourth, fourth, "nhwc"),
        Layout::Nhwc => (fourth, second, third, second, "nchw"),
    };
    if channels != -1 && channels != wanted {
        let hint = match (wanted, channels) {
            _ if other == wanted => format!(": is its layout {word}?"),
            (3, 1) => ": channels = \"each\" gives it each colour by itself".to_owned(),
            _ => String::new(),
        };
        return Err(format!("has {channels} channels in the shape {:?}, not {wanted}{hint}", &shape[..]));
    }
    if tiles > 1 {
        return Err(format!("takes {tiles} pictures at a time: one, or any number, is wanted"));
    }
    Ok([tiles, height, width])
}

/// The side of windows of a graph that takes one shape alone.
fn fixed([_, height, width]: [i64; 3], terms: &Terms) -> Result<Option<usize>, String> {
    match (usize::try_from(height), usize::try_from(width)) {
        (Err(_), Err(_)) => Ok(None),
        (Ok(height), Ok(width)) if height == width => {
            let least = (2 * terms.halo + 1).max(GOLDEN_SIDE);
            if width < least {
                return Err(format!(
                    "takes windows of {width}×{width} alone: with halo = {} nothing is left of them",
                    terms.halo
                ));
            }
            Ok(Some(width))
        }
        _ => Err(format!("takes windows of the shape {width}×{height} (-1: any): a square or any is wanted")),
    }
}
