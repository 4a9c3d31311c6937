//! What networks that know a noise level are made of: σ's embedding, and residual blocks that it modulates
//! (FiLM, Perez et al. 2018). Serving has one σ, so the modulation folds into the convolution before it.

use super::params::{Conv, Layout, Linear, Params};
use tch::{Kind, Tensor};

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

/// Two layers that make of σ what its blocks are modulated by.
#[derive(Debug, Clone, Copy)]
pub struct Embedding([Linear; 2]);

impl Embedding {
    /// Declares the layers.
    pub fn new(layout: &mut Layout) -> Embedding {
        let first = layout.linear("embed.first", EMBEDDING_INPUTS, EMBEDDING, 1.0);
        Embedding([first, layout.linear("embed.second", EMBEDDING, EMBEDDING, 1.0)])
    }

    /// σ of N values → N×64 f32.
    pub fn of(&self, params: &Params, sigma: &Tensor) -> Tensor {
        let hidden = params.linear(self.0[0], &sigma_features(sigma)).silu();
        params.linear(self.0[1], &hidden).silu()
    }
}

/// h + conv(relu((1 + γ)·conv(h) + β)), γ and β of σ; the first layer may be dilated.
#[derive(Debug, Clone)]
pub struct FilmBlock {
    /// Its layers' prefix in the list of weights.
    pub name: String,
    /// Dilation of its first layer.
    pub dilation: i64,
    first: Conv,
    film: Linear,
    second: Conv,
}

impl FilmBlock {
    /// Declares the layers. σ is without effect at first.
    pub fn new(layout: &mut Layout, name: String, width: i64, dilation: i64) -> FilmBlock {
        let first = layout.dilated(&format!("{name}.first"), width, width, dilation, 1.0);
        let film = layout.linear(&format!("{name}.film"), EMBEDDING, 2 * width, 0.0);
        let second = layout.conv(&format!("{name}.second"), width, width, 3, 0.3);
        FilmBlock { name, dilation, first, film, second }
    }

    /// `h` N×C×H×W of any kind and σ's embedding → the same shape and kind.
    pub fn forward(&self, params: &Params, h: &Tensor, embedded: &Tensor) -> Tensor {
        let (gamma, beta) = self.modulation(params, embedded);
        let inner = params.conv(self.first, h) * gamma.to_kind(h.kind()) + beta.to_kind(h.kind());
        h + params.conv(self.second, &inner.relu())
    }

    /// 1 + γ and β, each N×C×1×1 f32.
    pub fn modulation(&self, params: &Params, embedded: &Tensor) -> (Tensor, Tensor) {
        let both = params.linear(self.film, embedded).unsqueeze(-1).unsqueeze(-1);
        let halves = both.chunk(2, 1);
        (&halves[0] + 1.0, halves[1].shallow_clone())
    }
}
