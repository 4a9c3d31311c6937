//! In which precision a model is wanted, and whether a result of another one will do.

use contract::card::Precision;
use std::str::FromStr;

/// What a network computes with, as asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Int8 where the model has it and the processor multiplies bytes fast, f16 where the model has it and a
    /// GPU serves, else f32.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 8-bit integers, on the processor.
    Int8,
    /// 16-bit floats, on GPUs.
    F16,
}

impl Wanted {
    /// Whether what was made in `made` need not be made again. With `auto` it never need: a picture is not
    /// done again because the daemon moved to another processor.
    pub fn accepts(self, made: Precision) -> bool {
        match self {
            Wanted::Auto => true,
            Wanted::F32 => made == Precision::F32,
            Wanted::Int8 => made == Precision::Int8,
            Wanted::F16 => made == Precision::F16,
        }
    }

    /// For fingerprints; empty where either will do.
    pub fn to_text(self) -> &'static str {
        match self {
            Wanted::Auto => "",
            Wanted::F32 => " precision f32",
            Wanted::Int8 => " precision int8",
            Wanted::F16 => " precision f16",
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        match text {
            "auto" => Ok(Wanted::Auto),
            "f32" => Ok(Wanted::F32),
            "int8" => Ok(Wanted::Int8),
            "f16" => Ok(Wanted::F16),
            _ => Err("a precision is auto, f32, f16 or int8".to_owned()),
        }
    }
}
