//! Which paths of a tree the user wants left alone, by globs as `.gitignore` users know them. The only file
//! that names `globset`. Paths only: asks no file system.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::Path;

/// Globs on places below an input folder. One without a slash is of a name, wherever it lies; one with a
/// slash is of a place from the input folder on.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    globs: Vec<String>,
    names: GlobSet,
    places: GlobSet,
}

impl PartialEq for Ignore {
    fn eq(&self, other: &Ignore) -> bool {
        self.globs == other.globs
    }
}

impl Ignore {
    /// Reads the globs.
    ///
    /// # Errors
    /// A sentence for the first one that is none.
    pub fn new(globs: &[String]) -> Result<Ignore, String> {
        let (mut names, mut places) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for text in globs {
            let text = text.trim_end_matches('/');
            if text.is_empty() {
                return Err("an empty glob would leave everything alone".into());
            }
            if text.contains('/') {
                places.add(glob(text.trim_start_matches('/'))?);
            } else {
                names.add(glob(text)?);
            }
        }
        let built = |set: GlobSetBuilder| set.build().map_err(|error| error.to_string());
        Ok(Ignore { globs: globs.to_vec(), names: built(names)?, places: built(places)? })
    }

    /// Whether a file or folder at this place below the input folder is left alone. Whoever walks a tree asks
    /// for each folder before it enters it.
    pub fn leaves(&self, relative: &Path) -> bool {
        relative.file_name().is_some_and(|name| self.names.is_match(Path::new(name)))
            || self.places.is_match(relative)
    }

    /// Whether it, or a folder that it lies in, is left alone.
    pub fn leaves_any(&self, relative: &Path) -> bool {
        relative.ancestors().filter(|part| !part.as_os_str().is_empty()).any(|part| self.leaves(part))
    }
}

fn glob(text: &str) -> Result<Glob, String> {
    // A star never jumps over a folder.
    GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(globs: &[&str], place: &str) -> bool {
        let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        Ignore::new(&globs).expect("globs").leaves_any(Path::new(place))
    }

    #[test]
    fn a_glob_is_of_a_name_anywhere_or_of_a_place() {
        assert!(leaves(&["*.bak.jpg"], "a/b/x.bak.jpg") && !leaves(&["*.bak.jpg"], "a/bak.jpg"));
        assert!(leaves(&["raw"], "a/raw/x.jpg") && leaves(&["raw/"], "raw/x.jpg"));
        assert!(!leaves(&["raw"], "a/drawn/x.jpg"));
        assert!(leaves(&["2024/raw"], "2024/raw/x.jpg") && !leaves(&["2024/raw"], "a/2024/raw/x.jpg"));
        assert!(leaves(&["/top.jpg"], "top.jpg") && !leaves(&["/top.jpg"], "a/top.jpg"));
        assert!(leaves(&["a/**/x.jpg"], "a/b/c/x.jpg") && !leaves(&["a/*/x.jpg"], "a/b/c/x.jpg"));
        assert!(!leaves(&[], "a.jpg"));
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        assert!(Ignore::new(&["[".into()]).is_err() && Ignore::new(&["/".into()]).is_err());
    }
}
