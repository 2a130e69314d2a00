//! What databases do not say alike. A new database is a variant here, a scheme in `location`, and its migrations.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
}

impl Dialect {
    pub(super) fn migrator(self) -> Migrator {
        let migration = |version, name: &'static str, sql: &'static str| {
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        };
        match self {
            Self::Sqlite => Migrator::with_migrations(vec![migration(
                1,
                "init",
                include_str!("sqlite/0001_init.sql"),
            )]),
        }
    }

    /// Run once before all else. The file remembers its journal mode; two processes that set it at the same moment
    /// can get in each other's way, however long they wait.
    pub(super) fn on_open(self) -> &'static str {
        match self {
            Self::Sqlite => "PRAGMA journal_mode = WAL",
        }
    }

    /// Run on every new connection. FULL: what was acknowledged survives a loss of power, not only of the process.
    pub(super) fn on_connect(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "PRAGMA busy_timeout = 3000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"
            }
        }
    }

    /// SQLite: a transaction that reads and then writes fails at once if another wrote in between, unless it took
    /// the write lock when it began.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    /// Adds to the counts of a minute, whether it has a row or not.
    pub(crate) fn add_usage(self) -> &'static str {
        match self {
            Self::Sqlite => {
                r#"INSERT INTO "usage" (key_id, user_id, route, bucket_start, allowed, denied, failed)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (key_id, user_id, route, bucket_start) DO UPDATE SET
                    allowed = "usage".allowed + excluded.allowed,
                    denied = "usage".denied + excluded.denied,
                    failed = "usage".failed + excluded.failed"#
            }
        }
    }
}
