//! From a folder of pictures to training pairs: licence filter, held-out list, decoding, cropping, shrinking.
//! Runs on rayon threads; what could not be used is counted, never silently dropped.

use super::pictures::{crop, is_picture, read_rgb};
use super::random::Random;
use contract::geometry::Size;
use contract::pixels::{Picture, Planes};
use contract::resample::shrink;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Licences under which a crop may train a model that ships, letter by letter as manifests state them.
pub const ALLOWED_LICENCES: [&str; 12] = [
    "CC0-1.0",
    "Public domain / CC0",
    "Public Domain",
    "MIT",
    "BSD-2-Clause",
    "CC-BY-4.0",
    "CC-BY-3.0",
    "CC-BY-2.0",
    "CC-BY (version not stated)",
    "CC-BY-SA-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA",
];

/// Larger pictures are cut into crops of this side, so that memory does not depend on the camera.
const CROP: usize = 256;
/// At most this many crops of one picture, so that one panorama does not outweigh the rest.
const CROPS_PER_PICTURE: usize = 8;
/// At most this many crops in all, or one of each picture: they stay in memory, 4 GB of them, more where
/// pictures are a little larger than crops and kept whole.
const CROPS: usize = 20_000;

/// Why no corpus could be made.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// manifest.csv is not as expected.
    #[error("{path}: {problem}")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A sheet of small pictures, or the pack it belongs to, is not as expected.
    #[error("{path}: {problem}")]
    Sheet {
        /// The sheet, or the folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A list of what must not be trained on that is of other files.
    #[error(
        "none of the {count} files that are held out is in {path}, e.g. {first}: they are named as \
         manifest.csv names them, or by their place in the folder"
    )]
    HeldOut {
        /// The folder.
        path: PathBuf,
        /// How many names there are.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// No usable picture.
    #[error("no picture to train on in {path}: {facts}")]
    Empty {
        /// The folder.
        path: PathBuf,
        /// What was there instead.
        facts: String,
    },
}

/// What to take of a folder.
#[derive(Debug, Clone)]
pub struct CorpusOptions {
    /// The folder; with a `manifest.csv` (columns `file`, `license`) only the files it lists under allowed
    /// licences.
    pub folder: PathBuf,
    /// Files (as the manifest or the folder names them) that must not be trained on.
    pub held_out: BTreeSet<String>,
    /// Take only the held-out files instead of all others.
    pub only_held_out: bool,
    /// Enlargement that is learned.
    pub scale: usize,
    /// Smallest side, in pixels of the large picture, that is of use.
    pub min_side: usize,
    /// Chooses crops of large pictures.
    pub seed: u64,
}

/// One training picture, large and shrunk, both 8-bit RGB.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The truth; sides are multiples of the scale.
    pub large: Picture,
    /// `large` shrunk by the scale (bicubic, antialiased), rounded to 8 bits; nothing where the scale is 1.
    pub small: Picture,
    /// Where it came from, relative to the folder.
    pub file: String,
}

/// Counts for the log, the card and the report.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusFacts {
    /// Crops in use.
    pub crops: usize,
    /// Files they came from.
    pub files: usize,
    /// Files that could not be decoded.
    pub unreadable: usize,
    /// Files smaller than a patch.
    pub too_small: usize,
    /// Files whose licence is not on the list.
    pub licence_excluded: usize,
    /// Files passed over, evenly, since memory does not hold all.
    #[serde(default)]
    pub passed_over: usize,
    /// Files held out (or, for a held-out corpus, files of the rest).
    pub held_out: usize,
    /// Files in use per licence, where a manifest states them.
    pub licences: BTreeMap<String, usize>,
    /// SHA-256 of manifest.csv, or of the sorted file names where there is none.
    pub manifest_sha256: String,
}

impl std::fmt::Display for CorpusFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { crops, files, unreadable, too_small, licence_excluded, held_out, .. } = self;
        write!(
            f,
            "{crops} crops of {files} files; left out: {unreadable} unreadable, {too_small} too small, \
             {licence_excluded} by licence, {held_out} held out"
        )?;
        match self.passed_over {
            0 => Ok(()),
            count => write!(f, ", {count} passed over, since {CROPS} are enough"),
        }
    }
}

/// All training pairs, in memory.
#[derive(Debug)]
pub struct Corpus {
    /// The pairs, sorted by file name.
    pub pairs: Vec<Pair>,
    /// What was taken and what was not.
    pub facts: CorpusFacts,
}

impl Corpus {
    /// Reads the folder.
    ///
    /// # Errors
    /// If the folder or its manifest cannot be read, or no picture is left. Single bad files are counted, not
    /// fatal.
    pub fn load(options: &CorpusOptions) -> Result<Corpus, DataError> {
        find_held_out(options)?;
        let manifest = options.folder.join("manifest.csv");
        let mut facts = CorpusFacts::default();
        let listed = if manifest.is_file() {
            from_manifest(&manifest, &mut facts)?
        } else {
            walk(options, &mut facts)?
        };
        let count = listed.len();
        // By where they are: a name may be spelt in another way, and lead there by a link.
        let place = |file: &String| {
            let path = options.folder.join(file);
            fs::canonicalize(&path).unwrap_or(path)
        };
        let held_out: BTreeSet<PathBuf> = options.held_out.iter().map(place).collect();
        let chosen: Vec<(String, String)> = listed
            .into_iter()
            .filter(|(file, _)| {
                let is_held_out = !held_out.is_empty() && held_out.contains(&place(file));
                is_held_out == options.only_held_out
            })
            .collect();
        facts.held_out = count - chosen.len();
        let (chosen, each) = share(chosen, CROPS);
        facts.passed_over = count - facts.held_out - chosen.len();

        let read: Vec<(String, String, Result<Vec<Pair>, Unusable>)> = chosen
            .into_par_iter()
            .map(|(file, licence)| {
                let pairs = pairs_of(options, &file, each);
                (file, licence, pairs)
            })
            .collect();
        let mut pairs = Vec::new();
        for (file, licence, result) in read {
            match result {
                Ok(found) => {
                    facts.files += 1;
                    *facts.licences.entry(licence).or_default() += 1;
                    pairs.extend(found);
                }
                Err(Unusable::TooSmall) => {
                    facts.too_small += 1;
                    log::warn!("skipped, smaller than a patch of {}: {file}", options.min_side);
                }
                Err(Unusable::Unreadable(why)) => {
                    facts.unreadable += 1;
                    log::warn!("skipped, cannot be decoded: {why}: {file}");
                }
            }
        }
        facts.crops = pairs.len();
        if pairs.is_empty() {
            return Err(DataError::Empty { path: options.folder.clone(), facts: facts.to_string() });
        }
        Ok(Corpus { pairs, facts })
    }
}

/// Up to `count` of the pairs, spread evenly: neighbours in the list are crops of one photograph.
pub fn spread(pairs: Vec<Pair>, count: usize) -> Vec<Pair> {
    let total = pairs.len();
    let wanted: BTreeSet<usize> = (0..count.min(total)).map(|i| i * total / count.min(total)).collect();
    pairs.into_iter().enumerate().filter(|(i, _)| wanted.contains(i)).map(|(_, pair)| pair).collect()
}

/// What is read of these files, in their order, and how many crops of each, so that there are at most `most`.
fn share<T>(files: Vec<T>, most: usize) -> (Vec<T>, usize) {
    let (count, each) = (files.len(), (most / files.len().max(1)).clamp(1, CROPS_PER_PICTURE));
    let is_read = |place: usize| count <= most || (place + 1) * most / count > place * most / count;
    (files.into_iter().enumerate().filter(|(place, _)| is_read(*place)).map(|(_, file)| file).collect(), each)
}

enum Unusable {
    TooSmall,
    Unreadable(String),
}

/// What is named and not there may be there under another name, and be trained on.
fn find_held_out(options: &CorpusOptions) -> Result<(), DataError> {
    let is_absent = |file: &&String| !options.folder.join(file).exists();
    let absent: Vec<&String> = options.held_out.iter().filter(is_absent).collect();
    match absent.first() {
        Some(first) if absent.len() == options.held_out.len() => {
            let (path, count) = (options.folder.clone(), absent.len());
            return Err(DataError::HeldOut { path, count, first: (*first).clone() });
        }
        Some(first) => {
            let folder = options.folder.display();
            log::warn!("{} held-out files are not in {folder}, e.g. {first}", absent.len());
        }
        None => {}
    }
    Ok(())
}

fn from_manifest(path: &Path, facts: &mut CorpusFacts) -> Result<Vec<(String, String)>, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Unreadable { path: path.into(), source })?;
    facts.manifest_sha256 = hex(&Sha256::digest(&bytes));
    let broken = |problem: String| DataError::Manifest { path: path.into(), problem };
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let headers = reader.headers().map_err(|e| broken(e.to_string()))?.clone();
    let column = |name: &str| {
        let found = headers.iter().position(|h| h == name);
        found.ok_or_else(|| broken(format!("no column {name:?}; a manifest needs file and license")))
    };
    let (file, license) = (column("file")?, column("license")?);
    let mut listed = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| broken(e.to_string()))?;
        let (file, license) = (record[file].to_owned(), record[license].to_owned());
        if ALLOWED_LICENCES.contains(&license.as_str()) {
            listed.push((file, license));
        } else {
            facts.licence_excluded += 1;
        }
    }
    listed.sort();
    Ok(listed)
}

/// Without a manifest the user vouches for the licences: every picture below the folder is taken.
fn walk(options: &CorpusOptions, facts: &mut CorpusFacts) -> Result<Vec<(String, String)>, DataError> {
    let mut files = Vec::new();
    let mut seen: BTreeSet<PathBuf> = fs::canonicalize(&options.folder).into_iter().collect();
    let mut folders = vec![options.folder.clone()];
    while let Some(folder) = folders.pop() {
        let unreadable = |source| DataError::Unreadable { path: folder.clone(), source };
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = match entries.map_err(unreadable) {
            // A file system's lost+found, for instance.
            Err(error) if folder != options.folder => {
                log::warn!("skipped, {error}");
                continue;
            }
            entries => entries?,
        };
        for path in entries.into_iter().map(|entry| entry.path()) {
            let is_folder = path.is_dir();
            if !is_folder && !is_picture(&path) {
                continue;
            }
            // By another way it would count twice.
            if fs::canonicalize(&path).is_ok_and(|path| !seen.insert(path)) {
                continue;
            }
            if is_folder {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(&options.folder) {
                files.push((relative.to_string_lossy().into_owned(), "not stated".to_owned()));
            }
        }
    }
    files.sort();
    let names: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    facts.manifest_sha256 = hex(&Sha256::digest(names.join("\n")));
    Ok(files)
}

fn pairs_of(options: &CorpusOptions, file: &str, most: usize) -> Result<Vec<Pair>, Unusable> {
    let picture = read_rgb(&options.folder.join(file)).map_err(Unusable::Unreadable)?;
    let Size { width, height } = picture.size;
    if width.min(height) < options.min_side {
        return Err(Unusable::TooSmall);
    }
    let pair = |(x, y, size): (usize, usize, Size)| {
        let large = crop(&picture, x, y, size);
        let small = match options.scale {
            1 => Picture::new(Size::new(0, 0), 3),
            scale => shrink(&Planes::from_picture(&large), scale).to_picture(),
        };
        Pair { large, small, file: file.to_owned() }
    };
    Ok(corners(picture.size, options, file, most).into_iter().map(pair).collect())
}

/// Where to cut: small pictures whole (less the remainder of the scale), large ones into at most `most` cells
/// of a grid.
fn corners(size: Size, options: &CorpusOptions, file: &str, most: usize) -> Vec<(usize, usize, Size)> {
    let side = CROP.max(options.min_side).next_multiple_of(options.scale);
    if size.width < 2 * side && size.height < 2 * side {
        let whole = |length: usize| length / options.scale * options.scale;
        return vec![(0, 0, Size::new(whole(size.width), whole(size.height)))];
    }
    // A long thin picture is narrower than a crop: its cells take the whole short side.
    let (w, h) = (
        side.min(size.width / options.scale * options.scale),
        side.min(size.height / options.scale * options.scale),
    );
    let cells =
        (0..size.height / h).flat_map(|row| (0..size.width / w).map(move |column| (column * w, row * h)));
    let mut cells: Vec<(usize, usize, Size)> = cells.map(|(x, y)| (x, y, Size::new(w, h))).collect();
    let name = file.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = Random::new(&[options.seed, name]);
    while cells.len() > most {
        cells.swap_remove(random.below(cells.len()));
    }
    cells
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pictures_give_fewer_crops_each_and_too_many_are_passed_over_evenly() {
        let of = |count: usize, most| share((0..count).collect::<Vec<_>>(), most);
        assert_eq!(of(0, 100), (vec![], CROPS_PER_PICTURE));
        assert_eq!(of(10, 100).1, CROPS_PER_PICTURE);
        assert_eq!(of(30, 100), ((0..30).collect(), 3));
        assert_eq!(of(100, 100), ((0..100).collect(), 1));
        let (read, each) = of(250, 100);
        assert_eq!((read.len(), each), (100, 1));
        assert!(read.windows(2).all(|pair| (2..=3).contains(&(pair[1] - pair[0]))), "{read:?}");
    }
}
