//! The part of a serving graph that makes samples, as super-resolution and repair share it: standardised
//! features, local scale, and a consistency net at σ_max. σ is a constant when serving, so modulation and
//! preconditioning are folded into weights.

use super::graph::{GraphWriter, Value};
use crate::method::Levels;
use crate::method::precondition::coefficients;
use crate::net::film::{Embedding, FilmBlock};
use crate::net::{LOG_LIMIT, Params, Weight, bilinear_kernel, fold_matrix};
use crate::train::Calibration;
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

/// Weights by name.
pub(super) type Weights = BTreeMap<String, Weight>;

/// (features − mean) / std.
pub(super) fn standardised(g: &mut GraphWriter, name: &str, part: &Calibration, features: &str) -> Value {
    let shape = [1, part.feature_mean.size()[1], 1, 1];
    let mean = g.constant(&format!("{name}.mean"), &shape, &values(&part.feature_mean));
    let inverse = values(&part.feature_std.reciprocal());
    let inverse = g.constant(&format!("{name}.inverse_std"), &shape, &inverse);
    let shifted = g.sub(&format!("{name}.shifted"), features, &mean);
    g.mul(&format!("{name}.standardised"), &shifted, &inverse)
}

/// The scale head with these weights, enlarged by `scale`, folded; that of the two colour planes times
/// `chroma`, which is free: a bias of its logarithm.
pub(super) fn local_scale(
    g: &mut GraphWriter,
    weights: &Weights,
    scale: usize,
    chroma: f64,
    features: &str,
) -> Value {
    let h = layer(g, weights, "scale", "first", features);
    let h = g.relu("scale.first.relu", &h);
    let h = layer(g, weights, "scale", "second", &h);
    let h = g.relu("scale.second.relu", &h);
    let h = layer(g, weights, "scale", "output", &h);
    let h = g.clip("scale.clip", &h, LOG_LIMIT as f32);
    let area = scale * scale;
    let muted = [vec![0.0; area], vec![chroma.ln() as f32; 2 * area]].concat();
    let muted = (chroma != 1.0).then_some(&muted[..]);
    let h = g.conv("scale.bilinear", &h, &per_plane(&bilinear_kernel(scale), area, 3), muted);
    g.exp("scale.exp", &h)
}

/// A normalised residual times the local scale, in RGB units, folded.
pub(super) fn restored(
    g: &mut GraphWriter,
    calibration: &Calibration,
    scale: usize,
    normalised: &str,
    local: &str,
) -> Value {
    let local = g.mul("residual.local", normalised, local);
    let side = (3 * scale * scale) as i64;
    let values = fold_matrix(&calibration.opponent.backward(), scale);
    let colour = Weight { shape: vec![side, side, 1, 1], values };
    g.conv("residual.colour", &local, &colour, None)
}

/// A consistency net as it is served: every weight below `sampler.`, its noise unit normal.
pub(super) struct Served<'a> {
    params: &'a Params,
    weights: Weights,
    embedded: Tensor,
    skip: f32,
}

impl<'a> Served<'a> {
    /// The averaged weights at σ_max of `levels`. The first layer, `input`, multiplies its first `planes`
    /// input channels, the noise, by c_in·σ_max, the last one, `output`, by c_out.
    pub(super) fn new(
        params: &'a Params,
        embedding: &Embedding,
        planes: usize,
        levels: &Levels,
    ) -> Served<'a> {
        let [skip, out, input] = coefficients_at_max(levels);
        let sigma_max = levels.sigma_max as f32;
        let mut weights = params.named();
        if let Some(first) = weights.get_mut("input.weight") {
            scale_columns(first, planes, input * sigma_max);
        }
        for name in ["output.weight", "output.bias"] {
            if let Some(last) = weights.get_mut(name) {
                last.values.iter_mut().for_each(|w| *w *= out);
            }
        }
        let sigma = Tensor::from_slice(&[sigma_max]).to_device(params.flat().device());
        let embedded = {
            let _guard = tch::no_grad_guard();
            embedding.of(params, &sigma)
        };
        Served { params, weights, embedded, skip: skip * sigma_max }
    }

    /// One of its layers.
    pub(super) fn layer(&self, g: &mut GraphWriter, name: &str, x: &str) -> Value {
        layer(g, &self.weights, "sampler", name, x)
    }

    /// One of its blocks, modulation folded in.
    pub(super) fn block(&self, g: &mut GraphWriter, block: &FilmBlock, h: &str) -> Value {
        let (gamma, beta) = {
            let _guard = tch::no_grad_guard();
            let (gamma, beta) = block.modulation(self.params, &self.embedded);
            (values(&gamma), values(&beta))
        };
        let name = &block.name;
        let (weight, bias) = modulated(&self.weights, &format!("{name}.first"), &gamma, &beta);
        let first = format!("sampler.{name}.first");
        let inner = match block.dilation {
            1 => g.conv(&first, h, &weight, Some(&bias)),
            dilation => g.dilated(&first, h, &weight, &bias, dilation),
        };
        let inner = g.relu(&format!("sampler.{name}.relu"), &inner);
        let inner = self.layer(g, &format!("{name}.second"), &inner);
        g.add(&format!("sampler.{name}.add"), &inner, h)
    }

    /// f(σ_max·z, σ_max) = c_skip·σ_max·z + c_out·F, of the last layer's input and the folded noise z.
    pub(super) fn estimate(&self, g: &mut GraphWriter, h: &str, noise: &str) -> Value {
        let f = self.layer(g, "output", h);
        let skip = g.constant("sampler.skip", &[], &[self.skip]);
        let through = g.mul("sampler.through", noise, &skip);
        g.add("sampler.sum", &f, &through)
    }
}

/// c_skip, c_out and c_in at σ_max.
pub(super) fn coefficients_at_max(levels: &Levels) -> [f32; 3] {
    let c = coefficients(&Tensor::from(levels.sigma_max), levels.sigma_data);
    [c.skip, c.out, c.input].map(|t| t.double_value(&[]) as f32)
}

/// Multiplies what the first `planes` input channels of a convolution weigh.
pub(super) fn scale_columns(first: &mut Weight, planes: usize, factor: f32) {
    let kernel = (first.shape[2] * first.shape[3]) as usize;
    let row = first.shape[1] as usize * kernel;
    for filter in first.values.chunks_exact_mut(row) {
        filter[..planes * kernel].iter_mut().for_each(|w| *w *= factor);
    }
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

/// A convolution named as in the list of weights, below the name of its net.
pub(super) fn layer(g: &mut GraphWriter, weights: &Weights, net: &str, name: &str, x: &str) -> Value {
    let bias = &weights[&format!("{name}.bias")].values;
    g.conv(&format!("{net}.{name}"), x, &weights[&format!("{name}.weight")], Some(bias))
}

/// One kernel set applied to each of three planes, as a dense convolution 3 → 3·`count`. Dense, because
/// grouped convolutions leave ONNX Runtime's fast layout.
pub(super) fn per_plane(kernels: &[f32], count: usize, side: usize) -> Weight {
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

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.contiguous().reshape([-1]).to_kind(Kind::Float).to_device(Device::Cpu);
    Vec::<f32>::try_from(&flat).expect("an f32 tensor becomes a vector")
}
