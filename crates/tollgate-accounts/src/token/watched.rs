//! Which state of a file has been read, so that it is read again when it has another.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What tells one state of a file from another without reading it. A new one takes another's name, so its inode differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            inode: file.ino(),
            bytes: file.len(),
            changed: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// A file that is looked at again and again. Only what was read counts as seen: what fails is tried at the next look.
#[derive(Debug)]
pub(super) struct Watched {
    read: Option<Stamp>,
    is_failing: bool,
}

impl Watched {
    /// A file that was read in this state.
    pub(super) fn new(stamp: Option<Stamp>) -> Self {
        Self {
            read: stamp,
            is_failing: false,
        }
    }

    pub(super) fn has_changed(&mut self, stamp: Option<Stamp>) -> bool {
        let has_changed = stamp.is_none() || stamp != self.read;
        self.is_failing &= has_changed;
        has_changed
    }

    /// It was read; the stamp is from before that, so that what was written meanwhile is another state.
    pub(super) fn note_read(&mut self, stamp: Option<Stamp>) {
        *self = Self::new(stamp);
    }

    /// It could not be read; true when that was not so the last time, and is to be said.
    pub(super) fn note_failed(&mut self) -> bool {
        !std::mem::replace(&mut self.is_failing, true)
    }
}
