//! How many tiles share an evaluation on a GPU: the fewest that are nearly as fast as any. Arithmetic only.

/// Numbers of tiles that are tried, in this order.
pub const TRIED: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Where nothing was measured.
pub const USUAL: usize = 8;
/// More tiles than needed cost memory and make small pictures wait; so much of the best speed is given for
/// it.
const WORTH: f64 = 1.03;

/// The choice, from seconds that one evaluation of so many tiles took; those that did not fit are left out.
pub fn choose(measured: &[(usize, f64)]) -> Option<usize> {
    let each = |(tiles, seconds): (usize, f64)| seconds / tiles as f64;
    let best = measured.iter().map(|one| each(*one)).fold(f64::INFINITY, f64::min);
    let enough = measured.iter().filter(|one| each(**one) <= best * WORTH).map(|(tiles, _)| *tiles);
    enough.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_tiles_that_are_nearly_as_fast_as_any_are_taken() {
        // A launch of 1 ms and 1 ms a tile: half of all is gained by 32 tiles, and 3 % more are not worth it.
        let linear: Vec<(usize, f64)> = TRIED.iter().map(|&n| (n, 1.0 + n as f64)).collect();
        assert_eq!(choose(&linear), Some(32));
        let soon = [(1, 4.0), (2, 4.4), (4, 8.2), (8, 16.2), (16, 32.1)];
        assert_eq!(choose(&soon), Some(4));
        assert_eq!(choose(&[(1, 1.0), (2, 2.0), (4, 4.0)]), Some(1));
        assert_eq!(choose(&[]), None);
    }
}
