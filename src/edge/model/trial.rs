//! How long an evaluation takes, here and now, on an input that means nothing; and how many tiles are best
//! put into one.

use super::{BatchInput, Model, ModelError};
use crate::work::batch_size::{self, TRIED};
use contract::card::{Role, Task};
use contract::geometry::Size;
use contract::mask::UNKNOWN;
use std::time::Instant;

/// Timed evaluations of one number of tiles, after one that takes its memory.
const ROUNDS: usize = 3;

/// Seconds that a network needs for so many windows: the least of `rounds` evaluations after a first one.
///
/// # Errors
/// What the network says.
pub fn seconds(model: &mut dyn Model, tiles: usize, window: Size, rounds: usize) -> Result<f64, ModelError> {
    let card = model.card();
    let output = 3 * tiles * window.times(card.scale).area();
    let noise = vec![0.0; if card.role == Role::Sample { output } else { 0 }];
    let mask = vec![UNKNOWN; if card.task == Task::Inpainting { tiles * window.area() } else { 0 }];
    let (image, strength, source) =
        (vec![0.5; 3 * tiles * window.area()], vec![1.0; tiles], vec![0.0; tiles]);
    let input = BatchInput {
        tiles,
        window,
        image: &image,
        mask: &mask,
        noise: &noise,
        strength: &strength,
        source: &source,
    };
    let mut least = f64::INFINITY;
    for round in 0..=rounds {
        let begin = Instant::now();
        model.run(&input, &mut |_| ())?;
        if round > 0 {
            least = least.min(begin.elapsed().as_secs_f64());
        }
    }
    Ok(least)
}

/// How many windows of this size are best evaluated together; fewer where more do not fit into memory.
///
/// # Errors
/// What the network says of a single window.
pub(super) fn best_tiles(model: &mut dyn Model, window: Size) -> Result<usize, ModelError> {
    let mut measured = Vec::new();
    for tiles in TRIED {
        match seconds(model, tiles, window, ROUNDS) {
            Ok(seconds) => measured.push((tiles, seconds)),
            Err(error) if tiles == 1 => return Err(error),
            Err(error) => {
                log::info!("{tiles} tiles of {window} do not go together: {error}");
                break;
            }
        }
    }
    let told = measured.iter().map(|(tiles, s)| format!("{tiles}: {:.2} ms", 1e3 * s / *tiles as f64));
    log::info!("time a tile by tiles together: {}", told.collect::<Vec<_>>().join(", "));
    Ok(batch_size::choose(&measured).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tiling::card;
    use contract::card::ModelCard;

    /// A GPU with a launch that costs `launch`, and room for so many tiles.
    struct Timed(ModelCard, usize);

    impl Model for Timed {
        fn card(&self) -> &ModelCard {
            &self.0
        }

        fn run(&mut self, input: &BatchInput<'_>, see: &mut dyn FnMut(&[f32])) -> Result<(), ModelError> {
            if input.tiles > self.1 {
                // Libraries have many words for it.
                return Err(ModelError("CUDNN_FE failure 8: HEURISTIC_QUERY_FAILED".into()));
            }
            see(&[]);
            Ok(())
        }

        fn serve(&mut self, _tiles: usize) -> bool {
            true
        }

        fn renew(&mut self) -> Result<(), ModelError> {
            Ok(())
        }
    }

    #[test]
    fn more_tiles_than_memory_has_room_for_are_not_chosen() {
        for room in [1, 5, 16] {
            let best = best_tiles(&mut Timed(card(8, 1), room), Size::new(8, 8));
            assert!(best.as_ref().is_ok_and(|tiles| *tiles <= room), "{room}: {best:?}");
        }
        let none = best_tiles(&mut Timed(card(8, 1), 0), Size::new(8, 8));
        assert!(none.is_err());
    }
}
