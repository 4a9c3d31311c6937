//! Weights back out of the ONNX files this program writes, so that a shipped model is a start too. What
//! serving folded together is taken apart again where that is possible.

use super::graph::{FLOAT, FLOAT16, INT8};
use super::proto::{Constant, Model};
use super::sampling::{Weights, coefficients_at_max, scale_columns};
use crate::method::Levels;
use crate::net::Weight;
use crate::recipe::{LEVELS, REPAIR_LEVELS};
use crate::train::{GeneratorSession, Saved, TrainError};
use prost::Message;
use std::path::Path;
use tch::Tensor;

/// Reads `path`: an ONNX file through `take_apart`, anything else as safetensors.
///
/// # Errors
/// If the file is missing, damaged or of another network.
pub fn start_weights(
    path: &Path,
    take_apart: &dyn Fn(&Path) -> Result<Saved, String>,
) -> Result<Saved, TrainError> {
    let onnx = path.extension().is_some_and(|ending| ending == "onnx");
    let saved = if onnx { take_apart(path) } else { Saved::load(path) };
    saved.map_err(|problem| {
        let named = problem.starts_with(&path.display().to_string());
        TrainError::Checkpoint(if named { problem } else { format!("{}: {problem}", path.display()) })
    })
}

/// The f32 constants of a file by name.
fn constants(path: &Path) -> Result<Weights, String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let model = Model::decode(&bytes[..]).map_err(|e| format!("is no ONNX file ({e})"))?;
    let graph = model.graph.ok_or("it has no graph")?;
    let is_other = |constant: &Constant| [FLOAT16, INT8].contains(&constant.data_type);
    if graph.initializer.iter().any(is_other) {
        return Err(
            "it is a version in f16 or int8, whose weights were rounded: start from the f32 file".into()
        );
    }
    let floats = graph.initializer.into_iter().filter(|c| c.data_type == FLOAT);
    let weight = |constant: Constant| {
        let values = constant.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        (constant.name, Weight { shape: constant.dims, values: values.collect() })
    };
    Ok(floats.map(weight).collect())
}

/// The weights below `prefix`, without it.
fn below(all: &Weights, prefix: &str) -> Weights {
    let strip = |(name, weight): (&String, &Weight)| {
        name.strip_prefix(prefix).map(|rest| (rest.to_owned(), weight.clone()))
    };
    all.iter().filter_map(strip).collect()
}

/// What a super-resolution file holds of its networks, whatever its factor. Mean net, local scale and
/// calibration are exact. The consistency net's dependence on σ was folded into constants at σ_max: it
/// starts equal there, and knows nothing of other levels yet. A mean file gives the mean net alone, the rest
/// fresh.
///
/// # Errors
/// If the file is not one of ours or of other sizes.
pub fn super_resolution_weights(path: &Path) -> Result<Saved, String> {
    let all = constants(path)?;
    let mut mean = below(&all, "mean.");
    mean.extend(told(&all));
    unfold(&mut mean);
    join_gates(&mut mean);
    let mut tensors = under("mean", &mean);
    let Some(colour) = all.get("residual.colour.weight") else { return Ok(Saved::new(tensors)) };
    tensors.extend(sampling(&all, colour, &LEVELS));
    let of = |name: &str| all.get(name).ok_or_else(|| format!("it lacks {name}"));
    tensors.push(("feature_mean".into(), plane(of("features.mean")?)));
    tensors.push(("feature_std".into(), plane(of("features.inverse_std")?).reciprocal()));
    Ok(Saved::new(tensors))
}

/// Scale head, consistency net and colours of a file that samples.
fn sampling(all: &Weights, colour: &Weight, levels: &Levels) -> Vec<(String, Tensor)> {
    let planes = colour.shape[0] as usize;
    let mut tensors = under("scale", &below(all, "scale."));
    tensors.extend(under("sampler", &unfolded(&below(all, "sampler."), planes, levels)));
    tensors.push(("opponent".into(), Tensor::from_slice(&opponent_rms(colour, planes / 3))));
    tensors
}

fn plane(weight: &Weight) -> Tensor {
    Tensor::from_slice(&weight.values).view(&weight.shape[..])
}

fn under(prefix: &str, weights: &Weights) -> Vec<(String, Tensor)> {
    weights.iter().map(|(name, weight)| (format!("{prefix}.{name}"), plane(weight))).collect()
}

/// What a repair file holds of its networks, as [`super_resolution_weights`] has it: a mean file gives the
/// mean net alone.
///
/// # Errors
/// If the file is not one of ours.
pub fn repair_weights(path: &Path) -> Result<Saved, String> {
    let all = constants(path)?;
    let mut tensors = under("mean", &below(&all, "mean."));
    if let Some(colour) = all.get("residual.colour.weight") {
        tensors.extend(sampling(&all, colour, &REPAIR_LEVELS));
        let joined = |what: &str| {
            let parts = (0..3).map(|index| all.get(&format!("features{index}.{what}")).map(plane));
            let parts: Option<Vec<Tensor>> = parts.collect();
            parts.map(|parts| Tensor::cat(&parts, 1)).ok_or_else(|| format!("it lacks features of {what}"))
        };
        tensors.push(("feature_mean".into(), joined("mean")?));
        tensors.push(("feature_std".into(), joined("inverse_std")?.reciprocal()));
    }
    Ok(Saved::new(tensors))
}

/// A gated layer's values and gates, which serve as two convolutions, as the one that trains.
fn join_gates(mean: &mut Weights) {
    let layers: Vec<String> =
        mean.keys().filter_map(|name| name.strip_suffix(".value.weight")).map(str::to_owned).collect();
    for layer in layers {
        for what in ["weight", "bias"] {
            let mut take = |part: &str| mean.remove(&format!("{layer}.{part}.{what}"));
            let (Some(mut whole), Some(gate)) = (take("value"), take("gate")) else { continue };
            whole.shape[0] += gate.shape[0];
            whole.values.extend(gate.values);
            mean.insert(format!("{layer}.{what}"), whole);
        }
    }
}

/// A folded kernel W as the branches that train: plain = W − identity, and nothing composed yet.
fn unfold(mean: &mut Weights) {
    let folded = |name: &&String| {
        let block = name.strip_prefix("block").and_then(|rest| rest.strip_suffix(".weight"));
        block.is_some_and(|number| !number.contains('.'))
    };
    let names: Vec<String> = mean.keys().filter(folded).cloned().collect();
    for name in names {
        let Some(plain) = mean.get_mut(&name) else { continue };
        let (width, area) = (plain.shape[0], plain.shape[2] * plain.shape[3]);
        for channel in 0..width {
            plain.values[((channel * width + channel) * area + area / 2) as usize] -= 1.0;
        }
        let shape = vec![width, 2 * width, plain.shape[2], plain.shape[3]];
        let values = vec![0.0; shape.iter().product::<i64>() as usize];
        mean.insert(name.replace(".weight", ".expand.weight"), Weight { shape, values });
    }
}

/// What the source adds, as the two columns of one layer again; nothing in files that are not told it.
fn told(all: &Weights) -> Weights {
    let of = |name: &str| all.get(&format!("mean.source.{name}")).map(|weight| &weight.values);
    let (Some(linear), Some(square), Some(bias)) = (of("linear"), of("square"), of("bias")) else {
        return Weights::new();
    };
    let width = bias.len() as i64;
    let values = linear.iter().zip(square).flat_map(|(l, s)| [*l, *s]).collect();
    Weights::from([
        ("source.weight".into(), Weight { shape: vec![width, 2], values }),
        ("source.bias".into(), Weight { shape: vec![width], values: bias.clone() }),
    ])
}

/// The consistency net's layers without the preconditioning that serving folded into the first and the last,
/// for residuals of so many folded planes.
fn unfolded(sampler: &Weights, planes: usize, levels: &Levels) -> Weights {
    let mut weights = sampler.clone();
    let [_, out, input] = coefficients_at_max(levels);
    if let Some(first) = weights.get_mut("input.weight") {
        scale_columns(first, planes, 1.0 / (input * levels.sigma_max as f32));
    }
    for name in ["output.weight", "output.bias"] {
        if let Some(last) = weights.get_mut(name) {
            last.values.iter_mut().for_each(|w| *w /= out);
        }
    }
    weights
}

/// The colour matrix has columns BASIS_k · c_k, and the basis is orthonormal: a column's length is c_k. Each
/// plane is folded into `area` channels.
fn opponent_rms(colour: &Weight, area: usize) -> [f64; 3] {
    let at = |c: usize, k: usize| f64::from(colour.values[c * area * 3 * area + k * area]);
    std::array::from_fn(|k| (0..3).map(|c| at(c, k).powi(2)).sum::<f64>().sqrt())
}

/// What a generator's file holds: everything, exactly.
///
/// # Errors
/// If the file is not one of ours or of another size.
pub fn generator_weights(path: &Path, session: &GeneratorSession) -> Result<Saved, String> {
    let mut all = constants(path)?;
    let queries: Vec<String> =
        all.keys().filter_map(|name| name.strip_suffix(".q.weight")).map(str::to_owned).collect();
    for attention in queries {
        for kind in ["weight", "bias"] {
            let mut shape = Vec::new();
            let mut values = Vec::new();
            for part in ["q", "k", "v"] {
                let found = all.get(&format!("{attention}.{part}.{kind}"));
                let found = found.ok_or_else(|| format!("it lacks {attention}.{part}.{kind}"))?;
                shape.clone_from(&found.shape);
                // Serving divides the queries by √C.
                let factor = if part == "q" { (found.shape[0] as f32).sqrt() } else { 1.0 };
                values.extend(found.values.iter().map(|v| v * factor));
            }
            shape[0] *= 3;
            all.insert(format!("{attention}.qkv.{kind}"), Weight { shape, values });
        }
    }
    // Normalisations and fully connected layers were given dimensions of one to broadcast.
    for (name, weight) in &mut all {
        let norm = name.contains("norm") || name.starts_with("last.");
        let linear = name.starts_with("embed.") || name.contains(".embed.");
        if norm && weight.shape.len() == 4 {
            weight.shape = vec![weight.shape[1]];
        } else if linear && weight.shape.len() == 4 {
            weight.shape.truncate(2);
        }
    }
    Ok(Saved::new(vec![("net".into(), session.student.trainee.params.with_named(&all)?.flat())]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that ship: they have few weights in f32, which would pass for all there are.
    #[test]
    fn versions_whose_weights_were_rounded_are_no_start() {
        let shipped = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
        for name in ["inpaint-mean-f16.onnx", "sr-x4-mean-int8.onnx"] {
            let refused = start_weights(&shipped(name), &repair_weights).expect_err("a rounded version");
            assert!(refused.to_string().ends_with("start from the f32 file"), "{refused}");
        }
        assert!(start_weights(&shipped("inpaint-mean.onnx"), &repair_weights).is_ok());
    }

    /// Sizes follow the file, not the run that begins with it.
    #[test]
    fn colours_are_read_of_every_factor() {
        for name in ["sr-x2.onnx", "sr-x4.onnx"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
            let saved = super_resolution_weights(&path).unwrap();
            let rms = Vec::<f64>::try_from(saved.find("opponent").unwrap()).unwrap();
            // Luma is most of what is missed, and nothing is missing altogether.
            assert!(rms[0] > rms[1] && rms.iter().all(|rms| (1e-4..0.2).contains(rms)), "{name}: {rms:?}");
        }
    }
}
