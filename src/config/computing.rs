//! `[device]`, checked: where networks run, and with what.

use super::{Check, raw};
use crate::plan::{Computing, default_threads};
use crate::work::device::Devices;
use crate::work::precision::Wanted;
use std::path::Path;

/// Bounds of a window's side; a card's halo may make it larger.
const WINDOW_PX: (u64, u64) = (64, 2048);
/// Bounds of the tiles that a GPU evaluates together.
const BATCH: (u64, u64) = (1, 256);

impl Check {
    /// The table; paths are resolved against `folder`.
    pub(super) fn computing(&mut self, raw: raw::Device, folder: &Path) -> Computing {
        let usual = Computing::default();
        Computing {
            devices: self.devices(raw.device),
            precision: raw
                .precision
                .and_then(|text| self.parsed("device.precision", text.parse::<Wanted>()))
                .unwrap_or(usual.precision),
            threads: self.number("device.threads", raw.threads, default_threads() as u64, (1, 1024)) as usize,
            window_px: raw
                .window_px
                .map(|side| self.number("device.window_px", Some(side), 0, WINDOW_PX) as usize),
            batch: raw.batch.map(|tiles| self.number("device.batch", Some(tiles), 0, BATCH) as usize),
            gpu_memory_percent: raw
                .gpu_memory
                .and_then(|text| self.parsed("device.gpu_memory", percent(&text)))
                .unwrap_or(usual.gpu_memory_percent),
            engines: raw.engines.map(|path| folder.join(path)),
            prove: self.seconds("device.prove_s", raw.prove_s, usual.prove),
        }
    }

    fn devices(&mut self, words: Option<raw::Words>) -> Devices {
        let devices = match words {
            None => return Devices::Auto,
            Some(raw::Words::One(text)) => text.parse(),
            Some(raw::Words::Several(list)) => Devices::from_words(list.iter().map(String::as_str)),
        };
        self.parsed("device.device", devices).unwrap_or(Devices::Auto)
    }
}

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let number = number.filter(|percent| (1..=100).contains(percent));
    number.ok_or_else(|| format!("{text:?} is not a share such as \"80%\", 1% to 100%"))
}
