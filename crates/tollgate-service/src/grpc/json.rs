//! Envoy's rate-limit service as JSON over HTTP, as `POST /json` of Envoy's own service has it: the messages in
//! protobuf's mapping to JSON.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use smallvec::SmallVec;

use super::Grpc;
use super::deadline::Deadline;
use super::messages::{
    Code, DescriptorStatus, Entry, RateLimitDescriptor, RateLimitOverride, RateLimitRequest,
    RateLimitResponse, Unit,
};

const UNITS: [(&str, Unit); 8] = [
    ("UNKNOWN", Unit::Unknown),
    ("SECOND", Unit::Second),
    ("MINUTE", Unit::Minute),
    ("HOUR", Unit::Hour),
    ("DAY", Unit::Day),
    ("MONTH", Unit::Month),
    ("YEAR", Unit::Year),
    ("WEEK", Unit::Week),
];

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonAnswer {
    /// Whether a limit is passed: 429, and 200 where none is.
    pub is_over: bool,
    /// The answer.
    pub body: Value,
    /// Fields for the response.
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

impl Grpc {
    /// Decides on a request in JSON. `head` is that of the HTTP request: it may say how long the caller waits.
    ///
    /// # Errors
    /// Why this is no such request.
    pub async fn json(&self, head: &http::HeaderMap, body: &[u8]) -> Result<JsonAnswer, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let request = request(&value)?;
        let answer = self.should_rate_limit(&request, Deadline::of(head)).await;
        Ok(told(answer.map_err(|refused| refused.0)?))
    }
}

fn told(response: RateLimitResponse) -> JsonAnswer {
    let mut body = json!({
        "overallCode": code(response.overall_code),
        "statuses": response.statuses.iter().map(status).collect::<Vec<_>>(),
    });
    if let Some(metadata) = response.dynamic_metadata {
        let kind = prost_types::value::Kind::StructValue(metadata);
        body["dynamicMetadata"] = plain(&prost_types::Value { kind: Some(kind) });
    }
    let fields = response.response_headers_to_add.into_iter();
    JsonAnswer {
        is_over: response.overall_code == Code::OverLimit as i32,
        body,
        fields: fields.map(|field| (field.key, field.value)).collect(),
    }
}

fn code(code: i32) -> &'static str {
    match Code::try_from(code) {
        Ok(Code::OverLimit) => "OVER_LIMIT",
        _ => "OK",
    }
}

fn status(status: &DescriptorStatus) -> Value {
    let mut written = json!({ "code": code(status.code) });
    if let Some(limit) = &status.current_limit {
        let unit = UNITS.iter().find(|(_, unit)| *unit as i32 == limit.unit);
        let mut current = json!({
            "requestsPerUnit": limit.requests_per_unit,
            "unit": unit.map_or("UNKNOWN", |(name, _)| name),
        });
        if !limit.name.is_empty() {
            current["name"] = limit.name.as_str().into();
        }
        if let Some(multiplier) = limit.unit_multiplier {
            current["unitMultiplier"] = multiplier.into();
        }
        written["currentLimit"] = current;
    }
    if status.limit_remaining > 0 {
        written["limitRemaining"] = status.limit_remaining.into();
    }
    if let Some(reset) = &status.duration_until_reset {
        written["durationUntilReset"] = format!("{}s", reset.seconds).into();
    }
    written
}

fn plain(value: &prost_types::Value) -> Value {
    use prost_types::value::Kind;
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(bool)) => Value::Bool(*bool),
        Some(Kind::NumberValue(number)) => json!(number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => list.values.iter().map(plain).collect(),
        Some(Kind::StructValue(all)) => {
            let fields = all.fields.iter();
            fields
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect()
        }
    }
}

type Read<T> = Result<T, &'static str>;

/// A field under its name in JSON or in the protocol; `null` is absent.
fn field<'v>(map: &'v Map<String, Value>, names: [&str; 2]) -> Option<&'v Value> {
    let found = names.into_iter().find_map(|name| map.get(name));
    found.filter(|value| !value.is_null())
}

fn object<'v>(value: &'v Value, wrong: &'static str) -> Read<&'v Map<String, Value>> {
    value.as_object().ok_or(wrong)
}

fn request(value: &Value) -> Read<RateLimitRequest<'_>> {
    let map = object(value, "the request is no object")?;
    known(map, &["domain", "descriptors", "hitsAddend", "hits_addend"])?;
    let domain = match map.get("domain") {
        Some(domain) => domain.as_str().ok_or("`domain` is no string")?,
        None => "",
    };
    let descriptors = match field(map, ["descriptors", "descriptors"]) {
        Some(list) => {
            let list = list.as_array().ok_or("`descriptors` is no array")?;
            list.iter().map(descriptor).collect::<Read<_>>()?
        }
        None => SmallVec::new(),
    };
    let hits = field(map, ["hitsAddend", "hits_addend"])
        .map(number)
        .transpose()?;
    Ok(RateLimitRequest {
        domain,
        descriptors,
        hits_addend: u32::try_from(hits.unwrap_or(0)).map_err(|_| "`hitsAddend` is too large")?,
    })
}

fn descriptor(value: &Value) -> Read<RateLimitDescriptor<'_>> {
    let map = object(value, "a descriptor is no object")?;
    let names = [
        "entries",
        "limit",
        "hitsAddend",
        "hits_addend",
        "isNegativeHits",
        "is_negative_hits",
    ];
    known(map, &names)?;
    let entries = match field(map, ["entries", "entries"]) {
        Some(list) => {
            let list = list.as_array().ok_or("`entries` is no array")?;
            list.iter().map(entry).collect::<Read<_>>()?
        }
        None => SmallVec::new(),
    };
    let negative = field(map, ["isNegativeHits", "is_negative_hits"]);
    let negative = negative.map(|value| {
        value
            .as_bool()
            .ok_or("`isNegativeHits` is neither true nor false")
    });
    Ok(RateLimitDescriptor {
        entries,
        limit: field(map, ["limit", "limit"]).map(limit).transpose()?,
        hits_addend: field(map, ["hitsAddend", "hits_addend"])
            .map(number)
            .transpose()?,
        is_negative_hits: negative.transpose()?.unwrap_or(false),
    })
}

fn entry(value: &Value) -> Read<Entry<'_>> {
    let map = object(value, "an entry is no object")?;
    known(map, &["key", "value"])?;
    let text = |name: &str| match map.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(value) => value.as_str().ok_or("an entry's key and value are strings"),
    };
    Ok(Entry {
        key: text("key")?,
        value: text("value")?,
    })
}

fn limit(value: &Value) -> Read<RateLimitOverride> {
    let map = object(value, "`limit` is no object")?;
    let names = [
        "requestsPerUnit",
        "requests_per_unit",
        "unit",
        "unitMultiplier",
        "unit_multiplier",
    ];
    known(map, &names)?;
    let narrow = |value: u64| u32::try_from(value).map_err(|_| "a number of `limit` is too large");
    let number_of = |names| -> Read<Option<u32>> {
        let number = field(map, names).map(number).transpose()?;
        number.map(narrow).transpose()
    };
    let unit = match map.get("unit") {
        Some(Value::String(name)) => {
            let known = UNITS.iter().find(|(known, _)| known == name);
            known
                .map(|(_, unit)| *unit as i32)
                .ok_or("`unit` is no known unit")?
        }
        Some(value) => i32::try_from(number(value)?).map_err(|_| "`unit` is no known unit")?,
        None => Unit::Unknown as i32,
    };
    Ok(RateLimitOverride {
        requests_per_unit: number_of(["requestsPerUnit", "requests_per_unit"])?.unwrap_or(0),
        unit,
        unit_multiplier: number_of(["unitMultiplier", "unit_multiplier"])?,
    })
}

/// A number, which may stand in quotes, as numbers of 64 bits do.
fn number(value: &Value) -> Read<u64> {
    let quoted = || value.as_str()?.parse().ok();
    value
        .as_u64()
        .or_else(quoted)
        .ok_or("a number is no whole number from 0 on")
}

fn known(map: &Map<String, Value>, names: &[&str]) -> Read<()> {
    match map.keys().all(|key| names.contains(&key.as_str())) {
        true => Ok(()),
        false => Err("a field has a name that the protocol does not know"),
    }
}
