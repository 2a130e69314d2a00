use std::net::Ipv4Addr;

use super::*;

fn from(address: u32, heavy: &Heavy, share: Share, second: u64) {
    let address = IpAddr::V4(Ipv4Addr::from(address));
    heavy.count(None, address, share, Micros::from_secs(second));
}

fn address(number: u32) -> HeavyCaller {
    HeavyCaller::Address(Ipv4Addr::from(number).into())
}

/// Places that are taken, and room that was made for them.
fn places(heavy: &Heavy) -> (usize, usize) {
    let sum = |of: fn(&Sketch<HeavyCaller, PLACES>) -> usize| -> usize {
        let shards = heavy.shards.iter().map(lock);
        let of_shard = |shard: MutexGuard<'_, Windows>| -> usize {
            shard.running.iter().chain(&shard.before).map(of).sum()
        };
        shards.map(of_shard).sum()
    };
    (sum(|sketch| sketch.entries().count()), sum(Sketch::room))
}

#[test]
fn the_heavy_ones_are_found_in_a_flood_of_a_million_others_and_memory_does_not_grow() {
    const OTHERS: u32 = 1_000_000;
    let heavy = Heavy::default();
    let came = |hitter: u32| 5_000 * u64::from(hitter);
    let flood = |numbers: std::ops::Range<u32>| {
        for number in numbers {
            from(1_000 + number, &heavy, Share::Denied, 1_000);
            // Ten callers among them come again and again, the tenth the most.
            let hitter = number % 10 + 1;
            if number / 10 % 20 < hitter {
                from(hitter, &heavy, Share::Denied, 1_000);
            }
        }
    };
    flood(0..OTHERS / 10);
    let before = places(&heavy);
    flood(OTHERS / 10..OTHERS);
    assert_eq!(places(&heavy), before, "memory has grown");
    assert!(before.0 <= SHARDS * PLACES && before.1 <= 2 * SHARDS * PLACES);

    let found = heavy.hitters(Share::Denied, 10, Micros::from_secs(1_000));
    let mut expected = 0;
    for hitter in &found.hitters {
        let HeavyCaller::Address(IpAddr::V4(number)) = hitter.caller else {
            panic!("{hitter:?}");
        };
        let came = came(u32::from(number));
        assert!(
            came <= hitter.count && hitter.count - hitter.error <= came,
            "{hitter:?}: {came}"
        );
        // What a shard counts divided by its places, with room for shards that are not alike.
        assert!(
            hitter.error <= 2 * found.total / (SHARDS * PLACES) as u64,
            "{hitter:?}"
        );
        expected += came;
    }
    assert_eq!(
        found.hitters.first().map(|hitter| &hitter.caller),
        Some(&address(10))
    );
    assert_eq!(
        (found.hitters.len(), expected),
        (10, (1..=10).map(came).sum())
    );
    assert_eq!(found.total, u64::from(OTHERS) + expected);
    assert!(
        heavy
            .hitters(Share::Allowed, 10, Micros::from_secs(1_000))
            .hitters
            .is_empty()
    );
}

#[test]
fn two_windows_are_shown_and_what_is_older_is_forgotten() {
    let heavy = Heavy::default();
    for second in [300, 599, 600] {
        from(7, &heavy, Share::Allowed, second);
    }
    let count = |second| {
        let found = heavy.hitters(Share::Allowed, 10, Micros::from_secs(second));
        let counts: Vec<u64> = found.hitters.iter().map(|hitter| hitter.count).collect();
        (found.since.as_secs(), counts)
    };
    assert_eq!(count(600), (300, vec![3]));
    assert_eq!(count(899), (300, vec![3]));
    assert_eq!(count(900), (600, vec![1]));
    assert_eq!(count(1_200), (900, Vec::new()));
    from(7, &heavy, Share::Allowed, 10);
    assert_eq!(
        count(1_200).1,
        [1],
        "a clock that was set back loses nothing"
    );
    assert!(count(9_000).1.is_empty(), "a gap is not a window");
}

#[test]
fn addresses_of_one_network_are_one_caller() {
    let heavy = Heavy::default();
    for address in ["2001:db8::1", "2001:db8::2"] {
        heavy.count(
            None,
            address.parse().unwrap(),
            Share::Allowed,
            Micros::from_secs(1),
        );
    }
    let found = heavy.hitters(Share::Allowed, 10, Micros::from_secs(1));
    assert_eq!((found.hitters.len(), found.hitters[0].count), (1, 2));
}
