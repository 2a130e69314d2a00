//! Bytes of bodies that go on after their request was recorded: counted as they flow, and added to usage.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tollgate::Clock;
use tollgate_accounts::{Accounts, Identity};

/// So many bytes are held back at most, until they are added to usage: a long answer shows while it goes.
const BYTES_HELD_MAX: u64 = 1 << 20;

/// Bytes of a request's body that have come, shared with whoever reads it.
#[derive(Clone, Default)]
pub(crate) struct BytesIn(Rc<Cell<u64>>);

impl BytesIn {
    pub(crate) fn came(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes as u64);
    }

    /// What has come since this was last asked.
    pub(crate) fn take(&self) -> u64 {
        self.0.take()
    }
}

/// The bytes of one answer on its way, and of its request's body as long as that takes.
pub(crate) struct Metered {
    pub(crate) accounts: Accounts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) who: Option<Arc<Identity>>,
    pub(crate) route: Arc<str>,
    pub(crate) bytes_in: Option<BytesIn>,
    pub(crate) bytes_out: u64,
}

impl Metered {
    pub(crate) fn went_out(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
        if self.bytes_out >= BYTES_HELD_MAX {
            self.record();
        }
    }

    fn record(&mut self) {
        let bytes_in = self.bytes_in.as_ref().map_or(0, BytesIn::take);
        let bytes = (bytes_in, std::mem::take(&mut self.bytes_out));
        if bytes != (0, 0) {
            let (usage, now) = (self.accounts.usage(), self.clock.now());
            usage.record_bytes(self.who.as_deref(), &self.route, bytes, now);
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.record();
    }
}
