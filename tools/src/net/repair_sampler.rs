//! The consistency net of repair, F(c_in·x_σ, σ; …): noise in the holes becomes what may have been there. An
//! encoder–decoder like the mean net's, smaller, that is given the mean net's features at each resolution:
//! what surrounds a hole was understood there. Knows no preconditioning: that lives in `method`.

use super::body_kind;
use super::film::{Embedding, FilmBlock};
use super::params::{Conv, Layout, Params};
use super::repair::{FOLD, MULTIPLE, PLANES};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Size of the net.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairSamplerConfig {
    /// Width at a half, a quarter and an eighth of the resolution.
    pub widths: [i64; 3],
    /// Dilation of each block in the middle.
    pub dilations: Vec<i64>,
}

impl RepairSamplerConfig {
    /// Radius in pixels that its own layers span; the features' radius comes on top.
    pub fn radius(&self) -> usize {
        // As of the mean net: layers at a half, a quarter and an eighth, and what halving and doubling
        // smear.
        let middle: i64 = self.dilations.iter().map(|dilation| dilation + 1).sum();
        (2 * 7 + 4 * 6 + 8 * (3 + middle) + 2 * MULTIPLE as i64) as usize
    }
}

/// What a sample depends on beside its noise.
#[derive(Debug)]
pub struct RepairCondition {
    /// The picture with μ in its holes, minus ½, and the mask, folded: N×16×H/2×W/2 f32.
    pub seen: Tensor,
    /// The mean net's features, standardised, f32: at an eighth, a quarter, a half of the resolution.
    pub features: Vec<Tensor>,
}

/// One resolution on the way down or up: a layer that changes the width, then a block.
#[derive(Debug, Clone)]
pub struct SamplerLevel {
    /// The layer's name in the list of weights.
    pub name: String,
    /// What follows it.
    pub block: FilmBlock,
    layer: Conv,
}

impl SamplerLevel {
    fn new(layout: &mut Layout, name: &str, inputs: i64, width: i64) -> SamplerLevel {
        let layer = layout.conv(name, inputs, width, 3, std::f64::consts::FRAC_1_SQRT_2);
        let block = FilmBlock::new(layout, format!("{name}.block"), width, 1);
        SamplerLevel { name: name.to_owned(), block, layer }
    }

    fn forward(&self, params: &Params, h: &Tensor, embedded: &Tensor) -> Tensor {
        self.block.forward(params, &params.conv(self.layer, h), embedded)
    }
}

/// The layers of the net.
#[derive(Debug, Clone)]
pub struct RepairSampler {
    /// Its size.
    pub config: RepairSamplerConfig,
    /// Of σ.
    pub embedding: Embedding,
    /// From half the resolution to an eighth; what leaves one is halved before the next.
    pub down: Vec<SamplerLevel>,
    /// At an eighth.
    pub middle: Vec<FilmBlock>,
    /// Back to half the resolution; what comes in is doubled, and joined by what left on the way down.
    pub up: Vec<SamplerLevel>,
    output: Conv,
}

impl RepairSampler {
    /// Declares the layers for a mean net whose features have `features` channels at a half, a quarter and an
    /// eighth of the resolution.
    pub fn new(config: RepairSamplerConfig, features: [i64; 3]) -> (RepairSampler, Layout) {
        let mut layout = Layout::default();
        let embedding = Embedding::new(&mut layout);
        let area = FOLD * FOLD;
        let mut channels = (3 + PLANES) * area;
        let mut down = Vec::new();
        let names = ["input", "down1", "down2"];
        for ((name, width), features) in names.iter().zip(config.widths).zip(features) {
            down.push(SamplerLevel::new(&mut layout, name, channels + features, width));
            channels = width;
        }
        let middle = config.dilations.iter().enumerate();
        let middle = middle.map(|(index, &dilation)| {
            FilmBlock::new(&mut layout, format!("middle{index}"), channels, dilation)
        });
        let middle = middle.collect();
        let mut up = Vec::new();
        for (name, width) in ["up1", "up0"].iter().zip([config.widths[1], config.widths[0]]) {
            up.push(SamplerLevel::new(&mut layout, name, channels + width, width));
            channels = width;
        }
        let output = layout.conv("output", channels, 3 * area, 3, 0.1);
        (RepairSampler { config, embedding, down, middle, up, output }, layout)
    }

    /// F: scaled noisy residual c_in·x N×12×H/2×W/2 f32, folded; σ of N values → the same shape, f32.
    pub fn forward(
        &self,
        params: &Params,
        x: &Tensor,
        sigma: &Tensor,
        condition: &RepairCondition,
        bf16: bool,
    ) -> Tensor {
        let kind = body_kind(bf16);
        let embedded = self.embedding.of(params, sigma);
        let mut h = Tensor::cat(&[x, &condition.seen], 1).to_kind(kind);
        let mut remembered = Vec::new();
        for (index, (level, features)) in self.down.iter().zip(condition.features.iter().rev()).enumerate() {
            if index > 0 {
                h = h.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None::<i64>);
            }
            h = level.forward(params, &Tensor::cat(&[h, features.to_kind(kind)], 1), &embedded);
            remembered.push(h.shallow_clone());
        }
        h = self.middle.iter().fold(h, |h, block| block.forward(params, &h, &embedded));
        remembered.pop(); // The lowest resolution went through the middle.
        for level in &self.up {
            let before = remembered.pop().expect("as many ways up as down");
            let (height, width) = (before.size()[2], before.size()[3]);
            let doubled = h.upsample_nearest2d([height, width], None::<f64>, None::<f64>);
            h = level.forward(params, &Tensor::cat(&[doubled, before], 1), &embedded);
        }
        params.conv(self.output, &h).to_kind(Kind::Float)
    }
}
