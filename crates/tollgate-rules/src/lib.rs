//! The rules file: parsed once into a [`RuleSet`] in which nothing is optional or stringly typed any more, or refused
//! with the place, the reason and a suggestion.
//!
//! From a rule set the gateway learns which [`Route`] a request takes, which limits it meets, and under which keys.

mod accounts;
mod counters;
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
mod rule_set;
mod server;
mod service;
mod terms;
mod tls;
mod version;

pub use accounts::{Accounts, Protection};
pub use counters::Counters;
pub use diagnostic::Diagnostic;
pub use file::{LONGEST_FILE_BYTES, Overrides};
pub use issuer::{Issuer, TokenAlgorithm};
pub use key::{KeyPart, KeySpec, Subject};
pub use limit::{Exempt, Limit, MissingKey, POLICIES_MAX};
pub use route::{Action, Auth, Builtin, Head, Respond, Route, StatusMap, Upstream};
pub use route_table::{Found, RouteTable};
pub use rule_set::{Fields, LegacyFields, RuleSet};
pub use server::{CookieSecure, Server};
pub use service::{Service, Tls};
pub use terms::{Sharing, Terms};
pub use tls::Certificates;
pub use version::{Contents, Standing, modified};
