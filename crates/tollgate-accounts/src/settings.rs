//! What an operator may choose about accounts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tollgate::Micros;

use crate::database::without_secrets;
use crate::limits::Limits;
use crate::terms_changed::OnTermsChanged;
use crate::token::algorithm::TokenAlgorithm;
use crate::token::issuer::Issuer;

/// How accounts are kept; start from [`Settings::new`] and change what differs.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:FILE` (a relative file is below [`data_dir`](Self::data_dir)), `sqlite::memory:`,
    /// `postgres://USER:PASSWORD@HOST/DATABASE` or `mysql://USER:PASSWORD@HOST/DATABASE`.
    pub url: String,
    /// Where `token.secret` and a relative database file live; created when missing.
    pub data_dir: PathBuf,
    /// How long a session lives after log-in.
    pub session_ttl: Duration,
    /// How long a session lives after its last use; `None` for as long as it lives at all. Shorter than a minute the
    /// uses on another node may not be heard of in time.
    pub session_idle_ttl: Option<Duration>,
    /// How long a token lives; never longer than the session it belongs to.
    pub token_ttl: Duration,
    /// How long those who are known already are believed while the database cannot be reached; at most half an hour.
    pub offline_ttl: Duration,
    /// How tokens are signed; `None` for as they were, HS256 at first.
    pub token_algorithm: Option<TokenAlgorithm>,
    /// The keys that sign tokens are in the database, for all processes on it; else each data directory has its own.
    pub share_token_keys: bool,
    /// Whose tokens are taken beside our own.
    pub issuers: Vec<Issuer>,
    /// The fewest characters of a new password.
    pub password_chars_min: usize,
    /// How many passwords are hashed at the same time.
    pub hashing_concurrency: usize,
    /// How long usage is kept.
    pub usage_kept: UsageKept,
    /// How many credentials the directory remembers.
    pub credentials_cached_max: usize,
    /// What hashing one password costs.
    pub cost: HashCost,
    /// The limits that plans, users and keys can have other quotas for; `None` for a command, which knows no rules.
    pub limits: Option<Arc<dyn Limits>>,
    /// How long the log of changes by administrators and users is kept.
    pub audit_kept: Duration,
    /// Since when the rules are what they are: changes of quotas come later.
    pub rules_at: Micros,
    /// Is told when other quotas hold than before, by a change here or in another process; and at the start.
    pub on_terms_changed: Option<OnTermsChanged>,
}

impl Settings {
    /// The defaults: sessions of 24 h whether they are used or not, tokens of 1 h signed with HS256, 5 minutes without the
    /// database, passwords of 8 characters, 100,000 credentials remembered, a log of changes of a year, and no limits.
    pub fn new(url: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            data_dir: data_dir.into(),
            session_ttl: Duration::from_secs(24 * 3600),
            session_idle_ttl: None,
            token_ttl: Duration::from_secs(3600),
            offline_ttl: Duration::from_secs(300),
            token_algorithm: None,
            share_token_keys: false,
            issuers: Vec::new(),
            password_chars_min: 8,
            hashing_concurrency: available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)),
            usage_kept: UsageKept::default(),
            credentials_cached_max: 100_000,
            cost: HashCost::default(),
            limits: None,
            audit_kept: Duration::from_secs(365 * 24 * 3600),
            rules_at: Micros(0),
            on_terms_changed: None,
        }
    }
}

/// Without what the URL may hold of a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("url", &without_secrets(&self.url))
            .field("data_dir", &self.data_dir)
            .field("session_ttl", &self.session_ttl)
            .field("token_ttl", &self.token_ttl)
            .field("offline_ttl", &self.offline_ttl)
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// How long usage is kept, by how fine it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageKept {
    /// Counts of single minutes; 2 days, if nothing is said.
    pub minutes: Duration,
    /// Counts of hours; 60 days.
    pub hours: Duration,
    /// Counts of days, from which totals are summed; 2 years of 365 days.
    pub days: Duration,
}

impl Default for UsageKept {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            minutes: 2 * DAY,
            hours: 60 * DAY,
            days: 730 * DAY,
        }
    }
}

/// The cost of one Argon2id hash; the default is OWASP's minimum (19 MiB, 2 passes, 1 lane).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes that may be computed in parallel.
    pub lanes: u32,
}

impl Default for HashCost {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
            lanes: 1,
        }
    }
}
