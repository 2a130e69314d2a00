//! What a token says, read strictly: a claim that comes twice, or has another type than it must have, is no claim.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use tollgate::Micros;

use super::TOKEN_TTL_MAX;

/// How far another clock may be ahead in `iat`; expiry has no such leeway.
const ISSUED_AHEAD_MAX: Duration = Duration::from_secs(60);

/// The claims of a token of another issuer, whatever they are.
pub(super) struct Claims(BTreeMap<String, Value>);

impl Claims {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// `None` when the claim is there and is no whole number of seconds.
    pub(super) fn seconds(&self, name: &str) -> Option<Option<u64>> {
        match self.0.get(name) {
            None => Some(None),
            Some(value) => value.as_u64().map(Some),
        }
    }
}

/// The end of a token with these times, if it is in its time now. Judged by our clock.
pub(super) fn end_of(exp: u64, nbf: Option<u64>, iat: Option<u64>, now: Micros) -> Option<Micros> {
    let expires_at = instant(exp)?;
    let not_before = instant(nbf.unwrap_or(0))?;
    let issued_at = instant(iat.unwrap_or(0))?;
    let is_in_time = now < expires_at && not_before <= now && issued_at <= now + ISSUED_AHEAD_MAX;
    is_in_time.then_some(expires_at)
}

/// As [`end_of`], of a token of another issuer, whose `exp` may be in any year: it ends [`TOKEN_TTL_MAX`] after it was
/// issued at the latest. One that does not say when it was issued must end by itself within that time.
pub(super) fn foreign_end_of(
    exp: u64,
    nbf: Option<u64>,
    iat: Option<u64>,
    now: Micros,
) -> Option<Micros> {
    let end = end_of(exp, nbf, iat, now)?;
    let latest = iat.and_then(instant).unwrap_or(now) + TOKEN_TTL_MAX;
    match iat {
        Some(_) => Some(end.min(latest)).filter(|end| now < *end),
        None => Some(end).filter(|end| *end <= latest),
    }
}

fn instant(seconds: u64) -> Option<Micros> {
    seconds.checked_mul(1_000_000).map(Micros)
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EachOnce).map(Self)
    }
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object whose members come once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut claims = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("a claim comes twice"));
            }
        }
        Ok(claims)
    }
}
