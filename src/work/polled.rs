//! What was there at the last look, where nobody tells of changes: only what is new or differs is news. Keeps
//! stamps by path; asks no file system.

use crate::work::mark::Stamp;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Everything that was seen at the last look.
#[derive(Debug, Default)]
pub struct Polled {
    look: u64,
    seen: HashMap<PathBuf, (Stamp, u64)>,
}

impl Polled {
    /// A look begins.
    pub fn begin(&mut self) {
        self.look += 1;
    }

    /// Whether this file is new, or not as it was at the last look.
    pub fn is_news(&mut self, path: &Path, stamp: Stamp) -> bool {
        let look = self.look;
        if let Some(known) = self.seen.get_mut(path) {
            let changed = known.0 != stamp;
            *known = (stamp, look);
            return changed;
        }
        self.seen.insert(path.to_owned(), (stamp, look));
        true
    }

    /// The look below these folders is over: what it did not see is forgotten.
    pub fn end(&mut self, folders: &[PathBuf]) {
        let look = self.look;
        self.seen.retain(|path, (_, seen)| *seen == look || !folders.iter().any(|f| path.starts_with(f)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_or_differs_is_news_and_what_went_away_is_new_again() {
        let stamp = |bytes| Stamp { bytes, modified_ns: 1, changed_ns: 1 };
        let (mut polled, path) = (Polled::default(), Path::new("/in/a.jpg"));
        let folders = [PathBuf::from("/in")];
        let mut look = |files: &[u64]| {
            polled.begin();
            let news: Vec<bool> = files.iter().map(|&bytes| polled.is_news(path, stamp(bytes))).collect();
            polled.end(&folders);
            news
        };
        assert_eq!(
            (look(&[5]), look(&[5]), look(&[6]), look(&[6])),
            (vec![true], vec![false], vec![true], vec![false])
        );
        assert_eq!((look(&[]), look(&[6])), (vec![], vec![true]));
    }
}
