//! What every answer gets at its end: rate-limit fields, its request's id, a place in the metrics, usage, and the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response};
use tollgate::{Decision, Micros, Policy};
use tollgate_accounts::{Outcome, UsageEvent};
use tollgate_rules::Action;
use tollgate_tower::fields;

use crate::body::Body;
use crate::cors;
use crate::ending::Ending;
use crate::gateway::Gateway;
use crate::heavy::Share;
use crate::metered::{BytesIn, Metered};
use crate::metrics::Ended;
use crate::refusal::{Refusal, RefusalContext, refuse};
use crate::trace::Trace;
use crate::well_formed::METHOD_BYTES_MAX;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Refusals that are logged in one second; a flood of them does not fill a disk.
const REFUSALS_LOGGED_PER_S: u64 = 50;
static LINES: Lines = Lines::new();

impl Trace<'_> {
    /// The answer as the client gets it.
    pub(crate) fn finish(
        self,
        gateway: &Gateway,
        answered: Result<Response<Body>, Refusal>,
    ) -> Response<Body> {
        let (mut response, refusal) = match answered {
            Ok(response) => (response, None),
            Err(refusal) => {
                let context = RefusalContext {
                    route: self.route,
                    accepts: self.accepts,
                    path: &self.path,
                    request_id: self.request_id.to_str().unwrap_or_default(),
                    site: self.site(gateway),
                };
                (refuse(&refusal, &context).map(Body::from), Some(refusal))
            }
        };
        let ending = match self.refused_prefetch {
            true => Ending::Refused,
            false => ending(&response, refusal.as_ref()),
        };
        self.write_fields(gateway, response.headers_mut(), refusal.as_ref());
        let took = self.started.elapsed();
        let ended = Ended {
            method: &self.method,
            secure: self.secure,
            status: response.status(),
            ending,
            took,
        };
        gateway.metrics.request(self.route, &ended);
        self.count_caller(gateway, ending);
        let metered = self.record_usage(gateway, &response, refusal.as_ref(), ending, took);
        self.end_span(gateway, &response, refusal.as_ref(), ending);
        self.log(gateway, &response, refusal.as_ref(), ending, took);
        response.headers_mut().insert(REQUEST_ID, self.request_id);
        if let Some(asked) = self.asked {
            gateway.metrics.asked(asked.by_stranger, ending);
            asked.tell(&mut response);
        }
        match (self.decided.and_then(|decided| decided.slots), metered) {
            (None, None) => response,
            (slots, metered) => response.map(|body| body.holding(slots).metered(metered)),
        }
    }

    fn count_caller(&self, gateway: &Gateway, ending: Ending) {
        let share = match ending {
            Ending::Denied | Ending::Unauthenticated => Share::Denied,
            Ending::Allowed | Ending::Refused | Ending::Failed => Share::Allowed,
        };
        let (who, now) = (self.identity.as_deref(), self.now);
        gateway.heavy.count(who, self.client, share, now);
    }

    fn write_fields(&self, gateway: &Gateway, headers: &mut HeaderMap, refusal: Option<&Refusal>) {
        let limited = refusal.and_then(Refusal::decision);
        let prepared = self.route.map(|route| &gateway.policy_values[route.index]);
        if let Some(limited) = limited {
            write(gateway, headers, &limited.policies, None, &limited.decision);
        } else if let Some(decided) = &self.decided {
            remove_limit_fields(headers);
            let prepared = prepared.filter(|_| decided.usual).and_then(Option::as_ref);
            write(
                gateway,
                headers,
                &decided.policies,
                prepared,
                &decided.decision,
            );
        }
        if self.identity.is_some() && !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        cors::allow(
            &gateway.rules.server.cors_origins,
            self.cors_origin.as_ref(),
            headers,
        );
    }

    /// Counts the request for whoever asked, or for nobody where the route wants to know who it is. Built-ins are about
    /// the account, not a use of it. What is returned counts the bytes that are still to come.
    fn record_usage(
        &self,
        gateway: &Gateway,
        response: &Response<Body>,
        refusal: Option<&Refusal>,
        ending: Ending,
        took: Duration,
    ) -> Option<Metered> {
        let (Some(accounts), Some(route)) = (&gateway.accounts, self.route) else {
            return None;
        };
        let is_open = self.identity.is_none() && route.auth.is_empty();
        if is_open || matches!(route.action, Action::Builtin { .. }) {
            return None;
        }
        let denied_by = match (ending, refusal) {
            (Ending::Denied, Some(refusal)) => refusal.violated(),
            _ => Vec::new(),
        };
        let whole = response.body().whole_bytes();
        let event = UsageEvent {
            who: self.identity.as_deref(),
            route: &route.name,
            outcome: match ending {
                Ending::Allowed => Outcome::Allowed,
                Ending::Denied => Outcome::Denied,
                Ending::Unauthenticated => Outcome::Unauthenticated,
                Ending::Refused | Ending::Failed => Outcome::Failed,
            },
            status: response.status().as_u16(),
            latency_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            bytes_in: self.bytes_in.as_ref().map_or(0, BytesIn::take),
            bytes_out: whole.filter(|_| self.method != Method::HEAD).unwrap_or(0),
            denied_by: &denied_by,
        };
        accounts.usage().record(&event, self.now);
        whole.is_none().then(|| Metered {
            accounts: accounts.clone(),
            clock: Arc::clone(&gateway.clock),
            who: self.identity.clone(),
            route: Arc::clone(&route.name),
            bytes_in: self.bytes_in.clone(),
            bytes_out: 0,
        })
    }

    /// Neither a secret nor a key that a caller chose is ever written: the route, ids that we made, and the policies.
    fn log(
        &self,
        gateway: &Gateway,
        response: &Response<Body>,
        refusal: Option<&Refusal>,
        ending: Ending,
        took: Duration,
    ) {
        let access_log = gateway.rules.server.access_log;
        if !access_log && (ending == Ending::Allowed || !LINES.has_room(gateway.clock.now())) {
            return;
        }
        let refused = refusal.and_then(Refusal::decision);
        let decision = match refused {
            Some(limited) => Some(&limited.decision),
            None => self.decided.as_ref().map(|decided| &decided.decision),
        };
        tracing::info!(
            request_id = self.request_id.to_str().unwrap_or_default(),
            trace_id = self.span.as_ref().filter(|open| open.is_sampled()).map(|open| open.trace_text()),
            method = %shortened(&self.method),
            route = self.route.map_or("", |route| &route.name),
            status = response.status().as_u16(),
            decision = ending.name(),
            degraded = decision.is_some_and(Decision::is_degraded).then_some(true),
            policies = refusal.map(|refusal| refusal.violated().join(" ")).filter(|names| !names.is_empty()),
            upstream_error = refusal.and_then(Refusal::upstream_error),
            key_id = self.identity.as_ref().and_then(|identity| identity.key.as_ref()).map(|key| key.as_str()),
            took_us = took.as_micros() as u64,
            "request"
        );
    }
}

/// A method that is too long is refused, and its line is as long as any other.
fn shortened(method: &Method) -> &str {
    let method = method.as_str();
    method.get(..METHOD_BYTES_MAX).unwrap_or(method)
}

/// Fields that an upstream may have written about limits of its own, which ours replace.
fn remove_limit_fields(headers: &mut HeaderMap) {
    let is_one = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with("ratelimit") || name.starts_with("x-ratelimit-")
    };
    while let Some(name) = headers.keys().find(is_one).cloned() {
        headers.remove(name);
    }
}

fn write(
    gateway: &Gateway,
    headers: &mut HeaderMap,
    policies: &[Arc<Policy>],
    prepared: Option<&HeaderValue>,
    decision: &Decision,
) {
    let policies = policies.iter().map(|policy| &**policy);
    let value = prepared
        .cloned()
        .or_else(|| fields::policy_value(policies.clone()));
    fields::write(headers, policies, value.as_ref(), decision, gateway.legacy);
}

fn ending(response: &Response<Body>, refusal: Option<&Refusal>) -> Ending {
    match refusal {
        Some(refusal) if refusal.is_limited() => Ending::Denied,
        Some(refusal) if refusal.is_unauthenticated() => Ending::Unauthenticated,
        _ if response.status().is_server_error() => Ending::Failed,
        Some(_) => Ending::Refused,
        None => Ending::Allowed,
    }
}

/// Lines of the current second.
struct Lines {
    second: AtomicU64,
    count: AtomicU64,
}

impl Lines {
    const fn new() -> Self {
        Lines {
            second: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }

    /// Whether the second of `now` still has room for a line. What it has no room for is said when the next one begins.
    fn has_room(&self, now: Micros) -> bool {
        let (second, known) = (now.as_secs(), self.second.load(Ordering::Relaxed));
        // Threads that are an instant apart do not begin a second anew; a clock that was set back does.
        let is_new = second > known || second + 1 < known;
        let begin = || {
            let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            self.second.compare_exchange(known, second, order, failed)
        };
        if is_new && begin().is_ok() {
            let lines = self.count.swap(0, Ordering::Relaxed);
            if lines > REFUSALS_LOGGED_PER_S {
                tracing::warn!(
                    not_logged = lines - REFUSALS_LOGGED_PER_S,
                    "more refusals than are logged"
                );
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed) < REFUSALS_LOGGED_PER_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_lines_once_however_instants_take_turns() {
        let lines = Lines::new();
        let written = |instants: &[u64]| {
            let instants = instants.iter().cycle().take(1_000);
            instants
                .filter(|second| lines.has_room(Micros::from_secs(**second)))
                .count()
        };
        assert_eq!(written(&[100, 99]), 50);
        assert_eq!(written(&[100]), 0);
        assert_eq!(written(&[101, 100]), 50);
        assert_eq!(written(&[40]), 50, "the clock was set back");
    }
}
