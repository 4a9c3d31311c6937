//! How much of what a picture says of itself its result keeps.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How much is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    /// All that stays true.
    #[default]
    All,
    /// All but the place where it was taken.
    NoPlace,
    /// Who made it and whose it is, and the colour profile.
    Copyright,
    /// The colour profile alone.
    Nothing,
}

impl Keeping {
    /// The user's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Keeping::All => "keep",
            Keeping::NoPlace => "no-gps",
            Keeping::Copyright => "copyright",
            Keeping::Nothing => "strip",
        }
    }

    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == Keeping::All
    }

    /// For fingerprints; empty where all is kept.
    pub fn to_text(self) -> String {
        if self.is_usual() { String::new() } else { format!(" metadata {}", self.word()) }
    }
}

impl FromStr for Keeping {
    type Err = String;

    fn from_str(text: &str) -> Result<Keeping, String> {
        let all = [Keeping::All, Keeping::NoPlace, Keeping::Copyright, Keeping::Nothing];
        let found = all.into_iter().find(|keeping| keeping.word() == text);
        found.ok_or_else(|| format!("{text:?} is not one of keep, no-gps, copyright, strip"))
    }
}
