mod beside_step;
mod bounds;
mod open_window;
#[cfg(not(loom))]
mod reused;
#[cfg(not(loom))]
mod stress;
mod weightless;

use std::sync::Arc;

use super::table::Words;
use super::*;
use crate::penalty::Penalty;
use crate::policy::Mode;

fn policy(quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new("p", quota.parse().unwrap()).unwrap())
}

fn charge(store: &MemoryStore, policy: &Arc<Policy>, key: &str, cost: u64, now: u64) -> Decision {
    let mut checks = Checks::new();
    checks
        .push(Check {
            policy,
            key: key.as_bytes(),
            cost,
        })
        .unwrap();
    store.decide(&checks, Micros::from_secs(now))
}

fn small(on_full: OnFull) -> MemoryStore {
    MemoryStore::builder()
        .max_memory(0)
        .on_full(on_full)
        .build()
}

/// More keys than a table of the smallest store has cells: 16 bytes each for a fixed size, 64 for a log.
fn flood(quota: &str) -> usize {
    let cell = if quota.contains("token") { 16 } else { 64 };
    MemoryStore::BYTES_MIN / cell
}

#[test]
fn a_flood_of_one_shot_keys_does_not_wash_out_a_heavy_offender() {
    for quota in ["5 per hour", "5 per hour token-bucket"] {
        let (store, policy) = (small(OnFull::Open), policy(quota));
        for offender in 0..100 {
            let key = format!("offender-{offender}");
            assert!(charge(&store, &policy, &key, 5, 1_000_000).is_allowed());
        }
        for key in 0..flood(quota) {
            assert!(charge(&store, &policy, &format!("flood-{key}"), 1, 1_000_001).is_allowed());
        }
        let stats = store.stats(Micros::from_secs(1_000_001));
        assert!(
            stats.newcomers_without_room > 0,
            "{quota}: the flood did not fill the store: {stats:?}"
        );
        assert_eq!(stats.live_evictions, 0, "{quota}: ties are the newcomer's");
        for offender in 0..100 {
            let key = format!("offender-{offender}");
            assert!(
                !charge(&store, &policy, &key, 1, 1_000_002).is_allowed(),
                "{quota}"
            );
        }
        // A heavier newcomer takes the place of a lighter key, and that is counted.
        for newcomer in 0..1_000 {
            let _ = charge(
                &store,
                &policy,
                &format!("newcomer-{newcomer}"),
                3,
                1_000_003,
            );
        }
        let evictions = store.stats(Micros(0)).live_evictions;
        assert!(evictions > 0, "{quota}");
        // Void states go first, and cost nothing.
        for later in 0..5_000 {
            let key = format!("later-{later}");
            assert!(charge(&store, &policy, &key, 1, 1_007_200).is_allowed());
        }
        assert_eq!(store.stats(Micros(0)).live_evictions, evictions, "{quota}");
    }
}

#[test]
fn a_request_that_is_denied_evicts_nobody() {
    let (store, policy) = (small(OnFull::Open), policy("5 per hour token-bucket"));
    for key in 0..flood("token") {
        let _ = charge(&store, &policy, &key.to_string(), 1, 0);
    }
    let never = Arc::new(Policy::new("never", "deny".parse().unwrap()).unwrap());
    for newcomer in 0..1_000 {
        let key = format!("newcomer-{newcomer}");
        let mut checks = Checks::new();
        for policy in [&policy, &never] {
            let key = key.as_bytes();
            checks
                .push(Check {
                    policy,
                    key,
                    cost: 5,
                })
                .unwrap();
        }
        assert!(!store.decide(&checks, Micros(1)).is_allowed());
    }
    assert_eq!(store.stats(Micros(0)).live_evictions, 0);
}

/// An hour of block after a denial, and five units an hour.
fn punished() -> Arc<Policy> {
    let policy = Policy::new("p", "5 per hour token-bucket".parse().unwrap()).unwrap();
    let penalty = Penalty::new(std::time::Duration::from_secs(3_600));
    Arc::new(policy.with_penalty(penalty).unwrap())
}

#[test]
fn a_flood_of_lighter_keys_does_not_wash_out_a_block() {
    let (store, policy) = (small(OnFull::Open), punished());
    let blocked = |now| {
        let key = |offender| format!("offender-{offender}");
        let decide = |key: String| charge(&store, &policy, &key, 1, now);
        let decisions = (0..100).map(key).map(decide);
        decisions
            .filter(|decision| decision.standings()[0].is_blocked())
            .count()
    };
    for offender in 0..100 {
        let key = format!("offender-{offender}");
        assert!(charge(&store, &policy, &key, 5, 1_000_000).is_allowed());
    }
    assert_eq!(blocked(1_000_000), 100);
    for key in 0..flood("token") {
        assert!(charge(&store, &policy, &format!("flood-{key}"), 3, 1_000_001).is_allowed());
    }
    let stats = store.stats(Micros::from_secs(1_000_001));
    assert!(stats.newcomers_without_room > 0, "{stats:?}");
    assert_eq!(blocked(1_000_002), 100);
    // Four of the five units are back; the block is not over.
    assert_eq!(blocked(1_003_000), 100);
}

#[test]
fn a_block_that_finds_no_room_is_lost_and_counted() {
    let (store, policy) = (small(OnFull::Closed), punished());
    let flood: Vec<String> = (0..flood("token")).map(|key| key.to_string()).collect();
    let takes = |key: &&String| charge(&store, &policy, key, 5, 1_000_000).is_allowed();
    let found: Vec<&String> = flood.iter().filter(takes).collect();
    let found = &found[found.len().saturating_sub(20_000)..];
    let before = store.stats(Micros(0)).newcomers_without_room;
    assert!(before > 0, "the store did not fill");
    let denied = |key: &&&String| !charge(&store, &policy, key, 5, 1_000_001).is_allowed();
    assert_eq!(
        found.iter().filter(denied).count(),
        found.len(),
        "all are denied"
    );
    let lost = found
        .iter()
        .filter(|key| !charge(&store, &policy, key, 0, 1_000_002).standings()[0].is_blocked());
    let lost = lost.count() as u64;
    let stats = store.stats(Micros(0));
    assert!(lost > 0, "every block found a place");
    assert_eq!(stats.newcomers_without_room, before + lost);
    assert_eq!(stats.live_evictions, 0, "nobody lighter was there");
}

#[test]
fn numbers_of_policies_with_penalties_are_used_again() {
    let store = MemoryStore::builder().max_memory(0).build();
    let penalty = Penalty::new(std::time::Duration::from_secs(1));
    for version in 0..200 {
        let policy = Policy::new("p", "1/s".parse().unwrap()).unwrap();
        let policy = Arc::new(policy.with_penalty(penalty).unwrap().with_version(version));
        for _ in 0..2 {
            let _ = charge(&store, &policy, "ann", 1, 1_000 + 10 * version);
        }
    }
    let kept = store.registry.named("p").len() + store.registry.named("p penalty").len();
    assert!(kept < 20, "{kept} numbers are taken");
    assert!(!store.registry.named("p penalty").is_empty());
}

#[test]
fn logs_that_grow_stay_under_the_bound() {
    let (store, policy) = (small(OnFull::Open), policy("200 per hour"));
    for call in 0..128 {
        for key in 0..1_000 {
            let _ = charge(&store, &policy, &key.to_string(), 1, call);
        }
    }
    let stats = store.stats(Micros::from_secs(128));
    assert!(stats.bytes <= MemoryStore::BYTES_MIN as u64, "{stats:?}");
    assert!(stats.live_evictions > 0, "nothing grew: {stats:?}");
}

#[test]
fn a_full_store_that_is_closed_refuses_newcomers_and_charges_nothing() {
    let (store, full, roomy) = (
        small(OnFull::Closed),
        policy("1 per hour token-bucket"),
        Arc::new(Policy::new("roomy", "9 per hour".parse().unwrap()).unwrap()),
    );
    let refused =
        (0..flood("token")).find(|key| !charge(&store, &full, &key.to_string(), 1, 0).is_allowed());
    let refused = refused.expect("the store did not fill").to_string();
    let mut checks = Checks::new();
    for policy in [&roomy, &full] {
        let key = refused.as_bytes();
        checks
            .push(Check {
                policy,
                key,
                cost: 1,
            })
            .unwrap();
    }
    let decision = store.decide(&checks, Micros(1));
    let no_turn = store.reserve(&checks, Micros(1), Micros(1)).unwrap_err();
    for decision in [decision, no_turn] {
        let reason = Reason::StoreFull;
        assert_eq!(decision.verdict(), crate::Verdict::Refused { reason });
    }
    assert_eq!(
        charge(&store, &roomy, &refused, 0, 0).remaining(),
        9,
        "all or nothing"
    );
}

/// Every state takes one of the forms that a cell can have; each must read back as it was.
#[test]
fn states_of_every_form_read_back_as_they_were() {
    let quotas = [
        "100000 per hour fixed-window",
        "3 per second burst 3",
        "1 per century token-bucket",
        "7 per century",
        "100 per minute sliding-counter",
        "2000000000 per second sliding-counter",
        "200 per minute",
        "70000 per minute",
        "9 concurrent",
        "9 per month calendar",
    ];
    for quota in quotas {
        let (store, policy, reference) = (MemoryStore::new(), policy(quota), policy(quota));
        let algorithm = reference.algorithm().unwrap();
        let mut state = None;
        for call in 0..300_u64 {
            let now = Micros(1_700_000_000_000_000 + call * 99_991);
            let cost = 1 + call % 2 * (algorithm.capacity() / 150);
            let expected = algorithm.facts(state.as_ref(), now, cost);
            if let Ok(next) = algorithm.step(state.clone(), now, cost) {
                state = Some(next);
            }
            let mut checks = Checks::new();
            let key = &b"ann"[..];
            let policy = &policy;
            checks.push(Check { policy, key, cost }).unwrap();
            let allowed = store.decide(&checks, now).is_allowed();
            assert_eq!(
                allowed,
                expected.fits_at.is_some_and(|at| at <= now),
                "{quota}, call {call}"
            );
            let remaining = algorithm.facts(state.as_ref(), now, 1).remaining;
            assert_eq!(
                store.peek(&checks, now).remaining(),
                remaining,
                "{quota}, call {call}"
            );
        }
    }
}

/// A stamp tells instants of less than nine years; a state can mean something for longer.
#[test]
fn a_state_that_outlasts_every_stamp_keeps_its_cell() {
    // The newcomer looks at the other's cell first.
    let (table, ann, newcomer) = (Table::<2>::with_homes(1), Fingerprint(1), Fingerprint(5));
    let mut first = table.claim(ann, 0, 9, |_, _| 0).unwrap().held;
    table.take_over(&mut first, table::head(ann, 1));
    first.set_stamp(table::stamp(table::UNTIL_MAX, 0));
    drop(first);
    let units = |_: &Words, _: u64| 9;
    let later = table::UNTIL_MAX + 1;
    let other = table.claim(newcomer, later, 5, units).unwrap();
    assert!(!other.evicted);
    assert_eq!(other.held.head(), 0, "a cell that was never used");
}

#[test]
fn a_reading_beyond_the_latest_instant_is_decided_as_at_that_one() {
    // What the shortest way subtracts wraps at the end of all readings, to what a bucket in use could be.
    for quota in [
        "1000 per century token-bucket",
        "1000 per century fixed-window",
        "1000 per day sliding-counter",
    ] {
        let policy = policy(quota);
        let third_at = |last| {
            let store = small(OnFull::Open);
            let decisions = [1_700_000_000_000_000, 1_700_000_000_000_001, last].map(|now| {
                let (key, cost) = (&b"ann"[..], 1);
                let policy = &policy;
                store.decide_one(Check { policy, key, cost }, Micros(now))
            });
            let [.., third] = decisions;
            (third.at(), third.remaining())
        };
        assert_eq!(third_at(u64::MAX), third_at(decide::LATEST.0), "{quota}");
    }
}

#[test]
fn a_key_whose_policy_changes_its_algorithm_has_one_long_state_in_each_table() {
    let store = MemoryStore::new();
    let (fixed, sliding) = (
        policy("1000000 per day fixed-window"),
        Arc::new(
            Policy::new("p", "1000000 per day".parse().unwrap())
                .unwrap()
                .with_version(1),
        ),
    );
    assert!(charge(&store, &fixed, "ann", 70_000, 1_000_000).is_allowed());
    for call in 0..9 {
        assert!(charge(&store, &sliding, "ann", 70_000, 1_000_001 + call).is_allowed());
    }
    assert_eq!(
        charge(&store, &sliding, "ann", 0, 1_000_010).remaining(),
        370_000
    );
    assert_eq!(
        charge(&store, &fixed, "ann", 0, 1_000_010).remaining(),
        930_000
    );
}

#[test]
fn a_shadow_policy_without_room_refuses_nobody() {
    let store = small(OnFull::Closed);
    let shadow = Policy::new("p", "1 per hour token-bucket".parse().unwrap()).unwrap();
    let shadow = Arc::new(shadow.with_mode(Mode::Shadow));
    for key in 0..flood("token") {
        assert!(charge(&store, &shadow, &key.to_string(), 1, 0).is_allowed());
    }
    assert!(store.stats(Micros(0)).newcomers_without_room > 0);
}

#[test]
fn a_shadow_policy_whose_block_finds_no_room_refuses_nobody() {
    let (store, full) = (small(OnFull::Closed), policy("5 per hour token-bucket"));
    for key in 0..2 * flood("token") {
        let _ = charge(&store, &full, &key.to_string(), 5, 0);
    }
    let shadow = Policy::new("watch", "1 per hour".parse().unwrap()).unwrap();
    let penalty = Penalty::new(std::time::Duration::from_secs(60));
    let shadow = shadow.with_penalty(penalty).unwrap();
    let shadow = Arc::new(shadow.with_mode(Mode::Shadow));
    let lost = store.stats(Micros(0)).newcomers_without_room;
    for key in 0..1_000 {
        for _ in 0..2 {
            assert!(charge(&store, &shadow, &key.to_string(), 1, 0).is_allowed());
        }
    }
    assert!(store.stats(Micros(0)).newcomers_without_room > lost);
}
