//! The graph of a model from elsewhere compared with its terms: which of its inputs and outputs is what, and
//! of which shapes. Evaluates nothing.

use super::foreign::GOLDEN_SIDE;
use crate::work::terms::{Layout, Range, Terms};
use contract::card::Task;
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};

/// Least side of a crop that is repaired.
const LEAST_CROP_PX: usize = 32;

/// Terms with what the graph adds to them, and its own inputs and output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plugs {
    /// Nothing in them is open any more.
    pub(super) terms: Terms,
    pub(super) input: Plug,
    pub(super) mask: Option<Plug>,
    pub(super) output: Plug,
    /// Whether the mask is the fourth channel of the picture.
    pub(super) joined: bool,
    /// Whether the graph takes one window at a time.
    pub(super) single: bool,
    /// Whether the graph computes shapes, which a GPU's provider leaves to the processor.
    pub(super) shapes_elsewhere: bool,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plug {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// What a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Bytes.
    U8,
}

impl Plug {
    fn of(outlet: &Outlet) -> Result<Plug, String> {
        let ValueType::Tensor { ty, .. } = outlet.dtype() else { return Err("is no tensor".into()) };
        let kind = match ty {
            TensorElementType::Float32 => Kind::F32,
            TensorElementType::Float16 => Kind::F16,
            TensorElementType::Uint8 => Kind::U8,
            other => return Err(format!("holds {other}: floats of 32 or 16 bits, or bytes, are wanted")),
        };
        Ok(Plug { name: outlet.name().to_owned(), kind })
    }
}

/// The graph's names, and the side of its windows where its shapes are fixed.
///
/// # Errors
/// Everything in which graph and terms differ.
pub(super) fn plugs(session: &Session, terms: &Terms) -> Result<(Plugs, Option<usize>), Vec<String>> {
    let mut problems = Vec::new();
    let (inputs, outputs) = (session.inputs(), session.outputs());
    let layout = terms.layout.unwrap_or_else(|| told_layout(inputs.iter().chain(outputs), terms));
    let (repairs, colours) = (terms.task == Task::Inpainting, terms.channels.count() as i64);
    let is_joined = |outlet: &Outlet| channels(outlet, layout) == Some(4);
    let joined = repairs && terms.mask_input.is_none() && matches!(inputs, [only] if is_joined(only));
    let has_mask = repairs && !joined;
    let others = |outlet: &&Outlet| {
        terms.input.as_deref() != Some(outlet.name()) && channels(outlet, layout) != Some(colours)
    };
    if let ([only], true) = (inputs, has_mask && terms.mask_input.is_none()) {
        return Err(vec![format!("the graph has one input alone, {:?}: it takes no mask", only.name())]);
    }
    let masks = inputs.iter().filter(|outlet| terms.mask_input.is_some() || others(outlet));
    let mask = has_mask.then(|| chosen("mask_input", &terms.mask_input, masks, &mut problems)).flatten();
    let is_mask = |outlet: &&Outlet| mask.is_some_and(|mask| mask.name() == outlet.name());
    let images = inputs.iter().filter(|outlet| !is_mask(outlet));
    let image = chosen("input", &terms.input, images, &mut problems);
    let first = outputs.iter().take(if terms.output.is_some() { outputs.len() } else { 1 });
    let output = chosen("output", &terms.output, first, &mut problems);
    let (Some(image), Some(output), true) = (image, output, mask.is_some() == has_mask) else {
        return Err(problems);
    };
    let fed = [Some(image), mask];
    let hungry = inputs.iter().filter(|outlet| !fed.iter().flatten().any(|fed| fed.name() == outlet.name()));
    problems.extend(hungry.map(|outlet| {
        format!("the graph wants an input {:?} too, which nothing here could give it", outlet.name())
    }));
    let mut look = |key: &str, outlet: &Outlet, wanted: i64| {
        let looked = Plug::of(outlet).and_then(|plug| Ok((plug, shape(outlet, layout, wanted)?)));
        looked.map_err(|problem| problems.push(format!("its {key} {:?} {problem}", outlet.name()))).ok()
    };
    let input = look("input", image, colours + i64::from(joined));
    let mask = mask.map(|mask| look("mask_input", mask, 1));
    let output = look("output", output, colours);
    let (Some((input, taken)), Some((output, given)), false) = (input, output, mask == Some(None)) else {
        return Err(problems);
    };
    let window = fixed(taken, terms).map_err(|problem| problems.push(problem)).unwrap_or(None);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (mask, told) = mask.flatten().unzip();
    let single = [Some(taken), Some(given), told].into_iter().flatten().any(|[tiles, ..]| tiles == 1);
    let terms = whole(terms, layout, (&input, mask.as_ref(), &output));
    Ok((Plugs { terms, input, mask, output, joined, single, shapes_elsewhere: false }, window))
}

/// Terms in which nothing is open.
fn whole(terms: &Terms, layout: Layout, (input, mask, output): (&Plug, Option<&Plug>, &Plug)) -> Terms {
    let of_bytes = |plug: &Plug| (plug.kind == Kind::U8).then_some(Range::BYTES);
    let range = terms.range.or_else(|| of_bytes(input)).unwrap_or(Range::UNIT);
    Terms {
        layout: Some(layout),
        input: Some(input.name.clone()),
        mask_input: mask.map(|mask| mask.name.clone()),
        output: Some(output.name.clone()),
        range: Some(range),
        output_range: terms.output_range.or_else(|| of_bytes(output)).or(Some(range)),
        ..terms.clone()
    }
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
    let ValueType::Tensor { shape, .. } = outlet.dtype() else { return Err("is no tensor".into()) };
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
            // Crops of holes have 32 pixels a side at least, and surroundings of a quarter of that at most.
            let least = match terms.task {
                Task::Inpainting => LEAST_CROP_PX,
                Task::SuperResolution => GOLDEN_SIDE.max(2 * terms.halo + GOLDEN_SIDE),
            };
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
