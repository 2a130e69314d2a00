//! What a person says about a key that was denied: for how long it is held off, and how that grows.

use std::time::Duration;

use crate::quota::PERIOD_MAX_MICROS;
use crate::time::micros;

/// After a denial the key is blocked: nothing of it passes until the block is over. Denials during a block do not
/// count. A denial after it begins the next one, which may be longer, until the key has been quiet for a while.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Limiter, Micros, Penalty, Policy, Quota};
///
/// // A minute, then two, then four, at most an hour; forgiven after a day without a denial.
/// let penalty = Penalty::new(Duration::from_secs(60))
///     .growing(2, Duration::from_secs(3_600))
///     .forgiven_after(Duration::from_secs(86_400));
/// let policy = Policy::new("per-user", Quota::per_second(1)?)?.with_penalty(penalty)?;
/// let limiter = Limiter::builder().policy(policy).build()?;
///
/// let at = |seconds: u64| Micros::from_secs(1_800_000_000 + seconds);
/// assert!(limiter.check_at("ann", at(0)).is_allowed());
/// let denied = limiter.check_at("ann", at(0));
/// assert_eq!(denied.retry_after(), Some(Duration::from_secs(60)));
///
/// let blocked = limiter.check_at("ann", at(30));
/// assert!(blocked.standings()[0].is_blocked());
/// assert_eq!(blocked.retry_after(), Some(Duration::from_secs(30)), "it did not begin anew");
///
/// assert!(limiter.check_at("ann", at(60)).is_allowed());
/// assert_eq!(limiter.check_at("ann", at(60)).retry_after(), Some(Duration::from_secs(120)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Penalty {
    block: u64,
    factor: u32,
    block_max: u64,
    quiet: Option<u64>,
}

/// Why numbers do not make a penalty.
///
/// ```
/// use std::time::Duration;
/// use tollgate::{Penalty, PenaltyError, Policy, PolicyError, Quota};
///
/// let never_ending = Penalty::new(Duration::from_secs(60)).growing(0, Duration::from_secs(60));
/// let policy = Policy::new("log-in", Quota::per_minute(5)?)?.with_penalty(never_ending);
/// assert!(matches!(policy, Err(PolicyError::Penalty(PenaltyError::Factor))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PenaltyError {
    /// The block is shorter than a microsecond.
    #[error("a block lasts at least a microsecond")]
    Block,
    /// The factor is 0.
    #[error("a block grows by a factor of at least 1")]
    Factor,
    /// The longest block is shorter than the first.
    #[error("the longest block is shorter than the first")]
    BlockMax,
    /// The longest block and the quiet time together are longer than a century.
    #[error("the longest block and the quiet time together are longer than a century")]
    TooLong,
    /// The policy is `deny` or `unlimited`.
    #[error("`deny` and `unlimited` have no penalty: no denial of theirs ever ends")]
    Uncounted,
}

impl Penalty {
    /// A block of this length after each denial that is not itself within a block.
    pub fn new(block: Duration) -> Self {
        let block = micros(block);
        Penalty {
            block,
            factor: 1,
            block_max: block,
            quiet: None,
        }
    }

    /// Each block in a row is `factor` times as long as the one before, and at most `up_to`.
    #[must_use]
    pub fn growing(self, factor: u32, up_to: Duration) -> Self {
        Penalty {
            factor,
            block_max: micros(up_to),
            ..self
        }
    }

    /// A key that was not denied for this long since its last block ended begins with the first block again. Where
    /// nothing is said, it is as long as the longest block.
    #[must_use]
    pub fn forgiven_after(self, quiet: Duration) -> Self {
        Penalty {
            quiet: Some(micros(quiet)),
            ..self
        }
    }

    /// How long the first block lasts.
    pub fn block(&self) -> Duration {
        Duration::from_micros(self.block)
    }

    /// By how much each block in a row is longer than the one before.
    pub fn factor(&self) -> u32 {
        self.factor
    }

    /// How long the longest block lasts.
    pub fn block_max(&self) -> Duration {
        Duration::from_micros(self.block_max)
    }

    /// How long after the end of a block its key is forgiven.
    pub fn quiet(&self) -> Duration {
        Duration::from_micros(self.quiet_micros())
    }

    pub(crate) fn block_max_micros(&self) -> u64 {
        self.block_max
    }

    pub(crate) fn quiet_micros(&self) -> u64 {
        self.quiet.unwrap_or(self.block_max)
    }

    /// How long the block lasts that is the `row`-th in a row, counted from 1.
    pub(crate) fn length_micros(&self, row: u64) -> u64 {
        let times = u32::try_from(row.saturating_sub(1)).unwrap_or(u32::MAX);
        let grown = u64::from(self.factor)
            .saturating_pow(times)
            .saturating_mul(self.block);
        grown.min(self.block_max)
    }

    /// The same penalty with everything said, if its numbers make one.
    pub(crate) fn checked(self) -> Result<Self, PenaltyError> {
        let quiet = self.quiet_micros();
        match self {
            Penalty { block: 0, .. } => Err(PenaltyError::Block),
            Penalty { factor: 0, .. } => Err(PenaltyError::Factor),
            _ if self.block_max < self.block => Err(PenaltyError::BlockMax),
            _ if self.block_max.saturating_add(quiet) > PERIOD_MAX_MICROS => {
                Err(PenaltyError::TooLong)
            }
            _ => Ok(Penalty {
                quiet: Some(quiet),
                ..self
            }),
        }
    }
}
