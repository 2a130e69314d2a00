use std::sync::Arc;

use tollgate::algorithm::Charge;
use tollgate::decide::{cells, decide};
use tollgate::{Check, Decision, Lease, Micros, Policy};

use super::Near;

mod denials;
mod leases;

const START: Micros = Micros::from_secs(1_000_000);

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(
        Policy::new("p", quota.parse().unwrap())
            .unwrap()
            .with_lease(Lease::Auto),
    )
}

/// What a store says to one check of a key that has used `used` units.
fn said(check: &Check<'_>, used: u64) -> Decision {
    let mut slots = vec![None; cells(&[*check]).len()];
    if used > 0 {
        let _ = decide(
            &[Check {
                cost: used,
                ..*check
            }],
            &mut slots,
            START,
        );
    }
    decide(&[*check], &mut slots, START)
}

fn grant(units: u64) -> [Charge; 1] {
    [Charge {
        cost: units,
        mark: (1, 2),
    }]
}

/// What a node makes of what it hears about a question of the first of two instants at the other.
fn hear(
    near: &Near,
    checks: &[Check<'_>],
    said: &Decision,
    granted: &[Charge],
    (sent, heard): (Micros, Micros),
) {
    let wanted = vec![1; granted.len()];
    let asked = near.asks(None, checks, &wanted, sent);
    near.learn(None, checks, said, granted, (asked, heard));
}
