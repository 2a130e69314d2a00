//! When sessions were last used: noted on a request's path, written a few at a time, so that idle ones can end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate::Micros;

use crate::database::{Database, is_conflict, stored};
use crate::id::SessionId;

/// How many sessions one step writes.
const BATCH_MAX: usize = 200;

/// Uses that follow each other faster are noted once.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// A session is written again after this part of the idle time, at the earliest after [`WRITTEN_EVERY_MIN`]. By so much
/// other nodes may take it for idle too early.
const WRITTEN_PART: u32 = 20;
const WRITTEN_EVERY_MIN: Duration = Duration::from_secs(5);

/// The last use of one session, shared by its cookie and its tokens.
#[derive(Debug)]
pub(crate) struct Seen {
    idle_ttl: Duration,
    last: AtomicU64,
    written: AtomicU64,
}

impl Seen {
    pub(crate) fn note(&self, now: Micros) {
        let noted = Micros(self.last.load(Ordering::Relaxed)) + NOTED_EVERY;
        if now >= noted {
            self.last.fetch_max(now.0, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_idle(&self, now: Micros) -> bool {
        Micros(self.last.load(Ordering::Relaxed)) + self.idle_ttl <= now
    }

    /// What is to be written, if it is time.
    fn due(&self) -> Option<Micros> {
        let last = self.last.load(Ordering::Relaxed);
        let every = (self.idle_ttl / WRITTEN_PART).max(WRITTEN_EVERY_MIN);
        let since = Micros(last).since(Micros(self.written.load(Ordering::Relaxed)));
        (since >= every).then_some(Micros(last))
    }
}

/// The sessions in use here: those of cached identities, and until the next step those that were.
#[derive(Default)]
pub(crate) struct SeenSessions(Mutex<HashMap<SessionId, Arc<Seen>>>);

impl SeenSessions {
    /// The last use of a session of which the database says `stored`.
    pub(crate) fn of(&self, session: &SessionId, stored: Micros, idle_ttl: Duration) -> Arc<Seen> {
        let mut sessions = self.lock();
        let fresh = || {
            Arc::new(Seen {
                idle_ttl,
                last: AtomicU64::new(stored.0),
                written: AtomicU64::new(stored.0),
            })
        };
        let seen = sessions.entry(session.clone()).or_insert_with(fresh);
        seen.last.fetch_max(stored.0, Ordering::Relaxed);
        seen.written.fetch_max(stored.0, Ordering::Relaxed);
        seen.clone()
    }

    /// Writes what is due, a bounded number, and forgets sessions that nobody holds any more.
    pub(crate) async fn write(&self, db: &Database) -> sqlx::Result<()> {
        let due = self.take_due();
        if due.is_empty() {
            return Ok(());
        }
        match write(db, &due).await {
            Ok(()) => {
                for (_, last, seen) in &due {
                    seen.written.fetch_max(last.0, Ordering::Relaxed);
                }
                Ok(())
            }
            // Tried again with the next step.
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// In the order of their ids, so that two processes that write the same rows do not wait in a circle.
    fn take_due(&self) -> Vec<(SessionId, Micros, Arc<Seen>)> {
        let mut sessions = self.lock();
        sessions.retain(|_, seen| Arc::strong_count(seen) > 1 || seen.due().is_some());
        let mut due: Vec<_> = sessions
            .iter()
            .filter_map(|(session, seen)| Some((session.clone(), seen.due()?, seen.clone())))
            .take(BATCH_MAX)
            .collect();
        due.sort_by(|one, other| one.0.cmp(&other.0));
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Seen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(db: &Database, due: &[(SessionId, Micros, Arc<Seen>)]) -> sqlx::Result<()> {
    let mut transaction = db.begin().await?;
    for (session, last, _) in due {
        transaction
            .sql(
                "UPDATE sessions SET last_seen_at = $1
                WHERE id = $2 AND (last_seen_at IS NULL OR last_seen_at < $3)",
            )
            .bind(stored(*last))
            .bind(session.to_string())
            .bind(stored(*last))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);
    const START: Micros = Micros::from_secs(1_000);

    #[test]
    fn uses_are_written_a_twentieth_apart_and_a_bounded_number_at_once() {
        let sessions = SeenSessions::default();
        let seen: Vec<_> = (0..BATCH_MAX + 1)
            .map(|n| sessions.of(&n.to_string().into(), START, IDLE))
            .collect();
        assert!(sessions.take_due().is_empty());
        for session in &seen {
            session.note(START + Duration::from_secs(29));
        }
        assert!(sessions.take_due().is_empty());
        for session in &seen {
            session.note(START + Duration::from_secs(30));
        }
        assert_eq!(sessions.take_due().len(), BATCH_MAX);
    }

    #[test]
    fn sessions_that_nobody_holds_and_that_are_written_are_forgotten() {
        let sessions = SeenSessions::default();
        drop(sessions.of(&"1".into(), START, IDLE));
        let used = sessions.of(&"2".into(), START, IDLE);
        used.note(START + IDLE);
        drop(used);
        assert_eq!(sessions.take_due().len(), 1);
        assert_eq!(sessions.lock().len(), 1);
    }
}
