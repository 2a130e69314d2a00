//! The library itself, which is what fronts are compared with.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tollgate::key::CompositeKey;
use tollgate::{
    Check, Checks, Decision, MemoryStore, Micros, Mode, Policy, Quota, Receipt, Standing, Store,
    Verdict,
};
use tollgate_redis::{RedisStore, Settings, Time};

use super::scenarios::Limit;
use super::{Act, Asked, Told};

pub(super) struct Library {
    store: Box<dyn Store>,
    limits: Vec<(&'static str, Vec<Arc<Policy>>)>,
    /// Of what was reserved last.
    receipt: Option<Receipt>,
    runtime: Runtime,
}

impl Library {
    /// Over memory, or over the store at this URL.
    pub(super) fn new(limits: &[Limit], url: Option<&str>) -> Self {
        let runtime = Runtime::new().unwrap();
        let store: Box<dyn Store> = match url {
            None => Box::new(MemoryStore::builder().build()),
            Some(url) => {
                let mut settings = Settings::default();
                settings.prefix = "library".to_owned();
                settings.deadline = std::time::Duration::from_secs(5);
                settings.time = Time::Caller;
                let connect = RedisStore::connect(url.parse().unwrap(), settings);
                Box::new(runtime.block_on(connect).unwrap())
            }
        };
        let policy = |limit: &Limit, text: &&str| {
            let quota: Quota = text.parse().unwrap();
            let name = format!("{}.{}", limit.name, quota.window_name());
            Arc::new((limit.made)(Policy::new(&name, quota).unwrap()))
        };
        let policies = |limit: &Limit| {
            limit
                .quotas
                .iter()
                .map(|text| policy(limit, text))
                .collect()
        };
        Library {
            store,
            limits: limits
                .iter()
                .map(|limit| (limit.name, policies(limit)))
                .collect(),
            receipt: None,
            runtime,
        }
    }

    pub(super) fn ask(&mut self, asked: Asked<'_>, act: Act, now: u64) -> Told {
        let now = Micros(now);
        let mut key = CompositeKey::new();
        asked
            .words
            .iter()
            .for_each(|word| key.push(word.as_bytes()));
        let known = self.limits.iter().find(|(name, _)| *name == asked.limit);
        let policies = &known.unwrap().1;
        let cost = match act {
            Act::Charge(cost) | Act::Look(cost) | Act::Reserve(cost) | Act::Settle(cost) => cost,
            Act::Refund | Act::Reset => 1,
        };
        let mut checks = Checks::new();
        for policy in policies {
            let key = key.as_ref();
            checks.push(Check { policy, key, cost }).unwrap();
        }
        let (store, runtime) = (&self.store, &self.runtime);
        let _in_it = runtime.enter();
        match act {
            Act::Look(_) => told(policies, &runtime.block_on(store.peek(&checks, now))),
            Act::Charge(_) | Act::Reserve(_) => {
                let decision = runtime.block_on(store.decide(&checks, now));
                self.receipt = decision.receipt();
                told(policies, &decision)
            }
            Act::Refund => {
                let receipt = self.receipt.take().unwrap();
                let units = runtime.block_on(store.refund(&checks, &receipt, now));
                [("refunded", json!(units.unwrap()))].into()
            }
            Act::Settle(_) => {
                let receipt = self.receipt.take().unwrap();
                let settled = runtime.block_on(store.settle(&checks, &receipt, now));
                [("settled", json!(settled.is_ok()))].into()
            }
            Act::Reset => {
                let resets = policies.iter().map(|policy| {
                    let reset = runtime.block_on(store.reset(policy, key.as_ref()));
                    reset.unwrap()
                });
                let any = resets.fold(false, |any, one| any | one);
                [("reset", json!(any))].into()
            }
        }
    }
}

/// Everything that any front says of a decision.
fn told(policies: &[Arc<Policy>], decision: &Decision) -> Told {
    let pairs = || policies.iter().map(Arc::as_ref).zip(decision.standings());
    let counts = |(policy, _): &(&Policy, &Standing)| policy.mode() == Mode::Enforce;
    // Of the policies that deny the one with the least left; if none denies, of all.
    let tightest = pairs()
        .filter(counts)
        .min_by_key(|(_, standing)| (!standing.is_violated(), standing.remaining()));
    let number = |number: u64| (number < u64::MAX).then_some(number);
    let limited = tightest.filter(|(_, standing)| number(standing.limit()).is_some());
    let retry_after = decision.retry_after();
    let window = |(policy, standing): (&Policy, &Standing)| {
        json!({
            "policy": policy.name(),
            "limit": number(standing.limit()),
            "remaining": number(standing.limit()).map(|_| standing.remaining()),
            "charged": standing.charged(),
            "retry_after_ms": standing.retry_after().map(milliseconds),
            "reset_after_ms": milliseconds(standing.full_after()),
            "violated": standing.is_violated(),
            "shadow": standing.is_shadow(),
            "blocked": standing.is_blocked(),
        })
    };
    let left = |(policy, standing): (&Policy, &Standing)| {
        let window = policy.name().rsplit('.').next().unwrap_or_default();
        (window.to_owned(), json!(standing.remaining()))
    };
    let has_numbers = |(policy, _): &(&Policy, &Standing)| policy.window().is_some();
    [
        ("allowed", json!(decision.is_allowed())),
        ("reason", json!(reason(decision))),
        (
            "policy",
            json!(tightest.map_or("", |(policy, _)| policy.name())),
        ),
        (
            "limit",
            json!(limited.map(|(_, standing)| standing.limit())),
        ),
        (
            "remaining",
            json!(limited.map(|(_, standing)| standing.remaining())),
        ),
        ("retry_after_ms", json!(retry_after.map(milliseconds))),
        ("retry_after_s", json!(decision.retry_after_secs())),
        ("reset_after_ms", json!(milliseconds(decision.full_after()))),
        ("degraded", json!(decision.is_degraded())),
        ("windows", pairs().map(window).collect()),
        (
            "left",
            Value::Object(
                pairs()
                    .filter(counts)
                    .filter(has_numbers)
                    .map(left)
                    .collect(),
            ),
        ),
    ]
    .into()
}

fn reason(decision: &Decision) -> &'static str {
    match decision.verdict() {
        Verdict::Allow => "allowed",
        Verdict::Deny { .. } => "denied",
        Verdict::Never { .. } => "never",
        Verdict::Refused { .. } => "refused-by-policy",
    }
}

/// Rounded up, so that a client that waits just so long does not come too early.
fn milliseconds(wait: std::time::Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap()
}

/// What the table says of an answer.
pub(super) fn sentence(told: &Told) -> String {
    for (what, value) in told {
        match *what {
            "refunded" | "reset" => return format!("{what} {value}"),
            "settled" => return what.to_string(),
            _ => {}
        }
    }
    let mut sentence = told["reason"].as_str().unwrap_or_default().to_owned();
    if sentence == "refused-by-policy" {
        return sentence;
    }
    if let Some(left) = told["remaining"].as_u64() {
        sentence += &format!(", {left} left");
    }
    if let Some(wait) = told["retry_after_ms"].as_u64() {
        sentence += &format!(", {wait} ms");
    }
    sentence
}
