//! `[[model]]`: models from elsewhere, whose files carry no card; what is declared of them, checked.

use super::{Check, raw};
use crate::work::terms::{Channels, HoleFill, Layout, Terms};
use contract::card::Task;
use std::path::Path;

/// Context in input pixels that tiles are given where none is named.
const DEFAULT_HALO: u64 = 32;
/// Bounds as a card has them.
const HALO: (u64, u64) = (0, 512);
const MULTIPLE: (u64, u64) = (1, 256);
const SCALE: (u64, u64) = (1, 8);
/// What is said of weights whose licence is not named.
const NO_LICENCE: &str = "licence not named";

impl Check {
    /// All tables.
    pub(super) fn elsewhere(&mut self, tables: Vec<raw::Model>, folder: &Path) -> Vec<Terms> {
        let tables = tables.into_iter().enumerate();
        let all: Vec<Terms> = tables.map(|(index, raw)| self.terms(index + 1, raw, folder)).collect();
        for (number, terms) in all.iter().enumerate() {
            if !terms.name.is_empty() && all[..number].iter().any(|other| other.name == terms.name) {
                self.problems.push(format!("two [[model]] are called {:?}", terms.name));
            }
        }
        all
    }

    /// The table of this number, counted from 1.
    fn terms(&mut self, number: usize, raw: raw::Model, folder: &Path) -> Terms {
        let called =
            raw.name.clone().map_or_else(|| format!("model {number}"), |name| format!("model {name}"));
        let key = |key: &str| format!("{called}: {key}");
        let words = [("super-resolution", Task::SuperResolution), ("inpaint", Task::Inpainting)];
        let task = self.word(&key("task"), raw.task, words);
        let repairs = task == Task::Inpainting;
        if !repairs {
            let given = [
                ("mask_input", raw.mask_input.is_some()),
                ("mask_hole", raw.mask_hole.is_some()),
                ("hole_fill", raw.hole_fill.is_some()),
            ];
            let given = given.into_iter().filter(|(_, is_given)| *is_given);
            self.problems
                .extend(given.map(|(word, _)| format!("{} is for task = \"inpaint\" alone", key(word))));
        }
        let scale = if repairs { raw.scale.or(Some(1)) } else { self.present(&key("scale"), raw.scale) };
        let scale = self.number(&key("scale"), scale, 1, SCALE) as usize;
        if repairs && scale != 1 {
            self.problems
                .push(format!("{} is {scale}, but what is repaired stays as large as it is", key("scale")));
        }
        let range = raw.range.and_then(|text| self.parsed(&key("range"), text.parse()));
        let output_range = raw.output_range.and_then(|text| self.parsed(&key("output_range"), text.parse()));
        let name = self.present(&key("name"), raw.name);
        if let Some(name) =
            name.as_ref().filter(|name| name.is_empty() || name.contains('/') || name.ends_with(".onnx"))
        {
            self.problems.push(format!("{} is {name:?}: a word is wanted, not a path", key("name")));
        }
        let name = name.unwrap_or_default();
        let words = [("rgb", Channels::Rgb), ("bgr", Channels::Bgr), ("each", Channels::Each)];
        let channels = self.word(&key("channels"), raw.channels, words);
        if repairs && channels == Channels::Each {
            self.problems
                .push(format!("{} is \"each\", which is for super-resolution alone", key("channels")));
        }
        Terms {
            file: folder.join(self.present(&key("file"), raw.file).unwrap_or_default()),
            task,
            scale,
            input: raw.input,
            mask_input: raw.mask_input,
            output: raw.output,
            range,
            output_range,
            channels,
            layout: raw.layout.map(|word| {
                self.word(&key("layout"), Some(word), [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)])
            }),
            mask_hole: self.number(&key("mask_hole"), raw.mask_hole, 1, (0, 1)) as f32,
            hole_fill: self.word(
                &key("hole_fill"),
                raw.hole_fill,
                [("smooth", HoleFill::Smooth), ("zero", HoleFill::Zero)],
            ),
            multiple: self.number(&key("multiple_of"), raw.multiple_of, 1, MULTIPLE) as usize,
            halo: self.number(&key("halo"), raw.halo, DEFAULT_HALO, HALO) as usize,
            licence: raw.licence.unwrap_or_else(|| NO_LICENCE.to_owned()),
            name,
        }
    }
}
