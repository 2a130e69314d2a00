//! One validated quota, reduced to integers, with a name and accounting options.

pub(crate) mod error;
mod options;

pub use error::PolicyError;
pub use options::{Mode, OnError};

use std::hash::BuildHasher;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use crate::algorithm::{Algorithm, Blocks, SteadyBucket};
use crate::lease::{Lease, LeaseTerms};
use crate::penalty::{Penalty, PenaltyError};
use crate::quota::{Quota, Rate};
use crate::rule::{Counted, Rule, counted};
use error::NAME_BYTES_MAX;

/// A quota ready to decide. Cheap to share; immutable.
///
/// ```
/// use std::sync::Arc;
/// use tollgate::{Policy, Quota};
///
/// let policy = Arc::new(Policy::new("per-user.minute", Quota::per_minute(5)?)?);
/// assert_eq!((policy.name(), policy.capacity()), ("per-user.minute", Some(5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    name: Arc<str>,
    rule: Rule,
    mode: Mode,
    on_error: OnError,
    count_denied: bool,
    /// Whether it enforces and a denial writes nothing: so are most, and they are quickly decided.
    plain: bool,
    /// Its bucket, if it is plain and has one; else one that takes nothing.
    steady: SteadyBucket,
    /// The policy that its penalty's blocks are counted under.
    blocks: Option<Arc<Policy>>,
    lease: Lease,
    version: u64,
    name_hash: u64,
    number: Number,
}

/// The number that the memory store last asked for it knows it by.
#[derive(Debug, Default)]
pub(crate) struct Number {
    pub(crate) told: AtomicU64,
    /// While this is there, the number is not given to another policy.
    pub(crate) held: Mutex<Option<Arc<()>>>,
}

impl Clone for Number {
    fn clone(&self) -> Self {
        Number::default()
    }
}

/// What the states under a policy mean: those of two policies that are equal in it can be told from each other by
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Meaning {
    name: Arc<str>,
    quota: Option<Quota>,
    /// Where an algorithm of one's own counts, which it is.
    custom: Option<usize>,
    blocks: Option<Blocks>,
    version: u64,
}

impl Meaning {
    pub(crate) fn is_named(&self, name: &str) -> bool {
        &*self.name == name
    }
}

impl Policy {
    /// The version of a policy that is of no rules, because its numbers come with each question. No other is newer, so
    /// states always move to the numbers of whoever asks.
    pub const VERSION_OF_THE_ASKER: u64 = u64::MAX;

    /// A policy named `name` that enforces `quota`.
    ///
    /// # Errors
    /// A name that cannot be written into a response field; numbers that no store could count exactly; an unknown
    /// time zone.
    pub fn new(name: &str, quota: Quota) -> Result<Self, PolicyError> {
        let rule = match quota.0 {
            Rate::Deny => Rule::Deny,
            Rate::Unlimited => Rule::Unlimited,
            Rate::Limited(ref limited) => Rule::Counted {
                algorithm: counted(limited, &quota)?,
                window: limited.period,
                quota: Some(quota),
            },
        };
        Policy::with_rule(name, rule)
    }

    /// A policy that counts by an algorithm of one's own.
    ///
    /// # Errors
    /// A name that cannot be written into a response field.
    pub fn custom(name: &str, algorithm: Arc<dyn Algorithm>) -> Result<Self, PolicyError> {
        let window = algorithm.full_refill_micros();
        Policy::with_rule(
            name,
            Rule::Counted {
                algorithm: Counted::Custom(algorithm),
                quota: None,
                window,
            },
        )
    }

    fn with_rule(name: &str, rule: Rule) -> Result<Self, PolicyError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            return Err(PolicyError::Name);
        }
        Ok(Policy::unchecked(name, rule))
    }

    pub(crate) fn unchecked(name: &str, rule: Rule) -> Self {
        let policy = Policy {
            name_hash: foldhash::quality::FixedState::default().hash_one(name),
            number: Number::default(),
            name: name.into(),
            rule,
            mode: Mode::Enforce,
            on_error: OnError::default(),
            count_denied: false,
            plain: false,
            steady: SteadyBucket::CLOSED,
            blocks: None,
            lease: Lease::Off,
            version: 0,
        };
        policy.changed()
    }

    /// A policy that counts the blocks of a penalty. It has a name that no other kind of policy can have.
    pub(crate) fn of_blocks(
        name: &str,
        penalty: Penalty,
        weight: u64,
    ) -> Result<Self, PenaltyError> {
        let blocks = Blocks::new(penalty.checked()?, weight);
        let rule = Rule::Counted {
            window: blocks.full_refill_micros(),
            algorithm: Counted::Blocks(blocks),
            quota: None,
        };
        Ok(Policy::unchecked(name, rule))
    }

    /// The same policy, blocking a key for a while after a denial. Where a store has no room for the block, the denial
    /// stands and the block is lost.
    ///
    /// # Errors
    /// Numbers that make no penalty; `deny` and `unlimited`, which can have none.
    pub fn with_penalty(self, penalty: Penalty) -> Result<Self, PolicyError> {
        let weight = self.capacity().ok_or(PenaltyError::Uncounted)?;
        let blocks = Policy::of_blocks(&format!("{} penalty", self.name), penalty, weight)?
            .with_mode(self.mode)
            .with_version(self.version);
        let blocks = Some(Arc::new(blocks));
        Ok(Policy { blocks, ..self }.changed())
    }

    /// The same policy in another mode.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        let of_blocks =
            |blocks: Arc<Policy>| Arc::new(Arc::unwrap_or_clone(blocks).with_mode(mode));
        let blocks = self.blocks.map(of_blocks);
        Policy {
            mode,
            blocks,
            ..self
        }
        .changed()
    }

    /// The same policy with another answer while a shared store cannot be asked.
    #[must_use]
    pub fn with_on_error(self, on_error: OnError) -> Self {
        Policy { on_error, ..self }
    }

    /// The same policy, charging what still fits of a request that it denies.
    #[must_use]
    pub fn counting_denied(self, count_denied: bool) -> Self {
        Policy {
            count_denied,
            ..self
        }
        .changed()
    }

    /// The same policy with leases, where a shared store gives them.
    #[must_use]
    pub fn with_lease(self, lease: Lease) -> Self {
        Policy { lease, ..self }.changed()
    }

    /// The same policy as of a version of its rule set. Where states meet policies of one name and different
    /// numbers, the higher version decides.
    #[must_use]
    pub fn with_version(self, version: u64) -> Self {
        let of_blocks =
            |blocks: Arc<Policy>| Arc::new(Arc::unwrap_or_clone(blocks).with_version(version));
        let blocks = self.blocks.map(of_blocks);
        Policy {
            version,
            blocks,
            ..self
        }
        .changed()
    }

    /// After a change no store knows it yet.
    fn changed(self) -> Self {
        let plain = self.mode == Mode::Enforce && !self.count_denied && self.blocks.is_none();
        let steady = match self.counted() {
            Some(Counted::TokenBucket(bucket)) if plain => bucket.steady(),
            _ => None,
        };
        Policy {
            plain,
            steady: steady.unwrap_or(SteadyBucket::CLOSED),
            number: Number::default(),
            ..self
        }
    }

    /// The name, as fields, logs and metrics write it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The quota, unless an algorithm of one's own counts.
    pub fn quota(&self) -> Option<Quota> {
        match &self.rule {
            Rule::Deny => Some(Quota::deny()),
            Rule::Unlimited => Some(Quota::unlimited()),
            Rule::Counted { quota, .. } => quota.clone(),
        }
    }

    /// The most units that one request can take, and what `limit` reports; `None` for `deny` and `unlimited`.
    pub fn capacity(&self) -> Option<u64> {
        self.algorithm().map(Algorithm::capacity)
    }

    /// The period T; `None` for `deny` and `unlimited`.
    pub fn window(&self) -> Option<std::time::Duration> {
        match &self.rule {
            Rule::Counted { window, .. } => Some(std::time::Duration::from_micros(*window)),
            Rule::Deny | Rule::Unlimited => None,
        }
    }

    /// Whether the policy enforces or only watches.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What holds while a shared store cannot be asked.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Whether a denied request is charged what still fits.
    pub fn counts_denied(&self) -> bool {
        self.count_denied
    }

    /// Whether and how much of it nodes take in advance from a shared store; see
    /// [`lease_terms`](Policy::lease_terms) for what comes of it.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// The terms of a node's leases; `None` where it takes none: its lease is [`Lease::Off`], it is no enforced token
    /// bucket whose denials write nothing, or the bucket is full again sooner than a lease would end.
    pub fn lease_terms(&self) -> Option<LeaseTerms> {
        let (capacity, refill_micros) = self.plain_bucket()?;
        LeaseTerms::of_bucket(self.lease, capacity, refill_micros)
    }

    /// What a token bucket that just enforces holds, and the microseconds in which it refills.
    fn plain_bucket(&self) -> Option<(u64, u64)> {
        let is_bucket = matches!(
            self.counted(),
            Some(Counted::TokenBucket(_) | Counted::CoarseBucket(_))
        );
        let algorithm = self.algorithm().filter(|_| is_bucket && self.plain)?;
        Some((algorithm.capacity(), algorithm.full_refill_micros()))
    }

    /// Its bucket, where a decision can take the shortest way; else one that takes nothing.
    #[inline(always)]
    pub(crate) fn steady(&self) -> &SteadyBucket {
        &self.steady
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether its units are slots, held until they are given back: `concurrency`.
    pub fn holds_slots(&self) -> bool {
        matches!(self.counted(), Some(Counted::Concurrency(_)))
    }

    /// What follows a denial, if anything does.
    pub fn penalty(&self) -> Option<Penalty> {
        let blocks = self.blocks.as_ref()?.counted_blocks()?;
        Some(blocks.penalty())
    }

    /// The policy that its penalty's blocks are counted under.
    pub(crate) fn blocks(&self) -> Option<&Arc<Policy>> {
        self.blocks.as_ref()
    }

    /// What it counts, if that is the blocks of a penalty.
    pub(crate) fn counted_blocks(&self) -> Option<Blocks> {
        match self.counted() {
            Some(Counted::Blocks(blocks)) => Some(*blocks),
            _ => None,
        }
    }

    /// The version of the rule set it came with.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn name_hash(&self) -> u64 {
        self.name_hash
    }

    pub(crate) fn number(&self) -> &Number {
        &self.number
    }

    pub(crate) fn meaning(&self) -> Meaning {
        let (quota, custom) = match &self.rule {
            Rule::Deny | Rule::Unlimited => (self.quota(), None),
            Rule::Counted {
                algorithm: Counted::Custom(algorithm),
                ..
            } => (None, Some(Arc::as_ptr(algorithm).addr())),
            Rule::Counted { quota, .. } => (quota.clone(), None),
        };
        Meaning {
            name: Arc::clone(&self.name),
            quota,
            custom,
            blocks: self.counted_blocks(),
            version: self.version,
        }
    }

    pub(crate) fn counted(&self) -> Option<&Counted> {
        match &self.rule {
            Rule::Counted { algorithm, .. } => Some(algorithm),
            Rule::Deny | Rule::Unlimited => None,
        }
    }

    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }

    pub(crate) fn algorithm(&self) -> Option<&dyn Algorithm> {
        match &self.rule {
            Rule::Counted { algorithm, .. } => Some(algorithm.algorithm()),
            Rule::Deny | Rule::Unlimited => None,
        }
    }

    /// Whether states made under `other` mean the same under this policy.
    pub(crate) fn counts_like(&self, other: &Policy) -> bool {
        match (self.counted(), other.counted()) {
            (Some(own), Some(others)) => own.counts_like(others),
            _ => false,
        }
    }
}
