//! From decisions to what Envoy reads.

use bytes::Bytes;
use prost_types::value::Kind;
use prost_types::{Duration, ListValue, Struct, Value};
use smallvec::SmallVec;
use tollgate::{Policy, Standing};
use tollgate_rules::domain::Metadata;
use tollgate_tower::fields;

use super::Grpc;
use super::asked::{Asked, AskedDescriptor, Limit};
use super::decide::Decided;
use super::messages::{
    Code, CurrentLimit, DescriptorStatus, HeaderValue, RateLimitRequest, RateLimitResponse, Unit,
};
use super::metrics::Outcome;

/// Whether answers carry fields for the response to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    Written,
    None,
}

impl Grpc {
    pub(super) fn count(
        &self,
        request: &RateLimitRequest<'_>,
        asked: &Asked<'_>,
        decided: &[Decided],
    ) {
        let Some(domain) = asked.domain else {
            return;
        };
        let each = request
            .descriptors
            .iter()
            .zip(&asked.descriptors)
            .zip(decided);
        for ((descriptor, asked), decided) in each {
            let of = asked.met.and_then(|met| domain.metrics.get(met.index));
            let outcome = match (decided.is_over, decided.is_watched_over) {
                (true, _) => Outcome::OverLimit,
                (false, true) => Outcome::ShadowOverLimit,
                (false, false) => Outcome::Ok,
            };
            if let Some(of) = of {
                self.metrics.descriptor(of, &descriptor.entries, outcome);
            }
        }
    }
}

/// The answer to a request: exactly one status for each descriptor, in their order.
pub(super) fn of(asked: &Asked<'_>, decided: &[Decided], fields: Fields) -> RateLimitResponse {
    let is_over = decided.iter().any(|decided| decided.is_over);
    let each = asked.descriptors.iter().zip(decided);
    let statuses = each.clone().map(|(asked, decided)| status(asked, decided));
    let body = asked
        .domain
        .filter(|_| is_over)
        .map(|known| &known.domain.denied_body);
    RateLimitResponse {
        overall_code: code(is_over),
        statuses: statuses.collect(),
        response_headers_to_add: match fields {
            Fields::Written => headers(asked, decided),
            Fields::None => SmallVec::new(),
        },
        raw_body: body.map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.as_bytes())),
        dynamic_metadata: metadata(each),
    }
}

fn code(is_over: bool) -> i32 {
    match is_over {
        true => Code::OverLimit as i32,
        false => Code::Ok as i32,
    }
}

fn status(asked: &AskedDescriptor<'_>, decided: &Decided) -> DescriptorStatus {
    let code = code(decided.is_over);
    if let Limit::Unlimited = asked.limit {
        return DescriptorStatus {
            code,
            limit_remaining: u32::MAX,
            ..DescriptorStatus::default()
        };
    }
    let Some((policy, standing)) = tightest(decided) else {
        return DescriptorStatus {
            code,
            ..DescriptorStatus::default()
        };
    };
    let name = asked.met.map_or("", |met| met.name.as_str());
    DescriptorStatus {
        code,
        current_limit: Some(current_limit(policy, standing, name)),
        limit_remaining: match decided.is_over {
            // Less than what was asked for may be left. Who is over has nothing, as far as Envoy tells.
            true => 0,
            false => capped(standing.remaining()),
        },
        duration_until_reset: reset(standing),
    }
}

/// The policy that is told of: of those that deny the one with the longest wait, else the one with the least left. `None`
/// where the store was away and `open` lets pass: then Envoy tells of no limit either.
fn tightest(decided: &Decided) -> Option<(&Policy, &Standing)> {
    let rank = |standing: &Standing| {
        let counts = decided.is_over && standing.is_violated() && !standing.is_shadow();
        let wait = standing.retry_after().unwrap_or(std::time::Duration::MAX);
        match counts {
            true => (
                0,
                u64::MAX - u64::try_from(wait.as_micros()).unwrap_or(u64::MAX),
            ),
            false => (1, standing.remaining()),
        }
    };
    let known = decided.standings.iter();
    let known = known.filter(|(_, standing)| standing.is_known());
    let least = known.min_by_key(|(_, standing)| rank(standing));
    least.map(|(policy, standing)| (&**policy, standing))
}

fn capped(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// When to come back, or when more will be left; in whole seconds, because Envoy drops parts of one.
fn reset(standing: &Standing) -> Option<Duration> {
    let wait = match standing.is_violated() {
        true => standing.retry_after(),
        false => standing.grows_after(),
    }?;
    Some(Duration {
        seconds: i64::try_from(whole_seconds(wait)).unwrap_or(i64::MAX),
        nanos: 0,
    })
}

fn current_limit(policy: &Policy, standing: &Standing, name: &str) -> CurrentLimit {
    let window = policy.window().unwrap_or_default();
    let (unit, multiplier) = unit(whole_seconds(window).max(1));
    CurrentLimit {
        requests_per_unit: capped(standing.limit()),
        unit: unit as i32,
        name: name.to_owned(),
        unit_multiplier: (multiplier > 1).then_some(multiplier),
    }
}

/// Rounded up.
fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A window as the largest unit that it is a multiple of.
fn unit(seconds: u64) -> (Unit, u32) {
    const UNITS: [Unit; 7] = [
        Unit::Year,
        Unit::Month,
        Unit::Week,
        Unit::Day,
        Unit::Hour,
        Unit::Minute,
        Unit::Second,
    ];
    let whole = UNITS.into_iter().find_map(|unit| {
        let length = super::overrides::seconds(unit);
        (seconds.is_multiple_of(length)).then(|| (unit, seconds / length))
    });
    let (unit, multiplier) = whole.unwrap_or((Unit::Second, seconds));
    (unit, capped(multiplier))
}

fn headers(asked: &Asked<'_>, decided: &[Decided]) -> SmallVec<[HeaderValue; 3]> {
    let standings = || {
        let each = decided.iter().flat_map(|decided| &decided.standings);
        each.map(|(policy, standing)| (&**policy, standing))
    };
    let standing = fields::standing_value(standings());
    let over = standings().filter(|(_, standing)| standing.is_violated() && !standing.is_shadow());
    let wait = over
        .filter_map(|(_, standing)| standing.retry_after())
        .max();
    let mut headers = SmallVec::new();
    let mut add = |key, value: Option<_>| {
        headers.extend(value.map(|value| HeaderValue { key, value }));
    };
    add(fields::RATE_LIMIT_POLICY, policy_value(asked, decided));
    add(fields::RATE_LIMIT, standing);
    let wait = wait.map(|wait| whole_seconds(wait).max(1).into());
    add(http::header::RETRY_AFTER, wait);
    headers
}

/// `RateLimit-Policy` of the descriptors that were decided by numbers. What is written of those of the rules is at hand.
fn policy_value(asked: &Asked<'_>, decided: &[Decided]) -> Option<http::HeaderValue> {
    let each = asked.descriptors.iter().zip(decided);
    let numbered = each.filter(|(_, decided)| !decided.standings.is_empty());
    let mut values = numbered.filter_map(|(of, _)| match (&of.limit, of.met) {
        (Limit::Policies(_), Some(met)) => asked.domain?.policy_values.get(met.index)?.clone(),
        (limit, _) => fields::policy_value(limit.policies().iter().map(|policy| &**policy)),
    });
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(first);
    };
    let mut joined = first.as_bytes().to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(value.as_bytes());
    }
    http::HeaderValue::from_maybe_shared(Bytes::from(joined)).ok()
}

/// What the descriptors that pass have to tell, under `metadata`; of two values of one name the later.
fn metadata<'a, 'k: 'a>(
    each: impl Iterator<Item = (&'a AskedDescriptor<'k>, &'a Decided)>,
) -> Option<Struct> {
    let passing = each.filter(|(_, decided)| !decided.is_over);
    let told = passing.filter_map(|(asked, _)| asked.met);
    let told = told.flat_map(|met| &met.metadata);
    let fields: std::collections::BTreeMap<String, Value> = told
        .map(|(name, metadata)| (name.clone(), value(metadata)))
        .collect();
    if fields.is_empty() {
        return None;
    }
    let all = Kind::StructValue(Struct { fields });
    let fields = [("metadata".to_owned(), Value { kind: Some(all) })];
    Some(Struct {
        fields: fields.into(),
    })
}

fn value(metadata: &Metadata) -> Value {
    let kind = match metadata {
        Metadata::Null => Kind::NullValue(0),
        Metadata::Bool(bool) => Kind::BoolValue(*bool),
        Metadata::Number(number) => Kind::NumberValue(*number),
        Metadata::Text(text) => Kind::StringValue(text.clone()),
        Metadata::List(list) => Kind::ListValue(ListValue {
            values: list.iter().map(value).collect(),
        }),
        Metadata::Map(map) => Kind::StructValue(Struct {
            fields: map
                .iter()
                .map(|(name, metadata)| (name.clone(), value(metadata)))
                .collect(),
        }),
    };
    Value { kind: Some(kind) }
}
