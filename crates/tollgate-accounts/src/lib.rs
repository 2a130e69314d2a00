//! Users, sessions, tokens, API keys, plans and usage: who is asking, known without I/O on a request's path.
//!
//! The way of a credential: [`Directory::lookup`] answers from memory, or hands out a [`Question`] that
//! [`Accounts::resolve`] takes to the database, once. Every change is committed, then ends what the
//! directory holds about its subject, here at once and in other processes when they next read `changes`.
//!
//! No limit is decided here, and no HTTP is spoken.
#![deny(missing_docs)]

mod accounts;
mod actor;
mod api_key;
mod audit;
mod away;
mod changes;
mod chores;
mod credential;
mod database;
mod digest;
mod directory;
mod error;
mod follow;
mod hash_memory;
mod hashing;
mod house;
mod id;
mod identity;
mod keys;
mod labels;
mod limits;
mod liveness;
mod normal;
mod open;
mod overrides;
mod own_quota;
mod password;
mod plans;
mod quotas;
mod random;
mod reach;
mod resolve;
mod revocation;
mod role;
mod roles;
mod scopes;
mod secret;
mod seen;
mod sessions;
mod settings;
mod terms;
mod terms_changed;
mod token;
mod token_keys;
mod usage;
mod users;

pub use accounts::Accounts;
pub use actor::Actor;
pub use api_key::PREFIX as API_KEY_PREFIX;
pub use audit::{AUDIT_PAGE_MAX, AuditEntry};
pub use credential::Credential;
pub use database::{Migrated, check_url, file_of_url, migrate};
pub use directory::{Directory, Lookup, Question};
pub use error::{
    Invalid, KeyError, LogInError, OpenError, OverrideError, PasswordError, PlanError, RevokeError,
    SignUpError, Unavailable, UserError,
};
pub use id::{KeyId, SessionId, TokenId, UserId};
pub use identity::{Identity, Via};
pub use keys::{KeySummary, LIVE_KEYS_MAX, NewKey};
pub use labels::Label;
pub use limits::Limits;
pub use normal::fold_name;
pub use overrides::{Overridden, Override, TermsOfKeys};
pub use own_quota::own_policy;
pub use plans::Plan;
pub use quotas::Scope;
pub use role::Role;
pub use scopes::{SCOPES_MAX, Scopes};
pub use secret::Secret;
pub use sessions::{HELD_MAX, LogIn, SESSIONS_MAX};
pub use settings::{HashCost, Settings, UsageKept};
pub use terms::{OVERRIDES_MAX, PLANS_MAX, Terms};
pub use terms_changed::OnTermsChanged;
pub use token::algorithm::TokenAlgorithm;
pub use token::issuer::Issuer;
pub use token::{TOKEN_TTL_MAX, Token, keep_own_token_keys, read_token, rotate_token_key};
pub use usage::{
    Asked, KeyRate, KeyTotal, Outcome, Step, USAGE_SECONDS, Usage, UsageCounts, UsageEvent,
    UsagePoint,
};
pub use users::User;
