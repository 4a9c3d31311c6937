//! Picture files: what their first bytes say, their pixels, and PNG, JPEG, WebP or TIFF out. The only
//! folder that names `image` and `png`. Works on bytes and open files; knows no paths and no limits but those
//! it is given.

mod cmyk;
mod decode;
mod encode;
mod in_time;
mod jpeg;
#[cfg(feature = "jxl")]
mod jxl;
mod mark;
mod metadata;
mod probe;
mod profile;
mod tiff;
mod webp;
mod whole;

pub use decode::{Decoded, Effort, Turn, decode};
pub use encode::encode;
pub use mark::{KEYWORD, read_mark};
pub use metadata::{Metadata, Saying};
pub use probe::{Header, probe};
pub use whole::read_whole;
