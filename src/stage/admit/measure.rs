//! Whether a picture is within limits, by its length and its header: nothing is allocated for its pixels.

use crate::edge::codec::{Header, probe};
use crate::edge::mask_file;
use crate::error::JobError;
use crate::job::MaskFile;
use crate::plan::{Admission, Limits, Line, Megapixels};
use crate::work::footprint::{Marked, Shape, Stored, footprint};
use crate::work::masking::Masking;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind};

/// Megapixels that cost too little to ask how many bytes they are from.
const IN_FEW_BYTES_MPX: u64 = 1;

/// What was found out about a picture that is within limits.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// What its first bytes say.
    pub header: Header,
    /// What those of its mask file say.
    pub mask: Option<Header>,
    /// The memory that it needs, in MB.
    pub need: usize,
}

/// Measures a picture of so many bytes, and its mask file, if it has one.
///
/// # Errors
/// Why it would be refused.
pub fn measure(
    options: &Admission,
    line: &Line,
    (bytes, mask): (u64, Option<&MaskFile>),
    open: impl FnOnce() -> io::Result<File>,
) -> Result<Measured, JobError> {
    let (limits, memory_mb) = (&options.limits, options.memory_mb);
    let header = first_bytes(limits, bytes, open)?;
    within(&header, bytes, limits, line)?;
    let format = line.wanted.format.of(header.kind);
    let masking = line.wanted.masking.as_ref();
    let given = masking.zip(mask);
    let mask = given.map(|(masking, mask)| Ok((of_mask(limits, masking, mask)?, mask.stamp.bytes)));
    let mask = mask.transpose()?;
    let deep = header.sample_bytes > 1 && format.is_deep();
    let held_sample_bytes = if deep { 2 } else { 1 };
    let shape = Shape {
        stored: stored(&header, bytes),
        marked: match (masking, &mask) {
            (None, _) => Marked::Not,
            (Some(_), None) => Marked::Itself,
            (Some(_), Some((header, bytes))) => Marked::By(stored(header, *bytes)),
        },
        scale: line.scale,
        band_px: line.last().tiling.largest().height,
        mapped: line.wanted.uncertainty.is_some(),
        deep,
        held_px_bytes: format.held_px_bytes(header.channels, held_sample_bytes),
    };
    let need_mb = footprint(&shape).div_ceil(1_000_000);
    match usize::try_from(need_mb) {
        Ok(need) if need <= memory_mb => Ok(Measured { header, mask: mask.map(|(header, _)| header), need }),
        _ => {
            let limit_mb = memory_mb as u64;
            let refused = |size, scale| JobError::NeedsMemory { need_mb, limit_mb, size, scale };
            let alone = footprint(&Shape { marked: Marked::Itself, ..shape }).div_ceil(1_000_000);
            // Where the picture alone would do, it is its mask that is too large.
            Err(match (given, mask) {
                (Some((masking, file)), Some((header, _))) if alone <= limit_mb => {
                    file.blame(masking, refused(header.size, 1))
                }
                _ => refused(header.size, line.scale),
            })
        }
    }
}

fn first_bytes(
    limits: &Limits,
    bytes: u64,
    open: impl FnOnce() -> io::Result<File>,
) -> Result<Header, JobError> {
    if bytes == 0 {
        return Err(JobError::Empty);
    }
    if bytes > limits.max_file_mb.saturating_mul(1_000_000) {
        return Err(JobError::FileTooLarge { bytes, limit_mb: limits.max_file_mb });
    }
    let file = open().map_err(|error| match error.kind() {
        ErrorKind::NotFound => JobError::Gone,
        _ => JobError::Unreadable(error.into()),
    })?;
    probe(&mut BufReader::new(file))
}

/// A mask costs no evaluation, so few bytes may be many of its pixels.
fn of_mask(limits: &Limits, masking: &Masking, mask: &MaskFile) -> Result<Header, JobError> {
    let limit_mpx = limits.max_input_mpx;
    let header = first_bytes(limits, mask.stamp.bytes, || mask_file::open(mask)).and_then(|header| {
        let size = header.size;
        let pixels = size.width as u128 * size.height as u128;
        let is_within = pixels <= u128::from(limit_mpx) * 1_000_000;
        if is_within { Ok(header) } else { Err(JobError::InputTooLarge { size, limit_mpx }) }
    });
    header.map_err(|why| mask.blame(masking, why))
}

fn stored(header: &Header, bytes: u64) -> Stored {
    let Header { size, channels, sample_bytes, decoder_bytes, .. } = *header;
    Stored { bytes, size, channels, sample_bytes, decoder_bytes }
}

fn within(header: &Header, bytes: u64, limits: &Limits, line: &Line) -> Result<(), JobError> {
    let over = |pixels: u128, limit_mpx: u64| pixels > u128::from(limit_mpx) * 1_000_000;
    let (size, scale) = (header.size, line.scale);
    let pixels = size.width as u128 * size.height as u128;
    if over(pixels, limits.max_input_mpx) {
        return Err(JobError::InputTooLarge { size, limit_mpx: limits.max_input_mpx });
    }
    let limit = limits.max_px_per_byte;
    if over(pixels, IN_FEW_BYTES_MPX) && pixels > u128::from(bytes) * u128::from(limit) {
        return Err(JobError::Implausible { size, bytes, limit });
    }
    if header.inks && limits.refuse_cmyk {
        return Err(JobError::Unsupported("CMYK is refused (refuse_cmyk)".into()));
    }
    let Megapixels { least, most } = line.megapixels;
    if !(least..=most).contains(&(pixels as f64 / 1e6)) {
        return Err(JobError::NotForThisPipeline { size, least, most });
    }
    let format = line.wanted.format.of(header.kind);
    let (large, most) = (size.times(scale), format.most_side());
    if large.width.max(large.height) > most {
        return Err(JobError::Unsupported(format!("a result of {large} pixels: {format} ends at {most}")));
    }
    if over(pixels * (scale * scale) as u128, limits.max_output_mpx) {
        return Err(JobError::OutputTooLarge { size: size.times(scale), limit_mpx: limits.max_output_mpx });
    }
    Ok(())
}
