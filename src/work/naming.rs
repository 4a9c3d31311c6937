//! Which names are pictures, and where reasons and maps go. Paths only: asks no file system.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Folder below the output folder that mirrors the tree with a reason file for each picture that failed.
pub const FAILED: &str = "failed";

/// Extensions that are looked at in folders; the content decides what a file really is.
pub const EXTENSIONS: [&str; 21] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "tif", "tiff", "gif", "bmp", "dib", "pnm", "pbm", "pgm",
    "ppm", "pam", "qoi", "avif", "heic", "heif", "jxl",
];
/// Names that mean "still being written".
const PARTIAL: [&str; 4] = ["part", "tmp", "crdownload", "filepart"];

/// What file managers, servers and systems put among people's files.
const HOUSEKEEPING: [&str; 6] =
    ["@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "#recycle"];

/// Whether a file found in a folder is to be looked at, by its name alone.
pub fn is_picture(path: &Path) -> bool {
    has_extension(path, &EXTENSIONS) && !is_left_alone(path)
}

/// Whether a file or folder is left alone by its name: hidden, an editor's (`~`), somebody's unfinished
/// download, or housekeeping of a system.
pub fn is_left_alone(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(b".")
        || name.as_encoded_bytes().starts_with(b"~")
        || HOUSEKEEPING.iter().any(|known| *known == name)
        || has_extension(path, &PARTIAL)
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| known.iter().any(|k| k.eq_ignore_ascii_case(extension)))
}

/// Where the uncertainty map of a result goes: beside it.
pub fn map_of(target: &Path) -> PathBuf {
    target.with_extension("uncertainty.png")
}

/// Where it is written why `relative` failed.
pub fn reason(output: &Path, relative: &Path) -> PathBuf {
    let mut name = relative.file_name().unwrap_or_default().to_owned();
    name.push(".reason.json");
    output.join(FAILED).join(relative.with_file_name(name))
}

/// The record of all results that were made, beside them.
pub const RECEIPTS: &str = "receipts.jsonl";

/// A path as text for marks, receipts and the ledger: bytes that are not UTF-8 become `\xNN` and a backslash
/// two, so that two names stay two.
pub fn text_of(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// The path that [`text_of`] made text of.
pub fn path_of(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let hex = |at: &[u8]| std::str::from_utf8(at).ok().and_then(|two| u8::from_str_radix(two, 16).ok());
        let (byte, length) = match after {
            [b'\\', ..] if *first == b'\\' => (b'\\', 2),
            [b'x', a, b, ..] if *first == b'\\' => hex(&[*a, *b]).map_or((b'\\', 1), |byte| (byte, 4)),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back_from_its_text() {
        for bytes in
            [&b"/in/a.png"[..], b"/in/back\\slash.png", b"/in/x\xff\\x41.png", b"\\", b"\\x4", b"\xe2\x82"]
        {
            let path = PathBuf::from(OsString::from_vec(bytes.to_vec()));
            assert_eq!(path_of(&text_of(&path)), path);
        }
    }

    #[test]
    fn pictures_are_told_by_extension_and_partial_files_left_alone() {
        for name in ["a.jpg", "b.JPEG", "d/c.Png", "two.dots.png", "a.gif", "b.TIF", "c.heic"] {
            assert!(is_picture(Path::new(name)), "{name}");
        }
        for name in ["a.txt", "jpg", ".jpg", ".hidden.png", "a.jpg.part", "a.png.tmp", "x.CRDOWNLOAD"] {
            assert!(!is_picture(Path::new(name)), "{name}");
        }
        assert!(is_left_alone(Path::new("x/.git")) && is_left_alone(Path::new("a.Part")));
        assert!(is_left_alone(Path::new("x/@eaDir")) && is_left_alone(Path::new("~a.jpg")));
        assert!(!is_left_alone(Path::new("x/holiday")) && !is_left_alone(Path::new("a~b.jpg")));
    }

    #[test]
    fn the_tree_is_kept() {
        let out = Path::new("/out");
        assert_eq!(map_of(Path::new("/out/a/b.c.png")), Path::new("/out/a/b.c.uncertainty.png"));
        assert_eq!(reason(out, Path::new("a/b.jpg")), Path::new("/out/failed/a/b.jpg.reason.json"));
    }

    #[test]
    #[cfg(unix)]
    fn names_that_are_not_text_stay_apart() {
        use std::os::unix::ffi::OsStrExt;
        let name = |bytes| text_of(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!((name(b"\xff.jpg"), name(b"\xfe.jpg")), ("\\xff.jpg".into(), "\\xfe.jpg".into()));
        assert_eq!(name("grün.jpg".as_bytes()), "grün.jpg");
        assert_eq!(name(br"\xff.jpg"), r"\\xff.jpg");
    }
}
