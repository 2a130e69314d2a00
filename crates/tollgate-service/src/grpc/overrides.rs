//! Limits that requests bring with them, as policies: a bounded number is remembered.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tollgate::{AlgorithmKind, CalendarUnit, Policy, Quota, QuotaError};
use tollgate_rules::domain::{Decide, Domain, policy_prefix};

use super::Refused;
use super::messages::{RateLimitOverride, Unit};

/// Policies that are remembered. Beyond, the least used one is made anew when it is asked for again: its counters stay.
pub const OVERRIDES_MAX: usize = 1_024;

/// Policies of limits that requests brought with them.
pub(super) struct Overrides(Cache<(String, RateLimitOverride), Arc<Policy>>);

impl Overrides {
    pub(super) fn new() -> Self {
        Overrides(Cache::new(OVERRIDES_MAX))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The policy of a limit. The units of a key stay when its limit changes, and are not those of its configured limit.
    pub(super) fn policy(
        &self,
        domain: &Domain,
        limit: &RateLimitOverride,
    ) -> Result<Arc<Policy>, Refused> {
        let known = (domain.name.as_str(), *limit);
        let key = (known.0.to_owned(), known.1);
        self.0.get_or_insert_with(&key, || made(domain, limit))
    }
}

fn made(domain: &Domain, limit: &RateLimitOverride) -> Result<Arc<Policy>, Refused> {
    let wrong =
        Refused("a limit that came with the request has no window, or one beyond a century");
    let unit = Unit::try_from(limit.unit).unwrap_or(Unit::Unknown);
    let multiplier = limit.unit_multiplier.unwrap_or(1).max(1);
    let seconds = match seconds(unit) {
        0 => return Err(wrong),
        seconds => seconds.saturating_mul(u64::from(multiplier)),
    };
    let of_calendar = match (domain.decide, multiplier) {
        (Decide::Apart, 1) => calendar(unit),
        _ => None,
    };
    let is_calendar = of_calendar.is_some();
    let quota = match quota(
        domain.decide,
        u64::from(limit.requests_per_unit),
        of_calendar,
        seconds,
    ) {
        Ok(quota) => quota,
        Err(QuotaError::Zero) => Quota::deny(),
        Err(_) => return Err(wrong),
    };
    // One name for each window, so that another number of requests finds the units of before.
    let kind = match is_calendar {
        true => "calendar-",
        false => "",
    };
    let name = format!("{}.{kind}{seconds}s", policy_prefix(&domain.name, "*"));
    let policy = Policy::new(&name, quota).map_err(|_| wrong)?;
    let policy = policy
        .counting_denied(domain.decide == Decide::Apart)
        .with_on_error(domain.on_error)
        .with_version(Policy::VERSION_OF_THE_ASKER);
    Ok(Arc::new(policy))
}

/// Where each descriptor counts for itself it counts as Envoy's own service does, in windows of the calendar; else as
/// every limit here does that says nothing else.
fn quota(
    decide: Decide,
    requests: u64,
    of_calendar: Option<CalendarUnit>,
    seconds: u64,
) -> Result<Quota, QuotaError> {
    if let Some(unit) = of_calendar {
        return Quota::calendar(requests, unit, "UTC");
    }
    let quota = Quota::new(requests, Duration::from_secs(seconds))?;
    Ok(match decide {
        Decide::Apart => quota.counted_by(AlgorithmKind::FixedWindow),
        Decide::Together => quota,
    })
}

pub(super) fn seconds(unit: Unit) -> u64 {
    const DAY: u64 = 86_400;
    match unit {
        Unit::Unknown => 0,
        Unit::Second => 1,
        Unit::Minute => 60,
        Unit::Hour => 3_600,
        Unit::Day => DAY,
        Unit::Week => 7 * DAY,
        Unit::Month => 30 * DAY,
        Unit::Year => 365 * DAY,
    }
}

fn calendar(unit: Unit) -> Option<CalendarUnit> {
    match unit {
        Unit::Unknown | Unit::Second => None,
        Unit::Minute => Some(CalendarUnit::Minute),
        Unit::Hour => Some(CalendarUnit::Hour),
        Unit::Day => Some(CalendarUnit::Day),
        Unit::Week => Some(CalendarUnit::Week),
        Unit::Month => Some(CalendarUnit::Month),
        Unit::Year => Some(CalendarUnit::Year),
    }
}
