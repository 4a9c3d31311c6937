//! Which pixels of a picture are to be repaired, and where that is said: a mask file beside it, in a folder
//! of masks, or one for all; its own transparency; a colour. Names and pixels only: asks no file system.

use crate::work::mark::Stamp;
use crate::work::naming::{EXTENSIONS, is_picture};
use crate::work::pixels::Pixels;
use contract::geometry::Size;
use contract::mask::Mask;
use contract::pixels::Picture;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The ends of mask files' names before the extension, where none are named.
pub const SUFFIXES: [&str; 2] = [".mask", "_mask"];
/// So far a hole is grown where nothing else is said: edges of what is to vanish leak into what is around it.
pub const GROW_PX: usize = 2;
/// Most that a hole may be grown.
pub const MOST_GROW_PX: usize = 64;
/// How long a picture waits for its mask where nothing else is said.
pub const WAIT: Duration = Duration::from_secs(600);
/// Between options and what is told of a mask file.
const WITH_MASK: &str = " with a mask of ";
/// Luma from which on a pixel of a mask file is white, of 255.
const WHITE: u32 = 128;

/// What tells which pixels are to be repaired, whole and in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masking {
    /// Where it is said.
    pub from: MaskFrom,
    /// What white means in a mask file.
    pub white: White,
    /// Largest difference of a channel from the colour that marks, of 255.
    pub tolerance: u8,
    /// The hole is grown by so many pixels.
    pub grow_px: usize,
    /// Whether a mask of another size is brought to the picture's, by repeating or leaving out pixels.
    pub resized: bool,
    /// How long after its last change a picture waits for its mask; a daemon alone waits.
    pub wait: Duration,
}

/// Where it is said what is to be repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskFrom {
    /// A file beside the picture, with one of these behind its name.
    Beside(Vec<String>),
    /// A file in the same place of this folder, with nothing or one of these behind its name.
    Folder(PathBuf, Vec<String>),
    /// This file, for every picture.
    One(PathBuf),
    /// Whatever is wholly transparent.
    Alpha,
    /// Whatever has this colour.
    Colour([u8; 3]),
}

/// What white means in a mask file; black means the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum White {
    /// To be repaired.
    #[default]
    Repair,
    /// To be kept.
    Keep,
}

impl FromStr for White {
    type Err = String;

    fn from_str(text: &str) -> Result<White, String> {
        match text {
            "repair" => Ok(White::Repair),
            "keep" => Ok(White::Keep),
            _ => Err(format!("{text:?} is not one of repair, keep")),
        }
    }
}

impl MaskFrom {
    /// From the user's words: `sidecar`, `alpha`, a colour, or a path, which has a slash or a dot in it. A
    /// path that ends as a picture's does is one mask for all, any other a folder. `suffixes` are for both
    /// that look for masks by name.
    ///
    /// # Errors
    /// A sentence, where they make no sense.
    pub fn new(text: &str, suffixes: Vec<String>) -> Result<MaskFrom, String> {
        match text {
            "sidecar" => Ok(MaskFrom::Beside(suffixes)),
            "alpha" => Ok(MaskFrom::Alpha),
            _ if text.starts_with('#') => colour(text).map(MaskFrom::Colour),
            _ if !text.contains(['/', '.']) => Err(format!(
                "{text:?} is not one of sidecar, alpha, a colour such as #FF00FF, or a path (with / or . in \
                 it)"
            )),
            _ if is_picture_name(Path::new(text)) => Ok(MaskFrom::One(text.into())),
            _ => Ok(MaskFrom::Folder(text.into(), suffixes)),
        }
    }

    /// With its path told another way, if it has one.
    pub fn placed(self, place: impl FnOnce(&Path) -> PathBuf) -> MaskFrom {
        match self {
            MaskFrom::Folder(path, suffixes) => MaskFrom::Folder(place(&path), suffixes),
            MaskFrom::One(path) => MaskFrom::One(place(&path)),
            other => other,
        }
    }

    /// Whether it is a file beside the picture itself.
    pub fn is_file(&self) -> bool {
        !matches!(self, MaskFrom::Alpha | MaskFrom::Colour(_))
    }

    /// What is wrong with saying that white is kept, under this key, where there is no white.
    pub fn without_white(&self, key: &str, white: White) -> Option<String> {
        let is_wrong = white == White::Keep && !self.is_file();
        is_wrong.then(|| format!("{key} is about mask files, and here the picture's own pixels are the mask"))
    }
}

/// The end of a mask's name before its extension, if it is one.
///
/// # Errors
/// A sentence, where it would make every picture a mask, or lead elsewhere.
pub fn suffix(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty suffix would make every picture a mask".into());
    }
    if text.contains(['/', '\0']) {
        return Err(format!("{text:?} is no part of a name"));
    }
    Ok(text.to_owned())
}

fn colour(text: &str) -> Result<[u8; 3], String> {
    let is_hex = |digits: &&str| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let digits = text.strip_prefix('#').filter(is_hex);
    let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let [_, red, green, blue] =
        number.ok_or_else(|| format!("{text:?} is no colour such as #FF00FF"))?.to_be_bytes();
    Ok([red, green, blue])
}

fn is_picture_name(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

impl Masking {
    /// Usual in everything but where it is said.
    pub fn new(from: MaskFrom) -> Masking {
        let (white, tolerance, grow_px, resized) = (White::Repair, 0, GROW_PX, false);
        Masking { from, white, tolerance, grow_px, resized, wait: WAIT }
    }

    /// As text, for fingerprints: equal where the same mask marks the same pixels.
    pub fn to_text(&self) -> String {
        let from = match &self.from {
            MaskFrom::Alpha => "alpha".to_owned(),
            MaskFrom::Colour([red, green, blue]) => {
                format!("#{red:02X}{green:02X}{blue:02X} tolerance {}", self.tolerance)
            }
            // Where the file lies decides nothing: its length and time are told beside this.
            _ => format!("file white {}", if self.white == White::Repair { "repair" } else { "keep" }),
        };
        let resized = if self.resized { " resize nearest" } else { "" };
        format!("mask {from} grow {}{resized}", self.grow_px)
    }

    /// What marks a pixel, for every message about a mask.
    pub fn meaning(&self) -> String {
        match (&self.from, self.white) {
            (MaskFrom::Alpha, _) => "what is transparent is repaired".to_owned(),
            (MaskFrom::Colour([red, green, blue]), _) => {
                format!("#{red:02X}{green:02X}{blue:02X} is repaired")
            }
            (_, White::Repair) => "white is repaired".to_owned(),
            (_, White::Keep) => "white is kept, black is repaired".to_owned(),
        }
    }

    /// Where the mask of the picture at this place may be, in the order of looking: from its input folder, or
    /// from the folder of masks; none where it is no file of its own.
    pub fn places(&self, relative: &Path) -> Vec<PathBuf> {
        let (plain, suffixes) = match &self.from {
            MaskFrom::Beside(suffixes) => (None, suffixes),
            MaskFrom::Folder(_, suffixes) => (Some(String::new()), suffixes),
            _ => return Vec::new(),
        };
        let stem = relative.file_stem().unwrap_or_default();
        let suffixes: Vec<&str> = plain.iter().chain(suffixes).map(String::as_str).collect();
        named(relative, stem, &suffixes)
    }

    /// The same for people: names without their extensions, and the folder.
    pub fn places_told(&self, source: &Path, relative: &Path) -> String {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        let names = |suffixes: &[String]| {
            let names: Vec<String> = suffixes.iter().map(|suffix| format!("{stem}{suffix}.png")).collect();
            format!("{} (or with another picture's extension)", names.join(" or "))
        };
        match &self.from {
            MaskFrom::Beside(suffixes) => format!("{} beside it", names(suffixes)),
            MaskFrom::Folder(folder, suffixes) => {
                let all = [&[String::new()], suffixes.as_slice()].concat();
                let folder = folder.join(relative.parent().unwrap_or(Path::new("")));
                format!("{} in {}", names(&all), folder.display())
            }
            MaskFrom::One(path) => path.display().to_string(),
            MaskFrom::Alpha | MaskFrom::Colour(_) => String::new(),
        }
    }

    /// Where the pictures may be, from the input folder, of the mask at this place of a folder of masks.
    pub fn pictures_apart(&self, place: &Path) -> Vec<PathBuf> {
        let MaskFrom::Folder(_, suffixes) = &self.from else { return Vec::new() };
        let stem = place.file_stem().unwrap_or_default().as_bytes();
        let shorter = suffixes.iter().filter_map(|suffix| stem.strip_suffix(suffix.as_bytes()));
        let stems = std::iter::once(stem).chain(shorter).filter(|stem| !stem.is_empty());
        stems.flat_map(|stem| named(place, OsStr::from_bytes(stem), &[""])).collect()
    }

    /// Whether this is the name of a mask that lies among the pictures: then it is none itself.
    pub fn is_mask(&self, path: &Path) -> bool {
        self.stems(path).next().is_some()
    }

    /// Where the pictures of the mask at this place may be; none where its name is no mask's.
    pub fn pictures(&self, mask: &Path) -> Vec<PathBuf> {
        let mut pictures: Vec<PathBuf> = self.stems(mask).flat_map(|stem| named(mask, stem, &[""])).collect();
        pictures.retain(|picture| !self.is_mask(picture));
        pictures
    }

    /// What the picture of the mask with this name may be called, without its extension: one suffix may end
    /// as another does.
    fn stems<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a OsStr> {
        let suffixes = match &self.from {
            MaskFrom::Beside(suffixes) if is_picture(path) => suffixes.as_slice(),
            _ => &[],
        };
        let name = path.file_stem().unwrap_or_default().as_bytes();
        let stems = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix.as_bytes()));
        stems.filter(|stem| !stem.is_empty()).map(OsStr::from_bytes)
    }

    /// What is to be repaired, by the pixels of the picture itself or of its mask file; not grown yet. What
    /// is transparent in a mask file counts as black.
    pub fn mask(&self, pixels: &Pixels) -> Mask {
        let (size, picture) = (pixels.size(), pixels.to_eight());
        let all = picture.samples.chunks_exact(picture.channels);
        let holes = match &self.from {
            MaskFrom::Alpha => match pixels.alpha() {
                // Of 16 bits, the least that is not 0 is not transparent.
                Some(alpha) => (0..size.area()).map(|at| alpha.unit(at) == 0.0).collect(),
                None => vec![false; size.area()],
            },
            MaskFrom::Colour(key) => all.map(|pixel| is_near(&rgb(pixel), key, self.tolerance)).collect(),
            _ => all.map(|pixel| is_white(pixel) == (self.white == White::Repair)).collect(),
        };
        Mask { size, holes }
    }
}

/// A place with other names in every extension that pictures have: PNG first, since most masks are, and small
/// letters before capitals.
fn named(place: &Path, stem: &OsStr, suffixes: &[&str]) -> Vec<PathBuf> {
    let others = EXTENSIONS.into_iter().filter(|extension| *extension != "png");
    let extensions = std::iter::once("png").chain(others);
    let name = |suffix: &str, extension: &str| {
        let mut name = OsString::from(stem);
        name.push(suffix);
        name.push(".");
        name.push(extension);
        place.with_file_name(name)
    };
    let extensions = extensions.flat_map(|small| [small.to_owned(), small.to_ascii_uppercase()]);
    extensions.flat_map(|extension| suffixes.iter().map(move |suffix| name(suffix, &extension))).collect()
}

/// Of one pixel of 1 to 4 channels.
fn rgb(pixel: &[u8]) -> [u8; 3] {
    match *pixel {
        [grey] | [grey, _] => [grey; 3],
        [red, green, blue, ..] => [red, green, blue],
        [] => [0; 3],
    }
}

fn is_near(pixel: &[u8; 3], key: &[u8; 3], tolerance: u8) -> bool {
    pixel.iter().zip(key).all(|(sample, key)| sample.abs_diff(*key) <= tolerance)
}

/// Luma (ITU-R BT.601) of at least [`WHITE`], over black where it is transparent.
fn is_white(pixel: &[u8]) -> bool {
    let [red, green, blue] = rgb(pixel).map(u32::from);
    let alpha =
        if pixel.len().is_multiple_of(2) { pixel.last().copied().map_or(255, u32::from) } else { 255 };
    (299 * red + 587 * green + 114 * blue) * alpha >= WHITE * 1000 * 255
}

/// A mask of another size, by the nearest pixel.
///
/// # Panics
/// If it has no pixels.
pub fn resized(mask: &Mask, size: Size) -> Mask {
    let from = |at: usize, length: usize, new: usize| (2 * at + 1) * length / (2 * new);
    let rows = (0..size.height).map(|y| from(y, mask.size.height, size.height) * mask.size.width);
    let holes = rows
        .flat_map(|row| (0..size.width).map(move |x| mask.holes[row + from(x, mask.size.width, size.width)]));
    Mask { size, holes: holes.collect() }
}

/// What was to be repaired is opaque afterwards; `alpha` has one channel.
///
/// # Panics
/// If both differ in size.
pub fn opaque(alpha: &mut Pixels, mask: &Mask) {
    fn fill<S: Copy>(picture: &mut Picture<S>, mask: &Mask, opaque: S) {
        let pixels = picture.samples.iter_mut().zip(&mask.holes);
        pixels.filter(|(_, hole)| **hole).for_each(|(sample, _)| *sample = opaque);
    }
    assert_eq!(alpha.size(), mask.size, "a picture and its mask");
    match alpha {
        Pixels::Eight(picture) => fill(picture, mask, u8::MAX),
        Pixels::Sixteen(picture) => fill(picture, mask, u16::MAX),
    }
}

/// What a result says of what was repaired of its picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// What marked it, as [`Masking::to_text`] has it.
    pub rule: String,
    /// The mask file, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<MaskedBy>,
    /// Pixels that were repaired; 0 where the picture was copied.
    pub repaired: u64,
}

/// A mask file, as it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedBy {
    /// Its place in the tree that it lay in.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its modification time, nanoseconds since 1970.
    pub modified_ns: i64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// Whether a result was made by this rule, with a mask file of this length and time. One whose mask was taken
/// away since is still the result.
pub fn agrees(rule: Option<&Masking>, file: Option<Stamp>, masked: Option<&Masked>) -> bool {
    match (rule, masked) {
        (None, None) => true,
        (Some(rule), Some(masked)) if rule.to_text() == masked.rule => match (&masked.file, file) {
            (Some(then), Some(now)) => (then.bytes, then.modified_ns) == (now.bytes, now.modified_ns),
            (then, now) => now.is_none() && then.is_some() == rule.from.is_file(),
        },
        _ => false,
    }
}

/// The options of a line together with a picture's mask file, as text for the ledger: another mask is another
/// result, of this picture alone.
pub fn with_mask(options: &str, mask: Option<Stamp>) -> String {
    match mask {
        Some(Stamp { bytes, modified_ns, .. }) => {
            format!("{options}{WITH_MASK}{bytes} bytes and time {modified_ns}")
        }
        None => options.to_owned(),
    }
}

/// What options tell of a mask file, if they do.
pub fn told_mask(options: &str) -> Option<&str> {
    options.split_once(WITH_MASK).map(|(_, mask)| mask)
}

/// Whether `full` are these options of a line, with whatever mask.
pub fn is_with_mask(options: &str, full: &str) -> bool {
    full.strip_prefix(options).is_some_and(|rest| rest.starts_with(WITH_MASK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside() -> Masking {
        Masking::new(MaskFrom::Beside(SUFFIXES.map(str::to_owned).to_vec()))
    }

    fn eight(width: usize, channels: usize, samples: &[u8]) -> Pixels {
        let size = Size::new(width, samples.len() / channels / width);
        Pixels::Eight(Picture { size, channels, samples: samples.to_vec() })
    }

    fn holes(masking: &Masking, pixels: &Pixels) -> Vec<usize> {
        let mask = masking.mask(pixels);
        (0..mask.holes.len()).filter(|at| mask.holes[*at]).collect()
    }

    #[test]
    fn words_colours_and_paths_are_told_apart() {
        let read = |text: &str| MaskFrom::new(text, vec!["_m".into()]);
        let folder = |path: &str| Ok(MaskFrom::Folder(path.into(), vec!["_m".into()]));
        assert_eq!(read("sidecar"), Ok(MaskFrom::Beside(vec!["_m".into()])));
        assert_eq!(read("alpha"), Ok(MaskFrom::Alpha));
        assert_eq!(read("#fF00a1"), Ok(MaskFrom::Colour([255, 0, 161])));
        assert_eq!(read("mark.PNG"), Ok(MaskFrom::One("mark.PNG".into())));
        assert_eq!((read("masks/"), read("./masks")), (folder("masks/"), folder("./masks")));
        for text in ["", "masks", "#FF00F", "#FF00FG", "#+F00FF", "Alpha"] {
            assert!(read(text).is_err(), "{text}");
        }
        let within = read("masks/").expect("a folder").placed(|path| Path::new("/etc").join(path));
        assert_eq!(Ok(within), folder("/etc/masks/"));
        assert!(suffix("").is_err() && suffix("/x").is_err() && suffix("-m").is_ok());
    }

    #[test]
    fn masks_are_looked_for_as_png_first_and_a_mask_knows_its_pictures() {
        let places = beside().places(Path::new("a/b.c.jpg"));
        assert_eq!((places.len(), places[0].as_path()), (84, Path::new("a/b.c.mask.png")));
        assert_eq!(places[1..3], ["a/b.c_mask.png", "a/b.c.mask.PNG"].map(PathBuf::from));
        assert!(places.contains(&"a/b.c_mask.JPG".into()) && !places.contains(&"a/b.c.png".into()));
        let folder = Masking::new(MaskFrom::Folder("/m".into(), vec![".mask".into()]));
        let places = folder.places(Path::new("a/b.jpg"));
        assert_eq!((places.len(), places[0].as_path()), (84, Path::new("a/b.png")));
        assert!(places.contains(&"a/b.mask.png".into()));
        let pictures = beside().pictures(Path::new("a/b.c.mask.gif"));
        assert!(pictures.contains(&"a/b.c.jpg".into()) && pictures.contains(&"a/b.c.TIFF".into()));
        for name in ["b_mask.png", "b.mask.JPG", "d/b.mask.webp"] {
            assert!(beside().is_mask(Path::new(name)), "{name}");
        }
        for name in ["b.png", "_mask.png", "b_mask.txt", "b_mask", "bmask.png", "b_mask.png.part"] {
            assert!(!beside().is_mask(Path::new(name)), "{name}");
        }
        assert!(
            !folder.is_mask(Path::new("b_mask.png")) && folder.pictures(Path::new("b_mask.png")).is_empty()
        );
        let both = Masking::new(MaskFrom::Beside(vec!["mask".into(), "_mask".into()]));
        let pictures = both.pictures(Path::new("b_mask.png"));
        assert!(["b_.jpg", "b.jpg"].iter().all(|name| pictures.contains(&(*name).into())), "{pictures:?}");
        assert!(!beside().pictures(Path::new("b_mask.mask.png")).contains(&"b_mask.png".into()));
    }

    #[test]
    fn white_begins_in_the_middle_and_the_user_says_what_it_means() {
        let keep = Masking { white: White::Keep, ..beside() };
        let grey = eight(4, 1, &[0, 127, 128, 255]);
        assert_eq!((holes(&beside(), &grey), holes(&keep, &grey)), (vec![2, 3], vec![0, 1]));
        // Luma: green weighs most. And what is transparent counts as black.
        let colours = eight(3, 3, &[255, 0, 0, 0, 255, 0, 255, 255, 255]);
        assert_eq!(holes(&beside(), &colours), [1, 2]);
        let clear = eight(3, 4, &[255, 255, 255, 0, 255, 255, 255, 127, 255, 255, 255, 128]);
        assert_eq!(holes(&beside(), &clear), [2]);
        assert_eq!(holes(&beside(), &eight(2, 2, &[255, 0, 255, 255])), [1]);
    }

    #[test]
    fn transparency_and_colours_mark_pixels_of_the_picture_itself() {
        let alpha = Masking::new(MaskFrom::Alpha);
        assert_eq!(holes(&alpha, &eight(2, 4, &[9, 9, 9, 0, 9, 9, 9, 1])), [0]);
        assert!(holes(&alpha, &eight(2, 3, &[0; 6])).is_empty());
        let deep = Picture { size: Size::new(2, 1), channels: 2, samples: vec![9u16, 1, 9, 0] };
        assert_eq!(holes(&alpha, &Pixels::Sixteen(deep)), [1], "1 of 65535 is not transparent");
        let key = |tolerance| Masking { tolerance, ..Masking::new(MaskFrom::Colour([250, 0, 10])) };
        let picture = eight(3, 3, &[250, 0, 10, 252, 2, 8, 253, 0, 10]);
        assert_eq!((holes(&key(0), &picture), holes(&key(2), &picture)), (vec![0], vec![0, 1]));
        assert_eq!(holes(&Masking::new(MaskFrom::Colour([7; 3])), &eight(2, 1, &[7, 8])), [0]);
    }

    #[test]
    fn a_mask_of_another_size_is_brought_to_size_by_its_nearest_pixels() {
        let mask = Mask { size: Size::new(2, 2), holes: vec![true, false, false, true] };
        let large = resized(&mask, Size::new(4, 2));
        assert_eq!(large.holes, [true, true, false, false, false, false, true, true]);
        assert_eq!(resized(&large, Size::new(2, 2)), mask);
        assert_eq!(resized(&mask, Size::new(1, 1)).holes, [true], "of four in the middle, the last");
    }

    #[test]
    fn what_is_repaired_becomes_opaque() {
        let mask = Mask { size: Size::new(2, 1), holes: vec![false, true] };
        let mut alpha = eight(2, 1, &[0, 3]);
        opaque(&mut alpha, &mask);
        assert_eq!(alpha, eight(2, 1, &[0, 255]));
    }

    #[test]
    fn a_result_is_known_by_its_rule_and_its_mask() {
        let file = MaskedBy { path: "a.png".into(), bytes: 1, modified_ns: 2, sha256: "c".into() };
        let masked = Masked { rule: beside().to_text(), file: Some(file), repaired: 9 };
        let stamp = |(bytes, modified_ns)| Stamp { bytes, modified_ns, changed_ns: 0 };
        let check = |rule: Option<&Masking>, file: Option<_>| agrees(rule, file.map(stamp), Some(&masked));
        assert!(check(Some(&beside()), Some((1, 2))) && check(Some(&beside()), None));
        assert!(!check(Some(&beside()), Some((1, 3))) && !check(None, None));
        assert!(!check(Some(&Masking { grow_px: 3, ..beside() }), Some((1, 2))));
        let alpha = Masking::new(MaskFrom::Alpha);
        let itself = Masked { rule: alpha.to_text(), file: None, repaired: 9 };
        assert!(agrees(Some(&alpha), None, Some(&itself)) && !agrees(Some(&alpha), None, None));
        assert!(agrees(None, None, None) && !agrees(Some(&beside()), None, None));
        assert_eq!(beside().to_text(), "mask file white repair grow 2");
        let colour = Masking { tolerance: 3, resized: true, ..Masking::new(MaskFrom::Colour([1, 2, 255])) };
        assert_eq!(colour.to_text(), "mask #0102FF tolerance 3 grow 2 resize nearest");
    }
}
