//! The graph of a generator: `x` N×3×S×S noisy pictures in [−1, 1]·(1 + σ) and `sigma` N×1×1×1 → `output`,
//! the estimate of the clean ones, preconditioning included. One file serves one step, several and the ODE.

use super::graph::{GraphWriter, GroupNorm, Value};
use crate::net::unet::{Block, SKIP_SCALE, Step, groups};
use crate::net::{FREQUENCIES, GROUP_NORM_EPSILON, Weight};
use crate::recipe::{GeneratorRecipe, RunRecipe};
use crate::train::GeneratorSession;
use std::collections::BTreeMap;

type Weights = BTreeMap<String, Weight>;

/// What a generator's file says of itself, beside the graph.
pub fn facts(recipe: &GeneratorRecipe, minutes: f64) -> Vec<(String, String)> {
    let levels = &recipe.run.consistency;
    let method = serde_json::to_string(&recipe.run.method).expect("a method has only numbers and a name");
    let stages: Vec<String> = recipe.run.stages.iter().map(|plan| format!("{:?}", plan.stage)).collect();
    let pairs = [
        ("generator.name", recipe.name().to_owned()),
        ("generator.side", recipe.net.side.to_string()),
        ("generator.sigma_data", levels.sigma_data.to_string()),
        ("generator.sigma_min", levels.sigma_min.to_string()),
        ("generator.sigma_max", levels.sigma_max.to_string()),
        ("generator.method", method),
        ("generator.stages", stages.join(", ").to_lowercase()),
        ("training.minutes", format!("{minutes:.1}")),
        ("training.device", recipe.run.device.clone()),
        ("training.seed", recipe.run.seed.to_string()),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Writes the averaged weights as a graph.
pub fn generator_graph(session: &GeneratorSession) -> GraphWriter {
    let mut g = GraphWriter::new("generator");
    let side = session.recipe.net.side.to_string();
    let x = g.input("x", ["n", "3", &side, &side]);
    let sigma = g.input("sigma", ["n", "1", "1", "1"]);
    let sigma_data = session.recipe.run.consistency.sigma_data as f32;

    let square = g.mul("sigma.square", &sigma, &sigma);
    let data = g.constant("data.square", &[], &[sigma_data * sigma_data]);
    let total = g.add("total", &square, &data);
    let root = g.apply("Sqrt", "root", &total);
    let scaled = g.div("c_in", &x, &root);
    let f = network(&mut g, session, &scaled, &sigma);

    let skip = g.div("c_skip", &data, &total);
    let data = g.constant("data", &[], &[sigma_data]);
    let out = g.mul("c_out.top", &sigma, &data);
    let out = g.div("c_out", &out, &root);
    let through = g.mul("through", &x, &skip);
    let learned = g.mul("learned", &f, &out);
    let sum = g.add("sum", &through, &learned);
    g.output(&sum, "output", ["n", "3", &side, &side]);
    g
}

/// F(c_in·x, σ).
fn network(g: &mut GraphWriter, session: &GeneratorSession, x: &str, sigma: &str) -> Value {
    let (config, weights) = (&session.recipe.net, session.student.trainee.average.named());
    let embedding = embedding(g, &weights, sigma);
    let folded = if config.fold > 1 { g.fold("fold", x, 3, config.fold) } else { x.to_owned() };
    let mut h = conv(g, &weights, "input", &folded);
    let mut channels = config.widths[0];
    let mut remembered: Vec<(Value, i64)> = Vec::new();
    for (index, step) in session.net.steps.iter().enumerate() {
        h = match step {
            Step::Encode(layer) => {
                let out = block(g, &weights, layer, &h, channels, &embedding);
                channels = layer.width;
                remembered.push((out.clone(), channels));
                out
            }
            Step::Down => g.halve(&format!("half{index}"), &h),
            Step::Up => g.double(&format!("double{index}"), &h),
            Step::Decode(layer) => {
                let (other, width) = remembered.pop().expect("as many ways up as down");
                let joined = g.concat(&format!("{}.join", layer.name), &[&h, &other]);
                let out = block(g, &weights, layer, &joined, channels + width, &embedding);
                channels = layer.width;
                out
            }
        };
    }
    let side = config.sides()[0];
    let h = norm(g, &weights, "last", &h, channels, side);
    let h = g.silu("last.silu", &h);
    let h = conv(g, &weights, "output", &h);
    if config.fold > 1 { g.depth_to_space("unfold", &h, config.fold) } else { h }
}

/// The embedding of c_noise = ln(σ)/4, N×E×1×1.
fn embedding(g: &mut GraphWriter, weights: &Weights, sigma: &str) -> Value {
    let log = g.apply("Log", "noise.log", sigma);
    let quarter: Vec<f32> = FREQUENCIES.iter().map(|f| f * 0.25).collect();
    let frequencies = g.constant("noise.frequencies", &[1, FREQUENCIES.len() as i64, 1, 1], &quarter);
    let phase = g.mul("noise.phase", &log, &frequencies);
    let (sin, cos) = (g.apply("Sin", "noise.sin", &phase), g.apply("Cos", "noise.cos", &phase));
    let mut h = g.concat("noise.features", &[&sin, &cos]);
    for layer in ["embed.first", "embed.second"] {
        h = linear(g, weights, layer, &h);
        h = g.silu(&format!("{layer}.silu"), &h);
    }
    h
}

fn block(
    g: &mut GraphWriter,
    weights: &Weights,
    layer: &Block,
    x: &str,
    inputs: i64,
    embedding: &str,
) -> Value {
    let name = &layer.name;
    let h = norm(g, weights, &format!("{name}.norm0"), x, inputs, layer.side);
    let h = g.silu(&format!("{name}.silu0"), &h);
    let h = conv(g, weights, &format!("{name}.conv0"), &h);
    let shift = linear(g, weights, &format!("{name}.embed"), embedding);
    let h = g.add(&format!("{name}.shifted"), &h, &shift);
    let h = norm(g, weights, &format!("{name}.norm1"), &h, layer.width, layer.side);
    let h = g.silu(&format!("{name}.silu1"), &h);
    let h = conv(g, weights, &format!("{name}.conv1"), &h);
    let skip =
        if layer.has_skip_layer() { conv(g, weights, &format!("{name}.skip"), x) } else { x.to_owned() };
    let out = joined(g, &format!("{name}.out"), &h, &skip);
    if !layer.has_attention() {
        return out;
    }
    let mixed = attention(g, weights, &format!("{name}.attention"), &out, [layer.width, layer.side]);
    joined(g, &format!("{name}.attended"), &mixed, &out)
}

/// (a + b)/√2
fn joined(g: &mut GraphWriter, name: &str, a: &str, b: &str) -> Value {
    let half = g.constant(&format!("{name}.scale"), &[], &[SKIP_SCALE as f32]);
    let sum = g.add(&format!("{name}.sum"), a, b);
    g.mul(name, &sum, &half)
}

/// softmax(q·kᵀ/√C)·v; the one layer for all three becomes three, the division part of q's weights.
fn attention(g: &mut GraphWriter, weights: &Weights, name: &str, x: &str, size: [i64; 2]) -> Value {
    let [channels, side] = size;
    let normed = norm(g, weights, &format!("{name}.norm"), x, channels, side);
    let (all, bias) = (&weights[&format!("{name}.qkv.weight")], &weights[&format!("{name}.qkv.bias")]);
    let rows = all.values.len() / 3;
    let c = channels as usize;
    let mut part = |index: usize, word: &str, factor: f32| {
        let scaled = |values: &[f32]| values.iter().map(|v| v * factor).collect::<Vec<f32>>();
        let values = scaled(&all.values[index * rows..(index + 1) * rows]);
        let weight = Weight { shape: vec![channels, channels, 1, 1], values };
        let bias = scaled(&bias.values[index * c..(index + 1) * c]);
        let planes = g.conv(&format!("{name}.{word}"), &normed, &weight, Some(&bias));
        g.reshape(&format!("{name}.{word}.rows"), &planes, &[0, channels, side * side])
    };
    let q = part(0, "q", (channels as f32).sqrt().recip());
    let (k, v) = (part(1, "k", 1.0), part(2, "v", 1.0));
    let q = g.transpose(&format!("{name}.q.columns"), &q);
    let scores = g.matmul(&format!("{name}.scores"), &q, &k);
    let shares = g.softmax(&format!("{name}.shares"), &scores);
    let shares = g.transpose(&format!("{name}.shares.columns"), &shares);
    let mixed = g.matmul(&format!("{name}.mixed"), &v, &shares);
    let planes = g.reshape(&format!("{name}.planes"), &mixed, &[0, channels, side, side]);
    conv(g, weights, &format!("{name}.out"), &planes)
}

fn norm(g: &mut GraphWriter, weights: &Weights, name: &str, x: &str, channels: i64, side: i64) -> Value {
    let layer = GroupNorm {
        groups: groups(channels),
        size: [channels, side, side],
        scale: &weights[&format!("{name}.weight")].values,
        shift: &weights[&format!("{name}.bias")].values,
        epsilon: GROUP_NORM_EPSILON as f32,
    };
    g.group_norm(name, x, &layer)
}

fn conv(g: &mut GraphWriter, weights: &Weights, name: &str, x: &str) -> Value {
    let bias = &weights[&format!("{name}.bias")].values;
    g.conv(name, x, &weights[&format!("{name}.weight")], Some(bias))
}

/// A fully connected layer on N×I×1×1, as a 1×1 convolution.
fn linear(g: &mut GraphWriter, weights: &Weights, name: &str, x: &str) -> Value {
    let mut weight = weights[&format!("{name}.weight")].clone();
    weight.shape.extend([1, 1]);
    g.conv(name, x, &weight, Some(&weights[&format!("{name}.bias")].values))
}
