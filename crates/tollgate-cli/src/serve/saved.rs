//! Counters in memory survive a restart: they are saved every ten seconds and at the end, and read at the start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate::{MemoryBuilder, MemoryStore, Micros};

const FILE: &str = "counters.snapshot";
const EVERY: Duration = Duration::from_secs(10);

/// A store and the file that it is saved in.
#[derive(Clone)]
pub(super) struct Saved {
    store: Arc<MemoryStore>,
    file: PathBuf,
    /// One at a time writes the file.
    writing: Arc<Mutex<()>>,
}

impl Saved {
    /// Reads what was saved. A file that cannot be read is put aside and said, and the counters start empty: better
    /// than a gateway that does not start.
    pub(super) fn restore(store: MemoryBuilder, data: &Path, now: Micros) -> Self {
        let file = data.join(FILE);
        Saved {
            store: Arc::new(read(store, &file, now).unwrap_or_else(|| store.build())),
            file,
            writing: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store)
    }

    /// Saves again and again. Never ends.
    pub(super) async fn save_regularly(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let saved = self.clone();
            let _ = tokio::task::spawn_blocking(move || saved.save()).await;
        }
    }

    /// Saves. The file is whole at every moment: a new one is written beside it and takes its name.
    pub(super) fn save(&self) {
        if let Err(error) = self.try_save() {
            tracing::error!(%error, file = %self.file.display(), "the counters could not be saved");
        }
    }

    fn try_save(&self) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = self.file.with_extension("new");
        let mut out = BufWriter::new(
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?,
        );
        self.store.save(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        std::fs::rename(&beside, &self.file)
    }
}

/// The store with what was saved, if there is anything that can be read.
fn read(store: MemoryBuilder, file: &Path, now: Micros) -> Option<MemoryStore> {
    let saved = match File::open(file) {
        Ok(saved) => BufReader::new(saved),
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "the saved counters cannot be read");
            return None;
        }
    };
    match store.restore(saved, now) {
        Ok((store, restored)) => {
            let states = restored.states;
            if restored.torn {
                tracing::warn!(
                    states,
                    "the saved counters were damaged: what was whole is back"
                );
            } else {
                tracing::info!(states, "counters are back");
            }
            Some(store)
        }
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "the saved counters cannot be read and are put aside");
            let _ = std::fs::rename(file, file.with_extension("unreadable"));
            None
        }
    }
}
