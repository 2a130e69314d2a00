//! The steps that promises are written in.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Checks, Decision, Micros, Policy, Store, Verdict};

/// Seconds to an instant. The epoch of the tests is not zero, so that going back has room.
pub(super) fn at(seconds: f64) -> Micros {
    Micros(1_000_000_000_000_000 + (seconds * 1e6).round() as u64)
}

pub(super) fn secs(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64)
}

pub(super) fn policy(name: &str, quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
}

/// Waits for an answer on the calling thread.
pub fn wait<T: Unpin + Send + 'static>(answer: tollgate::Answer<T>) -> T {
    let mut answer = std::pin::pin!(answer);
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        match answer
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker))
        {
            std::task::Poll::Ready(answer) => return answer,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

pub(super) fn checks<'a>(policies: &'a [Arc<Policy>], key: &'a str, cost: u64) -> Checks<'a> {
    let mut checks = Checks::new();
    for policy in policies {
        checks
            .push(Check {
                policy,
                key: key.as_bytes(),
                cost,
            })
            .unwrap();
    }
    checks
}

pub(super) fn take(store: &dyn Store, policies: &[Arc<Policy>], cost: u64, now: f64) -> Decision {
    wait(store.decide(&checks(policies, "ann", cost), at(now)))
}

pub(super) fn peek(store: &dyn Store, policies: &[Arc<Policy>], cost: u64, now: f64) -> Decision {
    wait(store.peek(&checks(policies, "ann", cost), at(now)))
}

pub(super) fn passes(store: &dyn Store, policies: &[Arc<Policy>], now: f64) {
    let decision = take(store, policies, 1, now);
    assert!(decision.is_allowed(), "denied at {now}: {decision:?}");
}

pub(super) fn denied(store: &dyn Store, policies: &[Arc<Policy>], now: f64, retry_after: f64) {
    let decision = take(store, policies, 1, now);
    assert_eq!(
        decision.verdict(),
        Verdict::Deny {
            retry_after: secs(retry_after)
        },
        "at {now}"
    );
}

pub(super) fn remaining(decision: &Decision) -> Vec<u64> {
    decision
        .standings()
        .iter()
        .map(|standing| standing.remaining())
        .collect()
}
