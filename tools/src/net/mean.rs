//! The mean net: μ = bicubic enlargement + a learned residual, computed at LR size. It is told where its
//! picture comes from. Its features also condition the scale head and the consistency net.

use super::body::{Body, BodyKind};
use super::params::{Conv, Layout, Linear, Params, Weight};
use super::{Given, body_kind, enlarge_folded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Size of the mean net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeanConfig {
    /// What its body is made of.
    #[serde(default)]
    pub body: BodyKind,
    /// Width of the body.
    pub channels: i64,
    /// Blocks of the body.
    pub blocks: usize,
}

impl MeanConfig {
    /// Radius in LR pixels that the features depend on: every 3×3 convolution adds one.
    pub fn feature_radius(&self) -> usize {
        1 + self.body.block_radius() * self.blocks + 1
    }

    /// Radius in LR pixels that μ depends on.
    pub fn receptive_field(&self) -> usize {
        self.feature_radius() + 1
    }
}

/// The layers of the mean net, as places in a [`Layout`].
#[derive(Debug, Clone)]
pub struct MeanNet {
    /// Its size.
    pub config: MeanConfig,
    scale: i64,
    input: Conv,
    source: Linear,
    body: Body,
    join: Conv,
    output: Conv,
}

impl MeanNet {
    /// Declares the layers. What is known of the picture's source starts without effect.
    pub fn new(config: MeanConfig, scale: i64) -> (MeanNet, Layout) {
        let mut layout = Layout::default();
        let width = config.channels;
        let input = layout.conv("input", 3, width, 3, 1.0);
        let source = layout.linear("source", 2, width, 0.0);
        let body = Body::new(&mut layout, config.body, width, config.blocks);
        let join = layout.conv("join", width, width, 3, 0.3);
        let output = layout.conv("output", width, 3 * scale * scale, 3, 0.1);
        (MeanNet { config, scale, input, source, body, join, output }, layout)
    }

    /// y N×3×H×W in [0, 1] and its source → features N×C×H×W in the body's kind.
    pub fn features(&self, params: &Params, given: &Given, bf16: bool) -> Tensor {
        let kind = body_kind(bf16);
        // Centred input: a mean of zero keeps the first layer's gradients balanced.
        let seen = params.conv(self.input, &(&given.y - 0.5).to_kind(kind));
        let first = seen + self.told(params, &given.source).to_kind(kind);
        params.conv(self.join, &self.body.forward(params, &first)) + first
    }

    /// What the source adds to every pixel of the first layer, N×C×1×1: linear in s and s², so that the three
    /// sources have three vectors of their own.
    fn told(&self, params: &Params, source: &Tensor) -> Tensor {
        let s = source.view([-1, 1]);
        params.linear(self.source, &Tensor::cat(&[&s, &s.square()], 1)).unsqueeze(-1).unsqueeze(-1)
    }

    /// Features → folded μ, N×3s²×H×W f32, not clipped.
    pub fn mean(&self, params: &Params, y: &Tensor, features: &Tensor) -> Tensor {
        enlarge_folded(y, self.scale) + params.conv(self.output, features).to_kind(Kind::Float)
    }

    /// The weights by name as serving needs them.
    pub fn serving(&self, params: &Params) -> BTreeMap<String, Weight> {
        let mut named = params.named();
        self.body.fold(params, &mut named);
        named
    }
}
