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
