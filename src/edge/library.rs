//! Where ONNX Runtime's shared library is. Looks at paths only; loading it is the model's business.

use crate::error::StartError;
use std::path::{Path, PathBuf};

const NAME: &str = "libonnxruntime.so";
/// Where a package puts it.
const PACKAGED: &str = "/usr/lib/onestep/libonnxruntime.so";

/// What to load, and where we looked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// A path, or a bare name for the system's loader to find.
    pub path: PathBuf,
    /// Every place that was looked at, in order, for the message if it does not load.
    pub looked: Vec<String>,
}

impl Library {
    /// The error that it did not load.
    pub fn refused(&self, loader: &str) -> StartError {
        let reason = if self.path == Path::new(NAME) {
            "was not found".to_owned()
        } else {
            format!("does not load ({loader})")
        };
        StartError::Library { reason, looked: self.looked.clone() }
    }
}

/// Looks for the library: what the user names, then what ORT_DYLIB_PATH names, then beside the program, the
/// package's place, and last the system's own. `executable` and `folder` are where the program and the
/// working folder are.
///
/// # Errors
/// If what was named explicitly is not there.
pub fn find(
    asked: Option<&Path>,
    variable: Option<&Path>,
    executable: &Path,
    folder: &Path,
) -> Result<Library, StartError> {
    let mut looked = Vec::new();
    for (explicit, origin) in [(asked, "--ort-lib or [runtime] library"), (variable, "ORT_DYLIB_PATH")] {
        let Some(path) = explicit else { continue };
        looked.push(format!("{} ({origin})", path.display()));
        if path.is_file() {
            return Ok(Library { path: path.to_owned(), looked });
        }
        return Err(StartError::Library { reason: "was not found".into(), looked });
    }
    let beside = executable.ancestors().skip(1).chain([folder]).map(|f| f.join(".runtime").join(NAME));
    for path in beside.chain([PathBuf::from(PACKAGED)]) {
        looked.push(path.display().to_string());
        if path.is_file() {
            return Ok(Library { path, looked });
        }
    }
    looked.push(format!("{NAME} (the system's own)"));
    Ok(Library { path: NAME.into(), looked })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_one_beside_the_program_is_taken_and_what_is_named_goes_first() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (program, library) =
            (root.path().join("target/release/onestep"), root.path().join(".runtime").join(NAME));
        fs::create_dir_all(library.parent().expect("below the root")).expect("writable");
        fs::write(&library, "").expect("writable");
        let found = find(None, None, &program, Path::new("/nowhere")).expect("there");
        assert_eq!(found.path, library);
        let named = root.path().join("other.so");
        fs::write(&named, "").expect("writable");
        assert_eq!(find(None, Some(&named), &program, Path::new("/nowhere")).expect("there").path, named);
    }

    #[test]
    fn a_named_library_that_is_missing_is_not_replaced_by_another() {
        let error = find(Some(Path::new("/no/such.so")), None, Path::new("/x/onestep"), Path::new("/y"));
        assert_eq!(
            error.expect_err("missing").to_string(),
            "ONNX Runtime (libonnxruntime.so) was not found; looked at:\n  /no/such.so (--ort-lib or \
             [runtime] library)\nscripts/fetch-runtime fetches it; --ort-lib or ORT_DYLIB_PATH name another"
        );
    }
}
