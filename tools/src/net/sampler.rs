//! The consistency net's body F(c_in·x_σ, σ; y): residual blocks with FiLM on σ, at LR size, conditioned on
//! the mean net's features and y. The preconditioning around it lives in `method::precondition`.

use super::body_kind;
use super::film::{Embedding, FilmBlock};
use super::params::{Conv, Layout, Params};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Size of the consistency net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplerConfig {
    /// Width of the body.
    pub channels: i64,
    /// Residual blocks, two convolutions each.
    pub blocks: usize,
}

impl SamplerConfig {
    /// Radius in LR pixels that its own convolutions span; the features' radius comes on top.
    pub fn radius(&self) -> usize {
        1 + 2 * self.blocks + 1
    }
}

/// The layers of the consistency net.
#[derive(Debug, Clone)]
pub struct SamplerNet {
    /// Its size.
    pub config: SamplerConfig,
    /// Of σ.
    pub embedding: Embedding,
    /// Its blocks.
    pub blocks: Vec<FilmBlock>,
    input: Conv,
    output: Conv,
}

impl SamplerNet {
    /// Declares the layers for features of `width` channels and folded residuals of 3·`scale`² planes.
    pub fn new(config: SamplerConfig, width: i64, scale: i64) -> (SamplerNet, Layout) {
        let mut layout = Layout::default();
        let (channels, folded) = (config.channels, 3 * scale * scale);
        let embedding = Embedding::new(&mut layout);
        let input = layout.conv("input", folded + width + 3, channels, 3, 1.0);
        let blocks = (0..config.blocks)
            .map(|b| FilmBlock::new(&mut layout, format!("block{b}"), channels, 1))
            .collect();
        let output = layout.conv("output", channels, folded, 3, 0.1);
        (SamplerNet { config, embedding, blocks, input, output }, layout)
    }

    /// F: scaled noisy residual c_in·x N×3s²×H×W f32, σ N values, conditioning N×(C+3)×H×W → N×3s²×H×W f32.
    pub fn forward(
        &self,
        params: &Params,
        x: &Tensor,
        sigma: &Tensor,
        condition: &Tensor,
        bf16: bool,
    ) -> Tensor {
        let kind = body_kind(bf16);
        let embedded = self.embedding.of(params, sigma);
        let seen = Tensor::cat(&[x.to_kind(kind), condition.to_kind(kind)], 1);
        let h = params.conv(self.input, &seen);
        let h = self.blocks.iter().fold(h, |h, block| block.forward(params, &h, &embedded));
        params.conv(self.output, &h).to_kind(Kind::Float)
    }
}
