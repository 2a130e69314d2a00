//! The accounts database: opening it, and the only way to put a statement to it.
//!
//! Statements are written once for all databases: `$1, $2, ...` each used once and in order, ids as text, instants as
//! integers of microseconds. What cannot be written alike is in [`dialect`].

mod dialect;
mod location;
mod migrate;

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor, Row,
    Transaction,
};
use tollgate::Micros;

use crate::error::OpenError;
use dialect::Dialect;
use location::Location;
pub use location::check_url;
pub(crate) use location::{make_dir, without_secrets};
pub use migrate::{Migrated, migrate};

/// How many statements run at the same time.
const CONNECTIONS_MAX: u32 = 8;

/// How long a caller waits for a connection before the database counts as unavailable.
const CONNECT_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    dialect: Dialect,
}

impl Database {
    /// Opens the database, makes it when it is a missing file, and brings its tables up to date.
    pub(crate) async fn open(url: &str, data_dir: &Path) -> Result<Self, OpenError> {
        let location = Location::parse(url, data_dir)?;
        let dialect = location.dialect();
        migrate::prepare(&location).await?;
        let pool = pool_options(&location)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(dialect.on_connect()).await?;
                    Ok(())
                })
            })
            .connect_with(location.options()?.disable_statement_logging())
            .await?;
        if location.is_memory() {
            // What was prepared was gone with its connection.
            dialect.migrator().run(&pool).await?;
        }
        Ok(Self { pool, dialect })
    }

    /// Begins a transaction that may write from its first statement on.
    pub(crate) async fn begin(&self) -> sqlx::Result<Tx> {
        let inner = self.pool.begin_with(self.dialect.begin()).await?;
        let dialect = self.dialect;
        Ok(Tx { inner, dialect })
    }

    /// Begins a transaction that changes accounts. In all processes together one of them runs at a time: what it reads
    /// stays true until it ends, and rows of `changes` are committed in the order of their numbers.
    pub(crate) async fn begin_change(&self) -> sqlx::Result<Tx> {
        let mut transaction = self.begin().await?;
        if let Some(lock) = self.dialect.lock_changes() {
            sqlx::query(lock).fetch_one(&mut *transaction).await?;
        }
        Ok(transaction)
    }

    /// A statement, ready for its values.
    pub(crate) fn sql(&self, statement: &'static str) -> Query<'static, Any, AnyArguments> {
        query(self.dialect, statement)
    }

    /// Where statements outside a transaction go.
    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// After this every call fails as if the database had gone away.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction; dropped, it is undone.
pub(crate) struct Tx {
    inner: Transaction<'static, Any>,
    dialect: Dialect,
}

impl Tx {
    /// A statement, ready for its values.
    pub(crate) fn sql(&self, statement: &'static str) -> Query<'static, Any, AnyArguments> {
        query(self.dialect, statement)
    }

    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        self.inner.commit().await
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

fn query(dialect: Dialect, statement: &'static str) -> Query<'static, Any, AnyArguments> {
    match dialect.say(statement) {
        Cow::Borrowed(statement) => sqlx::query(statement),
        Cow::Owned(statement) => sqlx::query(AssertSqlSafe(statement)),
    }
}

/// Whether a transaction failed only because it and another stood in each other's way.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // Serialization failure, which MySQL says of a deadlock too; deadlock.
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// An instant as the database stores it.
pub(crate) fn stored(instant: Micros) -> i64 {
    i64::try_from(instant.0).unwrap_or(i64::MAX)
}

/// Columns by name, in our types.
pub(crate) trait Columns {
    fn text(&self, column: &str) -> sqlx::Result<String>;
    fn text_or_null(&self, column: &str) -> sqlx::Result<Option<String>>;
    fn instant(&self, column: &str) -> sqlx::Result<Micros>;
    fn instant_or_null(&self, column: &str) -> sqlx::Result<Option<Micros>>;
    fn count(&self, column: &str) -> sqlx::Result<u64>;
}

impl Columns for AnyRow {
    fn text(&self, column: &str) -> sqlx::Result<String> {
        self.try_get(column)
    }

    fn text_or_null(&self, column: &str) -> sqlx::Result<Option<String>> {
        self.try_get(column)
    }

    fn instant(&self, column: &str) -> sqlx::Result<Micros> {
        self.count(column).map(Micros)
    }

    fn instant_or_null(&self, column: &str) -> sqlx::Result<Option<Micros>> {
        let value: Option<i64> = self.try_get(column)?;
        Ok(value.map(|micros| Micros(u64::try_from(micros).unwrap_or(0))))
    }

    fn count(&self, column: &str) -> sqlx::Result<u64> {
        let value: i64 = self.try_get(column)?;
        Ok(u64::try_from(value).unwrap_or(0))
    }
}

fn pool_options(location: &Location) -> AnyPoolOptions {
    // A commit that fails, on a full disk say, is rolled back by the database itself, which the driver does not notice:
    // it would refuse every later transaction on this connection.
    let options = AnyPoolOptions::new().acquire_timeout(CONNECT_MAX);
    if location.is_memory() {
        // Each connection would be a database of its own, gone when it closes: also when a transaction that was given
        // up is just being undone.
        options
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    } else {
        options
            .max_connections(CONNECTIONS_MAX)
            .after_release(|connection, _| {
                Box::pin(async move { Ok(!connection.is_in_transaction()) })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_in_memory_outlives_a_transaction_that_was_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open("sqlite::memory:", dir.path()).await.unwrap();
        for _ in 0..20 {
            let mut given_up = db.begin_change().await.unwrap();
            let delete = given_up.sql("DELETE FROM users");
            delete.execute(&mut *given_up).await.unwrap();
            drop(given_up);
            let rows = db.sql("SELECT id FROM users").fetch_all(db.pool()).await;
            assert!(rows.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn every_connection_waits_for_others_and_flushes_what_it_acknowledges() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open("sqlite:a.db", dir.path()).await.unwrap();
        let (mut first, mut second) = (
            db.pool.acquire().await.unwrap(),
            db.pool.acquire().await.unwrap(),
        );
        for connection in [&mut first, &mut second] {
            for (pragma, expected) in [
                ("PRAGMA busy_timeout", 3000),
                ("PRAGMA synchronous", 2),
                ("PRAGMA foreign_keys", 1),
            ] {
                let row = db.sql(pragma).fetch_one(&mut **connection).await.unwrap();
                assert_eq!(row.try_get::<i64, _>(0).unwrap(), expected, "{pragma}");
            }
            let row = db
                .sql("PRAGMA journal_mode")
                .fetch_one(&mut **connection)
                .await
                .unwrap();
            assert_eq!(row.try_get::<String, _>(0).unwrap(), "wal");
        }
    }
}
