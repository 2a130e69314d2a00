//! Whether a file is another one than when it was last looked at.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;

/// How often files are looked at that may change.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Looks at files again and again: `look` reads those that have changed, which are called `what` in the log.
pub async fn follow(what: &str, look: impl Fn() + Send + Sync + 'static) {
    let look = Arc::new(look);
    let mut every = tokio::time::interval(LOOKED_AT_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let look = Arc::clone(&look);
        // Reading a file may wait for a disk.
        if tokio::task::spawn_blocking(move || look()).await.is_err() {
            tracing::error!("{what} could not be looked at");
        }
    }
}

/// What tells one state of a file from another: also where a link is put in the place of another, as volumes of
/// Kubernetes are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watched {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Watched {
    /// The file as it is now.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn look(path: &Path) -> io::Result<(Self, Metadata)> {
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        let inode = metadata.ino();
        #[cfg(not(unix))]
        let inode = 0;
        let watched = Watched {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode,
        };
        Ok((watched, metadata))
    }

    /// Whether it has changed since. Each state is told once, also one that cannot be read or is wrong. A file that is
    /// not there has not changed: somebody may be about to put another one in its place.
    pub fn has_changed(&mut self, path: &Path) -> bool {
        match Watched::look(path) {
            Ok((now, _)) if now != *self => {
                *self = now;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}
