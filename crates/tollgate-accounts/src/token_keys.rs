//! The keys that sign tokens where gateways share them: one row of the accounts database, which each of them follows.

use tollgate::Micros;

use crate::accounts::Accounts;
use crate::audit::{About, Action};
use crate::changes::Change;
use crate::database::{Columns, Database, Tx};
use crate::error::{OpenError, Unavailable};
use crate::token::algorithm::TokenAlgorithm;
use crate::token::ring::Ring;

const DAMAGED: &str = "the table token_keys holds no keys that sign tokens; restore its row, or let `tollgate token rotate --at-once` replace it, which ends every token";

impl Accounts {
    /// Puts a new key in the place of the one that signs tokens on all gateways that share it, where they do; `false`
    /// where this database has no such keys. A rotation is logged in either case. The caller rotates the file of the data
    /// directory first, which needs no database: a key that has leaked must go also while the database is away.
    ///
    /// `at_once` also replaces keys that are damaged, with a key of the algorithm of the file. So are keys that were
    /// here and are gone, as far as the data directory knows: else the next process to start would bring back its copy.
    ///
    /// # Errors
    /// When the database does not answer, or its keys are damaged; then shared keys stay as they were, and the log lacks the rotation.
    pub async fn rotate_shared_token_keys(&self, at_once: bool) -> Result<bool, Unavailable> {
        let inner = self.inner();
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        let about = About::named("token-key", "");
        let detail = if at_once { "at once" } else { "" };
        let action = Action::TokenKeyRotated;
        self.log(&mut transaction, action, &about, detail, now)
            .await?;
        let ring = match stored(&mut transaction).await?.as_deref().map(parse) {
            Some(Ok(mut ring)) => {
                ring.rotate(at_once, now)?;
                ring
            }
            Some(Err(damaged)) if !at_once => return Err(damaged.into()),
            None if !inner.tokens.has_shared() => {
                transaction.commit().await?;
                return Ok(false);
            }
            Some(Err(_)) | None => Ring::fresh(inner.tokens.own_ring()?.algorithm())?,
        };
        write(&mut transaction, &ring).await?;
        inner
            .commit(transaction, Change::TokenKeysChanged, now)
            .await?;
        Ok(true)
    }

    /// At the start: signs and verifies with the keys in the database, if they are to be shared. Where there are none yet
    /// they are this process's, and new ones where there were some; where another algorithm is asked for than that of the key in use, a key of it takes its
    /// place. The last process that starts decides on the algorithm.
    pub(crate) async fn share_token_keys(&self, db: &Database) -> sqlx::Result<()> {
        let asked = self.inner().settings.token_algorithm;
        self.take_token_keys(db, asked).await
    }

    /// While it runs: takes the keys in the database as they are, whatever their algorithm. Processes that ask for
    /// different ones would else replace each other's for ever, until no token is good.
    pub(crate) async fn follow_token_keys(&self, db: &Database) -> sqlx::Result<()> {
        self.take_token_keys(db, None).await
    }

    async fn take_token_keys(
        &self,
        db: &Database,
        asked: Option<TokenAlgorithm>,
    ) -> sqlx::Result<()> {
        let inner = self.inner();
        if !inner.settings.share_token_keys {
            return Ok(());
        }
        let row = db.sql(SELECT).fetch_optional(db.pool()).await?;
        let known = row.map(|row| parse(&row.text("ring")?)).transpose()?;
        let ring = match known.filter(|ring| signs_as(ring, asked)) {
            Some(ring) => ring,
            None => self.agree(db, asked, inner.clock.now()).await?,
        };
        if inner.tokens.adopt(&ring).ok_or_else(damaged)? {
            inner.directory.forget_all();
        }
        Ok(())
    }

    /// One process at a time: whoever is second finds what the first has written.
    async fn agree(
        &self,
        db: &Database,
        asked: Option<TokenAlgorithm>,
        now: Micros,
    ) -> sqlx::Result<Ring> {
        let mut transaction = db.begin_change().await?;
        let stored = stored(&mut transaction).await?;
        let is_new = stored.is_none();
        let mut ring = match stored {
            Some(text) => parse(&text)?,
            None => self.inner().tokens.ring_to_share().map_err(unusable)?,
        };
        let other = asked.filter(|_| !signs_as(&ring, asked));
        if let Some(algorithm) = other {
            tracing::info!(
                from = ring.algorithm().name(),
                to = algorithm.name(),
                "a key of another algorithm takes the place of the one that signs tokens, for all that share it"
            );
            ring.replace(algorithm, now).map_err(unusable)?;
        }
        if is_new || other.is_some() {
            write(&mut transaction, &ring).await?;
            Change::TokenKeysChanged
                .append(&mut transaction, now)
                .await?;
        }
        transaction.commit().await?;
        Ok(ring)
    }
}

fn signs_as(ring: &Ring, asked: Option<TokenAlgorithm>) -> bool {
    asked.is_none_or(|algorithm| algorithm == ring.algorithm())
}

const SELECT: &str = "SELECT ring FROM token_keys";

/// The row as it is.
async fn stored(transaction: &mut Tx) -> sqlx::Result<Option<String>> {
    let row = transaction
        .sql(SELECT)
        .fetch_optional(&mut **transaction)
        .await?;
    row.map(|row| row.text("ring")).transpose()
}

async fn write(transaction: &mut Tx, ring: &Ring) -> sqlx::Result<()> {
    transaction
        .sql("DELETE FROM token_keys")
        .execute(&mut **transaction)
        .await?;
    transaction
        .sql("INSERT INTO token_keys (id, ring) VALUES (1, $1)")
        .bind(ring.text())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn parse(text: &str) -> sqlx::Result<Ring> {
    Ring::parse(text.as_bytes())
        .filter(Ring::is_sound)
        .ok_or_else(damaged)
}

fn damaged() -> sqlx::Error {
    sqlx::Error::Decode(DAMAGED.into())
}

fn unusable(error: OpenError) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
