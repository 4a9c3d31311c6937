//! The two serving graphs of super-resolution. σ is a constant (σ_max) when serving, so FiLM, preconditioning
//! and colour are folded into weights; everything runs at LR size and one DepthToSpace makes the picture.

use super::graph::{GraphWriter, Value};
use crate::method::precondition::coefficients;
use crate::net::{BodyKind, LEAK, Weight, bilinear_kernel, fold_matrix};
use crate::recipe::LEVELS;
use crate::train::Session;
use contract::resample::phase_kernel;
use std::collections::BTreeMap;
use tch::Tensor;

type Weights = BTreeMap<String, Weight>;

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

/// `image`, `noise` N×3×sH×sW, `strength` and `source` N×1×1×1 → `output`: μ + strength · (sample − μ).
///
/// # Panics
/// If the session has no finished mean net.
pub fn sample_graph(session: &Session) -> GraphWriter {
    let mut g = GraphWriter::new("sample");
    let image = g.input("image", ["n", "3", "h", "w"]);
    let noise = g.input("noise", ["n", "3", "sh", "sw"]);
    let strength = g.input("strength", ["n", "1", "1", "1"]);
    let source = g.input("source", ["n", "1", "1", "1"]);
    let body = mean_body(&mut g, session, &image, &source);
    let features = standardised(&mut g, session, &body.features);
    let scale = local_scale(&mut g, session, &features);
    let normalised = consistency(&mut g, session, &noise, &features, &body.centred);

    let local = g.mul("residual.local", &normalised, &scale);
    let calibration = session.calibration.as_ref().expect("the mean net is finished");
    let colour = square(
        fold_matrix(&calibration.opponent.backward(), session.recipe.scale),
        3 * session.recipe.scale.pow(2),
    );
    let residual = g.conv("residual.colour", &local, &colour, None);
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
    let weights = session.nets.mean.serving(&session.mean.average);
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

fn standardised(g: &mut GraphWriter, session: &Session, features: &str) -> Value {
    let calibration = session.calibration.as_ref().expect("the mean net is finished");
    let width = session.recipe.mean.channels;
    let mean = g.constant("features.mean", &[1, width, 1, 1], &values(&calibration.feature_mean));
    let inverse =
        g.constant("features.inverse_std", &[1, width, 1, 1], &values(&calibration.feature_std.reciprocal()));
    let shifted = g.sub("features.shifted", features, &mean);
    g.mul("features.standardised", &shifted, &inverse)
}

fn local_scale(g: &mut GraphWriter, session: &Session, features: &str) -> Value {
    let weights = session.scale.average.named();
    let h = layer(g, &weights, "scale", "first", features);
    let h = g.relu("scale.first.relu", &h);
    let h = layer(g, &weights, "scale", "second", &h);
    let h = g.relu("scale.second.relu", &h);
    let h = layer(g, &weights, "scale", "output", &h);
    let h = g.clip("scale.clip", &h, crate::net::LOG_LIMIT as f32);
    let scale = session.recipe.scale;
    let h = g.conv("scale.bilinear", &h, &per_plane(&bilinear_kernel(scale), scale * scale, 3), None);
    g.exp("scale.exp", &h)
}

/// f(σ_max·z, σ_max; y), folded: c_skip·σ_max·z + c_out·F(c_in·σ_max·z).
fn consistency(g: &mut GraphWriter, session: &Session, noise: &str, features: &str, centred: &str) -> Value {
    let weights = session.sampler.trainee.average.named();
    let sigma = Tensor::from_slice(&[LEVELS.sigma_max as f32]);
    let [skip, out, input] = {
        let c = coefficients(&Tensor::from(LEVELS.sigma_max), LEVELS.sigma_data);
        [c.skip, c.out, c.input].map(|t| t.double_value(&[]) as f32)
    };
    let film: Vec<(Vec<f32>, Vec<f32>)> = {
        let _guard = tch::no_grad_guard();
        let sigma = sigma.to_device(session.device);
        let pairs = session.nets.sampler.film(&session.sampler.trainee.average, &sigma);
        pairs.iter().map(|(gamma, beta)| (values(gamma), values(beta))).collect()
    };
    let area = 3 * session.recipe.scale.pow(2);
    let folded = g.fold("noise.fold", noise, 3, session.nets.factor);
    let joined = g.concat("sampler.concat", &[&folded, features, centred]);
    // c_in·σ_max multiplies the first 3s² input channels only: the noise.
    let mut first = weights["input.weight"].clone();
    let kernel = (first.shape[2] * first.shape[3]) as usize;
    let row = first.shape[1] as usize * kernel;
    for filter in first.values.chunks_exact_mut(row) {
        filter[..area * kernel].iter_mut().for_each(|w| *w *= input * LEVELS.sigma_max as f32);
    }
    let mut h = g.conv("sampler.input", &joined, &first, Some(&weights["input.bias"].values));
    for (block, (gamma, beta)) in film.iter().enumerate() {
        let (weight, bias) = modulated(&weights, &format!("block{block}.first"), gamma, beta);
        let inner = g.conv(&format!("sampler.block{block}.first"), &h, &weight, Some(&bias));
        let inner = g.relu(&format!("sampler.block{block}.relu"), &inner);
        let inner = layer(g, &weights, "sampler", &format!("block{block}.second"), &inner);
        h = g.add(&format!("sampler.block{block}.add"), &inner, &h);
    }
    let scaled = |w: &[f32]| -> Vec<f32> { w.iter().map(|v| v * out).collect() };
    let last = Weight {
        shape: weights["output.weight"].shape.clone(),
        values: scaled(&weights["output.weight"].values),
    };
    let f = g.conv("sampler.output", &h, &last, Some(&scaled(&weights["output.bias"].values)));
    let skip = g.constant("sampler.skip", &[], &[skip * LEVELS.sigma_max as f32]);
    let through = g.mul("sampler.through", &folded, &skip);
    g.add("sampler.sum", &f, &through)
}

/// FiLM folded into the convolution before it: γ·(w∗x + b) + β.
fn modulated(weights: &Weights, name: &str, gamma: &[f32], beta: &[f32]) -> (Weight, Vec<f32>) {
    let mut weight = weights[&format!("{name}.weight")].clone();
    let filter = weight.values.len() / gamma.len();
    for (values, g) in weight.values.chunks_exact_mut(filter).zip(gamma) {
        values.iter_mut().for_each(|v| *v *= g);
    }
    let bias = weights[&format!("{name}.bias")].values.iter().zip(gamma).zip(beta);
    (weight, bias.map(|((b, g), shift)| b * g + shift).collect())
}

fn layer(g: &mut GraphWriter, weights: &Weights, net: &str, name: &str, x: &str) -> Value {
    let bias = &weights[&format!("{name}.bias")].values;
    g.conv(&format!("{net}.{name}"), x, &weights[&format!("{name}.weight")], Some(bias))
}

/// One kernel set applied to each of three planes, as a dense convolution 3 → 3·`count`. Dense, because
/// grouped convolutions leave ONNX Runtime's fast layout.
fn per_plane(kernels: &[f32], count: usize, side: usize) -> Weight {
    let mut values = Vec::with_capacity(9 * kernels.len());
    for out_plane in 0..3 {
        for kernel in kernels.chunks_exact(side * side) {
            for in_plane in 0..3 {
                let on = if in_plane == out_plane { 1.0 } else { 0.0 };
                values.extend(kernel.iter().map(|k| k * on));
            }
        }
    }
    Weight { shape: vec![3 * count as i64, 3, side as i64, side as i64], values }
}

fn square(values: Vec<f32>, side: usize) -> Weight {
    Weight { shape: vec![side as i64, side as i64, 1, 1], values }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.contiguous().reshape([-1]).to_kind(tch::Kind::Float).to_device(tch::Device::Cpu);
    Vec::<f32>::try_from(&flat).expect("an f32 tensor becomes a vector")
}
