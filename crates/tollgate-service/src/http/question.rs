//! What clients ask, as JSON.

use serde::{Deserialize, Deserializer};
use smallvec::SmallVec;

use super::cost::Cost;
use super::key::{Key, Text};
use super::problem::Failure;
use crate::Service;
use crate::service::{Named, Words};

/// Questions of one request at most.
const REQUESTS_MAX: usize = 100;

/// A limit of the rules, whose units of it, and how many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One<'b> {
    #[serde(borrow)]
    limit: Text<'b>,
    #[serde(borrow, default)]
    key: Key<'b>,
    #[serde(default)]
    cost: Cost,
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
    cost: Option<Cost>,
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
                    cost: self.cost.unwrap_or_default(),
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
        let Cost(cost) = self.cost;
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
        let named = service.named(&limit, &words, cost);
        named.map_err(Failure::unprocessable)
    }
}

/// The body of `POST /v1/settle`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settle {
    pub(super) receipt: String,
    #[serde(default, deserialize_with = "said")]
    cost: Option<Cost>,
    #[serde(default, deserialize_with = "said")]
    costs: Option<Vec<Cost>>,
}

impl Settle {
    /// What each question of the receipt cost, of which there are `count` if the receipt is known.
    pub(super) fn costs(&self, count: Option<usize>) -> Result<Vec<Cost>, Failure> {
        let costs = match (self.cost, &self.costs) {
            (Some(cost), None) => vec![cost; count.unwrap_or(1)],
            (None, Some(costs)) => costs.clone(),
            _ => return Err(Failure::unprocessable("write `cost` or `costs`")),
        };
        match count {
            Some(count) if costs.len() != count => {
                let why = format!("`costs` has one for each of {count} checks");
                Err(Failure::unprocessable(why))
            }
            _ => Ok(costs),
        }
    }
}

/// The body of `POST /v1/refund`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refund {
    pub(super) receipt: String,
}
