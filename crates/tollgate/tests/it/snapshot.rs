//! States survive a restart, and a damaged file costs only what it damaged.

use std::sync::Arc;
use tollgate::{Limiter, MemoryStore, Micros, Quota, SnapshotError};

fn limiter(store: &Arc<MemoryStore>) -> Limiter {
    let quotas = Quota::parse_list(
        "5/m fixed-window; 20 per hour; 10/day token-bucket; 9 per month calendar",
    )
    .unwrap();
    Limiter::builder()
        .store(Arc::clone(store))
        .quotas(quotas)
        .build()
        .unwrap()
}

fn at(seconds: u64) -> Micros {
    Micros::from_secs(1_800_000_000 + seconds)
}

#[test]
fn decisions_after_a_restart_are_those_without_one() {
    let (running, restarted) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let before = limiter(&running);
    for call in 0..20 {
        let _ = before.check_at(format!("user-{}", call % 3), at(call));
    }
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    let restored = restarted.restore(&file[..]).unwrap();
    assert!(restored.states >= 9 && !restored.torn, "{restored:?}");
    let after = limiter(&restarted);
    for call in 40..120 {
        let key = format!("user-{}", call % 4);
        assert_eq!(
            before.check_at(&key, at(call)),
            after.check_at(&key, at(call)),
            "{key} at {call}"
        );
    }
}

#[test]
fn a_quota_changed_between_two_runs_keeps_what_was_used() {
    let (running, restarted) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let make = |store: &Arc<MemoryStore>, quota: &str| {
        Limiter::builder()
            .store(Arc::clone(store))
            .named("p", quota.parse().unwrap())
            .build()
            .unwrap()
    };
    let before = make(&running, "5/m");
    (0..4).for_each(|_| assert!(before.check_at("ann", at(0)).is_allowed()));
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    restarted.restore(&file[..]).unwrap();
    assert_eq!(
        make(&restarted, "10/m").peek_at("ann", at(10)).remaining(),
        6
    );
}

#[test]
fn a_torn_or_damaged_file_gives_back_what_is_whole_and_never_panics() {
    let store = Arc::new(MemoryStore::new());
    let one = limiter(&store);
    for key in 0..20 {
        assert!(one.check_at(format!("k{key}"), at(0)).is_allowed());
    }
    let mut file = Vec::new();
    store.save(&mut file).unwrap();
    let whole = MemoryStore::new().restore(&file[..]).unwrap().states;
    for length in 10..file.len() {
        let torn = MemoryStore::new().restore(&file[..length]).unwrap();
        assert!(torn.states < whole, "{length}");
    }
    // The last byte belongs to the last record: just that one is lost.
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 0x55;
    assert_eq!(
        MemoryStore::new().restore(&damaged[..]).unwrap().states,
        whole - 1
    );
    // A byte of the middle costs one state, or, in a policy, the states under it.
    for byte in (10..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[byte] ^= 0x55;
        let restored = MemoryStore::new().restore(&damaged[..]).unwrap();
        assert!(restored.torn && restored.states < whole, "byte {byte}");
    }
    assert!(matches!(
        MemoryStore::new().restore(&b"something else"[..]),
        Err(SnapshotError::Foreign)
    ));
    assert!(matches!(
        MemoryStore::new().restore(&b"tollgate\xff\x00"[..]),
        Err(SnapshotError::Version(255))
    ));
}
