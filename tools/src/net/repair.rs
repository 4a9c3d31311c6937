//! The net that repairs holes: an encoder–decoder whose widest work runs at half the resolution (pictures
//! come in folded) and whose middle, at an eighth, looks far by dilation (Yu & Koltun 2016). It serves whole
//! crops, never tiles, yet keeps no statistics over space, so what lies far from a hole changes nothing.

use super::body_kind;
use super::params::{Conv, Layout, Params};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Pixels folded into channels along a side before the first layer.
pub const FOLD: i64 = 2;
/// Sides of crops are multiples of this: folded, then halved twice.
pub const MULTIPLE: usize = 8;
/// Planes that are folded: the picture with its holes filled, and the mask.
pub const PLANES: i64 = 4;

/// Size of the net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairConfig {
    /// Width at a half, a quarter and an eighth of the resolution.
    pub widths: [i64; 3],
    /// Dilation of each block in the middle.
    pub dilations: Vec<i64>,
}

impl RepairConfig {
    /// Radius in pixels beyond which nothing can influence the output.
    pub fn receptive_field(&self) -> usize {
        // Layers at a half: 3 down, 4 up; at a quarter 3 and 3; at an eighth 3 and the middle's.
        let middle: i64 = self.dilations.iter().map(|dilation| dilation + 1).sum();
        // A pixel of an eighth is eight wide, and its value is repeated over as many.
        let blocks = 2 * MULTIPLE as i64;
        (2 * 7 + 4 * 6 + 8 * (3 + middle) + blocks) as usize
    }
}

/// h + conv(relu(conv(h))), the first one dilated.
#[derive(Debug, Clone)]
pub struct RepairBlock {
    /// Its layers' prefix in the list of weights.
    pub name: String,
    /// Dilation of its first layer.
    pub dilation: i64,
    layers: [Conv; 2],
}

/// One resolution on the way down or up: a layer that changes the width, then a block. The trunk has no
/// rectifier of its own: with one the net died within fifty steps and gave back its input.
#[derive(Debug, Clone)]
pub struct RepairLevel {
    /// The layer's name in the list of weights.
    pub name: String,
    /// What follows it.
    pub block: RepairBlock,
    layer: Conv,
}

/// The layers of the net.
#[derive(Debug, Clone)]
pub struct RepairNet {
    /// Its size.
    pub config: RepairConfig,
    /// From half the resolution to an eighth; what leaves one is halved before the next.
    pub down: Vec<RepairLevel>,
    /// At an eighth.
    pub middle: Vec<RepairBlock>,
    /// Back to half the resolution; what comes in is doubled, and joined by what left on the way down.
    pub up: Vec<RepairLevel>,
    output: Conv,
}

impl RepairNet {
    /// Declares the layers.
    pub fn new(config: RepairConfig) -> (RepairNet, Layout) {
        let mut layout = Layout::default();
        let mut channels = PLANES * FOLD * FOLD;
        let mut down = Vec::new();
        for (level, &width) in config.widths.iter().enumerate() {
            down.push(RepairLevel::new(&mut layout, format!("down{level}"), channels, width));
            channels = width;
        }
        let mut middle = Vec::new();
        for (index, &dilation) in config.dilations.iter().enumerate() {
            middle.push(RepairBlock::new(&mut layout, format!("middle{index}"), channels, dilation));
        }
        let mut up = Vec::new();
        for (level, &width) in config.widths.iter().enumerate().rev().skip(1) {
            up.push(RepairLevel::new(&mut layout, format!("up{level}"), channels + width, width));
            channels = width;
        }
        // Nothing at first: the fill is a good start.
        let output = layout.conv("output", channels, 3 * FOLD * FOLD, 3, 0.0);
        (RepairNet { config, down, middle, up, output }, layout)
    }

    /// What the net makes of `image` N×3×H×W in [0, 1] with its holes filled and `mask` N×1×H×W
    /// ([`contract::mask`]): features at an eighth, a quarter and a half of the resolution, in the body's
    /// kind. Sides are multiples of [`MULTIPLE`].
    pub fn features(&self, params: &Params, image: &Tensor, mask: &Tensor, bf16: bool) -> Vec<Tensor> {
        let mut h = folded(image, mask).to_kind(body_kind(bf16));
        let mut remembered = Vec::new();
        for (index, level) in self.down.iter().enumerate() {
            if index > 0 {
                h = h.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
            }
            h = level.forward(params, &h);
            remembered.push(h.shallow_clone());
        }
        h = self.middle.iter().fold(h, |h, block| block.forward(params, &h));
        remembered.pop(); // The lowest resolution went through the middle.
        let mut features = vec![h.shallow_clone()];
        for level in &self.up {
            let before = remembered.pop().expect("as many ways up as down");
            let (height, width) = (before.size()[2], before.size()[3]);
            let doubled = h.upsample_nearest2d([height, width], None::<f64>, None::<f64>);
            h = level.forward(params, &Tensor::cat(&[doubled, before], 1));
            features.push(h.shallow_clone());
        }
        features
    }

    /// The repaired picture N×3×H×W f32, not clipped, of `image` and its features.
    pub fn repaired(&self, params: &Params, image: &Tensor, features: &[Tensor]) -> Tensor {
        let finest = features.last().expect("there are three resolutions");
        image + params.conv(self.output, finest).to_kind(Kind::Float).pixel_shuffle(FOLD)
    }

    /// Both in one.
    pub fn forward(&self, params: &Params, image: &Tensor, mask: &Tensor, bf16: bool) -> Tensor {
        self.repaired(params, image, &self.features(params, image, mask, bf16))
    }
}

/// A picture, centred, and its mask, folded: N×16×H/2×W/2.
pub fn folded(image: &Tensor, mask: &Tensor) -> Tensor {
    Tensor::cat(&[&(image - 0.5), mask], 1).pixel_unshuffle(FOLD)
}

impl RepairLevel {
    fn new(layout: &mut Layout, name: String, inputs: i64, width: i64) -> RepairLevel {
        let layer = layout.conv(&name, inputs, width, 3, std::f64::consts::FRAC_1_SQRT_2);
        let block = RepairBlock::new(layout, format!("{name}.block"), width, 1);
        RepairLevel { name, block, layer }
    }

    fn forward(&self, params: &Params, h: &Tensor) -> Tensor {
        self.block.forward(params, &params.conv(self.layer, h))
    }
}

impl RepairBlock {
    /// Second layers start at 0.3 of the He gain, so that a net starts near the identity and yet learns.
    fn new(layout: &mut Layout, name: String, width: i64, dilation: i64) -> RepairBlock {
        let first = layout.dilated(&format!("{name}.first"), width, width, dilation, 1.0);
        let second = layout.conv(&format!("{name}.second"), width, width, 3, 0.3);
        RepairBlock { name, dilation, layers: [first, second] }
    }

    fn forward(&self, params: &Params, h: &Tensor) -> Tensor {
        h + params.conv(self.layers[1], &params.conv(self.layers[0], h).relu())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Moves one pixel and sees how far the output changes.
    #[test]
    fn nothing_beyond_the_receptive_field_matters() {
        let config = RepairConfig { widths: [8, 8, 8], dilations: vec![1, 2] };
        let radius = config.receptive_field() as i64;
        let (net, layout) = RepairNet::new(config);
        let params = layout.init(3, Device::Cpu);
        let side = 256;
        let picture = Tensor::rand([1, 3, side, side], (Kind::Float, Device::Cpu));
        let mask = Tensor::zeros([1, 1, side, side], (Kind::Float, Device::Cpu));
        let _guard = tch::no_grad_guard();
        // Fresh, its last layer gives nothing.
        drop(params.flat().uniform_(-0.2, 0.2));
        let before = net.forward(&params, &picture, &mask, false);
        let changed = picture.copy();
        drop(changed.narrow(2, 128, 1).narrow(3, 128, 1).fill_(1000.0));
        let moved = (net.forward(&params, &changed, &mask, false) - before).abs().amax([0i64, 1], false);
        let far = |r: i64| {
            let outside = moved.copy();
            drop(outside.narrow(0, 128 - r, 2 * r + 1).narrow(1, 128 - r, 2 * r + 1).fill_(0.0));
            outside.max().double_value(&[])
        };
        assert!(far(radius) == 0.0, "{}", far(radius));
        assert!(far(radius / 2) > 0.0, "the bound is not idle");
    }
}
