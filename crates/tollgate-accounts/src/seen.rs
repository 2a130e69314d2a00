//! When sessions were last used: noted on a request's path, written a few at a time, so that idle ones can end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate::Micros;

use crate::database::{Database, Latest, portions};
use crate::id::SessionId;

/// How many sessions one step writes.
const WRITTEN_MAX: usize = 1_024;

const LAST_USE: Latest = Latest {
    table: "sessions",
    column: "last_seen_at",
};

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
        let last = Micros(self.last.load(Ordering::Relaxed));
        let every = (self.idle_ttl / WRITTEN_PART).max(WRITTEN_EVERY_MIN);
        (last.since(self.written()) >= every).then_some(last)
    }

    fn written(&self) -> Micros {
        Micros(self.written.load(Ordering::Relaxed))
    }
}

/// A use that is to be written.
type Due = (SessionId, Micros, Arc<Seen>);

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
        for due in portions(&self.take_due()) {
            let rows: Vec<_> = (due.iter().map(|(session, last, _)| (session, *last))).collect();
            db.run(|| LAST_USE.query(db.dialect(), &rows)).await?;
            for (_, last, seen) in due {
                seen.written.fetch_max(last.0, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Those that were written longest ago, so that each has its turn, in the order of their ids.
    fn take_due(&self) -> Vec<Due> {
        let mut sessions = self.lock();
        sessions.retain(|_, seen| Arc::strong_count(seen) > 1 || seen.due().is_some());
        let due = sessions.iter();
        let mut due: Vec<_> = due
            .filter_map(|(session, seen)| Some((session, seen.due()?, seen)))
            .collect();
        if due.len() > WRITTEN_MAX {
            due.select_nth_unstable_by_key(WRITTEN_MAX, |(_, _, seen)| seen.written());
            due.truncate(WRITTEN_MAX);
        }
        due.sort_unstable_by_key(|(session, ..)| *session);
        let owned = |(session, last, seen): (&SessionId, Micros, &Arc<Seen>)| {
            (session.clone(), last, seen.clone())
        };
        due.into_iter().map(owned).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Seen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);
    const START: Micros = Micros::from_secs(1_000);

    #[test]
    fn uses_are_written_a_twentieth_apart_and_a_bounded_number_at_once() {
        let sessions = SeenSessions::default();
        let seen: Vec<_> = (0..WRITTEN_MAX + 1)
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
        assert_eq!(sessions.take_due().len(), WRITTEN_MAX);
    }

    #[tokio::test]
    async fn every_use_is_written_though_more_are_due_than_one_step_writes() {
        const SESSIONS: usize = 3 * WRITTEN_MAX;
        let dir = tempfile::tempdir().unwrap();
        let db = Database::new("sqlite::memory:", dir.path()).unwrap();
        db.prepare().await.unwrap();
        db.set_reachable(true);
        let user = "INSERT INTO users (id, name, name_folded, password_hash, created_at)
            VALUES ('ann', 'ann', 'ann', '', 0)";
        db.run(|| db.sql(user)).await.unwrap();
        let sessions = SeenSessions::default();
        let mut held = Vec::new();
        for number in 0..SESSIONS {
            let id = number.to_string();
            let row = "INSERT INTO sessions (id, token_hash, user_id, created_at, expires_at)
                VALUES ($1, $2, 'ann', 0, 0)";
            let insert = || db.sql(row).bind(id.clone()).bind(id.clone());
            db.run(insert).await.unwrap();
            held.push(sessions.of(&id.as_str().into(), START, IDLE));
        }
        // All of them are used all the time, so all are due again with each step.
        for step in 1..=3 {
            for seen in &held {
                seen.note(START + step * IDLE);
            }
            sessions.write(&db).await.unwrap();
        }
        let rows = db.sql("SELECT id FROM sessions WHERE last_seen_at IS NULL");
        assert_eq!(rows.fetch_all(db.pool()).await.unwrap().len(), 0);
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
