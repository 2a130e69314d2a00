//! Counters in memory survive a restart: they are saved every ten seconds and at the end, and read at the start.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate::{MemoryBuilder, MemoryStore, Micros, SnapshotError};

const FILE: &str = "counters.snapshot";
const EVERY: Duration = Duration::from_secs(10);

/// A store and the file that it is saved in.
#[derive(Clone)]
pub(super) struct Saved {
    store: Arc<MemoryStore>,
    file: PathBuf,
    /// False where a file that could not be read is in the way, and stays there.
    is_kept: bool,
    /// One at a time writes the file.
    writing: Arc<Mutex<()>>,
}

impl Saved {
    /// Reads what was saved. A file that cannot be read is put aside and said, and the counters start empty: better
    /// than a gateway that does not start. Where it cannot be put aside, nothing is saved.
    pub(super) fn restore(store: MemoryBuilder, data: &Path, now: Micros) -> Self {
        let file = data.join(FILE);
        let (restored, is_kept) = match read(store, &file, now) {
            Ok(restored) => (restored, true),
            Err(error) => {
                let error: &dyn Error = &error;
                tracing::error!(error, file = %file.display(), "the saved counters cannot be read and are put aside");
                (None, put_aside(&file))
            }
        };
        Saved {
            store: Arc::new(restored.unwrap_or_else(|| store.build())),
            file,
            is_kept,
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
        if !self.is_kept {
            return;
        }
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

/// The store with what was saved, if anything was.
fn read(
    store: MemoryBuilder,
    file: &Path,
    now: Micros,
) -> Result<Option<MemoryStore>, SnapshotError> {
    let saved = match File::open(file) {
        Ok(saved) => BufReader::new(saved),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (store, restored) = store.restore(saved, now)?;
    let states = restored.states;
    if restored.torn {
        tracing::warn!(
            states,
            "the saved counters were damaged: what was whole is back"
        );
    } else {
        tracing::info!(states, "counters are back");
    }
    Ok(Some(store))
}

/// Gives the file another name, which takes the place of what was put aside before.
fn put_aside(file: &Path) -> bool {
    match std::fs::rename(file, file.with_extension("unreadable")) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, file = %file.display(), "it is still there: counters are not saved");
            false
        }
    }
}
