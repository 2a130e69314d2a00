//! What a key has used over time.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use tollgate::Micros;
use tollgate_accounts::{Asked, KeyId, UsagePoint, UserId};
use tollgate_gateway::refusal::Refusal;

use super::super::{Builtins, answer, time, unreachable};
use super::counts::Counts;
use super::csv::Csv;
use super::query::{Fineness, Query, Range};

/// The points of a series, one for each step, also where nothing was asked.
#[derive(Serialize)]
struct Series<'s> {
    /// The key's id, or `-` for what was asked without one.
    key: &'s str,
    step: &'static str,
    from: String,
    to: String,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    at: String,
    #[serde(flatten)]
    counts: Counts,
    denied_by: BTreeMap<String, u64>,
}

impl Builtins {
    pub(super) async fn series(
        &self,
        key: &str,
        asked: &Asked,
        query: &Query,
    ) -> Result<Response<Bytes>, Refusal> {
        let range = query.range(self.now())?;
        let known = self.known(asked, &range).await?;
        let points = points(&range, known);
        if query.csv {
            return Ok(as_csv(points));
        }
        let series = Series {
            key,
            step: range.fineness.name(),
            from: time::rfc3339(range.from),
            to: time::rfc3339(range.to),
            points,
        };
        answer::json(StatusCode::OK, &series)
    }

    /// What was counted, by when each point begins; only where something was.
    pub(in crate::builtin) async fn known(
        &self,
        asked: &Asked,
        range: &Range,
    ) -> Result<BTreeMap<Micros, UsagePoint>, Refusal> {
        let usage = self.accounts.usage();
        match range.fineness {
            Fineness::Second => Ok(usage.seconds(asked, range.from, range.to)),
            Fineness::Stored(step) => usage
                .series(asked, step, range.from, range.to)
                .await
                .map_err(|error| unreachable(&error)),
        }
    }

    /// For an administrator: of any key, or, as `-`, of a user who came without one, or of nobody.
    pub(crate) async fn series_of_anybody(
        &self,
        id: &str,
        query: &Query,
    ) -> Result<Response<Bytes>, Refusal> {
        let asked = match (id, &query.user) {
            ("-", None) => Asked::ByNobody,
            ("-", Some(name)) => Asked::Without(self.user_named(name).await?),
            (id, _) => Asked::WithKey(KeyId::from(id)),
        };
        self.series(id, &asked, query).await
    }

    /// All guests count as one user, who has no account.
    async fn user_named(&self, name: &str) -> Result<UserId, Refusal> {
        let user = self.accounts.user_by_name(name).await;
        match user.map_err(|error| unreachable(&error))? {
            Some(user) => Ok(user.id),
            None if name == "guest" => Ok(UserId::from(name)),
            None => Err(Refusal::not_found()),
        }
    }
}

fn points(range: &Range, mut known: BTreeMap<Micros, UsagePoint>) -> Vec<Point> {
    let step = range.fineness.as_secs() * 1_000_000;
    let begins = (range.from.0..range.to.0).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let point = |at: u64| {
        let point = known.remove(&Micros(at)).unwrap_or_default();
        Point {
            at: time::rfc3339(Micros(at)),
            counts: Counts::from(&point.counts),
            denied_by: point.denied_by,
        }
    };
    begins.map(point).collect()
}

fn as_csv(points: Vec<Point>) -> Response<Bytes> {
    let names = ["at"].into_iter().chain(Counts::COLUMNS);
    let mut csv = Csv::new(names.chain(["denied_by"]));
    for point in points {
        let denied_by = point.denied_by.iter();
        let denied_by: Vec<String> = denied_by
            .map(|(policy, denied)| format!("{policy}={denied}"))
            .collect();
        let cells = [point.at].into_iter().chain(point.counts.cells());
        csv.line(cells.chain([denied_by.join(" ")]));
    }
    csv.answer()
}
