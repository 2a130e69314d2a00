//! What becomes of units that were granted, and that this node may not or need not spend.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tollgate::algorithm::Charge;
use tollgate::{Check, Checks, Clock, Lease, Micros, Policy, Store, decide};
use tollgate_testkit::redis::{RedisEngine, RedisServer, Reply};

use crate::near::Look;
use crate::settings::Settings;
use crate::store::RedisStore;
use crate::store::returning::RETURNS_MAX;

async fn connect(server: &RedisServer) -> RedisStore {
    // Patient, since machines that test are busy.
    let settings = Settings {
        deadline: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        ..Settings::default()
    };
    let store = RedisStore::connect(server.url().parse().unwrap(), settings).await;
    store.unwrap()
}

/// A lease of it lasts two seconds.
fn policy() -> Arc<Policy> {
    let policy = Policy::new("p", "6000 per minute token-bucket".parse().unwrap()).unwrap();
    Arc::new(policy.with_lease(Lease::Auto))
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..24_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}

#[tokio::test]
async fn units_that_were_granted_before_a_reset_and_are_heard_of_after_it_are_not_spent() {
    for engine in [RedisEngine::Redis, RedisEngine::Valkey] {
        for all in [false, true] {
            let server = RedisServer::new(engine);
            let store = connect(&server).await;
            let (shared, policy) = (&store.shared, policy());
            let check = |key| Check {
                policy: &policy,
                key,
                cost: 1,
            };
            let now = shared.clock.now();
            // Much asked for, so that units are taken in advance.
            let much_asked_for = |key| {
                let checks = [check(key)];
                assert!(shared.near.wants(None, &checks, now).is_empty());
                for _ in 0..20 {
                    let look = shared.near.look(None, &checks, now);
                    assert!(matches!(look, Look::Ask(None)));
                }
                store.question(&checks, true).unwrap()
            };
            // From now on the server knows the script, and one call is one round trip.
            let mut question = much_asked_for(b"bob");
            let bob = shared.decide(&mut question, None, shared.came(now)).await;
            assert!(bob.unwrap().is_allowed());
            let leased = store.near_stats().leased();
            let mut question = much_asked_for(b"ann");
            let mut granted = pin!(shared.decide(&mut question, None, shared.came(now)));
            let poll = std::future::poll_fn(|cx| Poll::Ready(granted.as_mut().poll(cx)));
            assert!(poll.await.is_pending());
            // The store charges, and nobody hears of it yet.
            let exists = ["EXISTS", "tollgate:2:p:{ann}"];
            until("the units are charged", || {
                server.ask(&exists) == Reply::Integer(1)
            })
            .await;
            match all {
                true => store.reset_all(&policy).await.unwrap(),
                false => assert!(store.reset(&policy, b"ann").await.unwrap()),
            }
            assert!(granted.await.unwrap().is_allowed());
            assert!(store.near_stats().leased() > leased, "there was no lease");
            let look = shared.near.look(None, &[check(b"ann")], shared.clock.now());
            assert!(
                matches!(look, Look::Ask(None)),
                "forgotten units were spent"
            );
        }
    }
}

#[tokio::test]
async fn unspent_units_go_back_some_at_once_and_what_is_beyond_stays_here() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server).await;
    let (shared, policy) = (&store.shared, policy());
    server.suspend();
    let now = shared.clock.now();
    // They were granted a while ago, and nobody has spent any since.
    let granted_at = Micros(now.0 - 1_050_000);
    let leases = 3 * RETURNS_MAX;
    for key in 0..leases {
        let key = key.to_string();
        let checks = [Check {
            policy: &policy,
            key: key.as_bytes(),
            cost: 1,
        }];
        let said = decide::decide(&checks, &mut [None], granted_at);
        let granted = [Charge {
            cost: 5,
            mark: (0, 0),
        }];
        let asked = shared.near.asks(None, &checks, &[5], granted_at);
        let near = &shared.near;
        near.learn(None, &checks, &said, &granted, (asked, granted_at));
    }
    let calls = || store.stats().in_flight();
    until("as many calls as may be are under way", || {
        assert!(calls() <= RETURNS_MAX as u64);
        calls() == RETURNS_MAX as u64
    })
    .await;
    assert_eq!(store.near_stats().returned(), 5 * RETURNS_MAX as u64);
    server.resume();
    until("the calls have ended", || calls() == 0).await;
}

#[tokio::test]
async fn whoever_goes_before_a_change_is_answered_leaves_nothing_here_that_it_changes() {
    let server = RedisServer::new(RedisEngine::Redis);
    let store = connect(&server).await;
    let (shared, now) = (&store.shared, Micros::from_secs(1_800_000_000));
    let policy = Arc::new(Policy::new("p", "3 per century".parse().unwrap()).unwrap());
    for change in ["refund", "release", "settle", "reset", "reset_all"] {
        let check = Check {
            policy: &policy,
            key: change.as_bytes(),
            cost: 1,
        };
        let mut checks = Checks::new();
        checks.push(check).unwrap();
        let mut receipt = None;
        for _ in 0..3 {
            receipt = store.decide(&checks, now).await.receipt();
        }
        let receipt = receipt.unwrap();
        let look = || shared.near.look(None, &[check], now);
        assert!(matches!(look(), Look::Answer(_)), "{change}: no denial");
        let mut changes = Box::pin(async {
            match change {
                "refund" => drop(store.refund(&checks, &receipt, now).await),
                "release" => drop(store.release(&checks, now).await),
                "settle" => drop(store.settle(&checks, &receipt, now).await),
                "reset" => drop(store.reset(&policy, check.key).await),
                _ => drop(store.reset_all(&policy).await),
            }
        });
        let poll = std::future::poll_fn(|cx| Poll::Ready(changes.as_mut().poll(cx)));
        assert!(poll.await.is_pending(), "{change}");
        drop(changes);
        assert!(matches!(look(), Look::Ask(_)), "{change}");
    }
}
