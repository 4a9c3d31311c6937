//! Masks as runs of pixels: what of each row lies in a hole, and which runs are one hole. Knows no crops.

use contract::geometry::Rect;
use contract::mask::Mask;
use std::ops::Range;

/// Pixels of a row in a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its row.
    pub y: u32,
    /// Its first column.
    pub left: u32,
    /// The column behind its last.
    pub right: u32,
}

impl Run {
    /// Of row `y`.
    pub fn new(y: usize, columns: Range<usize>) -> Run {
        // Sides are below 2³², as formats have them.
        Run { y: y as u32, left: columns.start as u32, right: columns.end as u32 }
    }

    /// Its row.
    pub fn y(&self) -> usize {
        self.y as usize
    }

    /// Its columns.
    pub fn columns(&self) -> Range<usize> {
        self.left as usize..self.right as usize
    }
}

/// All of a mask, row after row.
pub fn runs(mask: &Mask) -> impl Iterator<Item = Run> {
    mask.holes.chunks_exact(mask.size.width.max(1)).enumerate().flat_map(|(y, line)| {
        let mut at = 0;
        std::iter::from_fn(move || {
            let begin = at + line[at..].iter().position(|hole| *hole)?;
            at = line[begin..].iter().position(|hole| !*hole).map_or(line.len(), |found| begin + found);
            Some(Run::new(y, begin..at))
        })
    })
}

/// The mask of a box in which these runs lie.
pub fn drawn(runs: &[Run], frame: Rect) -> Mask {
    let (left, top, width) = (frame.x as usize, frame.y as usize, frame.size.width);
    let mut mask = Mask::none(frame.size);
    for run in runs {
        let (columns, row) = (run.columns(), run.y() - top);
        mask.holes[row * width..][columns.start - left..columns.end - left].fill(true);
    }
    mask
}

/// Runs that touch, corners included, together; in the order of their first runs.
pub fn connected(runs: Vec<Run>) -> Vec<Vec<Run>> {
    let mut leader: Vec<usize> = (0..runs.len()).collect();
    let find = |leader: &mut Vec<usize>, mut at: usize| {
        while leader[at] != at {
            leader[at] = leader[leader[at]];
            at = leader[at];
        }
        at
    };
    let mut above = 0;
    for below in 0..runs.len() {
        let Run { y, left, right } = runs[below];
        // Rows and columns ascend, so what lies wholly before this run touches none that comes.
        while runs[above].y + 1 < y || (runs[above].y + 1 == y && runs[above].right < left) {
            above += 1;
        }
        for (other, run) in runs.iter().enumerate().take(below).skip(above) {
            if run.y == y || run.left > right {
                break;
            }
            let (a, b) = (find(&mut leader, other), find(&mut leader, below));
            leader[a.max(b)] = a.min(b);
        }
    }
    let count = leader.iter().enumerate().filter(|&(at, &leader)| at == leader).count();
    let mut place = vec![usize::MAX; runs.len()];
    let mut parts: Vec<Vec<Run>> = Vec::with_capacity(count);
    for (at, run) in runs.into_iter().enumerate() {
        let first = find(&mut leader, at);
        if place[first] == usize::MAX {
            place[first] = parts.len();
            // With room for this one: most parts of a mask with many have no other.
            parts.push(vec![run]);
        } else {
            parts[place[first]].push(run);
        }
    }
    parts
}
