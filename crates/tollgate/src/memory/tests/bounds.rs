//! How much memory there is for what, and what counts as used.

use super::*;

#[test]
fn all_parts_together_take_the_memory_that_was_given() {
    for (max_memory, log_percent) in [MemoryStore::BYTES_MIN, 100 << 20]
        .into_iter()
        .flat_map(|bytes| [0, 1, 30, 60, 99, 100].map(|percent| (bytes, percent)))
    {
        let builder = MemoryStore::builder().max_memory(max_memory);
        let store = builder.log_percent(log_percent).build();
        let (slots, lines) = (store.slots.bytes(), store.lines.bytes());
        let long = store.long.bytes_max();
        let said = format!("{log_percent} % of {max_memory}: {slots}, {lines}, {long}");
        let all = slots + lines + long;
        assert!(all <= max_memory && all > max_memory / 100 * 99, "{said}");
        let logs = (lines + long) * 100 / max_memory;
        let asked = usize::from(log_percent);
        let is_least = slots == Table::<2>::BYTES_MIN || lines == Table::<8>::BYTES_MIN;
        assert!(is_least || logs.abs_diff(asked) <= 1, "{said}");
        assert!(max_memory == MemoryStore::BYTES_MIN || !(30..=60).contains(&asked) || !is_least);
    }
}

#[test]
fn a_builder_keeps_what_it_was_told_before() {
    let builder = MemoryStore::builder().max_memory(0).log_percent(0);
    let store = builder.key_hash(KeyHash::Strong).build();
    assert_eq!(store.hasher.kind(), KeyHash::Strong);
    assert!(store.slots.bytes() < MemoryStore::BYTES_MIN);
}

#[test]
fn the_smallest_tables_tell_whose_their_cells_are() {
    for log_percent in [0, 100] {
        let builder = MemoryStore::builder().max_memory(0);
        let store = builder.log_percent(log_percent).build();
        for policy in [policy("5 per hour"), policy("5/h token-bucket")] {
            for key in 0..2_000 {
                let _ = charge(&store, &policy, &key.to_string(), 1, 1_000_000);
            }
        }
        let mut file = Vec::new();
        store.save(&mut file).unwrap();
        let now = Micros::from_secs(1_000_000);
        let (_, restored) = MemoryStore::builder().restore(&file[..], now).unwrap();
        assert_eq!(restored.states, 2 * 2_000, "{log_percent} %");
    }
}

#[test]
fn a_key_costs_its_cell_while_it_has_units_in_use() {
    for (quota, cell_bytes) in [
        ("5 per hour fixed-window", 16),
        ("5 per hour token-bucket", 16),
        // In ticks of two microseconds.
        ("104251 per day token-bucket", 16),
        ("5 per hour sliding-counter", 16),
        ("5 per day calendar", 16),
        ("5 per hour", 64),
        ("5 concurrent", 64),
    ] {
        let (store, policy) = (small(OnFull::Open), policy(quota));
        let charged: Vec<_> = (0..100)
            .map(|key| charge(&store, &policy, &key.to_string(), 1, 1_000_000))
            .collect();
        let now = Micros::from_secs(1_000_000);
        let used = |keys| (keys, keys * cell_bytes);
        let seen = |store: &MemoryStore| (store.stats(now).keys, store.stats(now).bytes);
        assert_eq!(seen(&store), used(100), "{quota}");
        for (key, decision) in charged.iter().enumerate().take(60) {
            let key = key.to_string();
            let mut checks = Checks::new();
            let (policy, key, cost) = (&policy, key.as_bytes(), 1);
            checks.push(Check { policy, key, cost }).unwrap();
            store.refund(&checks, &decision.receipt().unwrap(), now);
        }
        assert_eq!(seen(&store), used(40), "{quota}: refunded");
    }
}

#[test]
fn keys_of_a_clock_that_was_put_back_by_less_than_a_year_fit_their_cells() {
    const FIRST_SECS: u64 = 1_800_000_000;
    let put_back = FIRST_SECS - 364 * 86_400;
    for (quota, cell_bytes) in [("5 per hour token-bucket", 16), ("5 per hour", 64)] {
        let (store, policy) = (small(OnFull::Open), policy(quota));
        let _ = charge(&store, &policy, "ann", 1, FIRST_SECS);
        for key in 0..99 {
            let _ = charge(&store, &policy, &key.to_string(), 1, put_back);
        }
        let stats = store.stats(Micros::from_secs(put_back));
        assert_eq!(
            (stats.keys, stats.bytes),
            (100, 100 * cell_bytes),
            "{quota}"
        );
    }
}

#[test]
fn few_keys_in_a_large_store_are_counted_one_by_one() {
    let (store, bucket, log) = (
        MemoryStore::new(),
        policy("5 per hour token-bucket"),
        Arc::new(Policy::new("log", "5 per minute".parse().unwrap()).unwrap()),
    );
    let seen = |now| {
        let stats = store.stats(Micros::from_secs(now));
        (stats.keys, stats.bytes)
    };
    assert_eq!(seen(1_000_000), (0, 0));
    for key in 1..=100 {
        for policy in [&bucket, &log] {
            let _ = charge(&store, policy, &key.to_string(), 5, 1_000_000);
        }
        assert_eq!(seen(1_000_000), (2 * key, (16 + 64) * key));
    }
    assert_eq!(
        seen(1_000_060),
        (100, 1_600),
        "of the logs the time has passed"
    );
    assert!(store.reset(&bucket, b"7"));
    assert_eq!(seen(1_000_060), (99, 1_584));
    // Most find their cell again or take one that is void.
    for key in 1..=100 {
        let _ = charge(&store, &log, &key.to_string(), 1, 1_000_060);
    }
    assert_eq!(seen(1_000_060), (199, 1_584 + 6_400));
}

#[test]
fn many_keys_in_a_large_store_are_estimated_from_a_part_of_it() {
    let (store, policy) = (MemoryStore::new(), policy("5 per hour token-bucket"));
    for key in 0..100_000 {
        let _ = charge(&store, &policy, &key.to_string(), 1, 1_000_000);
    }
    // A part of one in 25 has 4,000 of them, give or take 62: this is eight times as far.
    let keys = store.stats(Micros::from_secs(1_000_000)).keys;
    assert!((87_500..112_500).contains(&keys), "{keys}");
    assert_eq!(store.stats(Micros::from_secs(1_009_000)).keys, 0);
}

#[test]
fn long_states_stay_under_their_bound_and_void_ones_give_way_uncounted() {
    // So many units fit no cell. Each is void when the next comes.
    let (store, policy) = (small(OnFull::Open), policy("100000 per second"));
    for key in 0..20_000 {
        let decision = charge(&store, &policy, &key.to_string(), 70_000, 1_000_000 + key);
        assert!(decision.is_allowed());
    }
    let (bytes, bytes_max) = (store.long.bytes(), store.long.bytes_max());
    assert!(bytes <= bytes_max && bytes > bytes_max / 2, "{bytes}");
    assert_eq!(store.stats(Micros(0)).live_evictions, 0);
}

/// Instants of nearly nine years fit a stamp.
#[test]
fn a_log_that_ends_later_than_a_stamp_can_tell_is_live() {
    const START_SECS: u64 = 1_800_000_000;
    const DAY_SECS: u64 = 86_400;
    let (store, policy) = (small(OnFull::Open), policy("9 per day"));
    let _ = charge(&store, &policy, "ann", 1, START_SECS);
    let last_secs = START_SECS - 365 * DAY_SECS + table::UNTIL_MAX / 1_000_000;
    for now in (last_secs - DAY_SECS..last_secs).step_by(30_000) {
        let _ = charge(&store, &policy, "ann", 1, now);
        assert_eq!(store.stats(Micros::from_secs(now)).keys, 1, "{now}");
    }
}

#[test]
fn a_long_log_is_live_until_the_last_of_its_entries_is_void() {
    let (store, policy) = (small(OnFull::Open), policy("200 per hour"));
    for now in (0..6_000).step_by(100) {
        assert!(charge(&store, &policy, "ann", 1, now).is_allowed());
    }
    assert!(store.long.bytes() > 0, "it fits its cell");
    let live = |now| store.stats(Micros::from_secs(now)).keys;
    assert_eq!((live(9_499), live(9_500)), (1, 0));
}

#[test]
fn what_is_forgotten_of_a_long_log_takes_no_memory() {
    let (store, policy) = (small(OnFull::Open), policy("200 per hour"));
    for now in 0..200 {
        assert!(charge(&store, &policy, "ann", 1, 1_000_000 + now).is_allowed());
    }
    let entries = store.long.bytes() / size_of::<crate::algorithm::Entry>();
    assert!((100..400).contains(&entries), "{entries}");
    assert!(store.reset(&policy, b"ann"));
    assert_eq!(store.long.bytes(), 0);
}

#[test]
fn of_long_states_light_ones_give_way_to_heavy_ones() {
    let (store, policy) = (small(OnFull::Open), policy("100000 per hour"));
    let heavy = |key| format!("heavy-{key}");
    for key in 0..20 {
        assert!(charge(&store, &policy, &heavy(key), 100_000, 1_000_000).is_allowed());
    }
    for key in 0..20_000 {
        let _ = charge(&store, &policy, &key.to_string(), 70_000, 1_000_001);
    }
    assert!(store.stats(Micros(0)).live_evictions > 0);
    for key in 0..20 {
        assert!(!charge(&store, &policy, &heavy(key), 1, 1_000_002).is_allowed());
    }
}

#[test]
fn a_block_costs_a_cell_beside_that_of_its_policy() {
    let (store, policy) = (small(OnFull::Open), punished());
    for key in 0..100 {
        for cost in [5, 1] {
            let _ = charge(&store, &policy, &key.to_string(), cost, 1_000_000);
        }
    }
    let stats = store.stats(Micros::from_secs(1_000_000));
    assert_eq!((stats.keys, stats.bytes), (200, 200 * 16));
}

/// A cell has 16 bits for the units of an entry.
#[test]
fn units_that_just_fit_a_cell_and_those_that_do_not_count_alike() {
    for (cost, before) in [65_535, 65_536, 65_537]
        .into_iter()
        .flat_map(|cost| [(cost, 0), (cost, 1), (cost, 6)])
    {
        let (store, policy) = (small(OnFull::Open), policy("100000 per hour"));
        for now in 0..before {
            assert!(charge(&store, &policy, "ann", 1, 1_000_000 + now).is_allowed());
        }
        assert!(charge(&store, &policy, "ann", cost, 1_000_010).is_allowed());
        let next = charge(&store, &policy, "ann", 1, 1_000_020);
        assert_eq!(next.remaining(), 100_000 - cost - before - 1, "{cost}");
    }
}
