//! Zero-shot editing with an unconditional consistency function (Song et al. 2023, algorithm 4): what is
//! known of the picture is put back after every step. Knows no files and no networks.

use super::{Denoiser, levels_tensor};
use tch::{Kind, Tensor};

/// Weights of luma (BT.601).
const LUMA: [f64; 3] = [0.2989, 0.5870, 0.1140];

/// What of a picture is known: A and Ω of the paper, as A⁻¹[(A y)(1 − Ω) + (A x)Ω].
#[derive(Debug)]
pub enum Known {
    /// Everything where the mask N×1×H×W is 0; 1 is hole.
    Outside(Tensor),
    /// The mean of each p×p cell.
    CellMeans(i64),
    /// The luma of each pixel.
    Luma,
    /// Nothing: strokes and noise are only a start.
    Nothing,
}

impl Known {
    /// `x` with what is known of `y` put in; both N×3×H×W.
    pub fn put_back(&self, x: &Tensor, y: &Tensor) -> Tensor {
        match self {
            Known::Outside(hole) => y * (1.0 - hole) + x * hole,
            Known::CellMeans(p) => {
                let means = |x: &Tensor| x.avg_pool2d([*p, *p], [*p, *p], [0, 0], false, false, None);
                let size = x.size();
                x + (means(y) - means(x)).upsample_nearest2d([size[2], size[3]], None, None)
            }
            Known::Luma => {
                let v =
                    Tensor::from_slice(&LUMA).to_kind(Kind::Float).to_device(x.device()).view([1, 3, 1, 1]);
                let v = &v / v.square().sum(Kind::Float).sqrt();
                let along = |x: &Tensor| (x * &v).sum_dim_intlist(&[1i64][..], true, Kind::Float);
                x + (along(y) - along(x)) * &v
            }
            Known::Nothing => x.shallow_clone(),
        }
    }

    /// The reference with its unknown part emptied, from which the first step starts.
    fn start(&self, y: &Tensor) -> Tensor {
        match self {
            Known::Nothing => y.shallow_clone(),
            _ => self.put_back(&y.zeros_like(), y),
        }
    }
}

/// Algorithm 4 along descending `levels`; `noise` gives fresh N×3×H×W standard normals for step 0, 1, ….
///
/// # Panics
/// If there is no level.
pub fn edit(
    f: Denoiser<'_>,
    y: &Tensor,
    known: &Known,
    levels: &[f64],
    noise: &dyn Fn(usize) -> Tensor,
) -> Tensor {
    assert!(!levels.is_empty(), "editing takes at least one step");
    let mut x = known.start(y);
    for (step, &level) in levels.iter().enumerate() {
        let sigma = levels_tensor(&vec![level; x.size()[0] as usize], x.device());
        let estimate = f(&(x + noise(step) * level), &sigma).clamp(-1.0, 1.0);
        x = known.put_back(&estimate, y);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn random() -> (Tensor, Tensor) {
        tch::manual_seed(7);
        let draw = || Tensor::randn([2, 3, 8, 8], (Kind::Double, Device::Cpu)).to_kind(Kind::Float);
        (draw(), draw())
    }

    /// An orthogonal matrix whose first column is `first`, by QR.
    fn basis(first: &[f64]) -> Tensor {
        let n = first.len() as i64;
        let rest = Tensor::eye(n, (Kind::Double, Device::Cpu)).narrow(1, 1, n - 1);
        let column = Tensor::from_slice(first).view([n, 1]);
        let (q, _) = Tensor::linalg_qr(&Tensor::cat(&[column, rest], 1), "reduced");
        q
    }

    /// Coordinates `0` of rows·Q from y, the others from x, and back: the orthogonal form of the paper.
    fn mixed(x: &Tensor, y: &Tensor, q: &Tensor) -> Tensor {
        let (a, b) = (x.matmul(q), y.matmul(q));
        let rest = a.size()[a.dim() - 1] - 1;
        Tensor::cat(&[b.narrow(-1, 0, 1), a.narrow(-1, 1, rest)], -1).matmul(&q.transpose(0, 1))
    }

    /// Cell means put back by averages and nearest enlargement equal the p²×p² orthogonal basis.
    #[test]
    fn cell_means_equal_the_orthogonal_form() {
        let (x, y) = random();
        let rows = |x: &Tensor| {
            let x = x.to_kind(Kind::Double).reshape([2, 3, 2, 4, 2, 4]).permute([0, 1, 2, 4, 3, 5]);
            x.reshape([2, 3, 2, 2, 16])
        };
        let expected = mixed(&rows(&x), &rows(&y), &basis(&[0.25; 16]));
        let got = rows(&Known::CellMeans(4).put_back(&x, &y));
        assert!((got - expected).abs().max().double_value(&[]) < 1e-6);
    }

    /// Luma put back along one direction equals the 3×3 orthogonal basis.
    #[test]
    fn luma_equals_the_orthogonal_form() {
        let (x, y) = random();
        let rows = |x: &Tensor| x.to_kind(Kind::Double).permute([0, 2, 3, 1]);
        let expected = mixed(&rows(&x), &rows(&y), &basis(&LUMA));
        let got = rows(&Known::Luma.put_back(&x, &y));
        assert!((got - expected).abs().max().double_value(&[]) < 1e-6);
    }

    /// Whatever f says, the known part of the result is the reference's; twice put back is once put back.
    #[test]
    fn what_is_known_stays() {
        let (x, y) = random();
        let y = y.clamp(-1.0, 1.0);
        let hole = Tensor::zeros([1, 1, 8, 8], (Kind::Float, Device::Cpu));
        drop(hole.narrow(3, 4, 4).fill_(1.0));
        let f = |x: &Tensor, _: &Tensor| x * 0.3;
        for known in [Known::Outside(hole), Known::CellMeans(2), Known::Luma] {
            let out = edit(&f, &y, &known, &[80.0, 2.0, 0.5], &|_| x.shallow_clone());
            assert!((known.put_back(&out, &y) - &out).abs().max().double_value(&[]) < 1e-5, "{known:?}");
        }
    }
}
