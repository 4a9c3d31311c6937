//! Why one picture failed: its verdict, the sentence, and whether trying again may help.

use super::SystemError;
use contract::geometry::Size;

/// Why one picture failed. `Clone`, since a batch that fails fails all its pictures.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JobError {
    /// The operating system would not give us the bytes.
    #[error("cannot be read: {0}")]
    Unreadable(SystemError),
    /// It was there when it was admitted.
    #[error("is gone")]
    Gone,
    /// Neither a file nor a link to one.
    #[error("is not a regular file")]
    NotAFile,
    /// Zero bytes.
    #[error("is empty")]
    Empty,
    /// More bytes than `max_file_mb`.
    #[error("file has {bytes} bytes, the limit is {limit_mb} MB (max_file_mb of `run`)")]
    FileTooLarge {
        /// Size of the file.
        bytes: u64,
        /// The limit that it passes.
        limit_mb: u64,
    },
    /// More pixels than `max_input_mpx`, by the header alone.
    #[error(
        "picture has {size} pixels ({:.1} Mpx), the limit is {limit_mpx} Mpx (max_input_mpx of `run`)",
        mpx(*.size)
    )]
    InputTooLarge {
        /// Size in the header.
        size: Size,
        /// The limit that it passes.
        limit_mpx: u64,
    },
    /// More pixels than `max_output_mpx` after enlarging.
    #[error(
        "result would have {size} pixels ({:.1} Mpx), the limit is {limit_mpx} Mpx (max_output_mpx of `run`; \
         a model that enlarges less)",
        mpx(*.size)
    )]
    OutputTooLarge {
        /// Size of the result.
        size: Size,
        /// The limit that it passes.
        limit_mpx: u64,
    },
    /// Fewer or more pixels than its pipeline takes.
    #[error("picture has {size} pixels ({:.1} Mpx), its pipeline takes {least} to {most} Mpx", mpx(*.size))]
    NotForThisPipeline {
        /// Size in the header.
        size: Size,
        /// At least this.
        least: f64,
        /// At most this.
        most: f64,
    },
    /// So many pixels in so few bytes: made to be large, not to be looked at.
    #[error("picture has {size} pixels in {bytes} bytes, the limit is {limit} pixels a byte")]
    Implausible {
        /// Size in the header.
        size: Size,
        /// Size of the file.
        bytes: u64,
        /// The limit that it passes.
        limit: u64,
    },
    /// It would take more memory than all pictures together may.
    #[error("would take {need_mb} MB of memory ({size} pixels, ×{scale}), pictures may take {limit_mb} MB")]
    NeedsMemory {
        /// What it needs at most, in MB.
        need_mb: u64,
        /// What `memory_mb` leaves for pictures.
        limit_mb: u64,
        /// Size in the header.
        size: Size,
        /// Output pixels per input pixel along a side.
        scale: usize,
    },
    /// Its content is of no format that is read, whatever its name says.
    #[error("content is neither JPEG, PNG, WebP, TIFF, GIF, BMP, PNM nor QOI")]
    NotAPicture,
    /// A format, or a kind of pixels, that is known and not read.
    #[error("cannot be read: {0}")]
    Unsupported(String),
    /// Begins like a picture, does not decode to its end.
    #[error("cannot be decoded: {0}")]
    Damaged(String),
    /// Ends before the picture does. While it is `young`, more may come.
    #[error("cannot be decoded: {what}")]
    EndsEarly {
        /// The decoder's words.
        what: String,
        /// Whether it changed a moment ago.
        young: bool,
    },
    /// Its decoder was led astray, or the machine is very busy.
    #[error("decoding took more than {limit_s} s (max_decode_s)")]
    TooSlow {
        /// The limit that it passes.
        limit_s: u64,
    },
    /// Size, time or header changed between looking and reading.
    #[error("changed while it was being read")]
    Changed,
    /// Nothing says what is to be repaired of it.
    #[error("has no mask: {looked} is not there{}; put one there ({meaning})", waited(*.waited_s))]
    MaskMissing {
        /// Where it was looked for.
        looked: String,
        /// How long it was waited for since the picture last changed; 0 in `once`, which does not wait.
        waited_s: u64,
        /// What marks a pixel.
        meaning: String,
    },
    /// Something is wrong with its mask.
    #[error("its mask {name} ({meaning}): {why}")]
    Mask {
        /// The mask file.
        name: String,
        /// What marks a pixel.
        meaning: String,
        /// What is wrong.
        why: Box<JobError>,
    },
    /// Its mask is not as large as it is.
    #[error(
        "its mask {name} ({meaning}) has {mask} pixels, the picture {picture}: make it as large, or set \
         mask_resize = \"nearest\" (`once --mask-resize nearest`)"
    )]
    MaskSize {
        /// The mask file.
        name: String,
        /// What marks a pixel.
        meaning: String,
        /// Size of the mask, upright.
        mask: Size,
        /// Size of the picture, upright.
        picture: Size,
    },
    /// Every pixel is to be repaired.
    #[error(
        "nothing of it is known: every pixel is marked ({meaning}, grown by {grow_px} pixels){}; {remedy}",
        .name.as_ref().map(|name| format!(" by {name}")).unwrap_or_default()
    )]
    MaskCoversAll {
        /// The mask file, where it is one.
        name: Option<String>,
        /// What marks a pixel.
        meaning: String,
        /// How far the hole was grown.
        grow_px: usize,
        /// What to look at.
        remedy: String,
    },
    /// Another picture gives, or gave, the same output name.
    #[error("output name taken by {by} (another name or output folder, or name_taken = \"number\" of `run`)")]
    NameTaken {
        /// The picture that has the name.
        by: String,
    },
    /// The target exists and carries no mark of ours.
    #[error("output exists and was not made by onestep (take it away, or `once --force` overwrites it)")]
    ForeignTarget,
    /// The output would replace its own input.
    #[error("output would overwrite the picture itself")]
    OverItself,
    /// The network gave NaN or infinity.
    #[error("network output is not finite")]
    NonFinite,
    /// The result is no picture of its picture.
    #[error("the result would do harm: {what}")]
    Harmful {
        /// What is wrong with it.
        what: String,
        /// Whether it may still be done without a sample.
        again: bool,
    },
    /// The network could not be evaluated on this picture, though it can on others.
    #[error("network evaluation failed: {0}")]
    Inference(String),
    /// A decoder or encoder panicked: our mistake, this picture's trigger.
    #[error("internal error: {0}")]
    Panicked(String),
    /// The result could not be written durably.
    #[error("result cannot be written: {0}")]
    Write(SystemError),
    /// onestep crashed while this picture was being worked on, more than once.
    #[error("onestep crashed {crashes} times while this picture was in work: left alone until it changes")]
    Quarantined {
        /// How often.
        crashes: u32,
    },
}

impl JobError {
    /// A word for machines to sort failures by; stable across versions.
    pub fn class(&self) -> &'static str {
        match self {
            JobError::Unreadable(_) | JobError::NotAFile | JobError::Gone => "unreadable",
            JobError::FileTooLarge { .. }
            | JobError::InputTooLarge { .. }
            | JobError::OutputTooLarge { .. }
            | JobError::Implausible { .. }
            | JobError::NeedsMemory { .. } => "too-large",
            JobError::TooSlow { .. } => "too-slow",
            JobError::NotForThisPipeline { .. } => "not-taken",
            JobError::NotAPicture => "not-a-picture",
            JobError::Unsupported(_) => "unsupported",
            JobError::Empty | JobError::Damaged(_) | JobError::EndsEarly { .. } => "damaged",
            JobError::MaskMissing { .. } => "no-mask",
            JobError::Mask { .. } | JobError::MaskSize { .. } | JobError::MaskCoversAll { .. } => "mask",
            JobError::Changed => "changed",
            JobError::NameTaken { .. } | JobError::ForeignTarget | JobError::OverItself => "name-taken",
            JobError::NonFinite => "not-finite",
            JobError::Harmful { .. } => "harmful",
            JobError::Inference(_) => "inference",
            JobError::Panicked(_) => "internal",
            JobError::Write(_) => "write",
            JobError::Quarantined { .. } => "quarantined",
        }
    }

    /// Whether the same picture with the same options would fail again, whatever else changes around it.
    pub fn is_lasting(&self) -> bool {
        match self {
            JobError::Unreadable(error) => !error.transient,
            JobError::Mask { why, .. } => why.is_lasting(),
            JobError::NotAFile
            | JobError::Empty
            | JobError::FileTooLarge { .. }
            | JobError::InputTooLarge { .. }
            | JobError::OutputTooLarge { .. }
            | JobError::Implausible { .. }
            | JobError::NeedsMemory { .. }
            | JobError::TooSlow { .. }
            | JobError::NotForThisPipeline { .. }
            | JobError::NotAPicture
            | JobError::Unsupported(_)
            | JobError::Damaged(_)
            | JobError::EndsEarly { .. }
            | JobError::MaskMissing { .. }
            | JobError::MaskSize { .. }
            | JobError::MaskCoversAll { .. }
            | JobError::NonFinite
            | JobError::Harmful { .. }
            | JobError::Panicked(_)
            | JobError::Quarantined { .. } => true,
            JobError::Gone
            | JobError::Changed
            | JobError::NameTaken { .. }
            | JobError::ForeignTarget
            | JobError::OverItself
            | JobError::Inference(_)
            | JobError::Write(_) => false,
        }
    }

    /// Whether the same picture may well succeed a little later, with nothing done about it.
    pub fn is_transient(&self) -> bool {
        match self {
            JobError::Unreadable(error) | JobError::Write(error) => error.transient,
            JobError::Gone | JobError::Changed | JobError::Inference(_) => true,
            JobError::Mask { why, .. } => why.is_transient(),
            JobError::EndsEarly { young, .. } => *young,
            JobError::Harmful { again, .. } => *again,
            _ => false,
        }
    }
}

fn waited(seconds: u64) -> String {
    if seconds == 0 { String::new() } else { format!(" {seconds} s after the picture last changed") }
}

fn mpx(size: Size) -> f64 {
    size.width as f64 * size.height as f64 / 1e6
}
