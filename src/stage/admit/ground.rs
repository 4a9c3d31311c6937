//! What every picture stands on: its input folder on the file system it was on, its output folder that can be
//! written, and room on its disk. Says what is amiss; waiting is not its business.

use crate::edge::disk::{Place, free_bytes, place};
use crate::edge::{state_folder, store};
use crate::plan::StandsOn;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folders, and what they were.
pub(super) struct Ground {
    /// Where it is said that we are to pause.
    state: PathBuf,
    reserve_mb: u64,
    /// Where each input folder, and each of masks, was when it was first seen.
    roots: HashMap<Arc<Path>, Place>,
    outputs: HashMap<PathBuf, Output>,
}

/// An output folder.
struct Output {
    /// Where it was when it was first seen.
    place: Place,
    /// Something failed that may be its fault.
    doubtful: bool,
}

impl Ground {
    pub(super) fn new(state: &Path, reserve_mb: u64) -> Ground {
        Ground { state: state.to_owned(), reserve_mb, roots: HashMap::new(), outputs: HashMap::new() }
    }

    /// The next look at each output folder tries to write.
    pub(super) fn doubt(&mut self) {
        self.outputs.values_mut().for_each(|output| output.doubtful = true);
    }

    /// What keeps one pipeline from going on, as the beginning of a sentence: somebody's wish, its input
    /// folder, its folder of masks or its output folder.
    pub(super) fn obstacle(&mut self, root: &Arc<Path>, stands_on: StandsOn<'_>) -> Option<String> {
        let StandsOn { name, output, masks } = stands_on;
        if self.is_paused(Some(name)) {
            return Some(format!(
                "asked to by `onestep pause --pipeline`, `onestep resume --pipeline {name:?}` goes on"
            ));
        }
        let amiss = self.input(root);
        let amiss = amiss.or_else(|| masks.and_then(|masks| self.folder("mask folder", &masks.into())));
        amiss.or_else(|| self.output(output))
    }

    /// Whether somebody asked us to pause: this pipeline, or all.
    pub(super) fn is_paused(&self, pipeline: Option<&str>) -> bool {
        state_folder::is_paused(&self.state, pipeline)
    }

    /// What is amiss with an input folder: then its pictures are neither gone nor changed, only out of sight.
    pub(super) fn input(&mut self, root: &Arc<Path>) -> Option<String> {
        self.folder("input folder", root)
    }

    fn folder(&mut self, what: &str, root: &Arc<Path>) -> Option<String> {
        // The folder of a bare file name.
        let folder = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        match (place(folder), self.roots.get(root)) {
            (Ok(now), None) => {
                self.roots.insert(Arc::clone(root), now);
                None
            }
            (Ok(now), Some(then)) if now.is_on_that_of(*then) => None,
            (Ok(_), Some(_)) => Some(format!(
                "another file system is mounted where the {what} was: put the former one back, or start anew \
                 to take this one: {}",
                root.display()
            )),
            (Err(error), _) => Some(format!("the {what} is gone ({error}): {}", root.display())),
        }
    }

    fn output(&mut self, path: &Path) -> Option<String> {
        let folder = path.display();
        let (now, free_bytes) = match place(path).and_then(|now| Ok((now, free_bytes(path)?))) {
            Ok(answers) => answers,
            Err(error) => return Some(format!("the output folder is gone ({error}): {folder}")),
        };
        if !self.outputs.contains_key(path) {
            self.outputs.insert(path.to_owned(), Output { place: now, doubtful: false });
        }
        let known = self.outputs.get_mut(path)?;
        if !now.is_on_that_of(known.place) {
            return Some(format!(
                "another file system is mounted where the output folder was: put the former one \
                 back, or start anew to take this one: {folder}"
            ));
        }
        let free_mb = free_bytes / 1_000_000;
        if free_mb < self.reserve_mb {
            let reserve = self.reserve_mb;
            return Some(format!(
                "the disk is full but for {free_mb} MB, {reserve} MB are kept free: {folder}"
            ));
        }
        if known.doubtful {
            if let Err(error) = store::probe(path) {
                return Some(format!("the output folder cannot be written ({error}): {folder}"));
            }
            known.doubtful = false;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not be durable")]
    fn each_thing_that_gives_way_is_named() {
        let root = tempfile::tempdir().expect("a temp folder");
        let (input, output): (Arc<Path>, _) = (root.path().join("in").into(), root.path().join("out"));
        std::fs::create_dir(&input).and_then(|()| std::fs::create_dir(&output)).expect("writable");
        let asked = StandsOn { name: "photos", output: &output, masks: None };
        let mut ground = Ground::new(root.path(), 0);
        assert_eq!(ground.obstacle(&input, asked), None);
        ground.doubt();
        assert_eq!((ground.obstacle(&input, asked), ground.outputs[&output].doubtful), (None, false));
        let pause = |name, on| assert!(state_folder::pause(root.path(), name, on).expect("writable"));
        pause(Some("photos"), true);
        let told = ground.obstacle(&input, asked).expect("paused");
        assert!(
            told.starts_with("asked to by `onestep pause --pipeline")
                && told.ends_with("--pipeline \"photos\"` goes on"),
            "{told}"
        );
        assert_eq!(ground.obstacle(&input, StandsOn { name: "scans", ..asked }), None);
        assert!(ground.is_paused(Some("photos")) && !ground.is_paused(None));
        pause(Some("photos"), false);
        pause(None, true);
        assert!(!ground.is_paused(Some("photos")) && ground.is_paused(None));
        let masks = root.path().join("masks");
        let masked = StandsOn { masks: Some(&masks), ..asked };
        let told = ground.obstacle(&input, masked).expect("gone");
        assert!(told.starts_with("the mask folder is gone ("), "{told}");
        ground.roots.insert(masks.as_path().into(), place(Path::new("/proc")).expect("Linux"));
        std::fs::create_dir(&masks).expect("writable");
        let told = ground.obstacle(&input, masked).expect("what it was mounted on");
        assert!(told.starts_with("another file system is mounted where the mask folder was"), "{told}");
        ground.roots.insert(Arc::clone(&input), place(Path::new("/proc")).expect("Linux"));
        let told = ground.obstacle(&input, asked).expect("replaced");
        assert!(told.starts_with("another file system is mounted where the input folder was"), "{told}");
        std::fs::remove_dir(&input).expect("ours");
        assert!(ground.obstacle(&input, asked).expect("gone").starts_with("the input folder is gone ("));
        let mut full = Ground::new(root.path(), u64::MAX);
        assert!(full.output(&output).expect("full").starts_with("the disk is full but for "));
        let elsewhere = Output { place: place(Path::new("/proc")).expect("Linux"), doubtful: false };
        ground.outputs.insert(output.clone(), elsewhere);
        assert!(
            ground
                .output(&output)
                .expect("replaced")
                .starts_with("another file system is mounted where the output")
        );
        ground.outputs.clear();
        std::fs::remove_dir(&output).expect("ours");
        assert!(ground.output(&output).expect("gone").starts_with("the output folder is gone ("));
        std::fs::write(&output, "").expect("ours");
        assert!(ground.output(&output).expect("a file").starts_with("the output folder is gone ("));
    }
}
