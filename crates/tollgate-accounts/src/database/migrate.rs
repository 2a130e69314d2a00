//! Bringing the tables up to date.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{AnyConnection, ConnectOptions, Connection, Executor};
use tokio::time::{Instant, error::Elapsed, sleep, timeout};

use super::Columns;
use super::dialect::Dialect;
use super::lent::in_time;
use super::location::{Location, make_dir};
use crate::error::OpenError;

/// Another process that prepares a new file at the same moment can make an attempt fail; a later one finds its work
/// done. For so long attempts are made, so long it takes until a broken file is told.
const ATTEMPTS_MAX: Duration = Duration::from_secs(2);

const LOCKED: &str = "another process has been bringing the tables up to date for a minute";

/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a server may take to let somebody in.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long it may take to say which changes have been made.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// How long another process may be waited for; the server itself ends the wait after a minute.
const LOCK_MAX: Duration = Duration::from_secs(70);

/// How long the changes may take. Large tables take a while, and a server that vanished says nothing.
const CHANGES_MAX: Duration = Duration::from_secs(3600);

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
    install_drivers();
    location.prepare()?;
    let (options, dialect) = (location.options()?, location.dialect());
    if dialect.opens_alone() {
        let end = Instant::now() + ATTEMPTS_MAX;
        while Instant::now() < end {
            if let Ok(migrated) = attempt(&options, dialect).await {
                return Ok(migrated);
            }
            sleep(PAUSE).await;
        }
    }
    attempt(&options, dialect).await
}

pub(super) fn install_drivers() {
    sqlx::any::install_default_drivers();
}

/// A pool that cannot connect only says, after a while, that it timed out; one connection says why, at once.
async fn attempt(options: &AnyConnectOptions, dialect: Dialect) -> Result<Migrated, OpenError> {
    let options = options.clone().disable_statement_logging();
    let mut connection = in_time(CONNECT_MAX, options.connect()).await?;
    in_time(LOOK_MAX, connection.execute(dialect.on_connect())).await?;
    if let Some(statement) = dialect.on_open() {
        in_time(LOOK_MAX, connection.execute(statement)).await?;
    }
    if let Some(lock) = dialect.lock_tables() {
        let asked = sqlx::query(lock).fetch_one(&mut connection);
        if in_time(LOCK_MAX, asked).await?.count("locked")? != 1 {
            return Err(sqlx::Error::Io(io::Error::new(ErrorKind::TimedOut, LOCKED)).into());
        }
    }
    let migrated = run(&mut connection, &dialect.migrator()).await?;
    // What was done is done, whether the server hears the farewell or not.
    let _ = timeout(CONNECT_MAX, connection.close()).await;
    Ok(migrated)
}

async fn run(
    connection: &mut AnyConnection,
    migrator: &Migrator,
) -> Result<Migrated, MigrateError> {
    let table = &migrator.table_name;
    // An error means that there is no such table yet; any other comes back below.
    let found = timeout(LOOK_MAX, connection.list_applied_migrations(table)).await;
    let found = found.map_err(too_late)?.unwrap_or_default();
    let is_there = |version| found.iter().any(|applied| applied.version == version);
    let known = migrator.iter().map(|one| (one.version, &one.checksum));
    let applied = found.iter().map(|one| (one.version, &one.checksum));
    // Where all is done nothing is asked for, so that a user who may not make tables can open them.
    let dirty = timeout(LOOK_MAX, connection.dirty_version(table)).await;
    if !known.eq(applied) || dirty.map_err(too_late)??.is_some() {
        // `run` is the same for whoever can lend a connection, and for that reason cannot be spawned.
        let changes = migrator.run_direct(None, connection, false);
        let changes = timeout(CHANGES_MAX, changes).await;
        changes.map_err(too_late)??;
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

fn too_late(elapsed: Elapsed) -> MigrateError {
    MigrateError::Execute(io::Error::from(elapsed).into())
}
