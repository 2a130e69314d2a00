//! What is measured, in the Prometheus text format. Labels come from the rules file and from sets that are
//! fixed or bounded: never a key, a user or a path.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tollgate::{Decision, Policy, Standing, Verdict};
use tollgate_accounts::Accounts;
use tollgate_rules::{Route, RuleSet, Upstream};

use crate::counters::StoreState;
use crate::ending::{ENDINGS, Ending};
use crate::live::{RouteTraffic, Traffic};
use crate::of_accounts::OfAccounts;
use crate::of_store::OfStore;
use crate::request_durations::{RequestDurations, RouteDurations};
use crate::total::Total;
use crate::upstream::{FAULTS, Fault};

/// How a decision was under one policy.
const OUTCOMES: [&str; 3] = ["allowed", "denied", "shadow_denied"];

/// How a decision was that was made without the shared store.
const DEGRADED: [&str; 3] = ["allowed", "denied", "refused"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DegradedLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AskedLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    upstream: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    policy: String,
    outcome: &'static str,
}

impl OfRoute {
    fn traffic(&self) -> Traffic {
        let endings = std::array::from_fn(|ending| self.endings[ending].get());
        Traffic::new(endings, self.durations.counts())
    }
}

/// The metrics of a data plane. What a request touches is looked up once, at start.
pub struct Metrics {
    registry: Registry,
    routes: Vec<OfRoute>,
    unrouted: OfRoute,
    decisions: Family<DecisionLabels, Counter>,
    /// One for each of [`DEGRADED`].
    degraded: [Counter; DEGRADED.len()],
    /// Questions of proxies: one for each of [`ENDINGS`].
    asked: [Counter; ENDINGS.len()],
    /// Questions of others than trusted proxies.
    asked_by_strangers: Counter,
    /// Connections that are open.
    pub connections: Gauge,
    connections_refused: Total,
    /// Connections that ended in their greeting.
    pub(crate) tls_handshakes_failed: Counter,
    calls_waiting: Gauge,
    /// One for each of [`FAULTS`], for each upstream.
    faults: Vec<[Counter; FAULTS.len()]>,
    store: OfStore,
    accounts: OfAccounts,
}

/// How a request ended.
pub(crate) struct Ended<'e> {
    pub(crate) method: &'e Method,
    /// Whether its client came by https.
    pub(crate) secure: bool,
    pub(crate) status: StatusCode,
    pub(crate) ending: Ending,
    /// From its header to its answer's.
    pub(crate) took: Duration,
}

/// What others know when metrics are read.
pub(crate) struct Reading<'r> {
    pub(crate) store: &'r StoreState,
    pub(crate) accounts: Option<&'r Accounts>,
    /// Connections that were closed since their address had its share.
    pub(crate) connections_refused: u64,
    /// Calls that wait for the control side.
    pub(crate) calls_waiting: usize,
}

struct OfRoute {
    name: Arc<str>,
    endings: [Counter; ENDINGS.len()],
    durations: Arc<RouteDurations>,
    /// One for each of [`OUTCOMES`], for each policy of the route.
    policies: Vec<[Counter; 3]>,
}

impl Metrics {
    /// Metrics for the routes, policies and upstreams of a rule set.
    pub fn new(rules: &RuleSet) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let decisions = Family::<DecisionLabels, Counter>::default();
        let degraded = Family::<DegradedLabels, Counter>::default();
        let asked = Family::<AskedLabels, Counter>::default();
        let of_asked = |outcome| asked.get_or_create_owned(&AskedLabels { outcome });
        let faults = Family::<FaultLabels, Counter>::default();
        let of = |route: &Arc<str>, policies: Vec<&str>| OfRoute {
            name: Arc::clone(route),
            endings: ENDINGS.map(|ending| {
                requests.get_or_create_owned(&RequestLabels {
                    route: route.to_string(),
                    outcome: ending.name(),
                })
            }),
            durations: RouteDurations::new(template(route)),
            policies: policies
                .iter()
                .map(|policy| {
                    OUTCOMES.map(|outcome| {
                        decisions.get_or_create_owned(&DecisionLabels {
                            policy: (*policy).to_owned(),
                            outcome,
                        })
                    })
                })
                .collect(),
        };
        let routes = rules.routes.routes().iter();
        let routes = routes.map(|route| {
            let policies = route.policies().map(|policy| policy.name());
            of(&route.name, policies.collect())
        });
        let routes: Vec<OfRoute> = routes.collect();
        let unrouted = of(&Arc::from(""), Vec::new());
        let of_upstream = |upstream: &Upstream| {
            FAULTS.map(|fault| {
                faults.get_or_create_owned(&FaultLabels {
                    upstream: upstream.label().to_owned(),
                    kind: fault.name(),
                })
            })
        };
        let mut registry = Registry::default();
        let durations = routes.iter().chain([&unrouted]);
        let durations = durations.map(|route| Arc::clone(&route.durations));
        registry.register_with_unit(
            "http_server_request_duration",
            "Time from a request's header to its answer's",
            Unit::Seconds,
            RequestDurations(durations.collect()),
        );
        let own = registry.sub_registry_with_prefix("tollgate");
        let metrics = Metrics {
            store: OfStore::new(rules.counters.is_shared(), own),
            accounts: OfAccounts::new(own),
            routes,
            unrouted,
            decisions: decisions.clone(),
            degraded: DEGRADED
                .map(|outcome| degraded.get_or_create_owned(&DegradedLabels { outcome })),
            asked: ENDINGS.map(|ending| of_asked(ending.name())),
            asked_by_strangers: of_asked("stranger"),
            connections: Gauge::default(),
            connections_refused: Total::default(),
            tls_handshakes_failed: Counter::default(),
            calls_waiting: Gauge::default(),
            faults: rules.upstreams.iter().map(of_upstream).collect(),
            registry: Registry::default(),
        };
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        own.register("build", "What is running", Info::new(version));
        own.register("requests", "Requests by route and how they ended", requests);
        own.register("decisions", "Decisions by policy", decisions);
        own.register(
            "decisions_degraded",
            "Decisions that were made without the shared store, by how they were",
            degraded,
        );
        own.register(
            "forward_auth_questions",
            "Questions of proxies about requests of their clients, by how they were answered",
            asked,
        );
        own.register(
            "upstream_errors",
            "Requests that an upstream did not answer, by upstream and why",
            faults,
        );
        own.register(
            "connections",
            "Open connections",
            metrics.connections.clone(),
        );
        own.register(
            "connections_refused",
            "Connections that were closed at once, since their address had its share",
            metrics.connections_refused.clone(),
        );
        own.register(
            "tls_handshakes_failed",
            "Connections that ended before they were encrypted",
            metrics.tls_handshakes_failed.clone(),
        );
        own.register(
            "control_calls_waiting",
            "Requests that wait for the control side: built-ins, and credentials that are looked up",
            metrics.calls_waiting.clone(),
        );
        Metrics {
            registry,
            ..metrics
        }
    }

    /// All metrics as text.
    pub(crate) fn encode(&self, reading: &Reading<'_>) -> String {
        self.store.set(reading.store);
        self.accounts.set(reading.accounts);
        self.connections_refused.set(reading.connections_refused);
        self.calls_waiting.set(reading.calls_waiting as i64);
        let mut encoded = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut encoded, &self.registry);
        encoded
    }

    /// Everything that was counted since the start.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = self.unrouted.traffic();
        for route in &self.routes {
            traffic.add(&route.traffic());
        }
        traffic
    }

    /// The same for each route, in the order of the rules; at last for requests that met none.
    pub fn traffic_by_route(&self) -> impl Iterator<Item = RouteTraffic> {
        let all = self.routes.iter().chain([&self.unrouted]);
        all.map(|route| RouteTraffic {
            route: Arc::clone(&route.name),
            traffic: route.traffic(),
        })
    }

    pub(crate) fn request(&self, route: Option<&Route>, ended: &Ended<'_>) {
        let of = route.map_or(&self.unrouted, |route| &self.routes[route.index]);
        of.endings[ended.ending as usize].inc();
        of.durations
            .observe(ended.method, ended.secure, ended.status, ended.took);
    }

    /// Counts a request that an upstream did not answer.
    pub(crate) fn fault(&self, upstream: usize, fault: Fault) {
        self.faults[upstream][fault as usize].inc();
    }

    /// Counts a decision on just the policies of the route.
    pub(crate) fn decision(&self, route: &Route, decision: &Decision) {
        let counters = self.routes[route.index].policies.iter();
        for (counters, standing) in counters.zip(decision.standings()) {
            if let Some(outcome) = outcome(decision, standing) {
                counters[outcome].inc();
            }
        }
    }

    /// Counts a question of a proxy, or of somebody who is none.
    pub(crate) fn asked(&self, by_stranger: bool, ending: Ending) {
        match by_stranger {
            true => self.asked_by_strangers.inc(),
            false => self.asked[ending as usize].inc(),
        };
    }

    /// Counts a decision that was made without the shared store.
    pub(crate) fn degraded(&self, decision: &Decision) {
        let outcome = match decision.verdict() {
            Verdict::Allow => 0,
            Verdict::Deny { .. } | Verdict::Never { .. } => 1,
            Verdict::Refused { .. } => 2,
        };
        self.degraded[outcome].inc();
    }

    /// Counts a decision on policies of which some stand in the place of the route's. Those of a name that the route
    /// has count under it, others together as `LIMIT.other`: no label comes from elsewhere than the rules.
    pub(crate) fn overridden(&self, route: &Route, policies: &[Arc<Policy>], decision: &Decision) {
        for (policy, standing) in policies.iter().zip(decision.standings()) {
            let Some(outcome) = outcome(decision, standing) else {
                continue;
            };
            let known = route
                .policies()
                .position(|known| known.name() == policy.name());
            if let Some(place) = known {
                self.routes[route.index].policies[place][outcome].inc();
                continue;
            }
            let limit = policy
                .name()
                .rsplit_once('.')
                .map_or("", |(limit, _)| limit);
            if route.charges(limit) {
                let labels = DecisionLabels {
                    policy: format!("{limit}.other"),
                    outcome: OUTCOMES[outcome],
                };
                self.decisions.get_or_create(&labels).inc();
            }
        }
    }
}

/// The path of a pattern like `GET /things/{id}`, whose method may be missing.
pub(crate) fn template(pattern: &str) -> &str {
    pattern.rsplit_once(' ').map_or(pattern, |(_, path)| path)
}

/// The place in [`OUTCOMES`] of what a decision was under one of its policies; `None` where only another one denied.
fn outcome(decision: &Decision, standing: &Standing) -> Option<usize> {
    match (standing.is_violated(), standing.is_shadow()) {
        (true, true) => Some(2),
        (true, false) => Some(1),
        (false, _) => decision.is_allowed().then_some(0),
    }
}
