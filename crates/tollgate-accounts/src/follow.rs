//! Following the database: reaching it for the first time, hearing of changes that other processes make, and noticing when
//! it is away and when it is back.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tollgate::Micros;

use crate::accounts::Accounts;
use crate::changes;
use crate::database::Database;
use crate::error::{OpenError, Unavailable};
use crate::random;
use crate::reach::{Place, SharedKeys, Trouble};
use crate::terms_changed::TermsChanged;

/// How often other processes' changes are read.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// How long one reading of them may take: a network that swallows everything gives no error.
const FOLLOW_MAX: Duration = Duration::from_secs(3);

/// The longest pause between attempts to reach a database that has been away since the start.
const REACH_EVERY_MAX: Duration = Duration::from_secs(5);

impl Accounts {
    /// Reads other processes' changes every second, until the accounts are closed; the caller spawns it. Says once in the
    /// log that the database has gone away, and once that it is back.
    pub async fn follow_changes(&self) {
        let mut pauses = Pauses::default();
        let follow = async {
            loop {
                let _ = self.poll_changes().await;
                let was_opened = self.inner().place.lock().await.is_some();
                sleep(pauses.next(was_opened)).await;
            }
        };
        self.inner().db.until_closed(follow).await;
    }

    /// One step of [`follow_changes`](Self::follow_changes): afterwards every change committed before is in effect
    /// here. A database that was away at the start is opened.
    ///
    /// # Errors
    /// When the database does not answer. After [`offline_ttl`](crate::Settings::offline_ttl) of that nobody is believed
    /// from memory.
    pub async fn poll_changes(&self) -> Result<(), Unavailable> {
        let now = self.inner().clock.now();
        if self.inner().tokens.follow(now) {
            self.inner().directory.forget_all();
        }
        let mut place = self.inner().place.lock().await;
        let Some(place) = &mut *place else {
            return match self.reach_first().await {
                Ok(first) => {
                    *place = Some(first);
                    Ok(())
                }
                Err(error) => {
                    let error = error.into();
                    self.note_away(&error);
                    Err(error)
                }
            };
        };
        if self.inner().reach.unread_for(now) > self.inner().settings.offline_ttl {
            self.inner().directory.forget_all();
        }
        let heard = timeout(FOLLOW_MAX, self.hear(place)).await;
        let heard = heard.unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()));
        if let Err(error) = heard {
            let error = error.into();
            self.note_away(&error);
            return Err(error);
        }
        self.note_back(now);
        Ok(())
    }

    /// Brings the tables up to date and notes how far the log of changes has come. Only then is anybody let through, so
    /// that nobody is believed from memory whose end could have been missed.
    pub(crate) async fn reach_first(&self) -> Result<Place, OpenError> {
        let inner = self.inner();
        let now = inner.clock.now();
        inner.db.prepare().await?;
        let db = inner.db.for_probing();
        let last = changes::newest(&db).await?;
        // Before the quotas are read, so that these are no older than it says.
        let terms_changed = TermsChanged::stored(&db).await?;
        // After the place in the changes: what is changed meanwhile is heard of.
        inner.shared.read(&db, &inner.reader).await?;
        self.read_revoked_tokens(&db).await?;
        self.share_token_keys(&db).await?;
        inner.directory.forget_all();
        inner.terms_changed.raise(terms_changed);
        self.note_back(now);
        Ok(Place {
            last,
            token_keys: SharedKeys::Read,
        })
    }

    async fn hear(&self, place: &mut Place) -> sqlx::Result<()> {
        let inner = self.inner();
        let db = inner.db.for_probing();
        // What was not heard for so long may have been deleted from the log.
        let missed = inner.reach.unread_for(inner.clock.now()) > inner.settings.offline_ttl;
        if inner.reach.is_away() || missed {
            let newest = changes::newest(&db).await?;
            // Or another server has taken over that had not heard the last of it: numbers will be used again.
            if missed || newest < place.last {
                let terms_changed = TermsChanged::stored(&db).await?;
                inner.shared.read(&db, &inner.reader).await?;
                self.read_revoked_tokens(&db).await?;
                place.token_keys = SharedKeys::Changed;
                inner.directory.forget_all();
                inner.terms_changed.raise(terms_changed);
                place.last = newest;
            }
        }
        let mut more = true;
        while more {
            let heard = changes::after(&db, place.last).await?;
            if heard.not_understood {
                inner.directory.forget_all();
            }
            inner.directory.denied().add(heard.denied);
            inner.directory.end(&heard.ends);
            if heard.token_keys {
                place.token_keys = SharedKeys::Changed;
            }
            self.hear_token_keys(place, &db).await?;
            if heard.shared || heard.not_understood {
                inner.shared.read(&db, &inner.reader).await?;
            }
            inner.terms_changed.raise(heard.terms_changed);
            place.last = heard.last;
            more = heard.more;
        }
        Ok(())
    }

    /// Damaged keys keep nobody from hearing the rest: those from before stay, and the next step looks again.
    async fn hear_token_keys(&self, place: &mut Place, db: &Database) -> sqlx::Result<()> {
        if place.token_keys == SharedKeys::Read {
            return Ok(());
        }
        match self.follow_token_keys(db).await {
            Ok(()) => place.token_keys = SharedKeys::Read,
            Err(error @ sqlx::Error::Decode(_)) => {
                if place.token_keys != SharedKeys::Unreadable {
                    let error = &error as &dyn Error;
                    tracing::error!(
                        error,
                        "the keys that sign tokens cannot be read; those from before stay"
                    );
                }
                place.token_keys = SharedKeys::Unreadable;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Closes the way to a server that cannot be reached, and says so, once.
    pub(crate) fn note_away(&self, error: &Unavailable) {
        let inner = self.inner();
        if inner.db.is_server() && error.is_away() {
            inner.db.set_reachable(false);
        }
        let known_go_on_for_s = inner.settings.offline_ttl.as_secs();
        let is_new = |trouble| inner.reach.is_new(trouble);
        let error_and_cause = error as &dyn Error;
        match error.is_away() {
            true if is_new(Trouble::Away) => tracing::warn!(
                error = error_and_cause,
                known_go_on_for_s,
                "the accounts database cannot be reached"
            ),
            false if is_new(Trouble::Broken) => tracing::error!(
                error = error_and_cause,
                known_go_on_for_s,
                "the accounts database cannot be used"
            ),
            _ => {}
        }
    }

    fn note_back(&self, now: Micros) {
        let inner = self.inner();
        let away_for_s = inner.reach.unread_for(now).as_secs();
        inner.db.set_reachable(true);
        if inner.reach.note_read(now) {
            tracing::info!(away_for_s, "the accounts database is reached again");
        }
    }
}

/// How long to wait before the next attempt.
#[derive(Default)]
struct Pauses {
    failed: u32,
}

impl Pauses {
    /// While a database has been away since the start pauses grow, and their second half is left to chance: many gateways
    /// that wait for one server must not all come at once. Who has been let in once only reads a row, every second.
    fn next(&mut self, was_opened: bool) -> Duration {
        if was_opened {
            return FOLLOW_EVERY;
        }
        let whole = (FOLLOW_EVERY * (1 << self.failed.min(3))).min(REACH_EVERY_MAX);
        self.failed += 1;
        let [chance] = random::bytes::<1>();
        whole / 2 + whole * u32::from(chance) / 512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_to_reach_a_database_come_more_and_more_rarely_and_never_rarer_than_every_five_seconds()
     {
        let mut pauses = Pauses::default();
        for whole in [1, 2, 4, 5, 5, 5].map(Duration::from_secs) {
            let pause = pauses.next(false);
            assert!((whole / 2..=whole).contains(&pause), "{pause:?}");
        }
        // With the reading itself these are the two seconds that are promised.
        assert!(pauses.next(true) <= Duration::from_secs(1));
    }
}
