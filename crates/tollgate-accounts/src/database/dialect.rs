//! What databases do not say alike. A new database is a variant here, a scheme in `location`, and its migrations.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    /// MariaDB as well.
    MySql,
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
        let init = match self {
            Self::Sqlite => include_str!("sqlite/0001_init.sql"),
            Self::Postgres => include_str!("postgres/0001_init.sql"),
            Self::MySql => include_str!("mysql/0001_init.sql"),
        };
        let plans = match self {
            Self::Sqlite => include_str!("sqlite/0002_plans.sql"),
            Self::Postgres => include_str!("postgres/0002_plans.sql"),
            Self::MySql => include_str!("mysql/0002_plans.sql"),
        };
        let sessions = match self {
            Self::Sqlite => include_str!("sqlite/0003_sessions.sql"),
            Self::Postgres => include_str!("postgres/0003_sessions.sql"),
            Self::MySql => include_str!("mysql/0003_sessions.sql"),
        };
        let prune = match self {
            Self::Sqlite => include_str!("sqlite/0005_prune.sql"),
            Self::Postgres => include_str!("postgres/0005_prune.sql"),
            Self::MySql => include_str!("mysql/0005_prune.sql"),
        };
        let usage = match self {
            Self::Sqlite => include_str!("sqlite/0004_usage.sql"),
            Self::Postgres => include_str!("postgres/0004_usage.sql"),
            Self::MySql => include_str!("mysql/0004_usage.sql"),
        };
        let chains = match self {
            Self::Sqlite => include_str!("sqlite/0006_chains.sql"),
            Self::Postgres => include_str!("postgres/0006_chains.sql"),
            Self::MySql => include_str!("mysql/0006_chains.sql"),
        };
        let usage_writers = match self {
            Self::Sqlite => include_str!("sqlite/0007_usage_writers.sql"),
            Self::Postgres => include_str!("postgres/0007_usage_writers.sql"),
            Self::MySql => include_str!("mysql/0007_usage_writers.sql"),
        };
        let terms = match self {
            Self::Sqlite => include_str!("sqlite/0008_terms.sql"),
            Self::Postgres => include_str!("postgres/0008_terms.sql"),
            Self::MySql => include_str!("mysql/0008_terms.sql"),
        };
        let token_keys = match self {
            Self::Sqlite => include_str!("sqlite/0009_token_keys.sql"),
            Self::Postgres => include_str!("postgres/0009_token_keys.sql"),
            Self::MySql => include_str!("mysql/0009_token_keys.sql"),
        };
        Migrator::with_migrations(vec![
            migration(1, "init", init),
            migration(2, "plans", plans),
            migration(3, "sessions", sessions),
            migration(4, "usage", usage),
            migration(5, "prune", prune),
            migration(6, "chains", chains),
            migration(7, "usage writers", usage_writers),
            migration(8, "terms", terms),
            migration(9, "token keys", token_keys),
        ])
    }

    /// A statement in this database's words. MySQL has no numbered parameters, and another name for the integer that
    /// a value can be cast to.
    pub(super) fn say(self, statement: &'static str) -> Cow<'static, str> {
        debug_assert!(
            parameters_are_in_order(statement),
            "each once and in order: {statement}"
        );
        match self {
            Self::Sqlite | Self::Postgres => statement.into(),
            Self::MySql => without_numbers(statement)
                .replace(" AS BIGINT)", " AS SIGNED)")
                .into(),
        }
    }

    /// Run once before all else.
    ///
    /// SQLite: the file remembers its journal mode; two processes that set it at the same moment can get in each
    /// other's way, however long they wait. PostgreSQL: whoever else brings the tables up to date may take a while.
    pub(super) fn on_open(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA journal_mode = WAL"),
            Self::Postgres => Some("SET lock_timeout = '60s'"),
            Self::MySql => None,
        }
    }

    /// Asks that nobody else bring the tables up to date meanwhile; answers 1. It holds until the connection ends.
    ///
    /// The migrator asks for a lock too, without an end of the wait. That is good in PostgreSQL, where `on_open` gives
    /// it one; MariaDB takes it for no wait at all, and goes on without the lock. SQLite's file is its own lock.
    pub(super) fn lock_tables(self) -> Option<&'static str> {
        match self {
            Self::Sqlite | Self::Postgres => None,
            Self::MySql => Some(
                "SELECT CAST(COALESCE(GET_LOCK(MD5(CONCAT('tollgate ', DATABASE())), 60), 0) AS SIGNED) AS locked",
            ),
        }
    }

    /// Whether two processes that open a new database at the same moment can make each other fail.
    pub(super) fn opens_alone(self) -> bool {
        self == Self::Sqlite
    }

    /// Run on every new connection. Nobody waits for a lock longer than 3 s, and a process that has stopped in the
    /// middle of a transaction keeps others waiting 10 s at most (not in MySQL, which has no such setting; the comment
    /// is read by MariaDB alone).
    ///
    /// SQLite: FULL, so that what was acknowledged survives a loss of power, not only of the process. MySQL:
    /// `"usage"` is a name, not a text; what does not fit is refused, not cut; no gaps between rows are locked.
    pub(super) fn on_connect(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "PRAGMA busy_timeout = 3000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"
            }
            Self::Postgres => {
                "SET client_min_messages = warning; SET lock_timeout = '3s';
                SET idle_in_transaction_session_timeout = '10s';
                SET default_transaction_isolation = 'read committed'"
            }
            Self::MySql => {
                "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,STRICT_ALL_TABLES');
                SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
                SET SESSION innodb_lock_wait_timeout = 3 /*M!100300 , SESSION idle_transaction_timeout = 10 */"
            }
        }
    }

    /// SQLite: a transaction that reads and then writes fails at once if another wrote in between, unless it took
    /// the write lock when it began.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
            Self::MySql => "START TRANSACTION",
        }
    }

    /// What a transaction that changes accounts does first, so that only one at a time does, as in SQLite. Numbers in
    /// `changes` are given out in the order of the inserts; with this they are committed in that order too.
    pub(super) fn lock_changes(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres | Self::MySql => Some("SELECT id FROM changes_lock FOR UPDATE"),
        }
    }

    /// Deletes so many rows that match, or fewer. PostgreSQL: a row that is changed meanwhile has moved, and stays.
    pub(super) fn delete_some(self, table: &str, condition: &str, rows: u64) -> String {
        let some = format!("FROM {table} WHERE {condition} LIMIT {rows}");
        match self {
            Self::Sqlite => format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid {some})"),
            Self::Postgres => {
                format!("DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid {some}))")
            }
            Self::MySql => format!("DELETE {some}"),
        }
    }

    /// The name of the function that tells the larger of two numbers.
    pub(crate) fn larger(self) -> &'static str {
        match self {
            Self::Sqlite => "MAX",
            Self::Postgres | Self::MySql => "GREATEST",
        }
    }

    /// The integer that a value can be cast to.
    pub(crate) fn integer(self) -> &'static str {
        match self {
            Self::Sqlite | Self::Postgres => "BIGINT",
            Self::MySql => "SIGNED",
        }
    }

    /// The parameter of this number, from 1 on, in statements that are put together.
    pub(crate) fn parameter(self, number: usize) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("${number}"),
            Self::MySql => "?".to_owned(),
        }
    }
}

/// `$1, $2` become `?, ?`. No statement has a `$` elsewhere.
fn without_numbers(statement: &str) -> String {
    let mut parts = statement.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('?');
        text.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    text
}

fn parameters_are_in_order(statement: &str) -> bool {
    let number = |part: &str| {
        let end = part.find(|digit: char| !digit.is_ascii_digit());
        part[..end.unwrap_or(part.len())].parse::<usize>()
    };
    let mut parts = statement.split('$').skip(1).enumerate();
    parts.all(|(index, part)| number(part) == Ok(index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_gets_question_marks_and_its_own_integer_and_the_others_the_text_as_it_stands() {
        let statement =
            "SELECT CAST(SUM(n) AS BIGINT) FROM t WHERE a = $1 AND b IN ($2, $3) LIMIT $4";
        assert_eq!(Dialect::Sqlite.say(statement), statement);
        assert_eq!(Dialect::Postgres.say(statement), statement);
        assert_eq!(
            Dialect::MySql.say(statement),
            "SELECT CAST(SUM(n) AS SIGNED) FROM t WHERE a = ? AND b IN (?, ?) LIMIT ?"
        );
    }

    #[test]
    fn parameters_that_are_not_used_once_and_in_order_are_noticed() {
        for wrong in ["$2", "$1 $1", "$1 $3", "$2 $1", "a $ b"] {
            assert!(!parameters_are_in_order(wrong), "{wrong}");
        }
        assert!(parameters_are_in_order("$1, $2 $3 $4 $5 $6 $7 $8 $9 $10"));
    }
}
