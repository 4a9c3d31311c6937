//! The bodies a mean net can have: what lies between its first convolution and its join. All are 3×3
//! convolutions at LR size without statistics over space, so that tiles join exactly; they differ in how they
//! train and in what they cost when serving (models/README.md has the table).

use super::params::{Conv, Layout, Params, Weight};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::Tensor;

/// Kinds of body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyKind {
    /// h + conv(relu(conv(h))): EDSR (Lim et al. 2017) without residual scaling.
    #[default]
    Residual,
    /// leaky(W∗h), W = a 3×3 kernel + (1×1 → 3×3) + identity while it trains, one 3×3 kernel when it serves:
    /// re-parameterised as in RepVGG (Ding et al. 2021) and ECBSR (Zhang et al. 2021).
    Folded,
    /// h + conv(a·sigmoid(b)), (a, b) = conv(h): gated linear units (Dauphin et al. 2017).
    Gated,
}

impl BodyKind {
    /// LR pixels that one block adds to the radius.
    pub fn block_radius(self) -> usize {
        match self {
            BodyKind::Residual | BodyKind::Gated => 2,
            BodyKind::Folded => 1,
        }
    }
}

/// Slope of the folded body's activation below zero: libtorch's own, which has a fast backward pass. ONNX
/// Runtime fuses it into the convolution.
pub const LEAK: f64 = 0.01;

/// One layer of the folded body while it trains.
#[derive(Debug, Clone, Copy)]
struct FoldedLayer {
    plain: Conv,
    squeeze: Conv,
    expand: Conv,
}

#[derive(Debug, Clone)]
enum Blocks {
    /// Two convolutions a block: residual and gated.
    Pairs(Vec<[Conv; 2]>),
    Folded(Vec<FoldedLayer>),
}

/// The layers of a body.
#[derive(Debug, Clone)]
pub struct Body {
    kind: BodyKind,
    blocks: Blocks,
}

impl Body {
    /// Declares `blocks` blocks of `width` channels. Second convolutions start at 0.3 of the He gain, so that
    /// a body starts near the identity and yet learns from the first step.
    pub fn new(layout: &mut Layout, kind: BodyKind, width: i64, blocks: usize) -> Body {
        let mut pair = |b: usize, middle: i64| {
            let first = layout.conv(&format!("block{b}.first"), width, middle, 3, 1.0);
            let inputs = if kind == BodyKind::Gated { middle / 2 } else { middle };
            [first, layout.conv(&format!("block{b}.second"), inputs, width, 3, 0.3)]
        };
        let blocks = match kind {
            BodyKind::Residual => Blocks::Pairs((0..blocks).map(|b| pair(b, width)).collect()),
            BodyKind::Gated => Blocks::Pairs((0..blocks).map(|b| pair(b, 2 * width)).collect()),
            BodyKind::Folded => Blocks::Folded(
                (0..blocks)
                    .map(|b| FoldedLayer {
                        plain: layout.conv(&format!("block{b}"), width, width, 3, 0.3),
                        squeeze: layout.conv(&format!("block{b}.squeeze"), width, 2 * width, 1, 1.0),
                        expand: layout.conv(&format!("block{b}.expand"), 2 * width, width, 3, 0.1),
                    })
                    .collect(),
            ),
        };
        Body { kind, blocks }
    }

    /// h N×C×H×W → N×C×H×W, in h's kind.
    pub fn forward(&self, params: &Params, h: &Tensor) -> Tensor {
        match &self.blocks {
            Blocks::Pairs(pairs) => pairs.iter().fold(h.shallow_clone(), |h, [first, second]| {
                let inner = params.conv(*first, &h);
                let inner = match self.kind {
                    BodyKind::Gated => inner.glu(1),
                    _ => inner.relu(),
                };
                &h + params.conv(*second, &inner)
            }),
            Blocks::Folded(layers) => layers.iter().fold(h.shallow_clone(), |h, layer| {
                let kernel = layer.kernel(params);
                params.conv_by(layer.plain, &kernel, &h).leaky_relu()
            }),
        }
    }

    /// Replaces what training added by what serving needs: of a folded layer's branches only the one kernel
    /// they sum to remains, under the plain kernel's name.
    pub fn fold(&self, params: &Params, named: &mut BTreeMap<String, Weight>) {
        let Blocks::Folded(layers) = &self.blocks else { return };
        let _guard = tch::no_grad_guard();
        for (b, layer) in layers.iter().enumerate() {
            let kernel = layer.kernel(params).contiguous();
            let name = format!("block{b}.weight");
            let shape = kernel.size();
            let values = Vec::<f32>::try_from(&kernel.reshape([-1])).expect("weights are f32");
            named.insert(name, Weight { shape, values });
            named.retain(|name, _| !name.starts_with(&format!("block{b}.squeeze")));
            named.retain(|name, _| !name.starts_with(&format!("block{b}.expand")));
        }
    }
}

impl FoldedLayer {
    /// W = plain + expand ∘ squeeze + identity, O×I×3×3: all three see the same h, and convolution is linear.
    fn kernel(&self, params: &Params) -> Tensor {
        let (plain, squeeze, expand) =
            (params.kernel(self.plain), params.kernel(self.squeeze), params.kernel(self.expand));
        let width = plain.size()[0];
        // (O, 3, 3, M) × (M, I) → (O, 3, 3, I)
        let middle = squeeze.size()[0];
        let composed = expand.permute([0, 2, 3, 1]).matmul(&squeeze.view([middle, width]));
        let identity = Tensor::eye(width, (plain.kind(), plain.device())).view([width, width, 1, 1]);
        plain + composed.permute([0, 3, 1, 2]) + identity.constant_pad_nd([1, 1, 1, 1])
    }
}
