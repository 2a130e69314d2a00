//! The accounts database: opening it, and the only way to put a statement to it.
//!
//! Statements are written once for all databases: `$1, $2, ...` each used once and in order, ids as text, instants as
//! integers of microseconds. What cannot be written alike is in [`dialect`].

mod dialect;
mod latest;
mod lent;
mod location;
mod migrate;
mod past;
mod pool;
mod portions;
mod upsert;

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};
use tollgate::Micros;

use crate::error::OpenError;
pub(crate) use dialect::Dialect;
pub(crate) use latest::Latest;
use lent::Lent;
use location::{Kind, Location};
pub use location::{check_url, file_of_url};
pub(crate) use location::{make_dir, without_secrets};
pub use migrate::{Migrated, migrate};
pub(crate) use pool::Pool;
pub(crate) use portions::portions;
pub(crate) use upsert::Upsert;

/// How often a statement is tried that stands in another's way.
const ATTEMPTS: usize = 3;

/// What can be put to the database, with its values.
pub(crate) type Statement = Query<'static, Any, AnyArguments>;

#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: Pool,
    /// For the one who finds out whether it can be reached.
    probe: Pool,
    location: Arc<Location>,
}

impl Database {
    /// Says where the database is; nobody gets to it before [`prepare`](Self::prepare) and
    /// [`set_reachable`](Self::set_reachable).
    pub(crate) fn new(url: &str, data_dir: &Path) -> Result<Self, OpenError> {
        let location = Arc::new(Location::parse(url, data_dir)?);
        migrate::install_drivers();
        let pool = Pool::new(&location)?;
        let probe = pool.probe(&location)?;
        Ok(Self {
            pool,
            probe,
            location,
        })
    }

    /// Makes the database when it is a missing file, and brings its tables up to date.
    pub(crate) async fn prepare(&self) -> Result<(), OpenError> {
        migrate::prepare(&self.location).await?;
        if self.location.kind() == Kind::Memory {
            // What was prepared was gone with its connection.
            let mut connection = self.pool.sqlx().acquire().await?;
            let migrator = self.dialect().migrator();
            migrator.run_direct(None, &mut *connection, false).await?;
        }
        Ok(())
    }

    /// Whether it can be away at all.
    pub(crate) fn is_server(&self) -> bool {
        self.location.kind() == Kind::Server
    }

    /// Whether statements are let through. While a server is away they fail at once, instead of each waiting for it.
    pub(crate) fn set_reachable(&self, reachable: bool) {
        self.pool.set_open(reachable);
    }

    /// The same database for the one who hears of changes and finds out whether it can be reached: with a connection
    /// that nobody else can have, so that others who wait do not hold it up.
    pub(crate) fn for_probing(&self) -> Self {
        Self {
            pool: self.probe.clone(),
            ..self.clone()
        }
    }

    /// Begins a transaction that may write from its first statement on.
    pub(crate) async fn begin(&self) -> sqlx::Result<Tx> {
        let dialect = self.dialect();
        let mut connection = self.pool.lend().await?;
        connection.begin(dialect.begin()).await?;
        Ok(Tx {
            connection,
            dialect,
        })
    }

    /// Begins a transaction that changes accounts. In all processes together one of them runs at a time: what it reads
    /// stays true until it ends, and rows of `changes` are committed in the order of their numbers.
    pub(crate) async fn begin_change(&self) -> sqlx::Result<Tx> {
        let mut transaction = self.begin().await?;
        if let Some(lock) = self.dialect().lock_changes() {
            sqlx::query(lock).fetch_one(&mut *transaction).await?;
        }
        Ok(transaction)
    }

    /// A statement, ready for its values.
    pub(crate) fn sql(&self, statement: &'static str) -> Statement {
        query(self.dialect(), statement)
    }

    /// Runs a statement outside a transaction, again where it and another stood in each other's way; says how many rows
    /// it has met.
    pub(crate) async fn run(&self, statement: impl Fn() -> Statement) -> sqlx::Result<u64> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            match statement().execute(self.pool()).await {
                Err(error) if is_conflict(&error) && attempts.next().is_some() => {}
                done => return done.map(|done| done.rows_affected()),
            }
        }
    }

    /// A statement that was put together in this database's own words.
    pub(crate) fn own_sql(&self, statement: String) -> Statement {
        sqlx::query(AssertSqlSafe(statement))
    }

    /// Where statements outside a transaction go.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.location.dialect()
    }

    /// Does `work` until somebody closes the database: what follows it for ever must not take that for an outage.
    pub(crate) async fn until_closed(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = self.pool.closed() => {}
            () = work => {}
        }
    }

    /// After this every call fails as if the database had gone away.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
        self.probe.close().await;
    }
}

/// A transaction; dropped, it is undone.
pub(crate) struct Tx {
    connection: Lent,
    dialect: Dialect,
}

impl Tx {
    /// A statement, ready for its values.
    pub(crate) fn sql(&self, statement: &'static str) -> Statement {
        query(self.dialect, statement)
    }

    /// Adds to so many rows of a table of counts, whose values follow.
    pub(crate) fn upsert(&self, table: &Upsert, rows: usize) -> Statement {
        sqlx::query(AssertSqlSafe(table.statement(self.dialect, rows)))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) async fn commit(mut self) -> sqlx::Result<()> {
        self.connection.commit().await
    }
}

impl Deref for Tx {
    type Target = Lent;

    fn deref(&self) -> &Lent {
        &self.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Lent {
        &mut self.connection
    }
}

fn query(dialect: Dialect, statement: &'static str) -> Statement {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_in_memory_outlives_a_transaction_that_was_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::new("sqlite::memory:", dir.path()).unwrap();
        db.prepare().await.unwrap();
        db.set_reachable(true);
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
        let db = Database::new("sqlite:a.db", dir.path()).unwrap();
        db.prepare().await.unwrap();
        db.set_reachable(true);
        let (mut first, mut second) =
            (db.pool.lend().await.unwrap(), db.pool.lend().await.unwrap());
        for connection in [&mut first, &mut second] {
            for (pragma, expected) in [
                ("PRAGMA busy_timeout", 3000),
                ("PRAGMA synchronous", 2),
                ("PRAGMA foreign_keys", 1),
            ] {
                let row = db.sql(pragma).fetch_one(&mut *connection).await.unwrap();
                assert_eq!(row.try_get::<i64, _>(0).unwrap(), expected, "{pragma}");
            }
            let row = db
                .sql("PRAGMA journal_mode")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert_eq!(row.try_get::<String, _>(0).unwrap(), "wal");
        }
    }
}
