//! A hundred clients at one instant against five a minute: exactly five pass, every time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use crate::support::{launch, new_key, new_user};

const CLIENTS: usize = 100;
const ROUNDS: usize = 100;

/// Sends `call` from a hundred connections at once, a hundred times in a row; between two rounds the clock moves on by
/// `pause_s`. How many passed in each round.
fn rounds(gateway: &Gateway, call: &Call, denied: u16, pause_s: f64) -> Vec<usize> {
    let passed = AtomicUsize::new(0);
    let (go, done) = (Barrier::new(CLIENTS + 1), Barrier::new(CLIENTS + 1));
    let mut counts = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway.address());
                // An answer that is wrong is told after the last round, so that nobody waits for this client.
                let mut wrong = None;
                for _ in 0..ROUNDS {
                    go.wait();
                    match call.try_over(&mut connection).map(|answer| answer.status) {
                        Ok(200) => drop(passed.fetch_add(1, Ordering::SeqCst)),
                        Ok(status) if status == denied => {}
                        other => wrong = Some(other),
                    }
                    done.wait();
                }
                assert!(wrong.is_none(), "{wrong:?}");
            });
        }
        for _ in 0..ROUNDS {
            go.wait();
            done.wait();
            counts.push(passed.swap(0, Ordering::SeqCst));
            gateway.advance(pause_s);
        }
    });
    counts
}

#[test]
fn of_a_hundred_requests_of_one_user_at_once_exactly_five_pass_a_hundred_times_in_a_row() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .preset("random-number")
        .upstream(&upstream.url())
        .start();
    new_user(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    // An hour for each round, so that the 300 of the hour are whole again.
    let counts = rounds(&gateway, &key.get("/call_api"), 403, 3_600.0);
    assert_eq!(counts, [5; ROUNDS]);
    assert_eq!(
        upstream.count(),
        5 * ROUNDS,
        "what passed, and nothing else, reached the upstream"
    );
}

#[test]
fn of_a_hundred_requests_of_one_address_at_once_exactly_five_pass_a_hundred_times_in_a_row() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("5 per minute; 7 per 2 minutes by client-ip")
        .start();
    let counts = rounds(&gateway, &Call::get("/"), 429, 120.0);
    assert_eq!(counts, [5; ROUNDS]);
    assert_eq!(upstream.count(), 5 * ROUNDS);
}

#[test]
fn of_many_sign_ups_with_one_name_at_once_one_makes_the_account() {
    let gateway = launch()
        .rules("[accounts.protection]\nsignup_per_address = \"1000 per hour\"\n[[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n")
        .start();
    let call = Call::post("/signup").json(&crate::support::credentials("ann"));
    let go = Barrier::new(20);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    go.wait();
                    gateway.call(&call).status
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!(count(201), 1, "{statuses:?}");
    // Who finds the queue for hashing full is told to come back, and made nothing.
    assert_eq!(count(409) + count(503), 19, "{statuses:?}");
}
