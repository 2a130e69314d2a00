//! Many threads at once.

use tollgate::{Check, Checks, Store};

use super::steps::{at, checks, policy, wait};

pub fn a_hundred_parallel_requests_admit_exactly_five(store: &dyn Store) {
    for round in 0..100 {
        let p = [policy("p", "5/m")];
        let key = format!("round-{round}");
        let start = &std::sync::Barrier::new(10);
        let admitted: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..10)
                .map(|_| {
                    let (p, key) = (&p, &key);
                    scope.spawn(move || {
                        start.wait();
                        (0..10)
                            .filter(|_| {
                                wait(store.decide(&checks(p, key, 1), at(0.0))).is_allowed()
                            })
                            .count()
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, 5, "round {round}");
    }
}

pub fn parallel_requests_over_two_keys_charge_both_or_none(store: &dyn Store) {
    // Each thread takes one unit of its own tight policy and one of a shared, looser one. What the shared one lost
    // must equal what was admitted, whoever was denied by which.
    let shared = policy("shared", "50/h");
    let own = policy("own", "10/h");
    let admitted: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|thread| {
                let (shared, own) = (&shared, &own);
                scope.spawn(move || {
                    let key = format!("thread-{thread}");
                    let pass = || {
                        let mut checks = Checks::new();
                        checks
                            .push(Check {
                                policy: own,
                                key: key.as_bytes(),
                                cost: 1,
                            })
                            .unwrap();
                        checks
                            .push(Check {
                                policy: shared,
                                key: b"all",
                                cost: 1,
                            })
                            .unwrap();
                        wait(store.decide(&checks, at(0.0))).is_allowed()
                    };
                    (0..100).filter(|_| pass()).count() as u64
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 50);
    let mut own_used = 0;
    for thread in 0..8 {
        let key = format!("thread-{thread}");
        let mut checks = Checks::new();
        checks
            .push(Check {
                policy: &own,
                key: key.as_bytes(),
                cost: 1,
            })
            .unwrap();
        own_used += wait(store.peek(&checks, at(0.0))).standings()[0].used();
    }
    assert_eq!(
        own_used, 50,
        "a charge was kept although the other policy denied"
    );
}
