//! Leases: the script beside the definition; and several nodes on one server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tollgate::algorithm::Charge;
use tollgate::decide::{self, Stored};
use tollgate::{Check, Checks, Clock, Lease, Micros, Penalty, Policy, Store, SystemClock};
use tollgate_testkit::Random;
use tollgate_testkit::random::scaled;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::trace::{settings, states_of};
use crate::near::Look;
use crate::scripts::Operation;
use crate::settings::Settings;
use crate::store::RedisStore;
use crate::store::shared::Came;

fn bucket(quota: &str) -> Arc<Policy> {
    let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
    Arc::new(policy.with_lease(Lease::Auto))
}

async fn connect(server: &RedisServer, settings: Settings) -> RedisStore {
    let url = format!("redis+unix://{}", server.socket().display());
    RedisStore::connect(url.parse().unwrap(), settings)
        .await
        .unwrap()
}

/// Patient, since machines that test are busy; by the server's clock.
fn patient() -> Settings {
    Settings {
        deadline: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        ..Settings::default()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

#[test]
fn units_are_charged_in_advance_as_the_definition_says() {
    let server = RedisServer::new(RedisEngine::Redis);
    block_on(async {
        let store = connect(&server, settings()).await;
        let mut random = Random::new();
        let quotas = [
            "10000/s token-bucket",
            "7 per second burst 40",
            "104251/day burst 5000",
            "60/m burst 3",
        ];
        for trace in 0..scaled(12) {
            let key = trace.to_string();
            // Another quota of a later version comes and goes.
            let versions = [0, 1].map(|version| {
                let quota = quotas[random.below(quotas.len() as u64) as usize];
                Arc::new(Arc::unwrap_or_clone(bucket(quota)).with_version(version))
            });
            let mut now = Micros(1_000_000_000_000 + random.below(1_000_000));
            let mut slot: [Option<Stored>; 1] = [None];
            for step in 0..200 {
                now = Micros(now.0 + random.below(3) * random.below(200_000));
                let policy = &versions[usize::from(random.below(10) == 0)];
                let check = Check {
                    policy,
                    key: key.as_bytes(),
                    cost: 1 + random.below(3),
                };
                let wanted = [random.below(600)];
                let mut question = store.question(&[check], true).unwrap();
                question.want(&wanted);
                let shared = &store.shared;
                let reply = shared
                    .ask(Operation::Lease, &mut question, shared.came(now))
                    .await
                    .unwrap();
                let defined = decide::decide(&[check], &mut slot, now);
                if defined.is_allowed() {
                    decide::lease(&[check], &mut slot, now, &wanted);
                }
                assert_eq!(
                    reply.result,
                    Ok(u64::from(defined.is_allowed())),
                    "step {step}"
                );
                let on_server = states_of(&store, &[check]).await;
                let said = |stored: Option<&Stored>| stored.map(|stored| stored.state.clone());
                assert_eq!(
                    said(on_server[0].1.as_ref()),
                    said(slot[0].as_ref()),
                    "step {step}: {wanted:?} of {check:?} at {now}"
                );
            }
        }
    });
}

#[test]
fn nodes_with_leases_pay_from_them_and_admit_no_more_than_the_promise() {
    let server = RedisServer::new(RedisEngine::Redis);
    let (clock, policy) = (SystemClock::new(), bucket("2000 per second burst 2000"));
    let (admitted, paid, bound) = block_on(async {
        let mut nodes = Vec::new();
        for _ in 0..4 {
            nodes.push(connect(&server, patient()).await);
        }
        let mut checks = Checks::new();
        let (key, cost) = (&b"hot"[..], 1);
        checks
            .push(Check {
                policy: &policy,
                key,
                cost,
            })
            .unwrap();
        let (began, mut admitted) = (clock.now(), 0_u64);
        // One after the other in turns, so that no node is left out however busy the machine is.
        for _ in 0..50 {
            for node in &nodes {
                for _ in 0..20 {
                    admitted += u64::from(node.decide(&checks, clock.now()).await.is_allowed());
                }
            }
        }
        let elapsed = clock.now().since(began);
        let paid: u64 = nodes.iter().map(|node| node.near_stats().paid()).sum();
        (admitted, paid, 2_000.0 * (1.0 + elapsed.as_secs_f64()))
    });
    assert!(paid > 0, "no node has paid from a lease");
    assert!(admitted as f64 <= bound, "{admitted} of {bound}");
    // However fast they were asked, the burst was there, and leases keep back little of it.
    assert!(admitted >= 1_000, "{admitted} of {bound}");
}

#[test]
fn a_denial_is_remembered_and_forgotten_with_a_reset() {
    let server = RedisServer::new(RedisEngine::Redis);
    block_on(async {
        let (one, other) = (
            connect(&server, patient()).await,
            connect(&server, patient()).await,
        );
        let policy = Arc::new(Policy::new("p", "3 per century".parse().unwrap()).unwrap());
        let mut checks = Checks::new();
        checks
            .push(Check {
                policy: &policy,
                key: b"ann",
                cost: 1,
            })
            .unwrap();
        let now = SystemClock::new().now();
        for _ in 0..3 {
            assert!(one.decide(&checks, now).await.is_allowed());
        }
        for _ in 0..100 {
            assert!(!one.decide(&checks, now).await.is_allowed());
        }
        assert_eq!(one.near_stats().remembered(), 100);
        let calls = one.stats().round_trips().iter().sum::<u64>();
        assert_eq!(calls, 3, "the third told that there is no fourth");
        assert!(one.reset(&policy, b"ann").await.unwrap());
        assert!(one.decide(&checks, now).await.is_allowed());
        // What another node gives back is known a second later.
        for _ in 0..3 {
            let _ = one.decide(&checks, now).await;
        }
        assert!(other.reset(&policy, b"ann").await.unwrap());
        assert!(!one.decide(&checks, now).await.is_allowed());
        assert!(
            one.decide(&checks, now + Duration::from_secs(3_600))
                .await
                .is_allowed()
        );
    });
}

/// Waits like any request, and came a second ago.
#[test]
fn what_a_request_waited_counts_when_it_looks_again_and_when_it_hears() {
    let server = RedisServer::new(RedisEngine::Redis);
    block_on(async {
        let store = connect(&server, patient()).await;
        let shared = &store.shared;
        let hot = bucket("10000 per second token-bucket");
        let check = |policy| Check {
            policy,
            key: b"ann",
            cost: 1,
        };
        let now = shared.clock.now();
        let came = Came {
            now,
            began: Micros(now.0 - 1_000_000),
            time: None,
        };

        // A lease of a tenth of a second, taken when the request came.
        let said = decide::decide(&[check(&hot)], &mut [None], now);
        let granted = [Charge {
            cost: 9,
            mark: (0, 0),
        }];
        let checks = [check(&hot)];
        let asked = shared.near.asks(None, &checks, &[9], now);
        let near = &shared.near;
        near.learn(None, &checks, &said, &granted, (asked, now));
        let heard = Arc::new(Semaphore::new(0));
        heard.close();
        let question = store.question(&checks, true).unwrap();
        let after = shared.after(Look::Wait(heard), &question, None, came);
        assert!(after.await.is_err(), "units were spent whose lease is over");

        // A denial for less than a second, heard a second after its request came.
        let slow = bucket("2 per second burst 1");
        let mut question = store.question(&[check(&slow)], true).unwrap();
        let last = shared.decide(&mut question, None, came).await.unwrap();
        assert!(last.is_allowed());
        let then = Micros(now.0 + 1_000_000);
        let look = shared.near.look(None, &[check(&slow)], then);
        assert!(matches!(look, Look::Answer(_)), "it was dated too early");
    });
}

#[test]
fn a_denial_is_remembered_no_longer_than_the_block_that_it_began() {
    let server = RedisServer::new(RedisEngine::Redis);
    block_on(async {
        let store = connect(&server, patient()).await;
        let (shared, block) = (&store.shared, Duration::from_millis(100));
        let policy = Policy::new("p", "1 per hour".parse().unwrap()).unwrap();
        let penalty = Penalty::new(block).growing(2, Duration::from_secs(60));
        let policy = Arc::new(policy.with_penalty(penalty).unwrap());
        let check = Check {
            policy: &policy,
            key: b"ann",
            cost: 1,
        };
        let mut question = store.question(&[check], true).unwrap();
        let came = shared.came(shared.clock.now());
        assert!(
            shared
                .decide(&mut question, None, came)
                .await
                .unwrap()
                .is_allowed()
        );
        let denied = shared.decide(&mut question, None, came).await.unwrap();
        assert!(denied.standings()[0].is_blocked());
        let look = |now| shared.near.look(None, &[check], now);
        assert!(matches!(look(came.now), Look::Answer(_)), "the block lasts");
        let over = shared.since(came) + block;
        assert!(
            matches!(look(over), Look::Ask(_)),
            "who is denied now begins the next block"
        );
    });
}
