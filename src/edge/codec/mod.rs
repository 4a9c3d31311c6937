//! Picture files: what their first bytes say, their pixels, and PNG, JPEG, WebP or TIFF out. The only
//! folder that names `image` and `png`. Works on bytes and open files; knows no paths and no limits but those
//! it is given.

mod decode;
mod encode;
mod jpeg;
mod mark;
mod metadata;
mod probe;
mod tiff;
mod webp;
mod whole;

pub use decode::{Decoded, Turn, decode};
pub use encode::encode;
pub use mark::{KEYWORD, read_mark};
pub use metadata::Metadata;
pub use probe::{Header, probe};
pub use whole::read_whole;
