//! Whether the folders of a configuration can go together. Looks at paths, writes nothing.

use super::resolved;
use crate::config::Config;
use crate::edge::originals::Originals;
use crate::work::masking::{MaskFrom, Masking};
use std::path::{Path, PathBuf};

/// Everything that is wrong with the folders of a configuration, which lies in `file`.
pub(super) fn problems(file: &Path, config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    let pipelines = &config.pipelines;
    for pipeline in pipelines.iter().filter(|pipeline| !pipeline.input.is_dir()) {
        problems.push(format!(
            "{}: input is not a folder: {}: make it, or name another",
            pipeline.name,
            pipeline.input.display()
        ));
    }
    for a in pipelines {
        for b in pipelines {
            problems.extend(apart((&a.name, "output", &a.output), (&b.name, "input", &b.input)));
        }
    }
    for a in pipelines {
        let Originals::Move(folder) = &a.originals else { continue };
        for b in pipelines {
            problems.extend(apart((&a.name, "originals", folder), (&b.name, "input", &b.input)));
            problems.extend(apart((&a.name, "originals", folder), (&b.name, "output", &b.output)));
        }
    }
    for a in pipelines {
        let inputs = pipelines.iter().map(|b| ("the input folder", b.input.as_path()));
        let outputs = pipelines.iter().map(|b| ("the output folder", b.output.as_path()));
        let folders: Vec<_> = inputs.chain(outputs).collect();
        let of_masks = mask_problems(a.masking.as_ref(), &folders);
        problems.extend(of_masks.into_iter().map(|problem| format!("{}: {problem}", a.name)));
    }
    for (number, a) in pipelines.iter().enumerate() {
        for b in &pipelines[..number] {
            problems.extend(apart((&a.name, "input", &a.input), (&b.name, "input", &b.input)));
            problems.extend(apart((&a.name, "output", &a.output), (&b.name, "output", &b.output)));
            if a.name == b.name {
                problems.push(format!("two pipelines are called {:?}", a.name));
            }
        }
        // Who may drop pictures must not decide what is done with them.
        let models = config.model_folder.as_deref().map(|folder| ("folder of models", folder));
        let state = config.state.as_deref().map(|folder| ("state folder", folder));
        let elsewhere = config.elsewhere.iter().map(|terms| ("file of a model", terms.file.as_path()));
        let fixed = [("configuration", file)].into_iter().chain(models).chain(state);
        for (what, path) in fixed.chain(elsewhere) {
            if resolved(path).starts_with(resolved(&a.input)) {
                problems.push(format!(
                    "{}: the {what} lies inside the input folder, where whoever drops pictures can change \
                     it: {}",
                    a.name,
                    path.display()
                ));
            }
        }
    }
    problems
}

/// Everything that is wrong with where masks lie that have a place of their own: it must be there, and apart
/// from these folders, or masks would be taken for pictures and results for masks.
pub(super) fn mask_problems(masking: Option<&Masking>, folders: &[(&str, &Path)]) -> Vec<String> {
    let (path, what, is_there) = match masking.map(|masking| &masking.from) {
        Some(MaskFrom::Folder(path, _)) => (path, "mask folder", path.is_dir()),
        Some(MaskFrom::One(path)) => (path, "mask", path.is_file()),
        _ => return Vec::new(),
    };
    let mask = path.display();
    if !is_there {
        let wanted = if what == "mask" { "file" } else { "folder" };
        return vec![format!("the {what} is not a {wanted}: {mask}")];
    }
    let told = folders.iter().filter_map(|(kind, folder)| {
        let relation = relation(path, folder)?;
        Some(format!("the {what} {mask} {relation} {kind} {}: choose one outside of it", folder.display()))
    });
    told.collect()
}

/// Whose folder, which, and where.
type Named<'a> = (&'a str, &'a str, &'a PathBuf);

/// A problem, unless two folders lie apart.
fn apart((a_name, a_kind, a): Named<'_>, (b_name, b_kind, b): Named<'_>) -> Option<String> {
    let relation = relation(a, b)?;
    let other = if a_name == b_name { String::new() } else { format!(" of {b_name}") };
    Some(format!(
        "{a_name}: the {a_kind} folder {} {relation} the {b_kind} folder{other} {}: choose one outside of it",
        a.display(),
        b.display()
    ))
}

/// How two folders lie that do not lie apart, links followed as far as the folders exist.
pub(super) fn relation(a: &Path, b: &Path) -> Option<&'static str> {
    let (a, b) = (resolved(a), resolved(b));
    if a == b {
        Some("is")
    } else if a.starts_with(&b) {
        Some("lies inside")
    } else if b.starts_with(&a) {
        Some("contains")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_are_compared_without_links_also_where_they_do_not_exist_yet() {
        let root = tempfile::tempdir().expect("a temp folder");
        let input = root.path().join("in");
        std::fs::create_dir(&input).expect("writable");
        symlink(&input, root.path().join("link")).expect("writable");
        let related = |output: &str| relation(&root.path().join(output), &input);
        assert_eq!(
            (related("in"), related("in/../in"), related("link")),
            (Some("is"), Some("is"), Some("is"))
        );
        assert_eq!((related("in/new/deep"), related("link/new")), (Some("lies inside"), Some("lies inside")));
        assert_eq!(related(""), Some("contains"));
        assert_eq!((related("out"), related("in2"), related("new/in")), (None, None, None));
    }
}
