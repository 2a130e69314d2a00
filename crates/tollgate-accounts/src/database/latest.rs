//! One statement that gives many rows an instant each, but for those that have a later one.

use std::fmt::Display;

use sqlx::{AssertSqlSafe, query};
use tollgate::Micros;

use super::dialect::Dialect;
use super::{Statement, stored};

/// A column of instants in a table whose rows have an `id`.
pub(crate) struct Latest {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
}

impl Latest {
    /// The statement with its values. Let rows come in the order of their ids, so that two processes that write the same
    /// rows seldom wait in a circle.
    pub(crate) fn query<Id: Display>(&self, dialect: Dialect, rows: &[(Id, Micros)]) -> Statement {
        let mut query = query(AssertSqlSafe(self.statement(dialect, rows.len())));
        for (id, instant) in rows {
            query = query.bind(id.to_string()).bind(stored(*instant));
        }
        for (id, _) in rows {
            query = query.bind(id.to_string());
        }
        query
    }

    fn statement(&self, dialect: Dialect, rows: usize) -> String {
        let Self { table, column } = self;
        let (number, integer) = (|number| dialect.parameter(number), dialect.integer());
        let case = |row| {
            let (id, instant) = (number(2 * row + 1), number(2 * row + 2));
            format!("WHEN {id} THEN CAST({instant} AS {integer})")
        };
        let cases: Vec<String> = (0..rows).map(case).collect();
        let ids: Vec<String> = (0..rows).map(|row| number(2 * rows + row + 1)).collect();
        let (larger, cases, ids) = (dialect.larger(), cases.join(" "), ids.join(", "));
        format!(
            "UPDATE {table} SET {column} = {larger}(COALESCE({column}, 0), CASE id {cases} END) WHERE id IN ({ids})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_database_gets_many_rows_in_its_own_words() {
        let latest = Latest {
            table: "t",
            column: "at",
        };
        assert_eq!(
            latest.statement(Dialect::Postgres, 2),
            "UPDATE t SET at = GREATEST(COALESCE(at, 0), CASE id WHEN $1 THEN CAST($2 AS BIGINT) \
            WHEN $3 THEN CAST($4 AS BIGINT) END) WHERE id IN ($5, $6)"
        );
        assert_eq!(
            latest.statement(Dialect::MySql, 1),
            "UPDATE t SET at = GREATEST(COALESCE(at, 0), CASE id WHEN ? THEN CAST(? AS SIGNED) END) WHERE id IN (?)"
        );
    }
}
