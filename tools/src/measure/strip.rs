//! Strips of pictures side by side, for eyes.

use contract::geometry::Size;
use contract::pixels::Picture;

/// Rows of equally sized RGB pictures on a white ground, `gap` pixels apart.
///
/// # Panics
/// If there are no pictures.
pub fn strip(rows: &[Vec<Picture>], gap: usize) -> Picture {
    let cell = rows[0][0].size;
    let columns = rows.iter().map(Vec::len).max().expect("a strip has rows");
    let size = Size::new(columns * (cell.width + gap) - gap, rows.len() * (cell.height + gap) - gap);
    let mut sheet = Picture { size, channels: 3, samples: vec![255; 3 * size.area()] };
    for (row, pictures) in rows.iter().enumerate() {
        for (column, picture) in pictures.iter().enumerate() {
            let (x, y) = (column * (cell.width + gap), row * (cell.height + gap));
            for line in 0..cell.height {
                let to = ((y + line) * size.width + x) * 3;
                let from = line * cell.width * 3;
                sheet.samples[to..to + cell.width * 3]
                    .copy_from_slice(&picture.samples[from..from + cell.width * 3]);
            }
        }
    }
    sheet
}

/// A picture whose every pixel is a square of `scale` pixels a side: what was there to begin with.
pub fn squares(picture: &Picture, scale: usize) -> Picture {
    let Picture { size, channels, samples } = picture;
    let lines = samples.chunks_exact(size.width * channels).flat_map(|line| {
        let pixels = line.chunks_exact(*channels).flat_map(|pixel| std::iter::repeat_n(pixel, scale));
        std::iter::repeat_n(pixels.flatten().copied().collect::<Vec<u8>>(), scale)
    });
    Picture { size: size.times(scale), channels: *channels, samples: lines.flatten().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_becomes_a_square() {
        let two = Picture { size: Size::new(2, 1), channels: 3, samples: vec![1, 2, 3, 7, 8, 9] };
        let line = [1, 2, 3, 1, 2, 3, 7, 8, 9, 7, 8, 9];
        let large = squares(&two, 2);
        assert_eq!((large.size, large.samples), (Size::new(4, 2), [line, line].concat()));
    }
}
