//! The mean net: μ = bicubic enlargement + a learned residual, an EDSR-like body (Lim et al. 2017, without
//! batch norm) at LR size. Its features also condition the scale head and the consistency net.

use super::params::{Conv, Layout, Params};
use super::{body_kind, enlarge_folded};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Size of the mean net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeanConfig {
    /// Width of the body.
    pub channels: i64,
    /// Residual blocks, two convolutions each.
    pub blocks: usize,
}

impl MeanConfig {
    /// Radius in LR pixels that the features depend on: every 3×3 convolution adds one.
    pub fn feature_radius(&self) -> usize {
        1 + 2 * self.blocks + 1
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
    blocks: Vec<[Conv; 2]>,
    join: Conv,
    output: Conv,
}

impl MeanNet {
    /// Declares the layers. The second convolution of a block starts at 0.3 of the He gain, so that the body
    /// starts near the identity and yet learns from the first step.
    pub fn new(config: MeanConfig, scale: i64) -> (MeanNet, Layout) {
        let mut layout = Layout::default();
        let width = config.channels;
        let input = layout.conv("input", 3, width, 3, 1.0);
        let blocks = (0..config.blocks)
            .map(|b| {
                let first = layout.conv(&format!("block{b}.first"), width, width, 3, 1.0);
                [first, layout.conv(&format!("block{b}.second"), width, width, 3, 0.3)]
            })
            .collect();
        let join = layout.conv("join", width, width, 3, 0.3);
        let output = layout.conv("output", width, 3 * scale * scale, 3, 0.1);
        (MeanNet { config, scale, input, blocks, join, output }, layout)
    }

    /// y N×3×H×W in [0, 1] → features N×C×H×W in the body's kind.
    pub fn features(&self, params: &Params, y: &Tensor, bf16: bool) -> Tensor {
        // Centred input: a mean of zero keeps the first layer's gradients balanced.
        let first = params.conv(self.input, &(y - 0.5).to_kind(body_kind(bf16)));
        let mut h = first.shallow_clone();
        for [conv1, conv2] in &self.blocks {
            h = &h + params.conv(*conv2, &params.conv(*conv1, &h).relu());
        }
        params.conv(self.join, &h) + first
    }

    /// Features → folded μ, N×3s²×H×W f32, not clipped.
    pub fn mean(&self, params: &Params, y: &Tensor, features: &Tensor) -> Tensor {
        enlarge_folded(y, self.scale) + params.conv(self.output, features).to_kind(Kind::Float)
    }
}
