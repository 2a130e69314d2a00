//! The rules file while a gateway runs by it: that it has changed is said, and nothing else is done.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tollgate_gateway::watched::{self, Watched};

use super::rules::text_of;
use crate::failure::Failure;

/// A file of rules, as it was when it was read.
pub(super) struct RulesFile {
    path: PathBuf,
    text: String,
    watched: Mutex<Watched>,
}

impl RulesFile {
    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        // Looked at before it is read: what changes in between is told.
        let watched = Watched::look(path).map(|(watched, _)| watched);
        let text = text_of(path)?;
        let watched = watched.map_err(|error| {
            Failure::Usage(format!("{} cannot be read: {error}", path.display()))
        })?;
        Ok(RulesFile {
            path: path.to_owned(),
            text,
            watched: Mutex::new(watched),
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Says once of each change that there was one, as long as the runtime is there.
    pub(super) fn follow(self) {
        tokio::spawn(watched::follow("the rules file", move || {
            if self.has_changed() {
                let file = self.path.display();
                tracing::warn!(%file, "the rules have changed on disk: restart to apply them");
            }
        }));
    }

    /// Whether it is in another state than at the last look, and other rules stand in it than those in force. One that
    /// cannot be read any more has others, too.
    fn has_changed(&self) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.has_changed(&self.path) && text_of(&self.path).ok().as_ref() != Some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_only_once_and_only_if_the_rules_are_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tollgate.toml");
        let put = |bytes: &[u8]| {
            let beside = path.with_extension("new");
            std::fs::write(&beside, bytes).unwrap();
            std::fs::rename(&beside, &path).unwrap();
        };
        put(b"# old");
        let file = RulesFile::read(&path).unwrap();
        assert!(!file.has_changed());
        put(b"# new");
        assert_eq!([file.has_changed(), file.has_changed()], [true, false]);
        put(b"# old");
        assert!(!file.has_changed(), "another file, and the rules in force");
        put(b"\xff");
        assert!(file.has_changed(), "no text any more");
        std::fs::remove_file(&path).unwrap();
        assert!(!file.has_changed(), "another one may be on its way");
    }
}
