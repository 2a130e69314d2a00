//! States survive a restart, and a damaged file costs only what it damaged.

use std::io::{self, Read};
use std::sync::Arc;

use tollgate::{Limiter, MemoryStore, Micros, Penalty, Policy, Quota, Restored, SnapshotError};

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

fn restore(file: &[u8]) -> Result<(Arc<MemoryStore>, Restored), SnapshotError> {
    let (store, restored) = MemoryStore::builder().restore(file, at(0))?;
    Ok((Arc::new(store), restored))
}

#[test]
fn decisions_after_a_restart_are_those_without_one() {
    let running = Arc::new(MemoryStore::new());
    let before = limiter(&running);
    for call in 0..20 {
        let _ = before.check_at(format!("user-{}", call % 3), at(call));
    }
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    let (restarted, restored) = restore(&file).unwrap();
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
    let running = Arc::new(MemoryStore::new());
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
    let (restarted, _) = restore(&file).unwrap();
    assert_eq!(
        make(&restarted, "10/m").peek_at("ann", at(10)).remaining(),
        6
    );
}

/// As after every restart that takes longer than the shortest window.
#[test]
fn states_whose_time_has_passed_stay_behind_and_look_for_no_place() {
    let running = Arc::new(MemoryStore::new());
    let before = limiter(&running);
    for user in ["ann", "bob", "cy"] {
        assert!(before.check_at(user, at(0)).is_allowed());
    }
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    for (now, live) in [(59, 4), (60, 3), (3_600, 2), (99_999_999, 0)] {
        let now = at(now);
        let (store, restored) = MemoryStore::builder().restore(&file[..], now).unwrap();
        assert_eq!((restored.states, restored.torn), (3 * live, false));
        let stats = store.stats(now);
        assert_eq!((stats.keys, stats.newcomers_without_room), (3 * live, 0));
    }
}

#[test]
fn what_ends_after_the_last_instant_that_is_decided_at_comes_back() {
    let running = Arc::new(MemoryStore::new());
    let quota = "1 per century token-bucket".parse::<Quota>().unwrap();
    let limiter = Limiter::builder().store(Arc::clone(&running)).quotas(quota);
    let last = Micros(1 << 53);
    assert!(limiter.build().unwrap().check_at("ann", last).is_allowed());
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    let (_, restored) = MemoryStore::builder().restore(&file[..], last).unwrap();
    assert_eq!((restored.states, restored.torn), (1, false));
}

#[test]
fn a_snapshot_keeps_blocks() {
    let minute = std::time::Duration::from_secs(60);
    let penalty = Penalty::new(minute)
        .growing(3, 600 * minute)
        .forgiven_after(1_000 * minute);
    let limiter = |store: &Arc<MemoryStore>| {
        let policy = |name: &str, quota: &str| {
            let policy = Policy::new(name, quota.parse().unwrap()).unwrap();
            policy.with_penalty(penalty).unwrap().with_version(7)
        };
        Limiter::builder()
            .store(Arc::clone(store))
            .policy(policy(&"long".repeat(32), "1/s"))
            .policy(policy("other", "2/s fixed-window"))
            .build()
            .unwrap()
    };
    let running = Arc::new(MemoryStore::new());
    let before = limiter(&running);
    for (call, user) in [(0, "ann"), (0, "ann"), (60, "ann"), (60, "ann"), (0, "bob")] {
        let _ = before.check_at(user, at(call));
    }
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    let (restarted, restored) = MemoryStore::builder().restore(&file[..], at(60)).unwrap();
    assert!(!restored.torn, "{restored:?}");
    let after = limiter(&Arc::new(restarted));
    let blocked = after.peek_at("ann", at(70));
    assert!(blocked.standings()[0].is_blocked());
    assert_eq!(blocked.retry_after_secs(), Some(170));
    for call in (70..2_000).step_by(7) {
        for user in ["ann", "bob", "cy"] {
            assert_eq!(
                before.check_at(user, at(call)),
                after.check_at(user, at(call)),
                "{user} at {call}"
            );
        }
    }
}

#[test]
fn a_file_from_before_there_were_penalties_is_read() {
    let running = Arc::new(MemoryStore::new());
    let _ = limiter(&running).check_at("ann", at(0));
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    file[8] = 2;
    let (restarted, restored) = restore(&file).unwrap();
    assert!(restored.states == 4 && !restored.torn, "{restored:?}");
    assert_eq!(limiter(&restarted).peek_at("ann", at(1)).remaining(), 4);
}

#[test]
fn states_come_back_into_a_store_of_another_size_or_hash() {
    let hash = tollgate::KeyHash::Strong;
    let running = Arc::new(MemoryStore::builder().key_hash(hash).build());
    let before = limiter(&running);
    for user in 0..2_000 {
        assert!(before.check_at(format!("user-{user}"), at(0)).is_allowed());
    }
    let mut file = Vec::new();
    running.save(&mut file).unwrap();
    for max_memory in [0, 100 << 20, 1 << 30] {
        let builder = MemoryStore::builder().max_memory(max_memory);
        let (store, restored) = builder.restore(&file[..], at(1)).unwrap();
        assert_eq!(restored.states, 4 * 2_000);
        let after = limiter(&Arc::new(store));
        for user in 0..2_000 {
            let key = format!("user-{user}");
            assert_eq!(
                after.peek_at(&key, at(1)),
                before.peek_at(&key, at(1)),
                "{key}"
            );
        }
    }
}

#[test]
fn a_torn_or_damaged_file_gives_back_what_is_whole_and_never_panics() {
    let store = Arc::new(MemoryStore::new());
    let one = limiter(&store);
    for key in 0..100 {
        assert!(one.check_at(format!("k{key}"), at(0)).is_allowed());
    }
    let mut file = Vec::new();
    store.save(&mut file).unwrap();
    let states = |file: &[u8]| restore(file).unwrap().1;
    let whole = states(&file).states;
    assert_eq!(whole, 400);
    for length in (10..file.len()).step_by(11) {
        let torn = states(&file[..length]);
        assert!(torn.states < whole, "{length}");
    }
    // The last byte belongs to the last record: what came before it is back.
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 0x55;
    let restored = states(&damaged);
    assert!(
        restored.torn && (whole / 2..whole).contains(&restored.states),
        "{restored:?}"
    );
    for byte in (10..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[byte] ^= 0x55;
        let restored = states(&damaged);
        assert!(restored.torn && restored.states < whole, "byte {byte}");
    }
}

/// Fails before it reads anything, and then at every other call.
struct Stumbling<'a> {
    file: &'a [u8],
    with: io::ErrorKind,
    fails: bool,
}

impl Read for Stumbling<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fails = !self.fails;
        match self.fails {
            true => Err(self.with.into()),
            false => self.file.read(buffer),
        }
    }
}

#[test]
fn a_reading_that_was_interrupted_goes_on_and_one_that_failed_is_told() {
    let store = Arc::new(MemoryStore::new());
    assert!(limiter(&store).check_at("ann", at(0)).is_allowed());
    let mut file = Vec::new();
    store.save(&mut file).unwrap();
    let restore = |with| {
        let from = Stumbling {
            file: &file,
            with,
            fails: false,
        };
        MemoryStore::builder().restore(from, at(0))
    };
    let (_, restored) = restore(io::ErrorKind::Interrupted).unwrap();
    assert_eq!((restored.states, restored.torn), (4, false));
    let failed = restore(io::ErrorKind::TimedOut);
    assert!(matches!(failed, Err(SnapshotError::Read(_))));
}

#[test]
fn a_file_that_is_no_snapshot_is_refused() {
    for foreign in ["", "tollgat", "something else"] {
        let refused = restore(foreign.as_bytes());
        assert!(matches!(refused, Err(SnapshotError::Foreign)), "{foreign}");
    }
    let later = restore(&b"tollgate\xff\x00"[..]);
    assert!(matches!(later, Err(SnapshotError::Version(255))));
}
