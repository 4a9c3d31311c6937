//! What tells a pipeline which pixels are to be repaired, checked. All its keys are for one task.

use super::{Check, Tasks, raw};
use crate::work::masking::{GROW_PX, MOST_GROW_PX, MaskFrom, Masking, SUFFIXES, WAIT, suffix};
use std::path::Path;
use std::time::Duration;

/// Bounds of the seconds that a picture waits for its mask.
const WAIT_S: (u64, u64) = (0, 86_400);

impl Check {
    /// `None` where pictures are enlarged.
    pub(super) fn masking(
        &mut self,
        name: &str,
        (raw, tasks): (&raw::Pipeline, Tasks),
        folder: &Path,
    ) -> Option<Masking> {
        let key = |key: &str| format!("{name}: {key}");
        if !tasks.repairs() {
            let given = [
                ("mask", raw.mask.is_some()),
                ("mask_suffix", raw.mask_suffix.is_some()),
                ("mask_white", raw.mask_white.is_some()),
                ("mask_tolerance", raw.mask_tolerance.is_some()),
                ("mask_grow_px", raw.mask_grow_px.is_some()),
                ("mask_resize", raw.mask_resize.is_some()),
                ("mask_wait_s", raw.mask_wait_s.is_some()),
            ];
            for (word, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
                self.problems.push(format!("{} is for task = \"inpaint\" alone", key(word)));
            }
            return None;
        }
        let named = raw.mask_suffix.clone().unwrap_or_else(|| SUFFIXES.map(str::to_owned).to_vec());
        let suffixes = named.iter().filter_map(|text| self.parsed(&key("mask_suffix"), suffix(text)));
        let suffixes: Vec<String> = suffixes.collect();
        let sidecar = || MaskFrom::Beside(vec![String::new()]);
        let from = MaskFrom::new(raw.mask.as_deref().unwrap_or("sidecar"), suffixes);
        let from = self.parsed(&key("mask"), from).unwrap_or_else(sidecar).placed(|path| folder.join(path));
        if matches!(&from, MaskFrom::Beside(suffixes) if suffixes.is_empty()) {
            self.problems
                .push(format!("{} names none: no mask could be told from a picture", key("mask_suffix")));
        }
        let white = raw.mask_white.as_deref().map_or(Ok(Default::default()), str::parse);
        let white = self.parsed(&key("mask_white"), white).unwrap_or_default();
        self.problems.extend(from.without_white(&key("mask_white"), white));
        Some(Masking {
            from,
            white,
            tolerance: self.number(&key("mask_tolerance"), raw.mask_tolerance, 0, (0, 255)) as u8,
            grow_px: self.number(
                &key("mask_grow_px"),
                raw.mask_grow_px,
                GROW_PX as u64,
                (0, MOST_GROW_PX as u64),
            ) as usize,
            resized: self.word(
                &key("mask_resize"),
                raw.mask_resize.clone(),
                [("refuse", false), ("nearest", true)],
            ),
            wait: Duration::from_secs(self.number(
                &key("mask_wait_s"),
                raw.mask_wait_s,
                WAIT.as_secs(),
                WAIT_S,
            )),
        })
    }
}
