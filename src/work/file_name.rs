//! What results are called: a template such as `{stem}_x{scale}`, and a number behind it where a name is
//! taken. Paths only: asks no file system.

use crate::work::format::Format;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A template for the name of a result, without its ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The picture's name without its extension.
    Stem,
    /// Its extension, as it is written.
    Extension,
    /// Output pixels per input pixel along a side.
    Scale,
    /// The model's name.
    Model,
}

impl Default for FileName {
    fn default() -> FileName {
        FileName(vec![Part::Stem])
    }
}

impl FromStr for FileName {
    type Err = String;

    fn from_str(text: &str) -> Result<FileName, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let (before, after) = rest.split_once('{').map_or((rest, None), |(a, b)| (a, Some(b)));
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let Some(after) = after else { break };
            let (word, behind) = after.split_once('}').ok_or("a { has no }")?;
            parts.push(match word {
                "stem" => Part::Stem,
                "ext" => Part::Extension,
                "scale" => Part::Scale,
                "model" => Part::Model,
                _ => return Err(format!("{{{word}}} is none of {{stem}}, {{ext}}, {{scale}}, {{model}}")),
            });
            rest = behind;
        }
        if !parts.contains(&Part::Stem) {
            return Err("without {stem} all results would have one name".into());
        }
        if text.contains(['/', '\0']) {
            return Err("a name has no folders".into());
        }
        if text.starts_with('.') {
            return Err("a name that begins with a dot would be hidden".into());
        }
        Ok(FileName(parts))
    }
}

impl FileName {
    /// Where the result of `relative` goes below `output`: the same tree, ending as its format does.
    pub fn target(
        &self,
        output: &Path,
        relative: &Path,
        scale: usize,
        model: &str,
        format: Format,
    ) -> PathBuf {
        let mut name = OsString::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => name.push(text),
                Part::Stem => name.push(relative.file_stem().unwrap_or_default()),
                Part::Extension => name.push(relative.extension().unwrap_or_default()),
                Part::Scale => name.push(scale.to_string()),
                Part::Model => name.push(model),
            }
        }
        name.push(".");
        name.push(format.extension());
        output.join(relative.with_file_name(name))
    }
}

/// The same place with a number behind the name: `a.png`, then `a-2.png`, `a-3.png`.
pub fn numbered(path: &Path, number: usize) -> PathBuf {
    if number <= 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn target(template: &str, relative: &str) -> String {
        let name: FileName = template.parse().expect("a template");
        name.target(Path::new("/out"), Path::new(relative), 4, "sr-x4", Format::Png)
            .to_str()
            .expect("text")
            .to_owned()
    }

    #[test]
    fn the_tree_is_kept_and_the_template_filled_in() {
        assert_eq!(target("{stem}", "a/b.c.jpg"), "/out/a/b.c.png");
        assert_eq!(target("{stem}_x{scale}", "b.PNG"), "/out/b_x4.png");
        assert_eq!(target("{stem}.{ext}-{model}", "b.PNG"), "/out/b.PNG-sr-x4.png");
        assert_eq!(FileName::default(), "{stem}".parse().expect("the default"));
    }

    #[test]
    fn templates_that_make_no_sense_are_refused() {
        for (text, told) in [
            ("result", "without {stem}"),
            ("{stem}/x", "no folders"),
            ("{stem", "has no }"),
            ("{name}", "{name} is none of"),
            (".{stem}", "hidden"),
            ("", "without {stem}"),
        ] {
            let error = text.parse::<FileName>().expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_go_before_the_extension() {
        let of = |number| numbered(Path::new("/o/a.b.png"), number);
        assert_eq!((of(1), of(2)), (PathBuf::from("/o/a.b.png"), PathBuf::from("/o/a.b-2.png")));
    }
}
