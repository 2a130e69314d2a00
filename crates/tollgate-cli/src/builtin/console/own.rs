//! What is one's own: where one stands under every limit, live, and what one has used over time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::Serialize;
use tollgate::Micros;
use tollgate_accounts::{Asked, Step, UsagePoint};
use tollgate_gateway::builtin::{BuiltinCall, Pushed};
use tollgate_gateway::page::Window;
use tollgate_gateway::refusal::Refusal;
use tollgate_rules::{KeyPart, Limit, Subject};

use super::super::monitor::{Fineness, Range, Shown, by_user};
use super::super::{Builtins, account, answer, unreachable};

/// The times that can be looked back on: name, step, points.
const SPANS: [(&str, Fineness, u64); 4] = [
    ("5-minutes", Fineness::Second, 300),
    ("hour", Fineness::Stored(Step::Minute), 60),
    ("day", Fineness::Stored(Step::Hour), 24),
    ("month", Fineness::Stored(Step::Day), 30),
];

/// A series by columns, which is a tenth of what it would be by points: the first page of the console is small.
#[derive(Default, Serialize)]
struct Columns {
    /// When the first point begins, in seconds since 1970.
    from_s: u64,
    step_s: u64,
    allowed: Vec<u64>,
    denied: Vec<u64>,
    failed: Vec<u64>,
    unauthenticated: Vec<u64>,
    /// In microseconds; `None` where nothing was asked.
    latency_us_avg: Vec<Option<u64>>,
    latency_us_max: Vec<Option<u64>>,
    /// Denials over all of it by each policy; not known by seconds.
    denied_by: BTreeMap<String, u64>,
}

impl Builtins {
    /// The limits that concern whoever asks without a key: all that are known by user, address and route.
    fn concerning(&self) -> Vec<Arc<Limit>> {
        let known = |part: &KeyPart| {
            matches!(
                part,
                KeyPart::ClientIp { .. } | KeyPart::User | KeyPart::Route | KeyPart::Global
            )
        };
        let limits = self.rules.limits.iter();
        limits
            .filter(|limit| limit.key.parts().iter().all(known))
            .cloned()
            .collect()
    }

    /// Where the caller stands under each of them.
    pub(super) async fn own_windows(&self, call: &BuiltinCall) -> Result<Vec<Window>, Refusal> {
        let who = account(call)?;
        let headers = HeaderMap::new();
        let subject = Subject {
            address: call.caller.address,
            user: Some(who.user.as_str()),
            user_name: who.name.as_deref(),
            api_key: None,
            claims: &[],
            headers: &headers,
            query: None,
            route: "",
        };
        let concerning = self.concerning();
        let standings = self.standings(&concerning, &subject, &[], Some(&who.terms));
        let standings = standings.await;
        Ok(standings.map_or_else(|_| Vec::new(), |standings| standings.windows))
    }

    pub(super) fn own_live(
        self: &Arc<Self>,
        call: &BuiltinCall,
    ) -> Result<Response<Pushed>, Refusal> {
        let shown = Shown {
            for_keys: by_user(&self.rules.limits),
            for_reader: self.concerning(),
            address: call.caller.address,
        };
        self.live_of_own(call, shown)
    }

    /// What was asked by `id`: a key of the caller's, `-` without one, `all` both.
    pub(super) async fn own_series(
        &self,
        call: &BuiltinCall,
        id: &str,
    ) -> Result<Response<Bytes>, Refusal> {
        let user = account(call)?.user.clone();
        let asked = match id {
            "all" => Asked::By(user),
            "-" => Asked::Without(user),
            id => {
                let keys = self.accounts.list_keys(&user).await;
                let keys = keys.map_err(|error| unreachable(&error))?;
                let key = keys.into_iter().find(|key| key.id.as_str() == id);
                Asked::WithKey(key.ok_or_else(Refusal::not_found)?.id)
            }
        };
        let range = span(call.request.uri().query(), self.now())?;
        let known = self.known(&asked, &range).await?;
        answer::json(StatusCode::OK, &Columns::of(&range, known))
    }
}

/// What `span=NAME` asks for, up to the running step.
fn span(query: Option<&str>, now: Micros) -> Result<Range, Refusal> {
    let name = query.and_then(|query| query.strip_prefix("span="));
    let span = SPANS.iter().find(|(known, ..)| Some(*known) == name);
    let (_, fineness, points) = span
        .ok_or_else(|| Refusal::bad_request("`span` is `5-minutes`, `hour`, `day` or `month`."))?;
    let step = fineness.as_secs() * 1_000_000;
    let to = now.0 - now.0 % step + step;
    Ok(Range {
        fineness: *fineness,
        from: Micros(to.saturating_sub(points * step)),
        to: Micros(to),
    })
}

impl Columns {
    fn of(range: &Range, mut known: BTreeMap<Micros, UsagePoint>) -> Self {
        let mut columns = Columns {
            from_s: range.from.as_secs(),
            step_s: range.fineness.as_secs(),
            ..Columns::default()
        };
        let step = range.fineness.as_secs() * 1_000_000;
        let mut at = range.from;
        while at < range.to {
            let point = known.remove(&at).unwrap_or_default();
            let counts = point.counts;
            columns.allowed.push(counts.allowed);
            columns.denied.push(counts.denied);
            columns.failed.push(counts.failed);
            columns.unauthenticated.push(counts.unauthenticated);
            let asked = Some(counts.requests()).filter(|requests| *requests > 0);
            let average = asked.map(|requests| counts.latency_us / requests);
            columns.latency_us_avg.push(average);
            columns
                .latency_us_max
                .push(asked.map(|_| counts.latency_us_max));
            for (policy, denied) in point.denied_by {
                *columns.denied_by.entry(policy).or_default() += denied;
            }
            at = Micros(at.0 + step);
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_ends_with_the_running_step_and_has_a_column_for_each_point() {
        let now = Micros(1_800_000_030_500_000);
        for (name, points, step_s) in [
            ("5-minutes", 300, 1),
            ("hour", 60, 60),
            ("day", 24, 3_600),
            ("month", 30, 86_400),
        ] {
            let range = span(Some(&format!("span={name}")), now).unwrap();
            assert!(range.to > now && range.to.0 - now.0 <= step_s * 1_000_000);
            let columns = Columns::of(&range, BTreeMap::new());
            assert_eq!(columns.allowed.len(), points, "{name}");
            assert_eq!(columns.step_s, step_s, "{name}");
        }
        for wrong in [None, Some(""), Some("span=week"), Some("span=hour&x=1")] {
            assert_eq!(span(wrong, now).unwrap_err().status(None), 400, "{wrong:?}");
        }
    }
}
