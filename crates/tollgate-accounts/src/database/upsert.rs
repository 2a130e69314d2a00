//! One statement for many rows that may be there already: counts are added to those that are.

use std::fmt::Write;

use super::dialect::Dialect;

/// A table of counts.
pub(crate) struct Upsert {
    /// As statements name it.
    pub(crate) table: &'static str,
    /// The columns of its primary key.
    pub(crate) keys: &'static [&'static str],
    /// Columns that are added up.
    pub(crate) summed: &'static [&'static str],
    /// Columns of which the larger value stays, behind the others.
    pub(crate) largest: &'static [&'static str],
}

impl Upsert {
    /// The statement for so many rows, whose values follow each other: keys, sums, largest.
    pub(crate) fn statement(&self, dialect: Dialect, rows: usize) -> String {
        let (table, keys) = (self.table, self.keys.join(", "));
        let columns = [self.keys, self.summed, self.largest].concat();
        let mut statement = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
        for row in 0..rows {
            let number = |column| dialect.parameter(row * columns.len() + column + 1);
            let values: Vec<String> = (0..columns.len()).map(number).collect();
            let separator = if row == 0 { "" } else { ", " };
            // Writing to a text does not fail.
            let _ = write!(statement, "{separator}({})", values.join(", "));
        }
        let old = |column: &str| match dialect {
            Dialect::MySql => column.to_owned(),
            Dialect::Sqlite | Dialect::Postgres => format!("{table}.{column}"),
        };
        let new = |column: &str| match dialect {
            Dialect::MySql => format!("VALUES({column})"),
            Dialect::Sqlite | Dialect::Postgres => format!("excluded.{column}"),
        };
        let sum = |column: &&str| format!("{column} = {} + {}", old(column), new(column));
        let larger = dialect.larger();
        let largest =
            |column: &&str| format!("{column} = {larger}({}, {})", old(column), new(column));
        let changes: Vec<String> = (self.summed.iter().map(sum))
            .chain(self.largest.iter().map(largest))
            .collect();
        let _ = match dialect {
            Dialect::MySql => write!(statement, " ON DUPLICATE KEY UPDATE "),
            Dialect::Sqlite | Dialect::Postgres => {
                write!(statement, " ON CONFLICT ({keys}) DO UPDATE SET ")
            }
        };
        statement + &changes.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Upsert = Upsert {
        table: "t",
        keys: &["k"],
        summed: &["n"],
        largest: &["m"],
    };

    #[test]
    fn every_database_gets_many_rows_in_its_own_words() {
        assert_eq!(
            TABLE.statement(Dialect::Sqlite, 2),
            "INSERT INTO t (k, n, m) VALUES ($1, $2, $3), ($4, $5, $6) \
            ON CONFLICT (k) DO UPDATE SET n = t.n + excluded.n, m = MAX(t.m, excluded.m)"
        );
        assert_eq!(
            TABLE.statement(Dialect::MySql, 1),
            "INSERT INTO t (k, n, m) VALUES (?, ?, ?) \
            ON DUPLICATE KEY UPDATE n = n + VALUES(n), m = GREATEST(m, VALUES(m))"
        );
    }
}
