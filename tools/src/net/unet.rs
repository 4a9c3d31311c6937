//! An encoder–decoder for pictures of a fixed size: residual blocks with GroupNorm and an additive embedding
//! of σ, attention at the low resolutions (the shape of EDM's DDPM++, Karras et al. 2022, small). Pictures
//! come in folded (PixelUnshuffle), so that the widest work runs at half size. For generation only: its
//! statistics span the picture, so it must not be tiled.

use super::body_kind;
use super::film::{EMBEDDING_INPUTS, sigma_features};
use super::params::{Conv, Layout, Linear, Norm, Params};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Channels of a group share their statistics.
pub const CHANNELS_PER_GROUP: i64 = 16;
/// Both branches of a residual block have unit variance; so has their sum times this.
pub const SKIP_SCALE: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// Size of a U-Net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UNetConfig {
    /// Side of the pictures, in pixels.
    pub side: i64,
    /// Pixels folded into channels along a side before the first layer.
    pub fold: i64,
    /// Width at each resolution, from the full one down by halves.
    pub widths: Vec<i64>,
    /// Residual blocks per resolution on the way down, and as many on the way up.
    pub blocks: usize,
    /// Resolutions at most this large have attention.
    pub attention: i64,
    /// Width of the embedding of σ.
    pub embedding: i64,
}

impl UNetConfig {
    /// Side of the planes at each resolution.
    pub fn sides(&self) -> Vec<i64> {
        (0..self.widths.len()).map(|level| (self.side / self.fold) >> level).collect()
    }
}

/// Self-attention over the pixels of one resolution, one head.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    /// Before.
    pub norm: Norm,
    /// Queries, keys and values: 1×1, C → 3C.
    pub qkv: Conv,
    /// 1×1, C → C.
    pub out: Conv,
}

/// A residual block.
#[derive(Debug, Clone)]
pub struct Block {
    /// Its layers' prefix in the list of weights.
    pub name: String,
    /// Output channels.
    pub width: i64,
    /// Side of its planes.
    pub side: i64,
    norms: [Norm; 2],
    convs: [Conv; 2],
    embed: Linear,
    /// 1×1 where the number of channels changes.
    skip: Option<Conv>,
    /// After the block, where the resolution is low enough.
    attention: Option<Attention>,
}

/// A step of the network; `Down` remembers nothing, every block's output on the way down is remembered.
#[derive(Debug, Clone)]
pub enum Step {
    /// A block on the way down.
    Encode(Block),
    /// Halves the resolution: the mean of 2×2 pixels.
    Down,
    /// Doubles the resolution: nearest.
    Up,
    /// A block on the way up: joins the latest remembered output first.
    Decode(Block),
}

/// The layers of a U-Net.
#[derive(Debug, Clone)]
pub struct UNet {
    /// Its size.
    pub config: UNetConfig,
    /// The blocks, in order of evaluation.
    pub steps: Vec<Step>,
    embed: [Linear; 2],
    input: Conv,
    last_norm: Norm,
    output: Conv,
}

impl UNet {
    /// Declares the layers for RGB.
    pub fn new(config: UNetConfig) -> (UNet, Layout) {
        let mut layout = Layout::default();
        let folded = 3 * config.fold * config.fold;
        let embed = [
            layout.linear("embed.first", EMBEDDING_INPUTS, config.embedding, 1.0),
            layout.linear("embed.second", config.embedding, config.embedding, 1.0),
        ];
        let input = layout.conv("input", folded, config.widths[0], 3, 0.7);
        let mut steps = Vec::new();
        let mut remembered = Vec::new();
        let mut channels = config.widths[0];
        let sides = config.sides();
        for (level, &width) in config.widths.iter().enumerate() {
            if level > 0 {
                steps.push(Step::Down);
            }
            for index in 0..config.blocks {
                let name = format!("down{level}.{index}");
                steps.push(Step::Encode(block(&mut layout, &config, name, channels, width, sides[level])));
                channels = width;
                remembered.push(width);
            }
        }
        for (level, &width) in config.widths.iter().enumerate().rev() {
            for index in 0..config.blocks {
                let joined = channels + remembered.pop().expect("as many ways up as down");
                let name = format!("up{level}.{index}");
                steps.push(Step::Decode(block(&mut layout, &config, name, joined, width, sides[level])));
                channels = width;
            }
            if level > 0 {
                steps.push(Step::Up);
            }
        }
        let last_norm = layout.norm("last", channels);
        let output = layout.conv("output", channels, folded, 3, 0.1);
        (UNet { config, steps, embed, input, last_norm, output }, layout)
    }

    /// F: scaled noisy pictures c_in·x N×3×S×S f32 and σ of N values → N×3×S×S f32.
    pub fn forward(&self, params: &Params, x: &Tensor, sigma: &Tensor, bf16: bool) -> Tensor {
        let kind = body_kind(bf16);
        let embedding = params.linear(self.embed[0], &sigma_features(sigma)).silu();
        let embedding = params.linear(self.embed[1], &embedding).silu();
        let folded = x.pixel_unshuffle(self.config.fold).to_kind(kind);
        let mut h = params.conv(self.input, &folded);
        let mut remembered = Vec::new();
        for step in &self.steps {
            h = match step {
                Step::Encode(block) => {
                    let out = block.forward(params, &h, &embedding);
                    remembered.push(out.shallow_clone());
                    out
                }
                Step::Down => h.avg_pool2d([2, 2], [2, 2], [0, 0], false, false, None),
                Step::Up => h.upsample_nearest2d([h.size()[2] * 2, h.size()[3] * 2], None, None),
                Step::Decode(block) => {
                    let other = remembered.pop().expect("as many ways up as down");
                    block.forward(params, &Tensor::cat(&[h, other], 1), &embedding)
                }
            };
        }
        let h = group_norm(params, self.last_norm, &h).silu();
        params.conv(self.output, &h).to_kind(Kind::Float).pixel_shuffle(self.config.fold)
    }
}

impl Block {
    /// Whether its skip has a 1×1 convolution.
    pub fn has_skip_layer(&self) -> bool {
        self.skip.is_some()
    }

    /// Whether attention follows.
    pub fn has_attention(&self) -> bool {
        self.attention.is_some()
    }

    fn forward(&self, params: &Params, x: &Tensor, embedding: &Tensor) -> Tensor {
        let h = params.conv(self.convs[0], &group_norm(params, self.norms[0], x).silu());
        let shift = params.linear(self.embed, embedding).to_kind(h.kind());
        let h = h + shift.unsqueeze(-1).unsqueeze(-1);
        let h = params.conv(self.convs[1], &group_norm(params, self.norms[1], &h).silu());
        let skip = self.skip.map_or(x.shallow_clone(), |conv| params.conv(conv, x));
        let out = (h + skip) * SKIP_SCALE;
        match &self.attention {
            Some(attention) => (attention.forward(params, &out) + &out) * SKIP_SCALE,
            None => out,
        }
    }
}

impl Attention {
    /// softmax(q·kᵀ/√C)·v over the pixels.
    fn forward(&self, params: &Params, x: &Tensor) -> Tensor {
        let size = x.size();
        let (n, channels, pixels) = (size[0], size[1], size[2] * size[3]);
        let qkv = params.conv(self.qkv, &group_norm(params, self.norm, x)).to_kind(Kind::Float);
        let qkv = qkv.reshape([n, 3, channels, pixels]).transpose(2, 3);
        let [q, k, v] = [0, 1, 2].map(|part| qkv.select(1, part));
        let weights = (q.matmul(&k.transpose(1, 2)) / (channels as f64).sqrt()).softmax(-1, Kind::Float);
        let mixed = weights.matmul(&v).transpose(1, 2).reshape(&size[..]).to_kind(x.kind());
        params.conv(self.out, &mixed)
    }
}

fn block(
    layout: &mut Layout,
    config: &UNetConfig,
    name: String,
    inputs: i64,
    width: i64,
    side: i64,
) -> Block {
    let norms = [layout.norm(&format!("{name}.norm0"), inputs), layout.norm(&format!("{name}.norm1"), width)];
    let first = layout.conv(&format!("{name}.conv0"), inputs, width, 3, 1.0);
    let embed = layout.linear(&format!("{name}.embed"), config.embedding, width, 0.5);
    let second = layout.conv(&format!("{name}.conv1"), width, width, 3, 0.3);
    let skip = (inputs != width).then(|| layout.conv(&format!("{name}.skip"), inputs, width, 1, 0.7));
    let attention = (side <= config.attention).then(|| Attention {
        norm: layout.norm(&format!("{name}.attention.norm"), width),
        qkv: layout.conv(&format!("{name}.attention.qkv"), width, 3 * width, 1, 0.7),
        out: layout.conv(&format!("{name}.attention.out"), width, width, 1, 0.3),
    });
    Block { name, width, side, norms, convs: [first, second], embed, skip, attention }
}

fn group_norm(params: &Params, layer: Norm, x: &Tensor) -> Tensor {
    params.group_norm(layer, x, groups(x.size()[1]))
}

/// Groups of a layer of so many channels.
pub fn groups(channels: i64) -> i64 {
    (channels / CHANNELS_PER_GROUP).max(1)
}
