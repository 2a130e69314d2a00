//! The switches by which a log-out or a revocation ends what is already cached, at once.
//!
//! A cached identity holds a switch for each way in which it can end: its token, its own session or key, and all
//! sessions or all keys of its user. Ending a subject throws its switch. A look-up in flight at that moment may have read the row as it was before: it states
//! the [`Epoch`] from before its query, and is turned away when anything has ended since.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::id::{KeyId, SessionId, TokenId, UserId};

/// Switches that nobody holds any more are swept when the map has doubled, at the earliest at this size.
const SWEEP_MIN: usize = 1024;

/// What can end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Session(SessionId),
    SessionsOf(UserId),
    Key(KeyId),
    KeysOf(UserId),
    Token(TokenId),
}

/// How many times something had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// Whether an identity still holds; the default never ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alive(Arc<[Switch]>);

type Switch = Arc<AtomicBool>;

impl Alive {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.iter().all(|switch| switch.load(Ordering::Acquire))
    }
}

/// All switches in use. As many as there are cached identities at most, three times, and as many again before a sweep.
#[derive(Default)]
pub(crate) struct Living(Mutex<Switches>);

#[derive(Default)]
struct Switches {
    epoch: u64,
    by_subject: HashMap<Subject, Weak<AtomicBool>>,
    sweep_at: usize,
}

impl Living {
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.lock().epoch)
    }

    /// Switches for an identity that was read after `epoch`, or `None` when that reading may be out of date.
    pub(crate) fn admit(
        &self,
        subjects: impl IntoIterator<Item = Subject>,
        epoch: Epoch,
    ) -> Option<Alive> {
        let mut switches = self.lock();
        if switches.epoch != epoch.0 {
            return None;
        }
        let each = |subject| switches.of(subject);
        Some(Alive(subjects.into_iter().map(each).collect()))
    }

    pub(crate) fn end(&self, subjects: &[Subject]) {
        if subjects.is_empty() {
            return;
        }
        let mut switches = self.lock();
        switches.epoch += 1;
        for subject in subjects {
            if let Some(switch) = switches
                .by_subject
                .remove(subject)
                .and_then(|weak| weak.upgrade())
            {
                switch.store(false, Ordering::Release);
            }
        }
    }

    /// Ends every subject there is.
    pub(crate) fn end_all(&self) {
        let mut switches = self.lock();
        switches.epoch += 1;
        for (_, weak) in switches.by_subject.drain() {
            if let Some(switch) = weak.upgrade() {
                switch.store(false, Ordering::Release);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Switches {
    fn of(&mut self, subject: Subject) -> Switch {
        if let Some(switch) = self.by_subject.get(&subject).and_then(Weak::upgrade) {
            return switch;
        }
        if self.by_subject.len() >= self.sweep_at {
            self.by_subject.retain(|_, weak| weak.strong_count() > 0);
            self.sweep_at = SWEEP_MIN.max(2 * self.by_subject.len());
        }
        let switch = Arc::new(AtomicBool::new(true));
        self.by_subject.insert(subject, Arc::downgrade(&switch));
        switch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(session: &str) -> [Subject; 2] {
        [
            Subject::Session(session.into()),
            Subject::SessionsOf("ann".into()),
        ]
    }

    #[test]
    fn ending_a_subject_ends_whoever_holds_it_and_nobody_else() {
        let living = Living::default();
        let first = living.admit(of("1"), living.epoch()).unwrap();
        let second = living.admit(of("2"), living.epoch()).unwrap();
        living.end(&[Subject::Session("1".into())]);
        assert!(!first.is_alive());
        assert!(second.is_alive());
        living.end(&[Subject::SessionsOf("ann".into())]);
        assert!(!second.is_alive());
    }

    #[test]
    fn a_reading_from_before_an_end_is_turned_away() {
        let living = Living::default();
        let before = living.epoch();
        living.end(&[Subject::Session("1".into())]);
        assert!(living.admit(of("1"), before).is_none());
        assert!(living.admit(of("1"), living.epoch()).is_some());
    }

    #[test]
    fn ending_all_ends_everybody_and_every_reading_from_before() {
        let living = Living::default();
        let before = living.epoch();
        let held = living.admit(of("1"), before).unwrap();
        living.end_all();
        assert!(!held.is_alive());
        assert!(living.admit(of("1"), before).is_none());
    }

    #[test]
    fn switches_that_nobody_holds_do_not_pile_up() {
        let living = Living::default();
        for session in 0..10 * SWEEP_MIN {
            living.admit(of(&session.to_string()), living.epoch());
        }
        assert!(living.lock().by_subject.len() <= SWEEP_MIN);
    }
}
