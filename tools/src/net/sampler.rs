//! The consistency net's body F(c_in·x_σ, σ; y): residual blocks with FiLM on σ, at LR size, conditioned on
//! the mean net's features and y. The preconditioning around it lives in `method::precondition`.

use super::body_kind;
use super::params::{Conv, Layout, Linear, Params};
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

/// Frequencies of the sinusoidal embedding of c_noise = ln(σ)/4. Low ones only: embeddings that vary fast
/// with σ destabilise consistency training (sCM, Lu & Song 2024).
pub const FREQUENCIES: [f32; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
const EMBEDDING: i64 = 64;
/// Values that describe one σ.
pub const EMBEDDING_INPUTS: i64 = 2 * FREQUENCIES.len() as i64;

/// sin and cos of c_noise at the five frequencies: σ of N values → N×10.
pub fn sigma_features(sigma: &Tensor) -> Tensor {
    let frequencies = Tensor::from_slice(&FREQUENCIES).to_device(sigma.device());
    let phase = (sigma.to_kind(Kind::Float).log() * 0.25).unsqueeze(1) * frequencies.unsqueeze(0);
    Tensor::cat(&[phase.sin(), phase.cos()], 1)
}

#[derive(Debug, Clone)]
struct Block {
    first: Conv,
    film: Linear,
    second: Conv,
}

/// The layers of the consistency net.
#[derive(Debug, Clone)]
pub struct SamplerNet {
    /// Its size.
    pub config: SamplerConfig,
    embed: [Linear; 2],
    input: Conv,
    blocks: Vec<Block>,
    output: Conv,
}

impl SamplerNet {
    /// Declares the layers for features of `width` channels and folded residuals of 3·`scale`² planes.
    pub fn new(config: SamplerConfig, width: i64, scale: i64) -> (SamplerNet, Layout) {
        let mut layout = Layout::default();
        let (channels, folded) = (config.channels, 3 * scale * scale);
        let embed = [
            layout.linear("embed.first", EMBEDDING_INPUTS, EMBEDDING, 1.0),
            layout.linear("embed.second", EMBEDDING, EMBEDDING, 1.0),
        ];
        let input = layout.conv("input", folded + width + 3, channels, 3, 1.0);
        let blocks = (0..config.blocks)
            .map(|b| Block {
                first: layout.conv(&format!("block{b}.first"), channels, channels, 3, 1.0),
                film: layout.linear(&format!("block{b}.film"), EMBEDDING, 2 * channels, 0.0),
                second: layout.conv(&format!("block{b}.second"), channels, channels, 3, 0.3),
            })
            .collect();
        let output = layout.conv("output", channels, folded, 3, 0.1);
        (SamplerNet { config, embed, input, blocks, output }, layout)
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
        let film = self.film(params, sigma);
        let mut h = params.conv(self.input, &Tensor::cat(&[x.to_kind(kind), condition.to_kind(kind)], 1));
        for (block, (gamma, beta)) in self.blocks.iter().zip(&film) {
            let inner = params.conv(block.first, &h) * gamma.to_kind(kind) + beta.to_kind(kind);
            h = &h + params.conv(block.second, &inner.relu());
        }
        params.conv(self.output, &h).to_kind(Kind::Float)
    }

    /// (1 + γ, β) of every block, each N×C×1×1 f32, for σ of N values.
    pub fn film(&self, params: &Params, sigma: &Tensor) -> Vec<(Tensor, Tensor)> {
        let hidden = params.linear(self.embed[0], &sigma_features(sigma)).silu();
        let hidden = params.linear(self.embed[1], &hidden).silu();
        let modulate = |block: &Block| {
            let both = params.linear(block.film, &hidden).unsqueeze(-1).unsqueeze(-1);
            let halves = both.chunk(2, 1);
            (&halves[0] + 1.0, halves[1].shallow_clone())
        };
        self.blocks.iter().map(modulate).collect()
    }
}
