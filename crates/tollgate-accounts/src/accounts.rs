//! The accounts of one gateway: opening them, and the loop by which they hear of changes made elsewhere.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tollgate::{Clock, Micros};

use crate::changes::{self, Change};
use crate::database::{self, Database, Tx, stored};
use crate::directory::Directory;
use crate::error::{OpenError, Unavailable};
use crate::password::Passwords;
use crate::seen::SeenSessions;
use crate::settings::Settings;
use crate::token::Tokens;
use crate::usage::Usage;

/// How often other processes' changes are read.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// How long one reading of them may take: a network that swallows everything gives no error.
const FOLLOW_MAX: Duration = Duration::from_secs(10);

/// How long changes may stay unread before nobody is believed from memory any more.
const UNREAD_MAX: Duration = Duration::from_secs(300);

/// How long changes are kept; far longer than [`UNREAD_MAX`], so that nobody who still believes misses one.
const CHANGES_KEPT: Duration = Duration::from_secs(3600);

/// How often what is past is deleted: old changes, expired sessions.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Users, sessions, API keys, tokens and usage over one database. Cheap to clone.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) db: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) seen: SeenSessions,
    pub(crate) directory: Directory,
    usage: Usage,
    place: Mutex<Place>,
}

/// How far the log of changes has been read.
struct Place {
    last: i64,
    read_at: Micros,
    pruned_at: Micros,
}

impl Accounts {
    /// Opens the accounts, and makes database, tables and the key that signs tokens when they are missing.
    pub async fn open(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        database::make_dir(&settings.data_dir)?;
        let tokens = Arc::new(Tokens::open(&settings, clock.now())?);
        let passwords = Passwords::new(&settings)?;
        let db = Database::open(&settings.url, &settings.data_dir).await?;
        let place = Place {
            last: changes::newest(&db).await?,
            read_at: clock.now(),
            pruned_at: Micros(0),
        };
        let accounts = Self(Arc::new(Inner {
            directory: Directory::new(settings.credentials_cached_max, tokens.clone()),
            usage: Usage::new(db.clone()),
            place: Mutex::new(place),
            db,
            clock,
            settings,
            passwords,
            tokens,
            seen: SeenSessions::default(),
        }));
        // After the place in the log of changes, so that none falls in between.
        accounts.read_revoked_tokens().await?;
        Ok(accounts)
    }

    /// Who presents a credential, from memory: for the data plane.
    pub fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// What keys and users have used.
    pub fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// Reads other processes' changes every second, for ever; the caller spawns it.
    pub async fn follow_changes(&self) {
        let mut ticks = interval(FOLLOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let result = match timeout(FOLLOW_MAX, self.poll_changes()).await {
                Ok(result) => result,
                Err(elapsed) => Err(io::Error::from(elapsed).into()),
            };
            match &result {
                Err(error) if !failing => {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "cannot read changes of accounts"
                    );
                }
                Ok(()) if failing => tracing::info!("changes of accounts are read again"),
                _ => {}
            }
            failing = result.is_err();
        }
    }

    /// One step of [`follow_changes`](Self::follow_changes): afterwards every change committed before is in effect
    /// here.
    ///
    /// # Errors
    /// When the database does not answer. After five minutes of that nobody is believed from memory.
    pub async fn poll_changes(&self) -> Result<(), Unavailable> {
        let now = self.0.clock.now();
        if self.0.tokens.follow(now) {
            self.0.directory.forget_all();
        }
        let mut place = self.0.place.lock().await;
        if now.since(place.read_at) > UNREAD_MAX {
            self.0.directory.forget_all();
            self.read_revoked_tokens().await?;
        }
        let mut more = true;
        while more {
            let heard = changes::after(&self.0.db, place.last).await?;
            if heard.not_understood {
                self.0.directory.forget_all();
            }
            self.0.directory.denied().add(heard.denied);
            self.0.directory.end(&heard.ends);
            place.last = heard.last;
            more = heard.more;
        }
        place.read_at = now;
        if now.since(place.pruned_at) >= PRUNE_EVERY {
            self.prune(now).await?;
            place.pruned_at = now;
        }
        self.0.seen.write(&self.0.db).await?;
        Ok(())
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

    async fn prune(&self, now: Micros) -> sqlx::Result<()> {
        let kept_since = Micros(now.0.saturating_sub(micros(CHANGES_KEPT)));
        let mut transaction = self.0.db.begin_change().await?;
        changes::prune(&mut transaction, kept_since).await?;
        transaction
            .sql("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(stored(now))
            .execute(&mut *transaction)
            .await?;
        if let Some(idle_ttl) = self.0.settings.session_idle_ttl {
            // Twice as long, in case that a use is not written yet.
            let idle_since = Micros(now.0.saturating_sub(micros(2 * idle_ttl)));
            transaction
                .sql("DELETE FROM sessions WHERE COALESCE(last_seen_at, created_at) <= $1")
                .bind(stored(idle_since))
                .execute(&mut *transaction)
                .await?;
        }
        transaction
            .sql("DELETE FROM revoked_tokens WHERE expires_at <= $1")
            .bind(stored(now))
            .execute(&mut *transaction)
            .await?;
        self.0.directory.denied().forget_expired(now);
        transaction.commit().await
    }
}

impl Inner {
    /// Commits with the row that tells other processes, then ends what this one holds in memory. If the caller is
    /// dropped in between, the next poll does it.
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
        for change in changes {
            change.append(&mut transaction, now).await?;
        }
        transaction.commit().await?;
        let denied = changes.iter().filter_map(Change::denies);
        self.directory.denied().add(denied);
        let ends: Vec<_> = changes.iter().flat_map(Change::ends).collect();
        self.directory.end(&ends);
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("directory", &self.0.directory)
            .finish_non_exhaustive()
    }
}
