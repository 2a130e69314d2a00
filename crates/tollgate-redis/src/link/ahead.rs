//! How far a server's clock is ahead of this process's, so that a call can say until when anybody waits for it.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use tollgate::Micros;

const UNKNOWN: i64 = i64::MIN;

/// By how many microseconds at most, as the server's last answer has it: the whole time until the answer counts, so that
/// no call is told too early that it is late.
#[derive(Debug)]
pub(super) struct Ahead(AtomicI64);

impl Default for Ahead {
    fn default() -> Self {
        Ahead(AtomicI64::new(UNKNOWN))
    }
}

impl Ahead {
    /// Hears what the server's clock said to a call that was sent at `sent`.
    pub(super) fn heard(&self, sent: Micros, said: Micros) {
        let ahead = said.0.cast_signed().wrapping_sub(sent.0.cast_signed());
        self.0.store(ahead, Relaxed);
    }

    /// What the server's clock says at `here`, at the latest; `None` while it has said nothing.
    pub(super) fn at(&self, here: Micros) -> Option<Micros> {
        match self.0.load(Relaxed) {
            UNKNOWN => None,
            ahead => Some(Micros(here.0.saturating_add_signed(ahead))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_known_from_its_last_word_whichever_way_it_differs() {
        let ahead = Ahead::default();
        assert_eq!(ahead.at(Micros(1_000)), None);
        ahead.heard(Micros(1_000), Micros(5_000));
        assert_eq!(ahead.at(Micros(2_000)), Some(Micros(6_000)));
        ahead.heard(Micros(9_000), Micros(500));
        assert_eq!(ahead.at(Micros(10_000)), Some(Micros(1_500)));
        assert_eq!(ahead.at(Micros(0)), Some(Micros(0)));
    }
}
