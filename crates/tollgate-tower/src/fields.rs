//! The response fields that tell a client where it stands: `RateLimit` and `RateLimit-Policy` in the list syntax of
//! draft-ietf-httpapi-ratelimit-headers-11, one legacy family, and `Retry-After` (RFC 9110, section 10.2.3).
//!
//! The draft is not an RFC and its parameters have been renamed before, so its syntax is written here and nowhere else.

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use smallvec::SmallVec;
use tollgate::{Decision, Mode, Policy, Standing};

/// The draft whose syntax is written.
pub const DRAFT: u8 = 11;

/// `RateLimit`: what is left of each policy, and when more will be.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy`: the policies.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Every field that this module writes, for `Access-Control-Expose-Headers`.
pub const EXPOSED: HeaderValue = HeaderValue::from_static(
    "RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id",
);

/// The largest integer of a structured field (RFC 9651, section 3.3.1).
const SF_INTEGER_MAX: u64 = 999_999_999_999_999;

/// A value that is being written.
type Text = SmallVec<[u8; 256]>;

/// A family of fields from before the IETF's.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::fields::Legacy;
/// use tollgate_tower::{RateLimitLayer, key};
///
/// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, key::header("x-api-key")).legacy(Legacy::None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Legacy {
    /// `X-RateLimit-Limit`, `-Remaining`, and `-Reset` in seconds from now.
    #[default]
    Delta,
    /// The same with `-Reset` in seconds since 1970.
    Epoch,
    /// None.
    None,
}

/// The value of `RateLimit-Policy`, which depends on no request; `None` when no policy has numbers to show.
///
/// `q` is the quota and `w` the window in whole seconds, left out where it is no whole number of them. Of a
/// `concurrency` policy `q` counts requests in flight, `qu` says so, and there is no window.
pub fn policy_value<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Option<HeaderValue> {
    let mut value: SmallVec<[u8; 256]> = SmallVec::new();
    for policy in policies.into_iter().filter(|policy| is_shown(policy)) {
        let (Some(quota), Some(window)) = (policy.capacity(), policy.window()) else {
            continue;
        };
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.push(b'"');
        value.extend_from_slice(policy.name().as_bytes());
        value.extend_from_slice(b"\";q=");
        push_integer(&mut value, quota);
        if policy.holds_slots() {
            value.extend_from_slice(b";qu=\"concurrent-requests\"");
        } else if window.subsec_nanos() == 0 {
            value.extend_from_slice(b";w=");
            push_integer(&mut value, window.as_secs());
        }
    }
    let value = (!value.is_empty()).then(|| HeaderValue::from_bytes(&value));
    value?.ok()
}

/// The value of `RateLimit`: `r` units remain, and more will in `t` seconds. When a slot becomes free nobody knows. A policy
/// of which [nothing is known](Standing::is_known) is left out.
pub fn standing_value<'p>(
    standings: impl IntoIterator<Item = (&'p Policy, &'p Standing)>,
) -> Option<HeaderValue> {
    let value = standing_text(standings);
    let value = (!value.is_empty()).then(|| HeaderValue::from_bytes(&value));
    value?.ok()
}

fn standing_text<'p>(standings: impl IntoIterator<Item = (&'p Policy, &'p Standing)>) -> Text {
    let mut value = Text::new();
    for (policy, standing) in standings.into_iter().filter(is_told) {
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.push(b'"');
        value.extend_from_slice(policy.name().as_bytes());
        value.extend_from_slice(b"\";r=");
        push_integer(&mut value, standing.remaining());
        let resets_in = standing.resets_in().filter(|_| !policy.holds_slots());
        if let Some(seconds) = resets_in {
            value.extend_from_slice(b";t=");
            push_integer(&mut value, seconds);
        }
    }
    value
}

/// Writes every field of a decision: the same on allowed and refused responses.
///
/// `policies` are those of the decision's standings, in their order; `policy_value` is [`policy_value`] of them.
pub fn write<'p>(
    headers: &mut HeaderMap,
    policies: impl Iterator<Item = &'p Policy> + Clone,
    policy_value: Option<&HeaderValue>,
    decision: &'p Decision,
    legacy: Legacy,
) {
    if let Some(value) = policy_value {
        headers.insert(RATE_LIMIT_POLICY, value.clone());
    }
    each(policies, decision, legacy, |name, value| {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    });
}

/// Tells `field` every field of a decision but `RateLimit-Policy`: for those who keep fields in another form than
/// [`write()`] does.
///
/// `policies` are those of the decision's standings, in their order.
pub fn each<'p>(
    policies: impl Iterator<Item = &'p Policy> + Clone,
    decision: &'p Decision,
    legacy: Legacy,
    mut field: impl FnMut(HeaderName, &[u8]),
) {
    let standings = policies.zip(decision.standings());
    let value = standing_text(standings.clone());
    if !value.is_empty() {
        field(RATE_LIMIT, &value);
    }
    if legacy != Legacy::None {
        each_legacy(standings, decision, legacy, &mut field);
    }
    if let Some(seconds) = decision.retry_after_secs() {
        field(RETRY_AFTER, itoa::Buffer::new().format(seconds).as_bytes());
    }
}

/// One window fits the old fields: the one with the least remaining, and of equals the longest. Slots are no window.
fn each_legacy<'p>(
    standings: impl Iterator<Item = (&'p Policy, &'p Standing)>,
    decision: &Decision,
    legacy: Legacy,
    field: &mut impl FnMut(HeaderName, &[u8]),
) {
    let shown = standings.filter(|told| is_told(told) && !told.0.holds_slots());
    let tightest = shown.min_by_key(|(policy, standing)| {
        (standing.remaining(), std::cmp::Reverse(policy.window()))
    });
    let Some((_, standing)) = tightest else {
        return;
    };
    let mut number = |name, integer: u64| {
        field(name, itoa::Buffer::new().format(integer).as_bytes());
    };
    number(LEGACY_LIMIT, standing.limit());
    number(LEGACY_REMAINING, standing.remaining());
    if let Some(wait) = standing.resets_in() {
        let reset = match legacy {
            Legacy::Epoch => standing
                .grows_after()
                .map_or(0, |wait| (decision.at() + wait).0.div_ceil(1_000_000)),
            Legacy::Delta | Legacy::None => wait,
        };
        number(LEGACY_RESET, reset);
    }
}

/// Policies that only watch, and those without numbers, are nobody's business.
fn is_shown(policy: &Policy) -> bool {
    policy.mode() == Mode::Enforce && policy.capacity().is_some()
}

fn is_told((policy, standing): &(&Policy, &Standing)) -> bool {
    is_shown(policy) && standing.is_known()
}

fn push_integer(value: &mut Text, integer: u64) {
    let mut digits = itoa::Buffer::new();
    value.extend_from_slice(digits.format(integer.min(SF_INTEGER_MAX)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use sfv::{BareItem, List, ListEntry, Parser};
    use tollgate::{Limiter, Micros, Quota};

    fn fields_after(calls: u64, legacy: Legacy) -> HeaderMap {
        let limiter = Limiter::new(
            Quota::parse_list("5/m fixed-window; 300/h fixed-window; 9 per 1500 ms").unwrap(),
        )
        .unwrap();
        let mut headers = HeaderMap::new();
        for call in 0..calls {
            let decision =
                limiter.check_at("ann", Micros(1_800_000_000_200_000 + call * 1_000_000));
            let policies = limiter.policies().iter().map(|policy| &**policy);
            headers.clear();
            write(
                &mut headers,
                policies.clone(),
                policy_value(policies).as_ref(),
                &decision,
                legacy,
            );
        }
        headers
    }

    #[test]
    fn the_fields_are_lists_of_strings_with_integer_parameters() {
        let headers = fields_after(6, Legacy::Delta);
        assert_eq!(
            headers[RATE_LIMIT_POLICY],
            "\"minute\";q=5;w=60, \"hour\";q=300;w=3600, \"1500ms\";q=9"
        );
        assert_eq!(
            headers[RATE_LIMIT],
            "\"minute\";r=0;t=55, \"hour\";r=295;t=3595, \"1500ms\";r=8;t=1"
        );
        assert_eq!(headers[RETRY_AFTER], "55");
        for name in [RATE_LIMIT, RATE_LIMIT_POLICY] {
            let list: List = Parser::new(headers[&name].as_bytes()).parse().unwrap();
            assert_eq!(list.len(), 3);
            for entry in &list {
                let ListEntry::Item(item) = entry else {
                    panic!("{name} holds an inner list")
                };
                assert!(matches!(item.bare_item, BareItem::String(_)));
                assert!(
                    item.params
                        .values()
                        .all(|value| matches!(value, BareItem::Integer(_)))
                );
            }
        }
    }

    #[test]
    fn the_legacy_family_shows_the_tightest_window() {
        let headers = fields_after(6, Legacy::Delta);
        assert_eq!(
            (
                &headers["x-ratelimit-limit"],
                &headers["x-ratelimit-remaining"],
                &headers["x-ratelimit-reset"]
            ),
            (
                &HeaderValue::from(5),
                &HeaderValue::from(0),
                &HeaderValue::from(55)
            )
        );
        let headers = fields_after(6, Legacy::Epoch);
        assert_eq!(headers["x-ratelimit-reset"], "1800000061");
        assert!(!fields_after(1, Legacy::None).contains_key("x-ratelimit-limit"));
    }

    #[test]
    fn an_allowed_response_has_no_retry_after() {
        let headers = fields_after(1, Legacy::Delta);
        assert!(!headers.contains_key(RETRY_AFTER));
        assert_eq!(
            headers[RATE_LIMIT],
            "\"minute\";r=4;t=60, \"hour\";r=299;t=3600, \"1500ms\";r=8;t=2"
        );
    }

    #[test]
    fn without_the_store_the_limits_stay_those_of_the_rules_and_what_nobody_knows_is_not_told() {
        // In the place of two policies, of which one lets pass, another has a share of its limit.
        let quotas = ["5 per minute", "unlimited"].map(|quota| quota.parse().unwrap());
        let stand_ins = Limiter::new(quotas.to_vec()).unwrap();
        let decision = stand_ins.check_at("ann", Micros(1_800_000_000_000_000));
        let rules = Quota::parse_list("10 per minute; 9 per hour").unwrap();
        let rules = Limiter::new(rules).unwrap();
        let policies = rules.policies().iter().map(|policy| &**policy);
        let limits = policies.clone().map(Policy::capacity);
        let decision = decision.in_place_of(limits);
        let mut headers = HeaderMap::new();
        let value = policy_value(policies.clone());
        write(
            &mut headers,
            policies.clone(),
            value.as_ref(),
            &decision,
            Legacy::Delta,
        );
        assert_eq!(
            headers[RATE_LIMIT_POLICY],
            "\"minute\";q=10;w=60, \"hour\";q=9;w=3600"
        );
        assert_eq!(headers[RATE_LIMIT], "\"minute\";r=4;t=60");
        let legacy = [&headers[LEGACY_LIMIT], &headers[LEGACY_REMAINING]];
        assert_eq!(legacy, ["10", "4"]);
        assert!(decision.is_degraded());
        assert_eq!(decision.remaining(), 4);
    }

    #[test]
    fn slots_are_requests_in_flight_and_no_window() {
        let limiter = Limiter::new(Quota::parse_list("9 per minute; 2 concurrent").unwrap());
        let limiter = limiter.unwrap();
        let policies = limiter.policies().iter().map(|policy| &**policy);
        let policy_value = policy_value(policies.clone());
        let permit = limiter.acquire("ann").unwrap();
        let mut headers = HeaderMap::new();
        let decision = permit.decision();
        write(
            &mut headers,
            policies,
            policy_value.as_ref(),
            decision,
            Legacy::Delta,
        );
        assert_eq!(
            headers[RATE_LIMIT_POLICY],
            "\"minute\";q=9;w=60, \"concurrent\";q=2;qu=\"concurrent-requests\""
        );
        assert_eq!(
            headers[RATE_LIMIT],
            "\"minute\";r=8;t=60, \"concurrent\";r=1"
        );
        assert_eq!(headers[LEGACY_REMAINING], "8");
    }
}
