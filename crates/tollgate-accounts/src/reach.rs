//! How far the log of changes has been read, and whether the database is reached.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tollgate::Micros;

/// How far the log of changes has been read.
pub(crate) struct Place {
    pub(crate) last: i64,
    pub(crate) token_keys: SharedKeys,
}

/// The keys that sign tokens, as they are in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SharedKeys {
    Read,
    /// They have changed since, and are to be read.
    Changed,
    /// The same, and the log has said that they cannot be read.
    Unreadable,
}

/// Whether the last reading of changes succeeded, and when one last did.
#[derive(Debug)]
pub(crate) struct Reach {
    read_at: AtomicU64,
    /// What the log has said since; nothing while all is well.
    said: AtomicU8,
}

/// What keeps changes from being read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// The database does not answer.
    Away = 1,
    /// It answers with an error, which waiting does not mend.
    Broken = 2,
}

impl Reach {
    pub(crate) fn new(now: Micros) -> Self {
        Self {
            read_at: AtomicU64::new(now.0),
            said: AtomicU8::new(0),
        }
    }

    pub(crate) fn is_away(&self) -> bool {
        self.said.load(Ordering::Acquire) != 0
    }

    pub(crate) fn unread_for(&self, now: Micros) -> Duration {
        now.since(Micros(self.read_at.load(Ordering::Acquire)))
    }

    /// Whether the log has not said it yet, since all was well; now it has.
    pub(crate) fn is_new(&self, trouble: Trouble) -> bool {
        let bit = trouble as u8;
        self.said.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Changes were read; whether the log has said before that they could not be.
    pub(crate) fn note_read(&self, now: Micros) -> bool {
        self.read_at.store(now.0, Ordering::Release);
        self.said.swap(0, Ordering::AcqRel) != 0
    }
}
