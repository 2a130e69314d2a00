//! What keeps a quota from being a policy.

use crate::penalty::PenaltyError;

/// The longest name of a policy, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// Why a quota does not make a policy.
///
/// ```
/// use tollgate::{Limiter, PolicyError, Quota};
///
/// let twice = Limiter::new(Quota::parse_list("5 per minute; 6 per minute")?);
/// assert!(matches!(twice, Err(PolicyError::SameName(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The name is empty, too long, or has characters that a response field cannot carry.
    #[error(
        "a policy's name is 1 to {NAME_BYTES_MAX} printable ASCII characters without quotes or backslashes"
    )]
    Name,
    /// Rate and burst together do not fit the integers that every store can hold.
    #[error(
        "`{0}` cannot be counted exactly: rate and burst together need more than 53 bits; use a smaller burst or a rounder rate"
    )]
    TooFine(String),
    /// The algorithm counts no further than this.
    #[error("`{0}` is too much for this algorithm: at most {1}")]
    TooMuch(String, u64),
    /// The time zone is not known.
    #[error("unknown time zone `{0}`")]
    Zone(String),
    /// The penalty's numbers make none, or the policy can have none.
    #[error(transparent)]
    Penalty(#[from] PenaltyError),
    /// Two policies of one limiter have one name.
    #[error("two policies are named `{0}`")]
    SameName(String),
    /// A limiter without a policy.
    #[error("a limiter needs at least one quota")]
    Empty,
    /// More policies than one decision can carry.
    #[error("more than {max} policies in one decision")]
    TooMany {
        /// How many one decision can carry.
        max: usize,
    },
}
