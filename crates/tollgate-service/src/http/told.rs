//! What clients are told of a decision, as JSON.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use smallvec::SmallVec;
use std::hash::BuildHasher;
use tollgate::{Decision, Policy, Reason, Verdict};

use crate::Service;
use crate::service::Named;
use crate::summary::{Summary, is_told, milliseconds};

/// A decision, its reason, and where every policy stands after it.
#[derive(Debug, Serialize)]
pub(super) struct Told<'n> {
    allowed: bool,
    /// `allowed`, `denied`, `never`, or why it was refused.
    reason: &'static str,
    /// The policy that denies, or that has the least left.
    policy: &'n str,
    limit: Option<u64>,
    remaining: Option<u64>,
    retry_after_ms: Option<u64>,
    reset_after_ms: u64,
    /// Whether it was made without the store that should have made it: then the numbers are estimates.
    degraded: bool,
    policies: Vec<Standing<'n>>,
    /// What settles the charge or gives it back, where it was reserved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receipt: Option<String>,
}

/// Where one policy stands.
#[derive(Debug, Serialize)]
struct Standing<'n> {
    policy: &'n str,
    rule: &'n str,
    /// A hash of the key: it tells keys apart while the service runs, and nothing more.
    key: KeyHash,
    limit: Option<u64>,
    remaining: Option<u64>,
    charged: u64,
    retry_after_ms: Option<u64>,
    reset_after_ms: u64,
    violated: bool,
    shadow: bool,
    blocked: bool,
}

/// 64 bits in hexadecimal digits.
#[derive(Debug)]
struct KeyHash([u8; 16]);

impl KeyHash {
    fn of(hash: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |place: usize| DIGITS[(hash >> (60 - 4 * place)) as usize & 15];
        KeyHash(std::array::from_fn(digit))
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Digits are text.
        serializer.serialize_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// The policies of a decision's standings, in their order.
pub(super) type Policies = SmallVec<[Arc<Policy>; 2]>;

/// The policies of all questions that are decided together, in the order of the decision's standings.
pub(super) fn policies(named: &[Named<'_>]) -> Policies {
    let mut all: SmallVec<[(&Arc<Policy>, &[u8]); 2]> = SmallVec::new();
    for (policy, _, key) in each(named) {
        // The same policy and key twice is one check.
        let same =
            |(known, its): &(&Arc<Policy>, &[u8])| *its == key && known.name() == policy.name();
        if !all.iter().any(same) {
            all.push((policy, key));
        }
    }
    all.into_iter()
        .map(|(policy, _)| Arc::clone(policy))
        .collect()
}

fn each<'n>(named: &'n [Named<'_>]) -> impl Iterator<Item = (&'n Arc<Policy>, &'n str, &'n [u8])> {
    named.iter().flat_map(|named| {
        let policies = named.policies().iter();
        policies.map(|policy| (policy, named.limit.name.as_str(), named.key.as_ref()))
    })
}

impl<'n> Told<'n> {
    /// `policies` are those of the decision's standings, in their order.
    pub(super) fn of(
        service: &Service,
        named: &'n [Named<'_>],
        policies: &'n [Arc<Policy>],
        decision: &Decision,
    ) -> Self {
        let Summary {
            policy,
            limit,
            remaining,
            retry_after_ms,
            reset_after_ms,
        } = Summary::of(policies, decision);
        let mut seen: SmallVec<[(&str, &[u8]); 2]> = SmallVec::new();
        let mut standings = decision.standings().iter();
        let mut told = Vec::with_capacity(policies.len());
        for (policy, rule, key) in each(named) {
            if seen.contains(&(policy.name(), key)) {
                continue;
            }
            seen.push((policy.name(), key));
            let Some(standing) = standings.next() else {
                break;
            };
            let limited = is_told(standing);
            told.push(Standing {
                policy: policy.name(),
                rule,
                key: KeyHash::of(service.key_hash.hash_one(key)),
                limit: limited.then(|| standing.limit()),
                remaining: limited.then(|| standing.remaining()),
                charged: standing.charged(),
                retry_after_ms: standing.retry_after().map(milliseconds),
                reset_after_ms: milliseconds(standing.full_after()),
                violated: standing.is_violated(),
                shadow: standing.is_shadow(),
                blocked: standing.is_blocked(),
            });
        }
        Told {
            allowed: decision.is_allowed(),
            reason: reason(decision),
            policy,
            limit,
            remaining,
            retry_after_ms,
            reset_after_ms,
            degraded: decision.is_degraded(),
            policies: told,
            receipt: None,
        }
    }
}

fn reason(decision: &Decision) -> &'static str {
    match decision.verdict() {
        Verdict::Allow => "allowed",
        Verdict::Deny { .. } => "denied",
        Verdict::Never { .. } => "never",
        Verdict::Refused { reason } => match reason {
            Reason::Policy => "refused-by-policy",
            Reason::KeyTooLong => "key-too-long",
            Reason::TooManyChecks => "too-many-checks",
            Reason::StoreFull => "store-full",
            Reason::StoreClosed => "store-away",
            Reason::MissingKey => "missing-key",
            Reason::KeysApart => "keys-apart",
            Reason::Uncountable => "uncountable",
            // Of a library that is newer than this.
            _ => "refused",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_is_sixteen_digits() {
        for hash in [0, 1, 0xabc, u64::MAX, 0x0123_4567_89ab_cdef] {
            let told = serde_json::to_string(&KeyHash::of(hash)).unwrap();
            assert_eq!(told, format!("\"{hash:016x}\""));
        }
    }
}
