//! Counters survive a restart: they are saved every ten seconds and at the end, and read at the start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate::MemoryStore;

const FILE: &str = "counters.snapshot";
const EVERY: Duration = Duration::from_secs(10);

/// A store and the file that it is saved in.
#[derive(Clone)]
pub(super) struct Counters {
    store: Arc<MemoryStore>,
    file: PathBuf,
    /// One at a time writes the file.
    writing: Arc<Mutex<()>>,
}

impl Counters {
    /// Reads what was saved. A file that cannot be read is put aside and said, and the counters start empty: better
    /// than a gateway that does not start.
    pub(super) fn restore(store: Arc<MemoryStore>, data: &Path) -> Self {
        let file = data.join(FILE);
        match File::open(&file).map(BufReader::new) {
            Ok(saved) => match store.restore(saved) {
                Ok(restored) if restored.torn => tracing::warn!(
                    states = restored.states,
                    "the saved counters were damaged: what was whole is back"
                ),
                Ok(restored) => tracing::info!(states = restored.states, "counters are back"),
                Err(error) => {
                    tracing::error!(%error, file = %file.display(), "the saved counters cannot be read and are put aside");
                    let _ = std::fs::rename(&file, file.with_extension("unreadable"));
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(%error, file = %file.display(), "the saved counters cannot be read")
            }
        }
        Counters {
            store,
            file,
            writing: Arc::default(),
        }
    }

    /// Saves again and again. Never ends.
    pub(super) async fn save_regularly(self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let counters = self.clone();
            let _ = tokio::task::spawn_blocking(move || counters.save()).await;
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
