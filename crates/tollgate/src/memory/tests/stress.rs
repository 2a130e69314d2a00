//! More threads than processors, on real threads. These tests fail if no two threads ever met.

use std::sync::Barrier;
use std::thread;

use tollgate_testkit::Random;

use super::*;
use crate::sync;

/// Rounds that are played at least, and at most until threads have met.
const ROUNDS: std::ops::Range<u64> = 20..2_000;
/// Units of each quota.
const LIMIT: u64 = 50;
const KEYS: [&str; 3] = ["ann", "bob", "cy"];
const NOW: Micros = Micros::from_secs(1_800_000_000);

fn named(name: &str, quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
}

fn checks<'a>(policies: &[&'a Arc<Policy>], key: &'a str, cost: u64) -> Checks<'a> {
    let mut checks = Checks::new();
    for policy in policies {
        let key = key.as_bytes();
        checks.push(Check { policy, key, cost }).unwrap();
    }
    checks
}

fn used(store: &MemoryStore, policies: &[&Arc<Policy>], key: &str) -> Vec<u64> {
    let decision = store.peek(&checks(policies, key, 1), NOW);
    let used = decision.standings().iter().map(|standing| standing.used());
    used.collect()
}

/// Runs `worker` on three times as many threads as there are processors, all from one moment on.
fn crowd<R: Send>(worker: impl Fn(&mut Random) -> R + Sync) -> Vec<R> {
    let threads = 3 * thread::available_parallelism().map_or(2, usize::from);
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let work = || {
            let mut random = Random::new();
            start.wait();
            worker(&mut random)
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, R>| worker.join().unwrap();
        workers.into_iter().map(join).collect()
    })
}

/// Plays `round` until threads have waited for each other's cells.
fn until_threads_meet(mut round: impl FnMut()) {
    let before = sync::waits();
    for played in 0..ROUNDS.end {
        round();
        if played >= ROUNDS.start && sync::waits() > before {
            return;
        }
    }
    panic!("no two threads met in {} rounds", ROUNDS.end);
}

/// On each key, one policy is charged alone and two always together, in either order; charges are refunded, and
/// another key is forgotten all the while.
#[test]
fn threads_admit_exactly_what_is_left_and_charge_both_or_none() {
    for shape in [
        "fixed-window",
        "token-bucket",
        "sliding-window",
        "sliding-counter",
    ] {
        until_threads_meet(|| {
            let store = MemoryStore::builder().max_memory(0).build();
            let quota = format!("{LIMIT} per hour {shape}");
            let [alone, x, y] = ["alone", "x", "y"].map(|name| named(name, &quota));
            let other = named("other", &quota);
            let counted = crowd(|random| {
                let mut counted = [(0, 0); KEYS.len()];
                for _ in 0..LIMIT {
                    let key = random.below(KEYS.len() as u64) as usize;
                    let (admitted, together) = &mut counted[key];
                    let key = KEYS[key];
                    let pair = *random.pick(&[[&x, &y], [&y, &x]]);
                    match random.below(8) {
                        0 => {
                            let seen = used(&store, &pair, key);
                            assert_eq!(seen[0], seen[1], "{shape}");
                        }
                        1 => {
                            let _ = store.decide(&checks(&[&other], "other", 1), NOW);
                            store.reset(&other, b"other");
                        }
                        2..4 => {
                            let charged = store.decide(&checks(&pair, key, 1), NOW);
                            if let Some(receipt) = charged.receipt() {
                                let both = checks(&pair, key, 1);
                                assert_eq!(store.refund(&both, &receipt, NOW), 2, "{shape}");
                            }
                        }
                        4..6 => {
                            let decision = store.decide(&checks(&pair, key, 1), NOW);
                            *together += u64::from(decision.is_allowed());
                        }
                        _ => {
                            let decision = store.decide(&checks(&[&alone], key, 1), NOW);
                            *admitted += u64::from(decision.is_allowed());
                        }
                    }
                }
                // The round ends with every key's own policy spent.
                for (key, (admitted, _)) in KEYS.iter().zip(&mut counted) {
                    while store.decide(&checks(&[&alone], key, 1), NOW).is_allowed() {
                        *admitted += 1;
                    }
                }
                counted
            });
            for (index, key) in KEYS.iter().enumerate() {
                let sum = |of: fn(&(u64, u64)) -> u64| -> u64 {
                    counted.iter().map(|counted| of(&counted[index])).sum()
                };
                assert_eq!(sum(|counted| counted.0), LIMIT, "{shape}");
                let together = sum(|counted| counted.1);
                assert_eq!(used(&store, &[&x, &y], key), [together; 2], "{shape}");
            }
        });
    }
}

/// One full window, and newcomers that make lighter keys give way.
#[test]
fn a_full_table_keeps_heavy_keys_and_one_cell_for_each() {
    for quota in ["9 per hour fixed-window", "9 per hour"] {
        until_threads_meet(|| {
            let (slots, lines) = (Table::with_homes(1), Table::with_homes(1));
            let hasher = KeyHasher::new(KeyHash::Fast);
            let store = MemoryStore::with_parts(hasher, slots, lines, 1 << 20, OnFull::Open);
            let policy = named("p", quota);
            let take = |key: &str, cost| {
                let decision = store.decide(&checks(&[&policy], key, cost), NOW);
                decision.is_allowed()
            };
            assert!(KEYS.iter().all(|heavy| take(heavy, 9)));
            let newcomers: Vec<String> =
                (0..2 * table::WINDOW).map(|key| key.to_string()).collect();
            crowd(|random| {
                for _ in 0..200 {
                    let _ = take(random.pick::<String>(&newcomers), random.between(1, 8));
                    assert!(
                        !take(KEYS[random.below(3) as usize], 1),
                        "{quota}: a heavy key gave way"
                    );
                }
            });
            assert!(store.stats(NOW).live_evictions > 0);
            for key in newcomers.iter().map(String::as_str).chain(KEYS) {
                let key = store.hasher.fingerprint(&policy, key.as_bytes());
                let mine = |cell: &&Words| table::hold(cell, key).is_some();
                let cells = store.slots.used().chain(store.lines.used());
                assert!(cells.filter(mine).count() <= 1, "{quota}");
            }
        });
    }
}
