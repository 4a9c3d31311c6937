//! The house's rules that a program can check.

use crate::support::process::repository;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each dependency, and the one file or folder that may name it.
const DOORS: [(&str, &str); 32] = [
    ("clap", "src/cli/"),
    ("env_logger", "src/edge/logging.rs"),
    ("image", "src/edge/codec/"),
    ("image_webp", "src/edge/codec/webp.rs"),
    ("indicatif", "src/edge/progress.rs"),
    ("globset", "src/work/ignore.rs"),
    ("half", "src/edge/model/foreign.rs"),
    ("jiff", "src/edge/clock.rs"),
    ("jpeg_encoder", "src/edge/codec/jpeg.rs"),
    ("jxl_oxide", "src/edge/codec/jxl.rs"),
    ("libc", "src/edge/crash.rs"),
    ("libloading", "src/edge/shared_library.rs"),
    ("md5", "src/edge/digest.rs"),
    ("moxcms", "src/edge/codec/"),
    ("nix", "src/edge/users.rs"),
    ("notify", "src/edge/folder.rs"),
    ("nvml_wrapper", "src/edge/gpu.rs"),
    ("ort", "src/edge/model/"),
    ("png", "src/edge/codec/"),
    ("quick_xml", "src/work/xmp.rs"),
    ("rusqlite", "src/edge/ledger/"),
    ("rustix", "src/edge/disk.rs"),
    ("sd_notify", "src/edge/supervisor.rs"),
    ("serde_json", "src/edge/record.rs"),
    ("sha2", "src/edge/digest.rs"),
    ("signal_hook", "src/edge/signals.rs"),
    ("tiff", "src/edge/codec/"),
    ("toml", "src/config/raw.rs"),
    ("trash", "src/edge/originals.rs"),
    ("webp", "src/edge/codec/"),
    ("zune_core", "src/edge/codec/cmyk.rs"),
    ("zune_jpeg", "src/edge/codec/cmyk.rs"),
];
const MAX_COLUMNS: usize = 110;
const MAX_LINES: usize = 400;

struct Source {
    /// From the root of the repository.
    place: String,
    text: String,
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| repository().join(folder)).collect();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place =
                    path.strip_prefix(repository()).unwrap_or(&path).to_str().expect("text").to_owned();
                found.push(Source { place, text: fs::read_to_string(&path).expect("text") });
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Whether a path expression or import of this crate stands in the text.
fn names(text: &str, krate: &str) -> bool {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.match_indices(krate).map(move |(at, _)| (line, at))).any(|(line, at)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + krate.len()..];
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && !"_:.\"".contains(c));
        begins && (after.starts_with("::") || (line.starts_with("use ") && after.starts_with([';', ' '])))
    })
}

#[test]
fn every_file_says_what_lives_in_it() {
    for source in sources(&["src", "contract", "tests", "tools"]) {
        assert!(source.text.starts_with("//! "), "{} does not open with //!", source.place);
    }
}

#[test]
fn each_dependency_has_one_door() {
    for source in sources(&["src"]) {
        for (krate, door) in DOORS {
            let named = names(&source.text, krate);
            assert!(
                !named || source.place.starts_with(door),
                "{} names {krate}: only {door} may",
                source.place
            );
        }
    }
    for (krate, door) in DOORS {
        let behind = sources(&["src"]).into_iter().filter(|source| source.place.starts_with(door));
        assert!(behind.into_iter().any(|source| names(&source.text, krate)), "{door} does not name {krate}");
    }
}

#[test]
fn pure_work_knows_neither_the_outside_nor_the_loops() {
    for source in sources(&["src/work"]) {
        for word in ["crate::stage", "crate::edge", "std::fs", "std::thread", "crossbeam_channel", "log::"] {
            assert!(!source.text.contains(word), "{} names {word}", source.place);
        }
        let asks_the_clock = code(&source.text).contains("::now()");
        assert!(!asks_the_clock, "{} asks the clock", source.place);
    }
    for source in sources(&["src/stage"]) {
        assert!(!source.text.contains("crate::config"), "{} sees the configuration", source.place);
    }
}

#[test]
fn only_the_crew_spawns() {
    for source in sources(&["src"]) {
        let spawns =
            [".spawn_scoped(", "thread::Builder", "thread::spawn"].iter().any(|w| source.text.contains(w));
        assert!(!spawns || source.place == "src/crew.rs", "{} spawns threads", source.place);
    }
}

/// The file without its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn files_and_lines_are_short() {
    for source in sources(&["src", "contract", "tests", "tools"]) {
        let lines = code(&source.text).lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines beside its tests", source.place);
        for (n, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            assert!(columns <= MAX_COLUMNS, "{}:{} has {columns} columns", source.place, n + 1);
        }
    }
}

#[test]
fn the_check_for_names_is_not_fooled() {
    assert!(
        names("use ort::Session;", "ort") && names("let s = ort::init();", "ort") && names("use png;", "png")
    );
    assert!(
        !names("v.sort::<u8>();", "ort")
            && !names("// ort::init", "ort")
            && !names("crate::image::x", "image")
    );
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").is_dir());
}

/// What people type begins with a line that says what runs it, may be run, and has no slip of the pen.
#[test]
fn scripts_may_be_run_and_parse() {
    let mut checked = 0;
    for entry in fs::read_dir(repository().join("scripts")).expect("there").flatten() {
        let (path, text) = (entry.path(), fs::read_to_string(entry.path()).unwrap_or_default());
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "txt") {
            continue;
        }
        let first = text.lines().next().unwrap_or_default();
        let parse: &[&str] = match first {
            "#!/usr/bin/env bash" => &["bash", "-n"],
            "#!/usr/bin/env python3" => {
                &["python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"]
            }
            _ => panic!("{} begins with {first:?}", path.display()),
        };
        let parsed = Command::new(parse[0]).args(&parse[1..]).arg(&path).output().expect("it starts");
        assert!(parsed.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&parsed.stderr));
        let mode = entry.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", path.display());
        checked += 1;
    }
    assert!(checked > 5);
}
