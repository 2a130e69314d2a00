//! Bringing the tables up to date.

use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, install_default_drivers};
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{AnyConnection, ConnectOptions, Connection, Executor};
use tokio::time::sleep;

use super::Columns;
use super::dialect::Dialect;
use super::location::{Location, make_dir};
use crate::error::OpenError;

/// Another process that prepares a new file at the same moment can make an attempt fail; a later one finds its work
/// done.
const ATTEMPTS: usize = 4;

const LOCKED: &str = "another process has been bringing the tables up to date for a minute";

/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// What has been done to bring the tables up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The changes that were made now, in their order, like `1 init`.
    pub applied: Vec<String>,
    /// The number of the last change that this version knows.
    pub version: i64,
}

/// Makes the database if it is a missing file, and brings its tables up to date, as opening it does.
pub async fn migrate(url: &str, data_dir: &Path) -> Result<Migrated, OpenError> {
    let location = Location::parse(url, data_dir)?;
    make_dir(data_dir)?;
    prepare(&location).await
}

/// Whatever goes wrong, the connection is closed, and with it ends the lock that keeps other processes from doing the
/// same: a pool would keep both.
pub(super) async fn prepare(location: &Location) -> Result<Migrated, OpenError> {
    install_default_drivers();
    location.prepare()?;
    let (options, dialect) = (location.options()?, location.dialect());
    if dialect.opens_alone() {
        for _ in 1..ATTEMPTS {
            if let Ok(migrated) = attempt(&options, dialect).await {
                return Ok(migrated);
            }
            sleep(PAUSE).await;
        }
    }
    attempt(&options, dialect).await
}

/// A pool that cannot connect only says, after a while, that it timed out; one connection says why, at once.
async fn attempt(options: &AnyConnectOptions, dialect: Dialect) -> Result<Migrated, OpenError> {
    let options = options.clone().disable_statement_logging();
    let mut connection = options.connect().await?;
    connection.execute(dialect.on_connect()).await?;
    if let Some(statement) = dialect.on_open() {
        connection.execute(statement).await?;
    }
    if let Some(lock) = dialect.lock_tables() {
        let answer = sqlx::query(lock).fetch_one(&mut connection).await?;
        if answer.count("locked")? != 1 {
            return Err(sqlx::Error::Protocol(LOCKED.to_owned()).into());
        }
    }
    let migrated = run(&mut connection, &dialect.migrator()).await?;
    connection.close().await?;
    Ok(migrated)
}

async fn run(
    connection: &mut AnyConnection,
    migrator: &Migrator,
) -> Result<Migrated, MigrateError> {
    let table = &migrator.table_name;
    // An error means that there is no such table yet; any other comes back below.
    let found = connection.list_applied_migrations(table).await;
    let found = found.unwrap_or_default();
    let is_there = |version| found.iter().any(|applied| applied.version == version);
    let known = migrator.iter().map(|one| (one.version, &one.checksum));
    let applied = found.iter().map(|one| (one.version, &one.checksum));
    // Where all is done nothing is asked for, so that a user who may not make tables can open them.
    if !known.eq(applied) || connection.dirty_version(table).await?.is_some() {
        migrator.run(&mut *connection).await?;
    }
    let fresh = migrator
        .iter()
        .filter(|migration| !is_there(migration.version));
    Ok(Migrated {
        applied: fresh
            .map(|migration| format!("{} {}", migration.version, migration.description))
            .collect(),
        version: migrator.iter().map(|one| one.version).max().unwrap_or(0),
    })
}
