//! From what is written to a domain.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate::{AlgorithmKind, Mode, OnError, Policy, PolicyError, Quota, QuotaError};

use super::read::{Descriptor as WrittenDescriptor, Rate, Unit, Written};
use crate::domain::{Decide, Descriptor, DescriptorRate, Domain, label, policy_prefix};
use crate::read::Source;

pub(super) fn domain(
    source: &Source<'_>,
    written: &Written,
    on_error: OnError,
    before: Option<&Domain>,
) -> Domain {
    let before: HashMap<&str, &Arc<Policy>> = before
        .into_iter()
        .flat_map(|domain| domain.descriptors())
        .flat_map(|descriptor| descriptor.policies())
        .map(|policy| (policy.name(), policy))
        .collect();
    let mut domain = Domain::new(&written.domain, Decide::Apart, on_error);
    for descriptor in &written.descriptors {
        let label = label(&descriptor.entries);
        let rate = match rate(&written.domain, &label, descriptor, on_error) {
            Ok(rate) => kept(rate, &before),
            Err(why) => {
                source.complain(descriptor.span.clone(), why);
                continue;
            }
        };
        let limit = descriptor.limit.as_ref();
        let built = Descriptor {
            index: 0,
            label: label.clone(),
            measured: descriptor.measured.clone(),
            name: limit.map_or_else(String::new, |limit| limit.name.clone()),
            rate,
            replaces: limit.map_or_else(Vec::new, |limit| limit.replaces.clone()),
            metadata: descriptor.metadata.clone(),
        };
        if domain.insert(&descriptor.entries, built).is_err() {
            let message = format!("there are two descriptors `{label}`");
            source.complain(descriptor.span.clone(), message);
        }
    }
    domain
}

/// Policies that are the same as before are the same ones: a store then knows them already.
fn kept(rate: DescriptorRate, before: &HashMap<&str, &Arc<Policy>>) -> DescriptorRate {
    let DescriptorRate::Limited(policies) = rate else {
        return rate;
    };
    let kept = policies
        .into_iter()
        .map(|policy| match before.get(policy.name()) {
            Some(known) if means_the_same(known, &policy) => Arc::clone(known),
            _ => policy,
        });
    DescriptorRate::Limited(kept.collect())
}

fn means_the_same(one: &Policy, other: &Policy) -> bool {
    one.quota() == other.quota() && one.mode() == other.mode() && one.on_error() == other.on_error()
}

fn rate(
    domain: &str,
    label: &str,
    descriptor: &WrittenDescriptor,
    on_error: OnError,
) -> Result<DescriptorRate, String> {
    let Some(limit) = &descriptor.limit else {
        return Ok(DescriptorRate::None);
    };
    let Rate::Limited { requests, unit } = limit.rate else {
        return Ok(DescriptorRate::Unlimited);
    };
    let mode = match descriptor.shadow {
        true => Mode::Shadow,
        false => Mode::Enforce,
    };
    let policy =
        policy(domain, label, u64::from(requests), unit).map_err(|error| error.to_string())?;
    let policy = policy
        .with_mode(mode)
        // There a denied request is counted as well: what asks for more than is left takes what is left.
        .counting_denied(true)
        .with_on_error(on_error);
    Ok(DescriptorRate::Limited(vec![Arc::new(policy)]))
}

fn policy(domain: &str, label: &str, requests: u64, unit: Unit) -> Result<Policy, PolicyError> {
    let quota = quota(requests, unit).unwrap_or_else(|_| Quota::deny());
    let name = format!("{}.{}", policy_prefix(domain, label), unit.name());
    Policy::new(&name, quota)
}

/// So many in each window of the calendar in UTC; 0 has no quota.
pub(super) fn quota(requests: u64, unit: Unit) -> Result<Quota, QuotaError> {
    match unit {
        // Nobody tells a second that begins with its first request from one of the clock.
        Unit::Second => Ok(Quota::per_second(requests)?.counted_by(AlgorithmKind::FixedWindow)),
        Unit::Of(unit) => Quota::calendar(requests, unit, "UTC"),
    }
}
