//! From a request to what it asks: for each descriptor its limit, its key, and how many units.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate::key::CompositeKey;
use tollgate::{Micros, Policy};
use tollgate_gateway::Counters;
use tollgate_rules::domain::{Descriptor, DescriptorRate};

use super::Refused;
use super::domains::{Known, KnownDomain};
use super::key;
use super::messages::{RateLimitDescriptor, RateLimitRequest};

/// The most descriptors of one request. They come from Envoy's configuration, not from its clients.
pub(super) const DESCRIPTORS_MAX: usize = 64;
/// The most entries of one of them.
pub(super) const ENTRIES_MAX: usize = 64;

/// A request, understood.
pub(super) struct Asked<'k> {
    pub(super) domain: Option<&'k KnownDomain>,
    /// Where it is decided by the limits of these domains.
    pub(super) counters: &'k Counters,
    /// One for each descriptor, in their order.
    pub(super) descriptors: SmallVec<[AskedDescriptor<'k>; 2]>,
}

/// A descriptor of a request.
pub(super) struct AskedDescriptor<'k> {
    /// The configured one that it meets.
    pub(super) met: Option<&'k Arc<Descriptor>>,
    pub(super) limit: Limit<'k>,
    pub(super) key: CompositeKey,
    pub(super) hits: Hits,
}

/// What limits a descriptor of a request.
pub(super) enum Limit<'k> {
    Nothing,
    Unlimited,
    Policies(&'k [Arc<Policy>]),
    /// What the request brought with it.
    Brought(Arc<Policy>),
}

/// What is to become of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hits {
    Take(u64),
    /// Asks whether one would pass, and takes none.
    Look,
    GiveBack(u64),
}

impl Limit<'_> {
    pub(super) fn policies(&self) -> &[Arc<Policy>] {
        match self {
            Limit::Nothing | Limit::Unlimited => &[],
            Limit::Policies(policies) => policies,
            Limit::Brought(policy) => std::slice::from_ref(policy),
        }
    }
}

impl Hits {
    /// Of a descriptor of a request that says `of_request` for all. There 0 means 1, and here 0 means 0.
    fn of(descriptor: &RateLimitDescriptor<'_>, of_request: u32) -> Self {
        let hits = descriptor
            .hits_addend
            .unwrap_or_else(|| u64::from(of_request.max(1)));
        match (hits, descriptor.is_negative_hits) {
            (0, _) => Hits::Look,
            (hits, false) => Hits::Take(hits),
            (hits, true) => Hits::GiveBack(hits),
        }
    }
}

impl<'k> Asked<'k> {
    /// What a request asks of the domains that are known.
    pub(super) fn of(
        request: &RateLimitRequest<'_>,
        known: &'k Known,
        now: Micros,
    ) -> Result<Self, Refused> {
        if request.domain.is_empty() {
            return Err(Refused("the domain is empty"));
        }
        if request.descriptors.is_empty() {
            return Err(Refused("there are no descriptors"));
        }
        if request.descriptors.len() > DESCRIPTORS_MAX {
            return Err(Refused("there are more than 64 descriptors"));
        }
        let has_too_many =
            |descriptor: &RateLimitDescriptor<'_>| descriptor.entries.len() > ENTRIES_MAX;
        if request.descriptors.iter().any(has_too_many) {
            return Err(Refused("a descriptor has more than 64 entries"));
        }
        let domain = known.domain(request.domain);
        let asked = |descriptor: &RateLimitDescriptor<'_>| {
            asked_descriptor(descriptor, request.hits_addend, domain, now)
        };
        let descriptors: Result<SmallVec<_>, Refused> =
            request.descriptors.iter().map(asked).collect();
        let mut descriptors = descriptors?;
        replace(&mut descriptors);
        Ok(Asked {
            domain,
            counters: &known.counters,
            descriptors,
        })
    }
}

fn asked_descriptor<'k>(
    descriptor: &RateLimitDescriptor<'_>,
    hits: u32,
    known: Option<&'k KnownDomain>,
    now: Micros,
) -> Result<AskedDescriptor<'k>, Refused> {
    let hits = Hits::of(descriptor, hits);
    let Some(known) = known else {
        return Ok(AskedDescriptor {
            met: None,
            limit: Limit::Nothing,
            key: CompositeKey::new(),
            hits,
        });
    };
    let domain = &known.domain;
    let (met, limit) = match &descriptor.limit {
        Some(limit) => {
            let policy = known.overrides.policy(domain, limit, now)?;
            (None, Limit::Brought(policy))
        }
        None => {
            let entries = descriptor.entries.iter();
            let met = domain.find(entries.map(|entry| (entry.key, entry.value)));
            (met, met.map_or(Limit::Nothing, configured))
        }
    };
    let key = match limit.policies() {
        [] => CompositeKey::new(),
        _ => key::of(&domain.name, domain.decide, &descriptor.entries),
    };
    Ok(AskedDescriptor {
        met,
        limit,
        key,
        hits,
    })
}

fn configured(descriptor: &Arc<Descriptor>) -> Limit<'_> {
    match &descriptor.rate {
        DescriptorRate::None => Limit::Nothing,
        DescriptorRate::Unlimited => Limit::Unlimited,
        DescriptorRate::Limited(policies) => Limit::Policies(policies),
    }
}

/// A limit whose name another one of the request replaces does not count.
fn replace(descriptors: &mut [AskedDescriptor<'_>]) {
    let replaced = |name: &String, all: &[AskedDescriptor<'_>]| {
        let mut all = all.iter().filter_map(|asked| asked.met);
        !name.is_empty() && all.any(|met| met.replaces.contains(name))
    };
    for place in 0..descriptors.len() {
        if let Some(met) = descriptors[place].met
            && replaced(&met.name, descriptors)
        {
            descriptors[place].limit = Limit::Nothing;
        }
    }
}

impl AskedDescriptor<'_> {
    /// Whether there is anything to decide.
    pub(super) fn is_limited(&self) -> bool {
        !self.limit.policies().is_empty()
    }
}
