//! One ONNX Runtime session as a [`Model`]: tensors in and out, and whether a graph is what its card says.
//! Opens nothing and chooses no device.

use super::{BatchInput, Model, ModelError};
use contract::card::{ModelCard, Role, Task};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a session is made, as often as need be.
pub(super) type Recipe = Arc<dyn Fn() -> ort::Result<Session> + Send + Sync>;

/// A session and how it is made anew.
pub(super) struct Slot {
    session: Option<Session>,
    recipe: Recipe,
}

impl Slot {
    pub(super) fn open(recipe: Recipe) -> ort::Result<Slot> {
        Ok(Slot { session: Some(recipe()?), recipe })
    }

    /// The session, unless it could not be made anew.
    pub(super) fn get(&mut self) -> ort::Result<&mut Session> {
        self.session.as_mut().ok_or_else(|| ort::Error::new("its session could not be opened anew"))
    }

    /// The old session goes first: its memory may be what the new one needs.
    pub(super) fn renew(&mut self) -> ort::Result<()> {
        self.session = None;
        self.session = Some((self.recipe)()?);
        Ok(())
    }
}

/// How many tiles an evaluation has, whatever is asked for: what is missing is filled up with empty ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tiles {
    /// As many as there are.
    Any,
    /// Always as many: for another number cuDNN would plan every convolution anew, which takes longer than
    /// to evaluate them.
    Filled(usize),
    /// Always as many, since an engine was built for them.
    Engine(usize),
}

/// A session and the card of its file.
pub(super) struct OnnxModel {
    session: Slot,
    card: ModelCard,
    tiles: Tiles,
}

impl OnnxModel {
    /// `card` was read from, and compared with, a session of the same file.
    pub(super) fn open(recipe: Recipe, card: ModelCard, tiles: Tiles) -> ort::Result<OnnxModel> {
        Ok(OnnxModel { session: Slot::open(recipe)?, card, tiles })
    }
}

impl Model for OnnxModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn run(&mut self, input: &BatchInput<'_>, see: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
        let (card, tiles) = (&self.card, self.evaluated(input.tiles));
        let evaluated = self.session.get().and_then(|session| {
            if tiles > input.tiles {
                filled_up(session, card, input, tiles, see)
            } else {
                evaluate(session, card, input, see)
            }
        });
        evaluated.map_err(|error| ModelError(error.to_string()))
    }

    fn evaluated(&self, tiles: usize) -> usize {
        match self.tiles {
            Tiles::Any => tiles,
            Tiles::Filled(always) | Tiles::Engine(always) => always.max(tiles),
        }
    }

    fn serve(&mut self, tiles: usize) -> bool {
        if let Tiles::Filled(filled) = &mut self.tiles {
            *filled = tiles;
        }
        !matches!(self.tiles, Tiles::Engine(_))
    }

    fn renew(&mut self) -> Result<(), ModelError> {
        self.session.renew().map_err(|error| ModelError(error.to_string()))
    }
}

/// The same with so many tiles, of which only what was asked for is shown.
fn filled_up(
    session: &mut Session,
    card: &ModelCard,
    input: &BatchInput<'_>,
    tiles: usize,
    see: &mut dyn FnMut(&[f32]),
) -> ort::Result<()> {
    let fill = |values: &[f32]| {
        let mut values = values.to_vec();
        values.resize(values.len() / input.tiles * tiles, 0.0);
        values
    };
    let [image, mask, noise, strength, source] =
        [input.image, input.mask, input.noise, input.strength, input.source].map(fill);
    let whole = BatchInput {
        tiles,
        window: input.window,
        image: &image,
        mask: &mask,
        noise: &noise,
        strength: &strength,
        source: &source,
    };
    evaluate(session, card, &whole, &mut |output| see(&output[..output.len() / tiles * input.tiles]))
}

fn evaluate(
    session: &mut Session,
    card: &ModelCard,
    input: &BatchInput<'_>,
    see: &mut dyn FnMut(&[f32]),
) -> ort::Result<()> {
    let (tiles, window) = (input.tiles, input.window);
    let large = window.times(card.scale);
    let image = TensorRef::from_array_view(([tiles, 3, window.height, window.width], input.image))?;
    let mut inputs = ort::inputs!["image" => image];
    if card.task == Task::Inpainting {
        let mask = TensorRef::from_array_view(([tiles, 1, window.height, window.width], input.mask))?;
        inputs.extend(ort::inputs!["mask" => mask]);
    }
    if card.role == Role::Sample {
        let noise = TensorRef::from_array_view(([tiles, 3, large.height, large.width], input.noise))?;
        let strength = TensorRef::from_array_view(([tiles, 1, 1, 1], input.strength))?;
        inputs.extend(ort::inputs!["noise" => noise, "strength" => strength]);
    }
    if !card.sources.is_empty() {
        let source = TensorRef::from_array_view(([tiles, 1, 1, 1], input.source))?;
        inputs.extend(ort::inputs!["source" => source]);
    }
    let outputs = session.run(inputs)?;
    let (shape, values) = outputs["output"].try_extract_tensor::<f32>()?;
    let wanted = [tiles, 3, large.height, large.width].map(|side| side as i64);
    if **shape != wanted {
        return Err(ort::Error::new(format!("output has the shape {shape:?}, not {wanted:?}")));
    }
    see(values);
    Ok(())
}

/// Reads the card out of a session's metadata, and compares the graph with it.
///
/// # Errors
/// All problems in one sentence.
pub(super) fn card_of(session: &Session) -> Result<ModelCard, String> {
    let metadata = session.metadata().map_err(|error| error.to_string())?;
    let keys = metadata.custom_keys().map_err(|error| error.to_string())?;
    let pairs: BTreeMap<String, String> =
        keys.into_iter().filter_map(|key| metadata.custom(&key).map(|value| (key, value))).collect();
    let (card, unknown) = ModelCard::from_pairs(&pairs).map_err(|error| error.to_string())?;
    if !unknown.is_empty() {
        log::info!("keys of the model card that this version does not know: {}", unknown.join(", "));
    }
    let mut wanted = vec!["image"];
    if card.task == Task::Inpainting {
        wanted.push("mask");
    }
    if card.role == Role::Sample {
        wanted.extend(["noise", "strength"]);
    }
    if !card.sources.is_empty() {
        wanted.push("source");
    }
    let problems =
        [mismatch("input", session.inputs(), &wanted), mismatch("output", session.outputs(), &["output"])];
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    if problems.is_empty() { Ok(card) } else { Err(problems.join("; ")) }
}

fn mismatch(side: &str, outlets: &[Outlet], wanted: &[&str]) -> Vec<String> {
    let has = |name: &str| outlets.iter().any(|outlet| outlet.name() == name);
    let missing = wanted.iter().filter(|name| !has(name));
    let mut problems: Vec<String> =
        missing.map(|name| format!("the graph has no {side} {name:?}, as its card promises")).collect();
    for outlet in outlets {
        if !wanted.contains(&outlet.name()) {
            problems
                .push(format!("the graph has an {side} {:?} that its card does not promise", outlet.name()));
        } else if let Some(problem) = shape_problem(outlet) {
            problems.push(format!("the graph's {side} {:?} {problem}", outlet.name()));
        }
    }
    problems
}

/// Tiles have any size, so N, H and W must be free; pictures have three channels, what is said of them one
/// value.
fn shape_problem(outlet: &Outlet) -> Option<String> {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype().clone() else {
        return Some("is no tensor".into());
    };
    if ty != TensorElementType::Float32 {
        return Some(format!("holds {ty}, not 32-bit floats"));
    }
    let expected: [i64; 4] = match outlet.name() {
        "strength" | "source" => [-1, 1, 1, 1],
        "mask" => [-1, 1, -1, -1],
        _ => [-1, 3, -1, -1],
    };
    // A free dimension where we need a fixed one is fine, the other way round is not. What a graph infers
    // about its own output may be less than it could know.
    let fits = shape.len() == 4 && shape.iter().zip(expected).all(|(&has, want)| has == -1 || has == want);
    (!fits).then(|| format!("has the shape {:?}, not {expected:?} (-1: any)", &shape[..]))
}

#[cfg(test)]
mod tests {
    use super::super::file::{builder, load, read};
    use super::*;
    use crate::edge::library;
    use contract::geometry::Size;
    use ort::session::builder::GraphOptimizationLevel;
    use std::path::Path;

    /// Two windows, alone or filled up, give the same bits; so do they after the session was made anew.
    #[test]
    fn what_a_batch_is_filled_up_with_changes_nothing() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let executable = std::env::current_exe().unwrap();
        let library = library::find(None, None, &executable, repository).unwrap();
        let environment = load(&library).unwrap();
        let file = read(&environment, &repository.join("models/sr-x2.onnx")).unwrap();
        let card = file.card.clone();
        let recipe: Recipe =
            Arc::new(move || file.commit(builder(&environment, GraphOptimizationLevel::Level3)?));
        let window = Size::new(20, 16);
        let values =
            |count: usize| -> Vec<f32> { (0..count).map(|i| (i * 37 % 101) as f32 / 100.0).collect() };
        let (image, noise) = (values(6 * window.area()), values(6 * window.times(2).area()));
        let input = BatchInput {
            tiles: 2,
            window,
            image: &image,
            mask: &[],
            noise: &noise,
            strength: &[1.0, 0.5],
            source: &[0.0, 1.0],
        };
        let run = |model: &mut OnnxModel| {
            let mut shown = Vec::new();
            model.run(&input, &mut |output| shown.extend_from_slice(output)).unwrap();
            shown
        };
        let open = |tiles| OnnxModel::open(Arc::clone(&recipe), card.clone(), tiles).unwrap();
        let alone = run(&mut open(Tiles::Any));
        assert_eq!(alone.len(), 6 * window.times(2).area());
        let mut filled = open(Tiles::Filled(5));
        assert_eq!((filled.evaluated(2), run(&mut filled) == alone), (5, true));
        assert!(filled.serve(3) && filled.renew().is_ok());
        assert_eq!((filled.evaluated(2), run(&mut filled) == alone), (3, true));
        let mut engine = open(Tiles::Engine(4));
        assert!(!engine.serve(2));
        assert_eq!((engine.evaluated(2), run(&mut engine) == alone), (4, true));
    }
}
