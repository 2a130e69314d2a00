//! What was used over time: from memory by seconds, from the database by minutes, hours and days.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use tollgate::Micros;

use super::counts::UsageCounts;
use super::write::{LARGEST, SUMMED};
use super::{Step, Usage, lock};
use crate::database::{Columns, stored};
use crate::error::Unavailable;
use crate::id::{KeyId, UserId};

/// Whose use is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What was asked with this key.
    WithKey(KeyId),
    /// What a user asked without a key: by session or token, or, as user `guest`, by guest tokens.
    Without(UserId),
    /// Everything that a user asked, with any of their keys or without one.
    By(UserId),
    /// What was asked without credentials, or with wrong ones.
    ByNobody,
}

/// The counts of one second, minute, hour or day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsagePoint {
    /// All counts.
    pub counts: UsageCounts,
    /// Denials by each policy; a request that several deny is one of each. Not known by seconds.
    pub denied_by: BTreeMap<String, u64>,
}

impl Asked {
    /// The condition of its rows, whose first parameter is the number 1, and what is bound to it. Keys come first: the
    /// tables are sorted by them.
    fn place(&self, number: impl Fn(usize) -> String) -> (String, Vec<String>) {
        let (first, second) = (number(1), number(2));
        match self {
            Asked::WithKey(key) => (format!("key_id = {first}"), vec![key.to_string()]),
            Asked::Without(user) => (
                format!("key_id = '' AND user_id = {first}"),
                vec![user.to_string()],
            ),
            Asked::By(user) => (
                format!(
                    "key_id IN (SELECT id FROM api_keys WHERE user_id = {first} UNION ALL SELECT '') AND user_id = {second}"
                ),
                vec![user.to_string(), user.to_string()],
            ),
            Asked::ByNobody => ("key_id = '' AND user_id = ''".to_owned(), Vec::new()),
        }
    }

    /// What memory knows it by.
    fn id(&self) -> &str {
        match self {
            Asked::WithKey(key) => key.as_str(),
            Asked::Without(user) | Asked::By(user) => user.as_str(),
            Asked::ByNobody => "",
        }
    }

    /// Databases differ in what they make of blanks at the end and of a character 0, and no id has either.
    fn can_be(&self) -> bool {
        match self {
            Asked::WithKey(key) => key.is_well_formed(),
            Asked::Without(user) | Asked::By(user) => {
                let mut bytes = user.as_str().bytes();
                bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            }
            Asked::ByNobody => true,
        }
    }
}

impl Usage {
    /// Counts of the seconds from `from` to before `to`, by when each begins; of the last [`USAGE_SECONDS`] at most, and
    /// only those in which something was asked.
    ///
    /// [`USAGE_SECONDS`]: crate::USAGE_SECONDS
    pub fn seconds(&self, asked: &Asked, from: Micros, to: Micros) -> BTreeMap<Micros, UsagePoint> {
        let (from, to) = (from.as_secs(), to.0.div_ceil(1_000_000));
        let id = asked.id();
        let seconds: Vec<_> = match asked {
            Asked::By(user) => {
                let shards = self.shards.iter();
                let of_shard = |shard| lock(shard).seconds_by(user, from, to);
                shards.flat_map(of_shard).collect()
            }
            _ => self.shard_of(id).seconds(id, from, to),
        };
        let mut points: BTreeMap<Micros, UsagePoint> = BTreeMap::new();
        for (second, counts) in seconds {
            let point = points.entry(Micros::from_secs(second)).or_default();
            point.counts.add(&counts);
        }
        points
    }

    /// Counts of the steps that begin from `from` on and before `to`, by when each begins; only those in which something
    /// was asked. What was asked within the last second or two may not be among them yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn series(
        &self,
        asked: &Asked,
        step: Step,
        from: Micros,
        to: Micros,
    ) -> Result<BTreeMap<Micros, UsagePoint>, Unavailable> {
        let mut points: BTreeMap<Micros, UsagePoint> = BTreeMap::new();
        if !asked.can_be() {
            return Ok(points);
        }
        let sum = |column: &&str| format!("{}, ", self.sum(column));
        let sums: String = SUMMED.iter().map(sum).collect();
        let counts = format!(
            "SELECT bucket_start, {sums}MAX({LARGEST}) AS {LARGEST} FROM {}",
            step.table()
        );
        for row in self
            .rows(&counts, "", asked, "bucket_start", (from, to))
            .await?
        {
            let point = points.entry(row.instant("bucket_start")?).or_default();
            point.counts = UsageCounts::read(&row)?;
        }
        let denials = format!(
            "SELECT bucket_start, policy, {} FROM usage_denials",
            self.sum("denied")
        );
        let of_step = format!("step_s = {} AND ", step.as_secs());
        for row in self
            .rows(
                &denials,
                &of_step,
                asked,
                "bucket_start, policy",
                (from, to),
            )
            .await?
        {
            let point = points.entry(row.instant("bucket_start")?).or_default();
            let denied_by = &mut point.denied_by;
            denied_by.insert(row.text("policy")?, row.count("denied")?);
        }
        Ok(points)
    }

    async fn rows(
        &self,
        select: &str,
        condition: &str,
        asked: &Asked,
        group: &str,
        (from, to): (Micros, Micros),
    ) -> sqlx::Result<Vec<AnyRow>> {
        let number = |number| self.db.dialect().parameter(number);
        let (place, bound) = asked.place(number);
        let (from_number, to_number) = (number(bound.len() + 1), number(bound.len() + 2));
        let statement = format!(
            "{select} WHERE {condition}{place} AND bucket_start >= {from_number} AND bucket_start < {to_number} GROUP BY {group}"
        );
        let mut query = self.db.own_sql(statement);
        for id in bound {
            query = query.bind(id);
        }
        let (from, to) = (stored(from), stored(to));
        query.bind(from).bind(to).fetch_all(self.db.pool()).await
    }

    /// The sum of a column, by its name, as the integer that we read.
    pub(super) fn sum(&self, column: &str) -> String {
        let integer = self.db.dialect().integer();
        format!("CAST(COALESCE(SUM({column}), 0) AS {integer}) AS {column}")
    }
}

impl UsageCounts {
    /// From a row with the columns of counts.
    pub(super) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            allowed: row.count("allowed")?,
            denied: row.count("denied")?,
            failed: row.count("failed")?,
            unauthenticated: row.count("unauthenticated")?,
            answers: [
                row.count("answers_2xx")?,
                row.count("answers_3xx")?,
                row.count("answers_4xx")?,
                row.count("answers_5xx")?,
            ],
            latency_us: row.count("latency_us")?,
            latency_us_max: row.count(LARGEST)?,
            bytes_in: row.count("bytes_in")?,
            bytes_out: row.count("bytes_out")?,
        })
    }
}
