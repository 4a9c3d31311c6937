//! The opponent colour basis in which residuals are normalised: luma, blue–yellow, red–green. In it the three
//! residual planes of photographs are nearly uncorrelated, so white noise has the right colours. Knows 3×3
//! matrices, not networks.

use tch::{Kind, Tensor};

/// Orthonormal rows: luma-like (1,1,1)/√3, (1,1,−2)/√6, (1,−1,0)/√2.
pub const BASIS: [[f64; 3]; 3] = [
    [0.577_350_269_189_626, 0.577_350_269_189_626, 0.577_350_269_189_626],
    [0.408_248_290_463_863, 0.408_248_290_463_863, -0.816_496_580_927_726],
    [std::f64::consts::FRAC_1_SQRT_2, -std::f64::consts::FRAC_1_SQRT_2, 0.0],
];

/// The linear map between an RGB residual x − μ and its normalised opponent form, each plane of unit RMS over
/// the training data: e_k = (T (x − μ))_k / c_k.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Opponent {
    /// RMS c_k of each opponent plane, in RGB units of [0, 1].
    pub rms: [f64; 3],
}

impl Opponent {
    /// RMS of the whole RGB residual, the s_r of the papers: √(Σ c_k² / 3).
    pub fn residual_rms(&self) -> f64 {
        (self.rms.iter().map(|c| c * c).sum::<f64>() / 3.0).sqrt()
    }

    /// What restores residuals with the share `chroma` of their colours.
    pub fn muted(&self, chroma: f64) -> Opponent {
        let [luma, yellow, red] = self.rms;
        Opponent { rms: [luma, yellow * chroma, red * chroma] }
    }

    /// Row k, column c: RGB residual → normalised.
    pub fn forward(&self) -> [[f64; 3]; 3] {
        std::array::from_fn(|k| std::array::from_fn(|c| BASIS[k][c] / self.rms[k]))
    }

    /// Row c, column k: normalised → RGB residual.
    pub fn backward(&self) -> [[f64; 3]; 3] {
        std::array::from_fn(|c| std::array::from_fn(|k| BASIS[k][c] * self.rms[k]))
    }

    /// Applies [`Opponent::forward`] to a folded residual N×3s²×H×W.
    pub fn normalise(&self, residual: &Tensor, scale: i64) -> Tensor {
        mix(residual, &self.forward(), scale)
    }

    /// Applies [`Opponent::backward`] to a folded normalised residual.
    pub fn restore(&self, normalised: &Tensor, scale: i64) -> Tensor {
        mix(normalised, &self.backward(), scale)
    }
}

/// `out[a] = Σ_b matrix[a][b] · x[b]` on the three folded planes of N×3s²×H×W.
fn mix(x: &Tensor, matrix: &[[f64; 3]; 3], scale: i64) -> Tensor {
    let weight = Tensor::from_slice(&fold_matrix(matrix, scale as usize))
        .view([3 * scale * scale, 3 * scale * scale, 1, 1])
        .to_device(x.device())
        .to_kind(Kind::Float);
    x.conv2d(&weight, None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1)
}

/// A 3×3 colour matrix as a 1×1 convolution on folded planes: 3s² × 3s², row-major.
pub fn fold_matrix(matrix: &[[f64; 3]; 3], scale: usize) -> Vec<f32> {
    let area = scale * scale;
    let mut weight = vec![0.0; 9 * area * area];
    for (a, row) in matrix.iter().enumerate() {
        for (b, &value) in row.iter().enumerate() {
            for phase in 0..area {
                weight[(a * area + phase) * 3 * area + b * area + phase] = value as f32;
            }
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_muted_keeps_its_luma() {
        let opponent = Opponent { rms: [0.09, 0.02, 0.01] };
        let (whole, muted) = (opponent.backward(), opponent.muted(0.3).backward());
        let of = |matrix: &[[f64; 3]; 3], k: usize| matrix.iter().map(|row| row[k]).collect::<Vec<f64>>();
        assert_eq!(of(&whole, 0), of(&muted, 0));
        for k in [1, 2] {
            let pairs = of(&whole, k).into_iter().zip(of(&muted, k));
            pairs.for_each(|(whole, muted)| assert!((muted - 0.3 * whole).abs() < 1e-12, "{whole} {muted}"));
        }
    }

    #[test]
    fn backward_undoes_forward() {
        let opponent = Opponent { rms: [0.09, 0.02, 0.01] };
        let (f, b) = (opponent.forward(), opponent.backward());
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let product: f64 = (0..3).map(|k| b[i][k] * f[k][j]).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-9, "{i},{j}: {product}");
        }
    }
}
