//! The rules file: parsed once into a [`RuleSet`] in which nothing is optional or stringly typed any more, or refused
//! with the place, the reason and a suggestion.
//!
//! From a rule set the gateway learns which [`Route`] a request takes, which limits it meets, and under which keys.

mod diagnostic;
pub mod domain;
pub mod envoy;
mod file;
mod issuer;
mod key;
mod limit;
pub mod path;
mod read;
mod route;
mod route_table;
mod service;
mod terms;
mod version;

pub use diagnostic::Diagnostic;
pub use file::{LONGEST_FILE_BYTES, Overrides};
pub use issuer::{Issuer, TokenAlgorithm};
pub use key::{KeyPart, KeySpec, Subject};
pub use limit::{Exempt, Limit, MissingKey};
pub use route::{Action, Auth, Builtin, Head, POLICIES_MAX, Respond, Route, StatusMap, Upstream};
pub use route_table::{Found, RouteTable};
pub use service::{Service, Tls};
pub use terms::{Sharing, Terms};
pub use version::{Contents, Standing, modified};

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use tollgate::{Micros, OnError, OnFull, Quota};

/// A rules file, validated.
#[derive(Debug)]
pub struct RuleSet {
    /// Since when the rules are so, where the file says it.
    pub version: Option<Micros>,
    /// The listener and its bounds.
    pub server: Server,
    /// Where counters live.
    pub counters: Counters,
    /// Accounts and how they are protected.
    pub accounts: Accounts,
    /// The decision service.
    pub service: Service,
    /// What it limits by where Envoy asks.
    pub domains: Vec<Arc<domain::Domain>>,
    /// Which response fields are written beside the current ones.
    pub fields: Fields,
    /// Every limit, whether a route uses it or not.
    pub limits: Vec<Arc<Limit>>,
    /// Every upstream that a route names.
    pub upstreams: Vec<Upstream>,
    /// The routes.
    pub routes: RouteTable,
}

/// The listener and its bounds.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Who is believed about `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest request body.
    pub body_bytes_max: u64,
    /// The largest request line and header block.
    pub header_bytes_max: usize,
    /// Connections at one time.
    pub connections_max: usize,
    /// Connections of one address at one time, unless it is a trusted proxy.
    pub connections_per_address_max: usize,
    /// A client that does not complete its header block within this time is cut off.
    pub header_timeout: Duration,
    /// How long connecting to an upstream may take.
    pub connect_timeout: Duration,
    /// How long an upstream, or a client sending a body, may stay silent.
    pub read_timeout: Duration,
    /// How long requests in flight may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// Whether cookies are marked `Secure`.
    pub cookie_secure: CookieSecure,
    /// Origins that may read answers across origins; `*` for every one, without credentials.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether every request is logged, and not only refusals and failures.
    pub access_log: bool,
    /// Data-plane threads.
    pub workers: usize,
}

/// Whether cookies are marked `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieSecure {
    /// When a trusted proxy says that the client came by https.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where counters live.
#[derive(Clone)]
pub struct Counters {
    /// [`Counters::MEMORY`], or the URL of a shared store; a password may be in it.
    pub url: String,
    /// Memory for states.
    pub memory_bytes_max: usize,
    /// What happens to a key that finds no room.
    pub on_full: OnFull,
    /// What holds for limits that say nothing of it.
    pub sharing: Sharing,
    /// How many gateways share the store: each has so large a part of a limit while it decides by itself.
    pub nodes: u32,
    /// How long a decision may wait for a shared store.
    pub deadline: Duration,
    /// What the names of keys in a shared store begin with.
    pub prefix: String,
}

impl Counters {
    /// In this process.
    pub const MEMORY: &str = "memory:";

    /// Whether they are in a store that others share.
    pub fn is_shared(&self) -> bool {
        self.url != Counters::MEMORY
    }

    /// What happens to log-ins and guesses while a shared store cannot be reached: they are counted here also where
    /// `on_error` is open. Nobody who takes the store down may then guess without end.
    pub fn on_error_of_protection(&self) -> OnError {
        match self.sharing.on_error {
            OnError::Closed => OnError::Closed,
            OnError::Open | OnError::Local => OnError::Local,
        }
    }

    /// Whether that is a cluster, where what is decided together must be together.
    pub fn is_cluster(&self) -> bool {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        self.is_shared() && scheme.ends_with("+cluster")
    }
}

/// Without the URL.
impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("memory_bytes_max", &self.memory_bytes_max)
            .field("on_full", &self.on_full)
            .field("sharing", &self.sharing)
            .field("nodes", &self.nodes)
            .field("deadline", &self.deadline)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// Accounts and how they are protected.
#[derive(Clone)]
pub struct Accounts {
    /// The database; a password may be in it.
    pub url: String,
    /// How long a session lives.
    pub session_ttl: Duration,
    /// How long it lives after its last use.
    pub session_idle_ttl: Option<Duration>,
    /// How long a token lives.
    pub token_ttl: Duration,
    /// How long those who are known already are believed while the database cannot be reached.
    pub offline_ttl: Duration,
    /// How the gateway's own tokens are signed.
    pub token_algorithm: TokenAlgorithm,
    /// Whose tokens are taken beside them.
    pub issuers: Vec<Issuer>,
    /// The shortest password.
    pub password_chars_min: usize,
    /// How long the log of what administrators and users have changed is kept.
    pub audit_kept: Duration,
    /// How long usage by minutes is kept.
    pub usage_minutes_ttl: Duration,
    /// How long usage by hours is kept.
    pub usage_hours_ttl: Duration,
    /// How long usage by days is kept.
    pub usage_days_ttl: Duration,
    /// The limits that protect accounts themselves.
    pub protection: Protection,
}

/// Without the URL.
impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("session_ttl", &self.session_ttl)
            .field("session_idle_ttl", &self.session_idle_ttl)
            .field("token_ttl", &self.token_ttl)
            .field("offline_ttl", &self.offline_ttl)
            .field("token_algorithm", &self.token_algorithm)
            .field("issuers", &self.issuers)
            .field("password_chars_min", &self.password_chars_min)
            .field("protection", &self.protection)
            .finish_non_exhaustive()
    }
}

/// Limits on guessing, decided by the engine before anything is hashed or looked up.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Failed log-ins to one account.
    pub login_per_account: Vec<Quota>,
    /// Failed log-ins from one address.
    pub login_per_address: Vec<Quota>,
    /// Wrong current passwords of one account that wants another.
    pub password_per_account: Vec<Quota>,
    /// Sign-ups from one address.
    pub signup_per_address: Vec<Quota>,
    /// Tokens handed out to one address.
    pub token_per_address: Vec<Quota>,
    /// API keys that one account makes, in the place of others too.
    pub keys_per_account: Vec<Quota>,
    /// Unknown credentials from one address.
    pub credentials_per_address: Vec<Quota>,
}

/// The response fields beside `RateLimit` and `RateLimit-Policy`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields {
    /// The legacy family.
    pub legacy: LegacyFields,
}

/// A family of rate-limit response fields from before the IETF's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LegacyFields {
    /// `X-RateLimit-Limit`, `-Remaining`, and `-Reset` in seconds from now.
    #[default]
    Delta,
    /// The same with `-Reset` in seconds since 1970.
    Epoch,
    /// None.
    None,
}

impl RuleSet {
    /// Reads a rules file. `name` is how messages call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file; never empty.
    pub fn parse(
        name: &str,
        text: &str,
        overrides: &Overrides,
    ) -> Result<RuleSet, Vec<Diagnostic>> {
        file::parse(name, text, overrides)
    }

    /// Limits that no route charges: most often one was meant to. Where the service runs, its clients may.
    pub fn unused_limits(&self) -> impl Iterator<Item = &Limit> {
        let charged = |limit: &Arc<Limit>| {
            if self.service.is_on() {
                return true;
            }
            let mut routes = self.routes.routes().iter();
            routes.any(|route| route.limits.iter().any(|used| used.name == limit.name))
        };
        let unused = self.limits.iter().filter(move |limit| !charged(limit));
        unused.map(|limit| &**limit)
    }

    /// What the limits say: the same number wherever they are the same.
    pub fn contents(&self) -> u32 {
        let mut contents = Contents::default();
        let of_limits = self.limits.iter().flat_map(|limit| &limit.policies);
        of_limits.for_each(|policy| contents.add(policy));
        let protection = &self.accounts.protection;
        for quotas in [
            &protection.login_per_account,
            &protection.login_per_address,
            &protection.password_per_account,
            &protection.signup_per_address,
            &protection.token_per_address,
            &protection.keys_per_account,
            &protection.credentials_per_address,
        ] {
            contents.add_quotas(quotas);
        }
        for domain in &self.domains {
            contents.join(domain.contents());
        }
        contents.number()
    }

    /// The limit of this name.
    pub fn limit(&self, name: &str) -> Option<&Arc<Limit>> {
        self.limits.iter().find(|limit| limit.name == name)
    }
}
