//! What is done to the pictures of a pipeline, and by which models: one task, or two behind each other.

use super::{Check, DEFAULT_INPAINTING_MODEL, DEFAULT_MODEL, raw};
use std::path::Path;

/// What is done to pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tasks {
    /// They are enlarged.
    #[default]
    Enlarge,
    /// What is marked is repaired.
    Repair,
    /// First the one, then the other.
    RepairAndEnlarge,
}

impl Tasks {
    /// As they are written: one word, or two in this order.
    ///
    /// # Errors
    /// A sentence.
    pub fn from_words(words: &[&str]) -> Result<Tasks, String> {
        match words {
            ["super-resolution"] => Ok(Tasks::Enlarge),
            ["inpaint"] => Ok(Tasks::Repair),
            ["inpaint", "super-resolution"] => Ok(Tasks::RepairAndEnlarge),
            ["super-resolution", "inpaint"] => {
                Err("masks have the size of their pictures: inpaint comes before super-resolution".into())
            }
            [one] => Err(format!("is {one:?}, not one of super-resolution, inpaint")),
            _ => Err(format!("is {words:?}, not super-resolution, inpaint, or inpaint and super-resolution")),
        }
    }

    /// Whether anything is repaired.
    pub fn repairs(self) -> bool {
        self != Tasks::Enlarge
    }

    /// The model that repairs before another enlarges, if that is so, and the model of the last task; where
    /// none are named, the usual ones.
    ///
    /// # Errors
    /// A sentence, where there are not as many as tasks.
    pub fn models(self, named: &[&str]) -> Result<(Option<String>, String), String> {
        let owned = |name: &&str| (*name).to_owned();
        match (self, named) {
            (Tasks::Enlarge, []) => Ok((None, DEFAULT_MODEL.into())),
            (Tasks::Repair, []) => Ok((None, DEFAULT_INPAINTING_MODEL.into())),
            (Tasks::RepairAndEnlarge, []) => {
                Ok((Some(DEFAULT_INPAINTING_MODEL.into()), DEFAULT_MODEL.into()))
            }
            (Tasks::Enlarge | Tasks::Repair, [one]) => Ok((None, owned(one))),
            (Tasks::RepairAndEnlarge, [first, last]) => Ok((Some(owned(first)), owned(last))),
            (Tasks::RepairAndEnlarge, _) => {
                Err("names as many as there are tasks: one that repairs, then one that enlarges".into())
            }
            (_, _) => Err("names several, and there is one task".into()),
        }
    }
}

impl raw::Words {
    fn all(&self) -> Vec<&str> {
        match self {
            raw::Words::One(word) => vec![word],
            raw::Words::Several(words) => words.iter().map(String::as_str).collect(),
        }
    }
}

impl Check {
    pub(super) fn tasks(&mut self, name: &str, words: Option<&raw::Words>) -> Tasks {
        let tasks = words.map(|words| Tasks::from_words(&words.all())).transpose();
        let problem = |problem: &String| format!("{name}: task {problem}");
        self.problems.extend(tasks.as_ref().err().map(problem));
        tasks.ok().flatten().unwrap_or_default()
    }

    /// Names stay names; paths are resolved like all others.
    pub(super) fn models(
        &mut self,
        name: &str,
        (tasks, words): (Tasks, Option<&raw::Words>),
        folder: &Path,
    ) -> (Option<String>, String) {
        let named = words.map(raw::Words::all).unwrap_or_default();
        if named.iter().any(|name| name.is_empty()) {
            self.problems.push(format!("{name}: model is empty"));
        }
        let placed = |name: String| {
            if !name.contains('/') && !name.ends_with(".onnx") {
                return name;
            }
            folder.join(&name).to_str().map_or(name, str::to_owned)
        };
        match tasks.models(&named) {
            Ok((first, last)) => (first.map(placed), placed(last)),
            Err(problem) => {
                self.problems.push(format!("{name}: model {problem}"));
                (None, String::new())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_go_in_one_order_and_have_a_model_each() {
        let both = Tasks::from_words(&["inpaint", "super-resolution"]);
        assert_eq!(both, Ok(Tasks::RepairAndEnlarge));
        assert!(Tasks::from_words(&["super-resolution", "inpaint"]).is_err_and(|why| why.contains("before")));
        for words in [&["enlarge"][..], &[], &["inpaint", "inpaint"], &["inpaint"; 3]] {
            assert!(Tasks::from_words(words).is_err_and(|why| why.starts_with("is ")), "{words:?}");
        }
        let models = |tasks: Tasks, named: &[&str]| tasks.models(named).ok();
        let usual = Some((Some(DEFAULT_INPAINTING_MODEL.to_owned()), DEFAULT_MODEL.to_owned()));
        assert_eq!(models(Tasks::RepairAndEnlarge, &[]), usual);
        let named = models(Tasks::RepairAndEnlarge, &["a", "b"]);
        assert_eq!(named, Some((Some("a".to_owned()), "b".to_owned())));
        assert_eq!(models(Tasks::RepairAndEnlarge, &["a"]), None);
        assert_eq!(models(Tasks::Repair, &["a", "b"]), None);
        assert_eq!(models(Tasks::Enlarge, &["b"]), Some((None, "b".to_owned())));
    }
}
