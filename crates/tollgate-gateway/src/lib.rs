//! The data plane: from a socket to an answer.
//!
//! The way of a request: `listener` and `accept` -> `connection` -> `request` (address, route, caller, checks, decision) ->
//! `upstream`, a fixed answer, or `builtin` on the control side; or `refusal`. One thread and one runtime for each
//! core, each with its own listener and its own upstream connections; nothing here hashes a password or waits for SQL.

pub mod accept;
pub mod accepts;
mod address;
pub mod admission;
mod admit;
mod balance;
mod body;
pub mod builtin;
mod caller;
mod checks;
mod connection;
mod cors;
pub mod counters;
mod csrf;
pub mod durations;
pub mod ending;
mod finish;
mod forward_auth;
pub mod framing;
pub mod gateway;
pub mod heavy;
pub mod in_force;
pub mod listener;
pub mod live;
mod metered;
pub mod metrics;
mod number_page;
mod of_accounts;
mod of_store;
pub mod page;
mod prefetch;
pub mod refusal;
mod request;
mod request_durations;
mod returning;
pub mod silence;
mod slots;
pub mod spans;
pub mod stream;
pub mod tls;
mod total;
mod trace;
mod upstream;
pub mod watched;
mod well_formed;
mod worker;

pub use caller::{SESSION_COOKIE, SESSION_COOKIE_SECURE, held_sessions};
pub use connection::serve;
pub use counters::Counters;
pub use gateway::{Gateway, Upstreams};
pub use in_force::InForce;
pub use listener::{BindError, Listeners};
