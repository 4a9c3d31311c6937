//! The two serving graphs of super-resolution. σ is a constant (σ_max) when serving, so FiLM, preconditioning
//! and colour are folded into weights; everything runs at LR size and one DepthToSpace makes the picture.

use super::graph::{GraphWriter, Value};
use super::sampling::{Served, Weights, layer, local_scale, per_plane, restored, standardised};
use crate::net::{BodyKind, LEAK, Weight};
use crate::train::Session;
use contract::resample::phase_kernel;

/// `image` N×3×H×W, `source` N×1×1×1 → `output` N×3×sH×sW: μ. Takes the averaged weights.
pub fn mean_graph(session: &Session) -> GraphWriter {
    let mut g = GraphWriter::new("mean");
    let image = g.input("image", ["n", "3", "h", "w"]);
    let source = g.input("source", ["n", "1", "1", "1"]);
    let body = mean_body(&mut g, session, &image, &source);
    let picture = g.depth_to_space("unfold", &body.folded_mean, session.nets.factor);
    g.output(&picture, "output", ["n", "3", "sh", "sw"]);
    g
}

/// `image`, `noise` N×3×sH×sW, `strength` and `source` N×1×1×1 → `output`: μ + strength · (sample − μ), of
/// the sample's colours the share `chroma`.
///
/// # Panics
/// If the session has no finished mean net.
pub fn sample_graph(session: &Session, chroma: f64) -> GraphWriter {
    let mut g = GraphWriter::new("sample");
    let image = g.input("image", ["n", "3", "h", "w"]);
    let noise = g.input("noise", ["n", "3", "sh", "sw"]);
    let strength = g.input("strength", ["n", "1", "1", "1"]);
    let source = g.input("source", ["n", "1", "1", "1"]);
    let body = mean_body(&mut g, session, &image, &source);
    let calibration = session.parts.calibration.as_ref().expect("the mean net is finished");
    let features = standardised(&mut g, "features", calibration, &body.features);
    let weights = session.parts.scale.average.named();
    let scale = local_scale(&mut g, &weights, session.recipe.scale, chroma, &features);
    let normalised = consistency(&mut g, session, &noise, &features, &body.centred);
    let residual = restored(&mut g, calibration, session.recipe.scale, &normalised, &scale);
    let weighed = g.mul("residual.strength", &residual, &strength);
    let sum = g.add("sum", &body.folded_mean, &weighed);
    let picture = g.depth_to_space("unfold", &sum, session.nets.factor);
    g.output(&picture, "output", ["n", "3", "sh", "sw"]);
    g
}

struct MeanBody {
    centred: Value,
    features: Value,
    folded_mean: Value,
}

fn mean_body(g: &mut GraphWriter, session: &Session, image: &str, source: &str) -> MeanBody {
    let weights = session.nets.mean.serving(&session.parts.mean.average);
    let half = g.constant("half", &[], &[0.5]);
    let centred = g.sub("centred", image, &half);
    let seen = layer(g, &weights, "mean", "input", &centred);
    let told = told(g, &weights, source);
    let first = g.add("mean.first", &seen, &told);
    let mut h = first.clone();
    for block in 0..session.recipe.mean.blocks {
        h = mean_block(g, &weights, session.recipe.mean.body, block, &h);
    }
    let joined = layer(g, &weights, "mean", "join", &h);
    let features = g.add("mean.features", &joined, &first);
    let learned = layer(g, &weights, "mean", "output", &features);
    let scale = session.recipe.scale;
    let enlarged = g.conv("mean.enlarge", image, &per_plane(&phase_kernel(scale), scale * scale, 5), None);
    let folded_mean = g.add("mean.sum", &learned, &enlarged);
    MeanBody { centred, features, folded_mean }
}

/// What the source adds to the first layer, N×C×1×1: columns of the weight for s and s².
fn told(g: &mut GraphWriter, weights: &Weights, source: &str) -> Value {
    let (weight, bias) = (&weights["source.weight"].values, &weights["source.bias"].values);
    let width = bias.len() as i64;
    let column = |place: usize| weight.chunks_exact(2).map(|row| row[place]).collect::<Vec<f32>>();
    let linear = g.constant("mean.source.linear", &[1, width, 1, 1], &column(0));
    let square = g.constant("mean.source.square", &[1, width, 1, 1], &column(1));
    let bias = g.constant("mean.source.bias", &[1, width, 1, 1], bias);
    // (square · s + linear) · s + bias
    let slope = g.mul("mean.source.steep", source, &square);
    let slope = g.add("mean.source.slope", &slope, &linear);
    let rise = g.mul("mean.source.rise", source, &slope);
    g.add("mean.source.told", &rise, &bias)
}

fn mean_block(g: &mut GraphWriter, weights: &Weights, body: BodyKind, block: usize, h: &str) -> Value {
    let name = |part: &str| format!("mean.block{block}{part}");
    if body == BodyKind::Folded {
        let out = layer(g, weights, "mean", &format!("block{block}"), h);
        return g.leaky_relu(&name(".leaky"), &out, LEAK as f32);
    }
    let inner = match body {
        BodyKind::Gated => gated(g, weights, &format!("block{block}.first"), h),
        _ => {
            let inner = layer(g, weights, "mean", &format!("block{block}.first"), h);
            g.relu(&name(".relu"), &inner)
        }
    };
    let inner = layer(g, weights, "mean", &format!("block{block}.second"), &inner);
    g.add(&name(".add"), &inner, h)
}

/// a·sigmoid(b) with (a, b) = conv(h), as two convolutions: no tensor has to be split.
fn gated(g: &mut GraphWriter, weights: &Weights, name: &str, h: &str) -> Value {
    let (weight, bias) = (&weights[&format!("{name}.weight")], &weights[&format!("{name}.bias")].values);
    let (values, gates) = weight.values.split_at(weight.values.len() / 2);
    let mut half = |part: &str, values: &[f32], bias: &[f32]| {
        let mut shape = weight.shape.clone();
        shape[0] /= 2;
        g.conv(&format!("mean.{name}.{part}"), h, &Weight { shape, values: values.to_vec() }, Some(bias))
    };
    let middle = bias.len() / 2;
    let value = half("value", values, &bias[..middle]);
    let gate = half("gate", gates, &bias[middle..]);
    let open = g.apply("Sigmoid", &format!("mean.{name}.open"), &gate);
    g.mul(&format!("mean.{name}.glu"), &value, &open)
}

/// f(σ_max·z, σ_max; y), folded.
fn consistency(g: &mut GraphWriter, session: &Session, noise: &str, features: &str, centred: &str) -> Value {
    let (net, factor) = (&session.nets.sampler, session.nets.factor);
    let planes = (3 * factor * factor) as usize;
    let levels = &session.recipe.run.consistency;
    let served = Served::new(&session.parts.sampler.trainee.average, &net.embedding, planes, levels);
    let folded = g.fold("noise.fold", noise, 3, factor);
    let joined = g.concat("sampler.concat", &[&folded, features, centred]);
    let first = served.layer(g, "input", &joined);
    let h = net.blocks.iter().fold(first, |h, block| served.block(g, block, &h));
    served.estimate(g, &h, &folded)
}
