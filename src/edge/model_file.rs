//! Where model files are. Looks at names only; what is in them is the model's business.

use crate::error::StartError;
use std::path::{Path, PathBuf};

/// Where a package puts models.
const PACKAGED: &str = "/usr/share/onestep/models";

/// The file that `name` means: a path as it is, else `<name>.onnx` in `folder` if one is configured, else in
/// a `models` folder beside the program or above it, the package's place, or the working folder.
///
/// # Errors
/// If it is in none of them; the sentence lists them.
pub fn find(
    name: &str,
    folder: Option<&Path>,
    executable: &Path,
    working: &Path,
) -> Result<PathBuf, StartError> {
    let missing = |problem: String| StartError::Model { name: name.to_owned(), problem };
    if name.contains('/') || name.ends_with(".onnx") {
        let path = PathBuf::from(name);
        return if path.is_file() { Ok(path) } else { Err(missing("there is no such file".into())) };
    }
    let folders = places(folder, executable, working);
    let file = format!("{name}.onnx");
    let found = folders.iter().map(|folder| folder.join(&file)).find(|path| path.is_file());
    found.ok_or_else(|| missing(format!("{file} is in none of these folders:\n{}", shown(&folders))))
}

/// The model files that can be named: those of `folder`, else of the first usual place that has any.
///
/// # Errors
/// If there is none; the sentence lists the places.
pub fn list(folder: Option<&Path>, executable: &Path, working: &Path) -> Result<Vec<PathBuf>, StartError> {
    let folders = places(folder, executable, working);
    let found = folders.iter().map(|folder| models_in(folder)).find(|files| !files.is_empty());
    found.ok_or_else(|| {
        StartError::usage(format!("there is no model (.onnx) in any of these folders:\n{}", shown(&folders)))
    })
}

fn models_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "onnx")).collect();
    files.sort();
    files
}

fn places(folder: Option<&Path>, executable: &Path, working: &Path) -> Vec<PathBuf> {
    if let Some(folder) = folder {
        return vec![folder.to_owned()];
    }
    let beside = executable.ancestors().skip(1).map(|f| f.join("models"));
    beside.chain([PathBuf::from(PACKAGED), working.join("models")]).collect()
}

fn shown(folders: &[PathBuf]) -> String {
    let lines: Vec<String> = folders.iter().map(|folder| format!("  {}", folder.display())).collect();
    lines.join("\n")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_are_looked_for_and_paths_are_taken_as_they_are() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (program, models) = (root.path().join("target/release/onestep"), root.path().join("models"));
        fs::create_dir(&models).expect("writable");
        fs::write(models.join("sr.onnx"), "").expect("writable");
        let find = |name: &str, folder: Option<&Path>| find(name, folder, &program, Path::new("/nowhere"));
        assert_eq!(find("sr", None), Ok(models.join("sr.onnx")));
        let path = models.join("sr.onnx").to_str().expect("text").to_owned();
        assert_eq!(find(&path, None), Ok(models.join("sr.onnx")));
        let empty = root.path().join("target");
        let error = find("sr", Some(&empty)).expect_err("a configured folder is the only one").to_string();
        assert_eq!(error, format!("model sr: sr.onnx is in none of these folders:\n  {}", empty.display()));
        assert_eq!(
            find("gone.onnx", None).expect_err("gone").to_string(),
            "model gone.onnx: there is no such file"
        );
    }
}
