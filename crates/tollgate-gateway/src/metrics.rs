//! What is measured, in the Prometheus text format. Labels come from the rules file alone: never a key, a user or a path.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tollgate::{Decision, Policy, Standing, Verdict};
use tollgate_rules::{Route, RuleSet};

use crate::counters::StoreState;
use crate::durations::Durations;
use crate::ending::{ENDINGS, Ending};
use crate::live::{RouteTraffic, Traffic};
use crate::of_store::OfStore;

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
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    policy: String,
    outcome: &'static str,
}

impl OfRoute {
    fn traffic(&self) -> Traffic {
        let endings = std::array::from_fn(|ending| self.endings[ending].get());
        Traffic::new(endings, self.duration.counts())
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
    store: OfStore,
    usage_dropped: Gauge<u64, AtomicU64>,
    accounts_up: Gauge<u64, AtomicU64>,
    accounts_changes_unread: Gauge<f64, AtomicU64>,
}

/// What the accounts have to say about themselves. The default is that of a gateway without accounts: nothing is amiss.
#[derive(Debug, Clone, Copy)]
pub struct OfAccounts {
    /// Requests whose usage found no room.
    pub usage_dropped: u64,
    /// Whether the database answers.
    pub is_up: bool,
    /// How long ago changes made by others were last read.
    pub changes_unread_for: Duration,
}

impl Default for OfAccounts {
    fn default() -> Self {
        OfAccounts {
            usage_dropped: 0,
            is_up: true,
            changes_unread_for: Duration::ZERO,
        }
    }
}

struct OfRoute {
    name: Arc<str>,
    endings: [Counter; ENDINGS.len()],
    duration: Durations,
    /// One for each of [`OUTCOMES`], for each policy of the route.
    policies: Vec<[Counter; 3]>,
}

impl Metrics {
    /// Metrics for the routes and policies of a rule set.
    pub fn new(rules: &RuleSet) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<RouteLabels, Durations>::default();
        let decisions = Family::<DecisionLabels, Counter>::default();
        let degraded = Family::<DegradedLabels, Counter>::default();
        let asked = Family::<AskedLabels, Counter>::default();
        let of_asked = |outcome| asked.get_or_create_owned(&AskedLabels { outcome });
        let of = |route: &Arc<str>, policies: Vec<&str>| OfRoute {
            name: Arc::clone(route),
            endings: ENDINGS.map(|ending| {
                requests.get_or_create_owned(&RequestLabels {
                    route: route.to_string(),
                    outcome: ending.name(),
                })
            }),
            duration: durations.get_or_create_owned(&RouteLabels {
                route: route.to_string(),
            }),
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
        let routes = rules
            .routes
            .routes()
            .iter()
            .map(|route| {
                of(
                    &route.name,
                    route.policies().map(|policy| policy.name()).collect(),
                )
            })
            .collect();
        let unrouted = of(&Arc::from(""), Vec::new());
        let mut registry = Registry::with_prefix("tollgate");
        let store = OfStore::new(rules.counters.is_shared(), &mut registry);
        let mut metrics = Metrics {
            registry,
            store,
            routes,
            unrouted,
            decisions: decisions.clone(),
            degraded: DEGRADED
                .map(|outcome| degraded.get_or_create_owned(&DegradedLabels { outcome })),
            asked: ENDINGS.map(|ending| of_asked(ending.name())),
            asked_by_strangers: of_asked("stranger"),
            connections: Gauge::default(),
            usage_dropped: Gauge::default(),
            accounts_up: Gauge::default(),
            accounts_changes_unread: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests by route and how they ended", requests);
        registry.register_with_unit(
            "request_duration",
            "Time from a request's header to its answer's",
            Unit::Seconds,
            durations,
        );
        registry.register("decisions", "Decisions by policy", decisions);
        registry.register(
            "decisions_degraded",
            "Decisions that were made without the shared store, by how they were",
            degraded,
        );
        registry.register(
            "forward_auth_questions",
            "Questions of proxies about requests of their clients, by how they were answered",
            asked,
        );
        registry.register(
            "connections",
            "Open connections",
            metrics.connections.clone(),
        );
        registry.register(
            "usage_dropped",
            "Requests whose usage found no room",
            metrics.usage_dropped.clone(),
        );
        registry.register(
            "accounts_up",
            "Whether the accounts database answers, 1 or 0; 1 where there are no accounts",
            metrics.accounts_up.clone(),
        );
        registry.register_with_unit(
            "accounts_changes_unread",
            "How long ago changes of accounts that others make were last read",
            Unit::Seconds,
            metrics.accounts_changes_unread.clone(),
        );
        metrics
    }

    /// All metrics as text.
    pub fn encode(&self, store: &StoreState, accounts: &OfAccounts) -> String {
        self.store.set(store);
        self.usage_dropped.set(accounts.usage_dropped);
        self.accounts_up.set(u64::from(accounts.is_up));
        let unread_for = accounts.changes_unread_for.as_secs_f64();
        self.accounts_changes_unread.set(unread_for);
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

    pub(crate) fn request(&self, route: Option<&Route>, ending: Ending, took: Duration) {
        let of = route.map_or(&self.unrouted, |route| &self.routes[route.index]);
        of.endings[ending as usize].inc();
        of.duration.observe(took);
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
            if route.limits.iter().any(|charged| charged.name == limit) {
                let labels = DecisionLabels {
                    policy: format!("{limit}.other"),
                    outcome: OUTCOMES[outcome],
                };
                self.decisions.get_or_create(&labels).inc();
            }
        }
    }
}

/// The place in [`OUTCOMES`] of what a decision was under one of its policies; `None` where only another one denied.
fn outcome(decision: &Decision, standing: &Standing) -> Option<usize> {
    match (standing.is_violated(), standing.is_shadow()) {
        (true, true) => Some(2),
        (true, false) => Some(1),
        (false, _) => decision.is_allowed().then_some(0),
    }
}
