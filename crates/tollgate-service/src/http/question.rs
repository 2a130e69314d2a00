//! What clients ask, as JSON.

use serde::{Deserialize, Deserializer};
use smallvec::SmallVec;

use super::key::{Key, Text};
use super::problem::Failure;
use crate::Service;
use crate::service::{Named, Words};

/// Questions of one request at most.
const REQUESTS_MAX: usize = 100;

/// The largest cost: 2^53, which JSON carries exactly everywhere.
const COST_MAX: u64 = 1 << 53;

/// A limit of the rules, whose units of it, and how many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One<'b> {
    #[serde(borrow)]
    limit: Text<'b>,
    #[serde(borrow, default)]
    key: Key<'b>,
    #[serde(default = "one")]
    cost: u64,
}

fn one() -> u64 {
    1
}

/// The body of a request: one limit, several that are charged together or not at all, or questions that have nothing to
/// do with each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body<'b> {
    #[serde(borrow, default, deserialize_with = "said")]
    limit: Option<Text<'b>>,
    #[serde(borrow, default, deserialize_with = "said")]
    key: Option<Key<'b>>,
    #[serde(default, deserialize_with = "said")]
    cost: Option<u64>,
    #[serde(borrow, default, deserialize_with = "said")]
    checks: Option<Vec<One<'b>>>,
    #[serde(borrow, default, deserialize_with = "said")]
    requests: Option<Vec<Body<'b>>>,
}

/// What is there is no `null`: whoever has nothing to say leaves the member out.
fn said<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// What a body asks.
#[derive(Debug)]
pub(super) enum Asked<'s> {
    /// One decision.
    Together(Vec<Named<'s>>),
    /// Several, each by itself.
    Each(Vec<Vec<Named<'s>>>),
}

impl Body<'_> {
    /// The limits and keys that are meant; nothing is decided if one of them cannot be.
    pub(super) fn asked(self, service: &Service) -> Result<Asked<'_>, Failure> {
        let Some(requests) = self.requests else {
            return self.together(service).map(Asked::Together);
        };
        if self.limit.is_some()
            || self.key.is_some()
            || self.cost.is_some()
            || self.checks.is_some()
        {
            return Err(Failure::unprocessable("`requests` stands alone"));
        }
        if requests.len() > REQUESTS_MAX {
            let why = format!("`requests` has at most {REQUESTS_MAX} items");
            return Err(Failure::unprocessable(why));
        }
        let each = requests.into_iter().map(|body| body.together(service));
        each.collect::<Result<_, _>>().map(Asked::Each)
    }

    /// One decision.
    pub(super) fn together(self, service: &Service) -> Result<Vec<Named<'_>>, Failure> {
        if self.requests.is_some() {
            return Err(Failure::unprocessable("`requests` cannot stand here"));
        }
        let all = match (self.limit, self.checks) {
            (Some(limit), None) => {
                let one = One {
                    limit,
                    key: self.key.unwrap_or_default(),
                    cost: self.cost.unwrap_or(1),
                };
                return Ok(vec![one.named(service)?]);
            }
            (None, Some(checks)) if self.key.is_none() && self.cost.is_none() => checks,
            _ => {
                return Err(Failure::unprocessable(
                    "write `limit` with `key` and `cost`, or `checks`, or `requests`",
                ));
            }
        };
        if all.is_empty() || all.len() > tollgate::store::CHECKS_MAX {
            let max = tollgate::store::CHECKS_MAX;
            return Err(Failure::unprocessable(format!(
                "`checks` has 1 to {max} items"
            )));
        }
        let named = all.into_iter().map(|one| one.named(service));
        named.collect()
    }
}

impl One<'_> {
    fn named(self, service: &Service) -> Result<Named<'_>, Failure> {
        if self.cost > COST_MAX {
            return Err(Failure::unprocessable("`cost` is at most 9007199254740992"));
        }
        let Text(limit) = self.limit;
        let words = match self.key {
            Key::None => Words::new(),
            Key::Words(words) => words,
            Key::Parts(parts) => {
                let words = service.words(&limit, parts);
                words.map_err(Failure::unprocessable)?
            }
        };
        let words: SmallVec<[&str; 2]> = words.iter().map(|word| &**word).collect();
        let named = service.named(&limit, &words, self.cost);
        named.map_err(Failure::unprocessable)
    }
}

/// The body of `POST /v1/settle`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settle {
    pub(super) receipt: String,
    #[serde(default, deserialize_with = "said")]
    pub(super) cost: Option<u64>,
    #[serde(default, deserialize_with = "said")]
    pub(super) costs: Option<Vec<u64>>,
}

impl Settle {
    /// What each of `count` questions of the receipt cost.
    pub(super) fn costs(&self, count: usize) -> Result<Vec<u64>, Failure> {
        let costs = match (self.cost, &self.costs) {
            (Some(cost), None) => vec![cost; count],
            (None, Some(costs)) if costs.len() == count => costs.clone(),
            _ => {
                let why = format!("write `cost`, or `costs` with one for each of {count} checks");
                return Err(Failure::unprocessable(why));
            }
        };
        match costs.iter().all(|cost| *cost <= COST_MAX) {
            true => Ok(costs),
            false => Err(Failure::unprocessable("a cost is at most 9007199254740992")),
        }
    }
}

/// The body of `POST /v1/refund`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    pub(super) receipt: String,
}
