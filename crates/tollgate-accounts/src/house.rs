//! Keeping house, beside the reading of changes, so that no news waits for it: when sessions were last used is written
//! every second; what is past is deleted every minute, and memory that only hashing needs given back, which needs no
//! database.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tollgate::Micros;

use crate::accounts::Accounts;
use crate::error::Unavailable;

const EVERY: Duration = Duration::from_secs(1);

/// How often what is past is deleted. Where one time was not enough, the next follows after a second.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// How often memory that only hashing needs is given back.
const RELEASE_EVERY: Duration = Duration::from_secs(60);

/// How long changes are kept: longer than anybody may believe what it knows without reading them, which is half an hour
/// at most ([`Settings::offline_ttl`](crate::Settings::offline_ttl)).
const CHANGES_KEPT: Duration = Duration::from_secs(3600);

impl Accounts {
    /// Keeps house every second until the accounts are closed; while the database is away, only of what needs none. The
    /// caller spawns it beside [`follow_changes`](Self::follow_changes).
    pub async fn housekeep(&self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let keep = async {
            loop {
                ticks.tick().await;
                self.keep_house().await;
            }
        };
        self.inner().db.until_closed(keep).await;
    }

    async fn keep_house(&self) {
        self.release_memory().await;
        if self.away_for().is_none() {
            let _ = self.tidy().await;
        }
    }

    async fn release_memory(&self) {
        let inner = self.inner();
        let mut chores = inner.chores.lock().await;
        let now = inner.clock.now();
        if now.since(chores.memory_released_at) >= RELEASE_EVERY {
            inner.passwords.memory().release();
            chores.memory_released_at = now;
        }
    }

    /// One step of [`housekeep`](Self::housekeep): a bounded amount of work. What fails is tried again with a later one,
    /// and the log says so once.
    ///
    /// # Errors
    /// The first of those that kept something from being done; the rest was done.
    pub async fn tidy(&self) -> Result<(), Unavailable> {
        let inner = self.inner();
        let mut chores = inner.chores.lock().await;
        let now = inner.clock.now();
        let written = inner.seen.write(&inner.db).await;
        let mut done = chores.seen.note(written.map_err(Unavailable::from));
        if now.since(chores.pruned_at) >= PRUNE_EVERY {
            let accounts = self.prune(now).await.map_err(Unavailable::from);
            let usage = self.usage().prune(now).await;
            if ![&accounts, &usage]
                .iter()
                .any(|more| matches!(more, Ok(true)))
            {
                chores.pruned_at = now;
            }
            done = done.and(chores.accounts.note(accounts.map(drop)));
            done = done.and(chores.usage.note(usage.map(drop)));
        }
        done
    }

    /// Deletes what nobody needs any more, up to a bound of work; true when there may be more. No change is written, and
    /// none of it is believed any more, so nobody has to be kept from changing accounts meanwhile.
    async fn prune(&self, now: Micros) -> sqlx::Result<bool> {
        let inner = self.inner();
        inner.directory.denied().forget_expired(now);
        let before = |ago| Micros(now.0.saturating_sub(micros(ago)));
        let mut past = vec![
            ("sessions", "expires_at <=", now),
            ("revoked_tokens", "expires_at <=", now),
            ("changes", "at <", before(CHANGES_KEPT)),
            ("audit", "at <", before(inner.settings.audit_kept)),
        ];
        if let Some(idle_ttl) = inner.settings.session_idle_ttl {
            // Twice as long, in case that a use is not written yet.
            let idle_since = before(2 * idle_ttl);
            past.push(("sessions", "last_seen_at <=", idle_since));
            let never_used = "last_seen_at IS NULL AND created_at <=";
            past.push(("sessions", never_used, idle_since));
        }
        let mut more = false;
        for (table, condition, instant) in past {
            more |= inner.db.delete_past(table, condition, instant).await?;
        }
        Ok(more)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate::ManualClock;

    use super::*;
    use crate::settings::{HashCost, Settings};

    #[tokio::test]
    async fn memory_that_only_hashing_needs_is_given_back_every_minute() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::new("sqlite::memory:", directory.path());
        settings.cost = HashCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
        let accounts = Accounts::open(settings, clock.clone()).await.unwrap();
        let memory = || accounts.inner().passwords.memory();
        accounts.keep_house().await;
        for is_away in [false, true] {
            if is_away {
                accounts.note_away(&std::io::Error::from(std::io::ErrorKind::TimedOut).into());
            }
            assert_eq!(accounts.away_for().is_some(), is_away);
            let _ = accounts.inner().passwords.hash("correct horse").await;
            accounts.keep_house().await;
            assert!(!memory().is_empty(), "the next hash may have it");
            clock.advance(RELEASE_EVERY);
            accounts.keep_house().await;
            assert!(memory().is_empty());
        }
    }
}
