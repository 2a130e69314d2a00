//! Limits that requests bring with them, as policies: a bounded number is remembered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tollgate::{AlgorithmKind, CalendarUnit, Micros, Policy, Quota, QuotaError};
use tollgate_rules::domain::{Decide, Domain, policy_prefix};

use super::Refused;
use super::messages::{RateLimitOverride, Unit};

/// Policies that are remembered for each domain, and new ones at once over all domains.
pub(super) const OVERRIDES_MAX: usize = 4_096;

/// How often another new one may come, once so many have. So 8,192 come in a day at most: with those of `CL.THROTTLE`
/// they leave some of the 65,535 numbers by which a store tells policies apart, for a day after their last use.
const ANOTHER_EVERY: Duration = Duration::from_micros(86_400_000_000 / OVERRIDES_MAX as u64);

/// How many new limits requests may still bring, to all domains.
#[derive(Default)]
pub(super) struct Newcomers {
    /// When all that have come are made up for.
    made_up: Mutex<Micros>,
}

impl Newcomers {
    fn admit(&self, now: Micros) -> Result<(), Refused> {
        let mut made_up = self.made_up.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*made_up).max(now) + ANOTHER_EVERY;
        if next > now + ANOTHER_EVERY * OVERRIDES_MAX as u32 {
            return Err(Refused(
                "too many different limits came with requests; those that came before go on",
            ));
        }
        *made_up = next;
        Ok(())
    }
}

/// Policies of limits that requests brought with them to one domain.
pub(super) struct Overrides {
    known: Cache<RateLimitOverride, Arc<Policy>>,
    newcomers: Arc<Newcomers>,
}

impl Overrides {
    pub(super) fn new(newcomers: Arc<Newcomers>) -> Self {
        Overrides {
            known: Cache::new(OVERRIDES_MAX),
            newcomers,
        }
    }

    /// The same limits for a domain that has been read again.
    pub(super) fn again(&self, domain: &Domain) -> Self {
        let again = Overrides::new(Arc::clone(&self.newcomers));
        for (limit, _) in self.known.iter() {
            if let Ok(policy) = made(domain, &limit) {
                again.known.insert(limit, policy);
            }
        }
        again
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The policy of a limit. The units of a key stay when its limit changes, and are not those of its configured limit.
    pub(super) fn policy(
        &self,
        domain: &Domain,
        limit: &RateLimitOverride,
        now: Micros,
    ) -> Result<Arc<Policy>, Refused> {
        self.known.get_or_insert_with(limit, || {
            let policy = made(domain, limit)?;
            self.newcomers.admit(now)?;
            Ok(policy)
        })
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
