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

    /// Looks at it as long as the runtime is there.
    pub(super) fn follow(self) {
        tokio::spawn(watched::follow("the rules file", move || self.look()));
    }

    /// Says once of each state that it has others than the rules in force; one that cannot be read has others, too.
    fn look(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.has_changed(&self.path) && text_of(&self.path).ok().as_ref() != Some(&self.text)
        {
            let file = self.path.display();
            tracing::warn!(%file, "the rules have changed on disk: restart to apply them");
        }
    }
}
