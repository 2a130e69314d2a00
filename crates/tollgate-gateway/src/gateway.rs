//! What all threads of the data plane share.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::uri::Authority;
use tollgate::{Clock, Policy};
use tollgate_accounts::Accounts;
use tollgate_rules::{KeySpec, LegacyFields, Protection, RuleSet, Upstream};
use tollgate_tower::fields::{self, Legacy};

use crate::address::Proxies;
use crate::admission::Admission;
use crate::builtin::Calls;
use crate::counters::Counters;
use crate::heavy::Heavy;
use crate::metrics::{Metrics, Reading};
use crate::page::Links;
use crate::spans::Tracer;

/// The data plane, shared by its threads.
pub struct Gateway {
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) accounts: Option<Accounts>,
    pub(crate) counters: Counters,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) calls: Calls,
    pub(crate) links: Links,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) heavy: Heavy,
    pub(crate) upstreams: Vec<Server>,
    pub(crate) proxies: Proxies,
    pub(crate) admission: Arc<Admission>,
    pub(crate) legacy: Legacy,
    /// `RateLimit-Policy` of each route, which depends on no request.
    pub(crate) policy_values: Vec<Option<HeaderValue>>,
    pub(crate) guessing: Guessing,
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// A server to forward to.
pub(crate) struct Server {
    pub(crate) authority: Authority,
    pub(crate) host: HeaderValue,
    /// What stands in place of the pattern's literal path.
    pub(crate) path: Option<String>,
}

/// The limit on credentials that nobody knows, by address.
pub(crate) struct Guessing {
    pub(crate) key: KeySpec,
    pub(crate) policies: Vec<Arc<Policy>>,
}

/// Where the number API of this program listens, once it does; for [`Upstream::Demo`].
#[derive(Debug, Clone, Default)]
pub struct Upstreams {
    /// In the order of [`RuleSet::upstreams`]; `None` for servers that the rules name by URL.
    pub demos: Vec<Option<std::net::SocketAddr>>,
}

impl Gateway {
    /// The data plane of a rule set. Its requests are traced where there is a `tracer`.
    ///
    /// # Errors
    /// A quota of the protection that cannot be counted exactly, or an upstream that has no place to connect to.
    pub fn new(
        rules: Arc<RuleSet>,
        accounts: Option<Accounts>,
        counters: Counters,
        clock: Arc<dyn Clock>,
        calls: Calls,
        upstreams: &Upstreams,
        tracer: Option<Arc<Tracer>>,
    ) -> Result<Arc<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let policy_values = rules
            .routes
            .routes()
            .iter()
            .map(|route| fields::policy_value(route.policies()));
        Ok(Arc::new(Gateway {
            policy_values: policy_values.collect(),
            guessing: Guessing {
                key: KeySpec::client_ip(),
                policies: Protection::policies(
                    "credentials-per-address",
                    &rules.accounts.protection.credentials_per_address,
                    rules.counters.on_error_of_protection(),
                )?,
            },
            links: Links::of(&rules),
            metrics: Arc::new(Metrics::new(&rules)),
            heavy: Heavy::default(),
            upstreams: servers(&rules, upstreams)?,
            proxies: Proxies::new(rules.server.trusted_proxies.clone()),
            admission: Admission::new(
                rules.server.connections_max,
                rules.server.connections_per_address_max,
                rules.server.trusted_proxies.clone(),
            ),
            legacy: match rules.fields.legacy {
                LegacyFields::Delta => Legacy::Delta,
                LegacyFields::Epoch => Legacy::Epoch,
                LegacyFields::None => Legacy::None,
            },
            rules,
            accounts,
            counters,
            clock,
            calls,
            tracer,
        }))
    }

    /// What is measured.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// All that is measured, as text.
    pub fn encode_metrics(&self) -> String {
        self.metrics.encode(&Reading {
            store: &self.counters.state(self.clock.now()),
            accounts: self.accounts.as_ref(),
            connections_refused: self.admission.refused(),
            calls_waiting: self.calls.max_capacity() - self.calls.capacity(),
        })
    }

    /// Who asks most, and who is refused most. For administrators alone.
    pub fn heavy(&self) -> &Heavy {
        &self.heavy
    }

    /// Links to the parts of the gateway.
    pub fn links(&self) -> &Links {
        &self.links
    }

    pub(crate) fn read_timeout(&self) -> Duration {
        self.rules.server.read_timeout
    }
}

fn servers(
    rules: &RuleSet,
    upstreams: &Upstreams,
) -> Result<Vec<Server>, Box<dyn std::error::Error + Send + Sync>> {
    let server = |(index, upstream): (usize, &Upstream)| {
        let (authority, path) = match upstream {
            Upstream::Server { authority, path } => (authority.clone(), path.clone()),
            Upstream::Demo { .. } => {
                let address = upstreams
                    .demos
                    .get(index)
                    .copied()
                    .flatten()
                    .ok_or("the number API is not running")?;
                (address.to_string(), Some(Upstream::DEMO_PATH.to_owned()))
            }
        };
        Ok(Server {
            host: HeaderValue::from_str(&authority)?,
            authority: authority.parse()?,
            path,
        })
    };
    rules.upstreams.iter().enumerate().map(server).collect()
}
