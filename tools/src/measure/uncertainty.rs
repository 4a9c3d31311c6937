//! Whether samples lie apart where the mean is wrong: the rank correlation of an uncertainty map with the
//! error it claims to foretell.

/// Side of the blocks of the second figure: where a reader of the map looks, rather than pixel by pixel.
const BLOCK: usize = 8;

/// Spearman's ρ of the samples' standard deviation and the mean's absolute error, over the pixels of one
/// picture and over the means of blocks of 8×8.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foretold {
    /// Pixel by pixel.
    pub pixels: f64,
    /// Block by block.
    pub blocks: f64,
}

/// `samples`, `mean` and `truth` are luma planes of `width` values a row.
///
/// # Panics
/// If there are fewer than two samples, or lengths differ.
pub fn foretold(samples: &[Vec<f64>], mean: &[f64], truth: &[f64], width: usize) -> Foretold {
    assert!(samples.len() > 1, "one sample has no spread");
    let error: Vec<f64> = mean.iter().zip(truth).map(|(m, t)| (m - t).abs()).collect();
    let degrees = (samples.len() - 1) as f64;
    let spread = |pixel: usize| {
        let middle = samples.iter().map(|sample| sample[pixel]).sum::<f64>() / samples.len() as f64;
        (samples.iter().map(|sample| (sample[pixel] - middle).powi(2)).sum::<f64>() / degrees).sqrt()
    };
    let spread: Vec<f64> = (0..error.len()).map(spread).collect();
    Foretold {
        pixels: spearman(&spread, &error),
        blocks: spearman(&block_means(&spread, width), &block_means(&error, width)),
    }
}

/// Means of whole blocks; what is left at the right and the bottom is left out.
fn block_means(values: &[f64], width: usize) -> Vec<f64> {
    let height = values.len() / width;
    let block = |x: usize, y: usize| {
        let rows = (y..y + BLOCK).flat_map(|row| &values[row * width + x..][..BLOCK]);
        rows.sum::<f64>() / (BLOCK * BLOCK) as f64
    };
    let corners = |length: usize| (0..length / BLOCK).map(|n| n * BLOCK);
    corners(height).flat_map(|y| corners(width).map(move |x| (x, y))).map(|(x, y)| block(x, y)).collect()
}

/// Spearman's rank correlation: Pearson's of the ranks, equal values sharing their middle rank. 0 where all
/// values of one side are equal.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let middle = (a.len() as f64 - 1.0) / 2.0;
    let sum = |pairs: &[(f64, f64)]| pairs.iter().map(|(x, y)| (x - middle) * (y - middle)).sum::<f64>();
    let with = |x: &[f64], y: &[f64]| sum(&x.iter().copied().zip(y.iter().copied()).collect::<Vec<_>>());
    let scale = (with(&a, &a) * with(&b, &b)).sqrt();
    if scale > 0.0 { with(&a, &b) / scale } else { 0.0 }
}

fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equals in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = first as f64 + (equals.len() as f64 - 1.0) / 2.0;
        equals.iter().for_each(|&i| ranks[i] = rank);
        first += equals.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_correlate_whatever_the_scale_and_ties_share_a_rank() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!((spearman(&a, &[1.0, 4.0, 9.0, 16.0, 1e9]) - 1.0).abs() < 1e-12);
        assert!((spearman(&a, &[5.0, 4.0, 3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        // By hand: ranks 0..4 against 1, 0, 3, 2, 4 have d² = 4, so 1 − 6·4/(5·24).
        assert!((spearman(&a, &[2.0, 1.0, 4.0, 3.0, 5.0]) - 0.8).abs() < 1e-12);
        assert_eq!(spearman(&a, &[2.0; 5]), 0.0);
    }

    /// An error that is the spread itself is foretold; one that has nothing to do with it is not.
    #[test]
    fn a_map_that_knows_is_told_from_one_that_does_not() {
        let side = 32;
        let local = |pixel: usize| 1.0 + (pixel * 7919 % 101) as f64;
        let samples: Vec<Vec<f64>> =
            [-1.0, 0.0, 1.0].map(|k| (0..side * side).map(|p| k * local(p)).collect()).into();
        let zero = vec![0.0; side * side];
        let right: Vec<f64> = (0..side * side).map(local).collect();
        let found = foretold(&samples, &zero, &right, side);
        assert!(found.pixels > 0.999 && found.blocks > 0.999, "{found:?}");
        let wrong: Vec<f64> = (0..side * side).map(|p| (p * 104_729 % 97) as f64).collect();
        assert!(foretold(&samples, &zero, &wrong, side).pixels.abs() < 0.1);
    }
}
