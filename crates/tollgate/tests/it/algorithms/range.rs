//! Every quota that is promised to be accepted, and every instant that a clock can say.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{CalendarUnit, Check, Checks, MemoryStore, Micros, Policy, Quota};
use tollgate_testkit::oracle::Kind;
use tollgate_testkit::random::{Random, scaled};

use super::case::{START, micros};

const CENTURY: u64 = 100 * 365 * 86_400 * 1_000_000;
/// The most that the documentation promises of `concurrency` and of `sliding-counter`.
const HOLDERS_MAX: u64 = 16_384;
const COUNT_MAX: u64 = (1 << 31) - 1;

for_every_algorithm! {
    every_quota_of_the_promised_range_is_accepted_and_never_overflows
}

fn every_quota_of_the_promised_range_is_accepted_and_never_overflows(kind: Kind) {
    let mut random = Random::new();
    for _ in 0..scaled(500) {
        let period = *random.pick(&[
            1_000_000,
            60_000_000,
            3_600_000_000,
            86_400_000_000,
            31_536_000_000_000,
            CENTURY,
        ]);
        let limit = random.between(1, (period / 1_000_000).min(1_000_000))
            * random.between(1, 1_000_000).min(1_000_000_000 / 1_000);
        let limit = match kind {
            Kind::Concurrency => limit.min(HOLDERS_MAX),
            Kind::SlidingCounter => limit.min(COUNT_MAX),
            _ => limit,
        };
        let quota = match kind {
            Kind::Calendar => {
                let unit = *random.pick(&CalendarUnit::ALL);
                Quota::calendar(limit, unit, "Europe/Berlin")
            }
            _ => Quota::new(limit, Duration::from_micros(period))
                .map(|quota| quota.counted_by(kind.algorithm())),
        };
        let quota = quota.unwrap();
        let Ok(policy) = Policy::new("p", quota.clone()) else {
            panic!("{quota} was refused")
        };
        holds_at_every_instant(&Arc::new(policy), limit, &mut random);
    }
}

fn holds_at_every_instant(policy: &Arc<Policy>, limit: u64, random: &mut Random) {
    let store = MemoryStore::new();
    let go = |now, cost| {
        let mut checks = Checks::new();
        let key = &b"k"[..];
        checks.push(Check { policy, key, cost }).unwrap();
        store.decide(&checks, Micros(now))
    };
    let quota = policy.quota().unwrap();
    assert!(go(START, limit).is_allowed(), "{quota}");
    let denied = go(START, limit);
    let wait = denied.retry_after().map(micros).unwrap();
    // A day or a month of the calendar can be longer than its name says.
    let longest = micros(policy.window().unwrap()) * 2;
    assert!(wait > 0 && wait <= longest, "{quota}: {wait}");
    assert!(go(START + wait, limit).is_allowed(), "{quota}");
    for _ in 0..10 {
        let now = *random.pick(&[
            0,
            1,
            u64::from(u32::MAX),
            START,
            1 << 53,
            u64::MAX - 1,
            u64::MAX,
        ]);
        let decision = go(now, *random.pick(&[0, 1, limit, limit + 1, u64::MAX]));
        assert!(decision.remaining() <= limit, "{quota} at {now}");
    }
}
