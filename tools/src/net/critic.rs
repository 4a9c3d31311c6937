//! The critic of the adversarial stage: says of results, at every place and at three sizes of surroundings,
//! how much like photographs they look beside the mean they were made from. It never ships.

use super::body_kind;
use super::params::{Conv, Layout, Params};
use tch::{Kind, Tensor};

/// Pixels of the large picture along a side that become channels before the first convolution.
const FOLD: i64 = 2;
/// Planes of the residual in RGB, of the mean in RGB, of the residual in units of the local scale, and of
/// where there is a residual.
pub const CRITIC_PLANES: [i64; 4] = [3, 3, 3, 1];
/// Slope below zero.
const LEAK: f64 = 0.2;
/// Channels at half of the large size.
const FIRST: i64 = 48;
/// Channels at a quarter, an eighth and a sixteenth, each of which gives a verdict.
const WIDTHS: [i64; 3] = [96, 128, 128];

/// The layers of the critic.
#[derive(Debug, Clone)]
pub struct Critic {
    first: Conv,
    levels: Vec<Level>,
}

/// One size of surroundings.
#[derive(Debug, Clone)]
struct Level {
    halving: Conv,
    body: Conv,
    verdict: Conv,
}

impl Critic {
    /// Declares the layers.
    pub fn new() -> (Critic, Layout) {
        let mut layout = Layout::default();
        let planes: i64 = CRITIC_PLANES.iter().sum();
        let first = layout.conv("first", planes * FOLD * FOLD, FIRST, 3, 1.0);
        let mut inputs = FIRST;
        let level = |(number, width): (usize, i64)| {
            let level = Level {
                halving: layout.halving(&format!("level{number}.halving"), inputs, width, 1.0),
                body: layout.conv(&format!("level{number}.body"), width, width, 3, 1.0),
                verdict: layout.conv(&format!("level{number}.verdict"), width, 1, 3, 0.3),
            };
            inputs = width;
            level
        };
        let levels = WIDTHS.into_iter().enumerate().map(level).collect();
        (Critic { first, levels }, layout)
    }

    /// `seen` N×10×rows×columns at the large size, both even → verdicts at a quarter, an eighth and a
    /// sixteenth of it (surroundings of some 26, 58 and 120 pixels), N×1×… f32 each; higher is more like a
    /// photograph.
    pub fn forward(&self, params: &Params, seen: &Tensor, bf16: bool) -> Vec<Tensor> {
        let bent = |layer: Conv, x: &Tensor| {
            let h = params.conv(layer, x);
            // libtorch's own with a free slope has a slow backward pass.
            h.relu() * (1.0 - LEAK) + h * LEAK
        };
        let mut h = bent(self.first, &seen.pixel_unshuffle(FOLD).to_kind(body_kind(bf16)));
        let mut verdicts = Vec::new();
        for level in &self.levels {
            h = bent(level.body, &bent(level.halving, &h));
            verdicts.push(params.conv(level.verdict, &h).to_kind(Kind::Float));
        }
        verdicts
    }
}
