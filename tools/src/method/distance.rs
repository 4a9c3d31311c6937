//! Distances d(a, b) between two estimates of the same picture, one value per sample. Knows no schedules.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Pseudo-Huber constant per √dimension (iCT, Song & Dhariwal 2023, section 3.3).
pub const HUBER: f64 = 0.000_54;
/// Side of the blocks of [`Distance::BlockHuber`], in pixels of the folded planes.
const BLOCK: i64 = 7;
/// Weight of the distance between high-pass parts beside the plain one.
const HIGH_PASS: f64 = 0.5;

/// Which distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// Mean square: the ℓ2 of the papers over the number of values.
    MeanSquare,
    /// √(‖a − b‖² + c²) − c over the WHOLE picture, c = 0.00054·√(C·H·W) (iCT).
    PseudoHuber,
    /// The same over 7×7 blocks as an RMS, plus half of it on the high-pass part of folded planes:
    /// photographs mix flat and textured places, and one norm over all would see the edges alone.
    BlockHuber,
}

impl Distance {
    /// N×C×H×W `difference` a − b → N values, f32.
    pub fn of(self, difference: &Tensor) -> Tensor {
        let d = difference.to_kind(Kind::Float);
        match self {
            Distance::MeanSquare => d.square().mean_dim(&[1i64, 2, 3][..], false, Kind::Float),
            Distance::PseudoHuber => {
                let values = d.size()[1..].iter().product::<i64>() as f64;
                let c = HUBER * values.sqrt();
                let square = d.square().sum_dim_intlist(&[1i64, 2, 3][..], false, Kind::Float);
                (square + c * c).sqrt() - c
            }
            Distance::BlockHuber => {
                // High-pass: what remains of the s² pixels of an LR pixel after their mean.
                let size = d.size();
                let fine = d.reshape([size[0], 3, size[1] / 3, size[2], size[3]]);
                let fine = &fine - fine.mean_dim(&[2i64][..], true, Kind::Float);
                blocks(&d.square()) + blocks(&fine.reshape(&size[..]).square()) * HIGH_PASS
            }
        }
    }
}

/// Pseudo-Huber over blocks as an RMS, so that it does not depend on the blocks' size.
fn blocks(square: &Tensor) -> Tensor {
    let mean_square = square.mean_dim(&[1i64][..], true, Kind::Float).avg_pool2d(
        [BLOCK, BLOCK],
        [BLOCK, BLOCK],
        [0, 0],
        true,
        false,
        None,
    );
    let distance = (mean_square + HUBER * HUBER).sqrt() - HUBER;
    distance.mean_dim(&[1i64, 2, 3][..], false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn of(distance: Distance, x: &Tensor) -> Vec<f64> {
        Vec::<f64>::try_from(distance.of(x).to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn distances_of_ones_are_known_and_of_nothing_zero() {
        let ones = Tensor::ones([2, 48, 14, 14], (Kind::Float, Device::Cpu));
        let norm = (48.0f64 * 14.0 * 14.0).sqrt();
        // A constant has no high-pass part.
        for (distance, expected) in
            [(Distance::MeanSquare, 1.0), (Distance::PseudoHuber, norm), (Distance::BlockHuber, 1.0)]
        {
            assert!(of(distance, &ones).iter().all(|v| (v / expected - 1.0).abs() < 1e-3), "{distance:?}");
            assert!(of(distance, &(&ones * 0.0)).iter().all(|v| v.abs() < 1e-6), "{distance:?}");
        }
    }

    /// The whole-picture norm, not a mean of pixelwise ones: an impulse counts as its own size.
    #[test]
    fn pseudo_huber_is_of_the_whole_picture() {
        let x = Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu));
        let impulse = x.copy();
        drop(impulse.narrow(2, 5, 1).narrow(3, 5, 1).narrow(1, 0, 1).fill_(1.0));
        let c = HUBER * 3072.0f64.sqrt();
        assert!((c - 0.0299).abs() < 1e-4, "iCT states 0.03 for CIFAR-10");
        assert!((of(Distance::PseudoHuber, &impulse)[0] - ((1.0 + c * c).sqrt() - c)).abs() < 1e-5);
    }
}
