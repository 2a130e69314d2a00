//! The accounts database: opening it, and the only way to put a statement to it.
//!
//! Statements are written once for all databases: `$1, $2, ...` each used once and in order, ids as text, instants as
//! integers of microseconds. What cannot be written alike is in [`dialect`].

mod dialect;
mod location;

use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::query::Query;
use sqlx::{Any, AnyPool, ConnectOptions, Connection, Executor, Row, Transaction};
use tokio::time::sleep;
use tollgate::Micros;

use crate::error::OpenError;
use dialect::Dialect;
use location::Location;
pub(crate) use location::make_dir;

/// How many statements run at the same time.
const CONNECTIONS_MAX: u32 = 8;

/// How long a caller waits for a connection before the database counts as unavailable.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Another process that prepares the database at the same moment can make an attempt fail; a later one finds its
/// work done.
const ATTEMPTS: usize = 4;

/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    dialect: Dialect,
}

impl Database {
    /// Opens the database, makes it when it is missing, and brings its tables up to date.
    pub(crate) async fn open(url: &str, data_dir: &Path) -> Result<Self, OpenError> {
        install_default_drivers();
        let location = Location::parse(url, data_dir)?;
        location.prepare()?;
        let options: AnyConnectOptions = location.url().parse()?;
        let options = options.disable_statement_logging();
        let dialect = location.dialect();
        attempt(|| probe(&options, dialect)).await?;
        let pool = pool_options(&location)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    connection.execute(dialect.on_connect()).await?;
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let migrator = dialect.migrator();
        attempt(|| migrator.run(&pool)).await?;
        Ok(Self { pool, dialect })
    }

    /// Begins a transaction that may write from its first statement on.
    pub(crate) async fn begin(&self) -> sqlx::Result<Transaction<'static, Any>> {
        self.pool.begin_with(self.dialect.begin()).await
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

/// A statement, ready for its values.
pub(crate) fn sql(statement: &'static str) -> Query<'static, Any, AnyArguments> {
    sqlx::query(statement)
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
    let options = AnyPoolOptions::new()
        .acquire_timeout(CONNECT_MAX)
        .after_release(|connection, _| {
            Box::pin(async move { Ok(!connection.is_in_transaction()) })
        });
    if location.is_memory() {
        // Each connection would be a database of its own, gone when it closes.
        options
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    } else {
        options.max_connections(CONNECTIONS_MAX)
    }
}

/// A pool that cannot connect only says, after a while, that it timed out; one connection says why, at once.
async fn probe(options: &AnyConnectOptions, dialect: Dialect) -> sqlx::Result<()> {
    let mut connection = options.connect().await?;
    connection.execute(dialect.on_connect()).await?;
    connection.execute(dialect.on_open()).await?;
    connection.close().await
}

async fn attempt<T, E>(action: impl AsyncFn() -> Result<T, E>) -> Result<T, E> {
    for _ in 1..ATTEMPTS {
        if let Ok(done) = action().await {
            return Ok(done);
        }
        sleep(PAUSE).await;
    }
    action().await
}

#[cfg(test)]
mod tests {
    use super::*;

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
                let row = sql(pragma).fetch_one(&mut **connection).await.unwrap();
                assert_eq!(row.try_get::<i64, _>(0).unwrap(), expected, "{pragma}");
            }
            let row = sql("PRAGMA journal_mode")
                .fetch_one(&mut **connection)
                .await
                .unwrap();
            assert_eq!(row.try_get::<String, _>(0).unwrap(), "wal");
        }
    }
}
