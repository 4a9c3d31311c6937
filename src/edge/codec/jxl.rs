//! JPEG XL in, where the program was built with the feature `jxl`. The only file that names `jxl_oxide`.

use image::{ImageDecoder, ImageResult};
use jxl_oxide::integration::JxlDecoder;
use jxl_oxide::{JxlImage, JxlThreadPool};
use std::io::Read;

/// Opens its decoder, on this thread alone.
///
/// # Errors
/// What the decoder says.
pub(super) fn open<'a>(file: impl Read + 'a) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    Ok(Box::new(JxlDecoder::with_thread_pool(file, JxlThreadPool::none())?))
}

/// Whether its first picture is there to its end: of what is torn the decoder gives what there is. Decodes no
/// pixels.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let image = JxlImage::builder().pool(JxlThreadPool::none()).read(bytes);
    image.is_ok_and(|image| image.num_loaded_keyframes() > 0)
}
