//! The accounts of one gateway: what they are made of, and how a change of them takes effect.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tollgate::{Clock, Micros};

use crate::actor::Actor;
use crate::changes::Change;
use crate::chores::Chores;
use crate::database::{Database, Tx};
use crate::directory::Directory;
use crate::password::Passwords;
use crate::quotas::{Reader, Shared};
use crate::reach::{Place, Reach};
use crate::seen::SeenSessions;
use crate::settings::Settings;
use crate::terms_changed::{self, TermsChanged};
use crate::token::Tokens;
use crate::usage::Usage;

/// Users, sessions, API keys, tokens, plans and usage over one database. Cheap to clone. Changes are logged as those of
/// its actor.
#[derive(Clone)]
pub struct Accounts(pub(crate) Arc<Inner>, pub(crate) Actor);

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) seen: SeenSessions,
    pub(crate) directory: Directory,
    pub(crate) shared: Shared,
    pub(crate) reader: Reader,
    pub(crate) terms_changed: TermsChanged,
    pub(crate) usage: Usage,
    /// `None` until the database has been reached for the first time.
    pub(crate) place: Mutex<Option<Place>>,
    pub(crate) reach: Reach,
    pub(crate) chores: Mutex<Chores>,
}

impl Accounts {
    /// Who presents a credential, from memory: for the data plane.
    pub fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// What keys and users have used.
    pub fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// For how long the database has been away, `None` while it answers: since changes were last read.
    pub fn away_for(&self) -> Option<Duration> {
        self.0.reach.is_away().then(|| self.unread_for())
    }

    /// How long ago changes that other processes make were last read, or, if never, since the start.
    pub fn unread_for(&self) -> Duration {
        self.0.reach.unread_for(self.0.clock.now())
    }

    /// Passwords that are being hashed, or wait for it.
    pub fn hashes_waiting(&self) -> usize {
        self.0.passwords.hashing().waiting()
    }

    /// Passwords that were not hashed because too many waited: each was a 503.
    pub fn hashes_refused(&self) -> u64 {
        self.0.passwords.hashing().refused()
    }

    /// Closes the database; every later call that needs it fails. Flush [`usage`](Self::usage) first.
    pub async fn close(&self) {
        self.0.db.close().await;
    }

    /// Writes usage every second, for ever; the caller spawns it, and flushes once more at shutdown.
    pub async fn write_usage(&self) {
        self.0.usage.write_every_second().await;
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// Commits with the row that tells other processes, then ends what this one holds in memory, or reads it anew. If
    /// the caller is dropped in between, or the database is gone by then, the next poll does it.
    pub(crate) async fn commit(
        &self,
        transaction: Tx,
        change: Change,
        now: Micros,
    ) -> sqlx::Result<()> {
        self.commit_all(transaction, &[change], now).await
    }

    /// As [`commit`](Self::commit), of several changes that happen together.
    pub(crate) async fn commit_all(
        &self,
        mut transaction: Tx,
        changes: &[Change],
        now: Micros,
    ) -> sqlx::Result<()> {
        let mut at = now;
        let mut turned = None;
        if changes.iter().any(Change::is_of_terms) {
            let turn = terms_changed::turn(&mut transaction, now, self.settings.rules_at).await?;
            at = turn.at;
            turned = Some(turn);
        }
        for change in changes {
            change.append(&mut transaction, at).await?;
        }
        transaction.commit().await?;
        let denied = changes.iter().filter_map(Change::denies);
        self.directory.denied().add(denied);
        let ends: Vec<_> = changes.iter().flat_map(Change::ends).collect();
        self.directory.end(&ends);
        if changes.iter().any(Change::is_shared)
            && let Err(error) = self.shared.read(&self.db, &self.reader).await
        {
            tracing::warn!(%error, "changed quotas take effect when the database answers again");
            return Ok(());
        }
        if let Some(turn) = turned {
            self.terms_changed.turn(turn);
        }
        Ok(())
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}
