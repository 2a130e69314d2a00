//! A rate limiter that means what it says.
//!
//! A [`Quota`] is what a person says: `"5 per minute"`. A [`Policy`] is that quota validated and reduced to
//! integers. A [`Limiter`] decides for a key, at an instant, whether a request passes, and its [`Decision`] says
//! the truth about what remains and when to come back.
//!
//! ```
//! use tollgate::{Limiter, Quota};
//!
//! let limiter = Limiter::new(Quota::per_minute(5)?)?;
//! let decision = limiter.check("ann");
//! assert!(decision.is_allowed());
//! assert_eq!(decision.remaining(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Several windows on one key are charged together or not at all:
//!
//! ```
//! use tollgate::{Limiter, Quota};
//!
//! let limiter = Limiter::new(Quota::parse_list("5 per minute fixed-window; 300 per hour fixed-window")?)?;
//! for _ in 0..5 {
//!     assert!(limiter.check("ann").is_allowed());
//! }
//! let refused = limiter.check("ann");
//! assert!(!refused.is_allowed());
//! assert_eq!(refused.standings()[1].remaining(), 295, "a denied request costs nothing in the hour either");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rule of each algorithm lives in [`algorithm`], reads no clock and touches no store; a [`Store`] keeps the
//! states. The crate has no async runtime, no HTTP and no network in it.
#![deny(missing_docs)]

pub mod algorithm;
pub mod clock;
mod cpu;
pub mod decide;
mod decision;
pub mod key;
mod lease;
mod limiter;
mod memory;
pub mod notation;
mod numbers;
mod penalty;
mod policy;
mod quota;
mod rule;
mod share;
mod snapshot;
pub mod store;
mod sync;
mod time;

pub use algorithm::{Algorithm, State};
pub use clock::{Clock, ManualClock, SystemClock};
pub use decision::{Decision, Reason, Receipt, Standing, Verdict};
pub use lease::{Lease, LeaseTerms};
pub use limiter::{Limiter, LimiterBuilder, Permit, Reservation, Turn};
pub use memory::{KeyHash, MemoryBuilder, MemoryStats, MemoryStore, OnFull};
pub use notation::NotationError;
pub use numbers::Numbers;
pub use penalty::{Penalty, PenaltyError};
pub use policy::{Mode, OnError, Policy, PolicyError};
pub use quota::{AlgorithmKind, CalendarUnit, Quota, QuotaError};
pub use snapshot::{Restored, SnapshotError};
pub use store::{Answer, Check, Checks, Outcome, Store, StoreError};
pub use time::Micros;
