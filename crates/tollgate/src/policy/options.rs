//! What a policy may be told beside its quota.

/// Whether a policy's verdict counts.
///
/// ```
/// use tollgate::{Limiter, Mode, Policy, Quota};
///
/// let on_trial = Policy::new("strict", Quota::per_minute(1)?)?.with_mode(Mode::Shadow);
/// let limiter = Limiter::builder().policy(on_trial).build()?;
/// assert!(limiter.check("ann").is_allowed());
/// let second = limiter.check("ann");
/// assert!(second.is_allowed() && second.standings()[0].is_violated());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Decides and charges.
    #[default]
    Enforce,
    /// Charges a state of its own and is reported beside the others, but never denies.
    Shadow,
}

/// What holds while a shared store cannot be asked. The memory store always can.
///
/// ```
/// use tollgate::{OnError, Policy, Quota};
///
/// let policy = Policy::new("log-in", Quota::per_minute(5)?)?.with_on_error(OnError::Closed);
/// assert_eq!(policy.on_error(), OnError::Closed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnError {
    /// The check passes and charges nothing.
    Open,
    /// The request is refused, with [`Reason::StoreClosed`](crate::Reason::StoreClosed).
    Closed,
    /// This node decides, by its share of the quota: max(1, N / nodes).
    #[default]
    Local,
}

impl OnError {
    /// Every word of the rules for it, and what it stands for.
    pub const NAMES: [(&'static str, OnError); 3] = [
        ("open", OnError::Open),
        ("closed", OnError::Closed),
        ("local", OnError::Local),
    ];
}
