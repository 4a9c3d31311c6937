//! The local-scale head: how large the residual x − μ is around a pixel, one log-scale per opponent plane. It
//! lets one network with one noise schedule serve flat sky and foliage alike.

use super::bilinear_folded;
use super::params::{Conv, Layout, Params};
use tch::{Kind, Tensor};

/// Radius in LR pixels that the scale adds to the features' own: three convolutions and the bilinear
/// enlargement.
pub const RADIUS: usize = 4;
/// log s is kept within ± this, i.e. s within 1/20…20 of the plane's RMS. Both ends are met: a batch of 32
/// patches of the shipped run held s from 0.050 to 20.07.
pub const LOG_LIMIT: f64 = 3.0;

/// The layers of the scale head.
#[derive(Debug, Clone, Copy)]
pub struct ScaleHead {
    layers: [Conv; 3],
}

impl ScaleHead {
    /// Declares the layers on features of `width` channels.
    pub fn new(width: i64) -> (ScaleHead, Layout) {
        let mut layout = Layout::default();
        let layers = [
            layout.conv("first", width, 32, 3, 1.0),
            layout.conv("second", 32, 32, 3, 1.0),
            layout.conv("output", 32, 3, 3, 0.1),
        ];
        (ScaleHead { layers }, layout)
    }

    /// Standardised features N×C×H×W → log s N×3×H×W, f32: log RMS of each opponent plane of the normalised
    /// residual.
    pub fn log_scale(&self, params: &Params, features: &Tensor) -> Tensor {
        let h = params.conv(self.layers[0], features).relu();
        let h = params.conv(self.layers[1], &h).relu();
        params.conv(self.layers[2], &h).to_kind(Kind::Float).clamp(-LOG_LIMIT, LOG_LIMIT)
    }

    /// s at every HR pixel, folded N×3s²×H×W: log s enlarged bilinearly, then exponentiated.
    pub fn scale_folded(&self, params: &Params, features: &Tensor, scale: i64) -> Tensor {
        bilinear_folded(&self.log_scale(params, features), scale).exp()
    }
}
