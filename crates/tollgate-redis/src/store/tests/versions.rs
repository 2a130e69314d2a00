//! Two nodes with different rules on one store, asked in turn: the later rules hold, and nothing comes back.

use std::sync::Arc;

use tollgate::{Check, Checks, Decision, Micros, Policy, Store};
use tollgate_testkit::redis::{RedisEngine, RedisServer, Reply};

use super::trace::settings;
use crate::settings::{Settings, Time};
use crate::store::RedisStore;

const START: Micros = Micros(1_700_000_000_000_000);

/// A quota of each kind of state, and another of the same kind.
const PAIRS: [(&str, &str); 7] = [
    ("100/h", "3/h"),
    ("100/h burst 100", "3/h burst 3"),
    ("100/h fixed-window", "3/h fixed-window"),
    ("100/day calendar", "3/day calendar"),
    ("100/h sliding-counter", "3/h sliding-counter"),
    ("100 concurrent for 1 hour", "3 concurrent for 1 hour"),
    ("104251/day burst 100", "104251/day burst 3"),
];

/// One node: its store, and what its rules say.
struct Node {
    store: RedisStore,
    policy: Arc<Policy>,
}

impl Node {
    async fn new(server: &RedisServer, quota: &str, version: u64) -> Self {
        let policy = Arc::new(Policy::new("p", quota.parse().unwrap()).unwrap());
        Node::with(server, policy, version, settings()).await
    }

    async fn with(
        server: &RedisServer,
        policy: Arc<Policy>,
        version: u64,
        settings: Settings,
    ) -> Self {
        let url = format!("redis+unix://{}", server.socket().display());
        let store = RedisStore::connect(url.parse().unwrap(), settings).await;
        let store = store.unwrap();
        store.raise_version(version);
        Node { store, policy }
    }

    fn checks<'a>(&'a self, key: &'a str, cost: u64) -> Checks<'a> {
        let mut checks = Checks::new();
        let (policy, key) = (&self.policy, key.as_bytes());
        checks.push(Check { policy, key, cost }).unwrap();
        checks
    }

    async fn take(&self, key: &str, cost: u64, now: Micros) -> Decision {
        self.store.decide(&self.checks(key, cost), now).await
    }

    /// How many of `count` requests pass.
    async fn passed(&self, key: &str, count: usize, now: Micros) -> usize {
        let mut passed = 0;
        for _ in 0..count {
            passed += usize::from(self.take(key, 1, now).await.is_allowed());
        }
        passed
    }
}

/// Runs a test on a server of its own.
fn on_server<F: Future<Output = ()>>(test: impl FnOnce(Arc<RedisServer>) -> F) {
    let server = Arc::new(RedisServer::new(RedisEngine::Redis));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test(server));
}

fn letter(quota: &str) -> Vec<u8> {
    let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
    policy
        .numbers()
        .map(|numbers| format!("{numbers:?}"))
        .unwrap()[..6]
        .into()
}

#[tokio::test]
async fn a_store_with_a_version_of_its_own_keeps_it_when_the_other_is_raised() {
    let server = RedisServer::new(RedisEngine::Redis);
    let node = Node::new(&server, "6 per day", 3).await;
    let own = node.store.with_own_version();
    node.store.raise_version(4);
    assert_eq!((own.version(), node.store.version()), (3, 4));
    own.raise_version(5);
    assert_eq!((own.version(), node.store.version()), (5, 4));
    assert_eq!(own.tagged(b"t").version(), 5);
}

#[test]
fn two_nodes_in_turn_let_pass_what_the_newer_rules_say_and_no_more_in_every_pair_of_algorithms() {
    on_server(|server| async move {
        for (case, (newer, older)) in pairs().into_iter().enumerate() {
            let new = Node::new(&server, newer, 2).await;
            let old = Node::new(&server, older, 1).await;
            let key = &format!("k{case}");
            let mut passed = new.passed(key, 1, START).await;
            for turn in 0..60 {
                let node = if turn % 2 == 0 { &old } else { &new };
                passed += node.passed(key, 1 + turn % 3, START).await;
            }
            let promise = capacity(newer).min(121);
            assert_eq!(passed, promise, "{newer} and then {older}");
            let denied = [&old, &new].map(|node| node.take(key, 1, START));
            for denied in denied {
                assert_eq!(
                    denied.await.is_allowed(),
                    capacity(newer) > 121,
                    "{newer}, {older}"
                );
            }
            assert!(old.store.stats().decided_under_newer_rules() > 0);
            assert_eq!(new.store.stats().decided_under_newer_rules(), 0);
        }
    });
}

/// Newer and older quotas: other numbers, larger and smaller, and other algorithms.
fn pairs() -> Vec<(&'static str, &'static str)> {
    let mut pairs = Vec::new();
    for (many, few) in PAIRS {
        pairs.extend([(many, few), (few, many)]);
        for (other_many, other_few) in PAIRS {
            if letter(many) != letter(other_many) {
                pairs.extend([(few, other_many), (few, other_few)]);
            }
        }
    }
    pairs
}

fn capacity(quota: &str) -> usize {
    let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
    policy.capacity().unwrap() as usize
}

#[test]
fn units_of_older_rules_count_under_newer_ones_and_do_not_come_back() {
    on_server(|server| async move {
        let each = PAIRS.map(|(many, _)| PAIRS.map(|(_, few)| (many, few)));
        for (case, (many, few)) in each.concat().into_iter().enumerate() {
            let key = &format!("k{case}");
            let old = Node::new(&server, many, 1).await;
            let new = Node::new(&server, few, 2).await;
            assert_eq!(old.passed(key, 50, START).await, 50);
            for _ in 0..20 {
                assert_eq!(new.passed(key, 2, START).await, 0, "{many} to {few}");
                assert_eq!(old.passed(key, 2, START).await, 0, "{many} to {few}");
            }
        }
    });
}

#[test]
fn what_newer_rules_refuse_gives_no_units_back_to_older_ones() {
    on_server(|server| async move {
        let each = ["deny", "3/h burst 3", "unlimited"].into_iter().enumerate();
        for (case, newer) in each {
            for (older, cost) in [("5/h", 4), ("5/h fixed-window", 4), ("5 concurrent", 4)] {
                let key = &format!("k{case}{older}");
                let old = Node::new(&server, older, 1).await;
                let new = Node::new(&server, newer, 2).await;
                let mut passed = 0;
                for _ in 0..20 {
                    passed += old.passed(key, 2, START).await;
                    // What can never pass, and what costs nothing.
                    let cost = if newer == "unlimited" { 0 } else { cost };
                    assert_eq!(new.take(key, cost, START).await.is_allowed(), cost == 0);
                    let _ = new.take(key, 0, START).await;
                }
                // Rules that count take over what was used; the others keep no state.
                let promise = if newer == "3/h burst 3" { 3 } else { 5 };
                assert_eq!(passed, promise, "{older}, and {newer} of newer rules");
            }
        }
    });
}

/// An older gateway begins anew as soon as the server has forgotten a key.
#[test]
fn a_state_that_another_algorithm_takes_over_is_kept_as_long_as_it_would_have_been() {
    const ALGORITHMS: [&str; 5] = [
        "9/h",
        "9/h burst 9",
        "9/h fixed-window",
        "9/h sliding-counter",
        "9 concurrent for 1 hour",
    ];
    const SLACK_MS: i64 = 60_000;
    on_server(|server| async move {
        let node = |quota: &str, version| {
            let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
            let settings = Settings {
                time: Time::Server,
                ..settings()
            };
            Node::with(&server, Arc::new(policy), version, settings)
        };
        for (older, newer) in ALGORITHMS
            .iter()
            .flat_map(|old| ALGORITHMS.map(|new| (*old, new)))
        {
            let (old, new) = (node(older, 1).await, node(newer, 2).await);
            let key = &format!("{older} to {newer}");
            assert_eq!(old.passed(key, 10, START).await, 9, "{key}");
            assert_eq!(new.passed(key, 1, START).await, 0, "{key}");
            let name = old.store.shared.names.of(&old.checks(key, 1)[0], None);
            let kept = server.ask(&["PTTL", std::str::from_utf8(&name).unwrap()]);
            let Reply::Integer(kept) = kept else {
                panic!("{kept:?}");
            };
            // The window of a counter may be nearly over, and what was used then weighs for one more.
            assert!(kept > 3_600_000 - SLACK_MS, "{key}: {kept}");
        }
    });
}

#[test]
fn looking_reserving_and_settling_follow_the_newer_rules_on_every_node() {
    on_server(|server| async move {
        let old = Node::new(&server, "100/h", 1).await;
        let new = Node::new(&server, "3/h", 2).await;
        assert_eq!(new.passed("k", 1, START).await, 1);
        let seen = old.store.peek(&old.checks("k", 1), START).await;
        assert_eq!((seen.standings()[0].limit(), seen.remaining()), (3, 2));
        let reserved = old.store.reserve(&old.checks("k", 2), START, START).await;
        let (_, receipt) = reserved.unwrap();
        let later = old.store.reserve(&old.checks("k", 1), START, START).await;
        assert!(later.is_err());
        // Marked in other numbers than its own, so that it gives nothing back.
        let given = old.store.refund(&old.checks("k", 2), &receipt, START).await;
        assert_eq!(given.unwrap(), 0);
        let seen = new.store.peek(&new.checks("k", 1), START).await;
        assert_eq!(seen.remaining(), 0);
        let settled = old.store.settle(&old.checks("k", 3), &receipt, START);
        settled.await.unwrap();
        let seen = new.store.peek(&new.checks("k", 1), START).await;
        assert_eq!((seen.standings()[0].limit(), seen.remaining()), (3, 0));
        assert!(old.store.reset(&old.policy, b"k").await.unwrap());
        assert_eq!(new.passed("k", 9, START).await, 3);
        assert_eq!(old.passed("k", 9, START).await, 0);
    });
}

#[test]
fn slots_taken_under_newer_rules_are_given_back_by_the_node_that_took_them() {
    on_server(|server| async move {
        let old = Node::new(&server, "9 concurrent", 1).await;
        let new = Node::new(&server, "2 concurrent", 2).await;
        assert_eq!(new.passed("k", 1, START).await, 1);
        let taken = old.take("k", 1, START).await;
        assert_eq!(old.passed("k", 3, START).await, 0);
        let receipt = taken.receipt().unwrap();
        let given = old.store.refund(&old.checks("k", 1), &receipt, START).await;
        assert_eq!(given.unwrap(), 1);
        assert_eq!(new.passed("k", 3, START).await, 1);
    });
}

#[test]
fn a_block_of_a_penalty_is_that_of_the_newer_rules_on_every_node() {
    on_server(|server| async move {
        let with_block = |quota: &str, seconds| {
            let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
            let penalty = tollgate::Penalty::new(std::time::Duration::from_secs(seconds));
            Arc::new(policy.with_penalty(penalty).unwrap())
        };
        let old = Node::with(&server, with_block("9/m", 1), 1, settings()).await;
        let new = Node::with(&server, with_block("1/m", 600), 2, settings()).await;
        assert_eq!(new.passed("k", 2, START).await, 1);
        for turn in 0..20 {
            let now = Micros(START.0 + 10_000_000 * turn);
            let node = if turn % 2 == 0 { &old } else { &new };
            let denied = node.take("k", 1, now).await;
            let wait = denied.retry_after().unwrap();
            assert_eq!(wait.as_secs(), 600 - 10 * turn, "{turn}");
        }
    });
}

#[test]
fn a_version_only_rises_and_what_has_risen_moves_states_to_its_numbers() {
    on_server(|server| async move {
        let old = Node::new(&server, "9/h", 7).await;
        let new = Node::new(&server, "3/h", 8).await;
        assert_eq!(new.passed("k", 9, START).await, 3);
        assert_eq!(old.passed("k", 9, START).await, 0);
        old.store.raise_version(3);
        assert_eq!(old.store.version(), 7);
        assert_eq!(old.passed("k", 9, START).await, 0);
        // Moved to another plan, of which the numbers are older: its units stay used.
        old.store.raise_version(9);
        assert_eq!(old.passed("k", 9, START).await, 6);
        assert_eq!(new.passed("k", 9, START).await, 0);
        let seen = new.store.peek(&new.checks("k", 1), START).await;
        assert_eq!(seen.standings()[0].limit(), 9);
    });
}

#[test]
fn a_policy_of_a_later_version_than_its_node_counts_as_that() {
    on_server(|server| async move {
        let own = |quota: &str, version| {
            let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
            Arc::new(policy.with_version(version))
        };
        let new = Node::with(&server, own("3/h", 9), 5, settings()).await;
        let old = Node::with(&server, own("9/h", 2), 8, settings()).await;
        assert_eq!(new.passed("k", 9, START).await, 3);
        assert_eq!(old.passed("k", 9, START).await, 0);
        assert_eq!(new.passed("k", 9, START).await, 0);
    });
}

#[test]
fn numbers_that_come_with_a_question_hold_on_nodes_of_all_versions() {
    on_server(|server| async move {
        let asked = |quota: &str| {
            let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
            Arc::new(policy.with_version(Policy::VERSION_OF_THE_ASKER))
        };
        let new = Node::with(&server, asked("3/h"), 9, settings()).await;
        let old = Node::with(&server, asked("9/h"), 2, settings()).await;
        assert_eq!(new.passed("k", 1, START).await, 1);
        assert_eq!(old.take("k", 1, START).await.remaining(), 7);
        assert_eq!(new.take("k", 1, START).await.remaining(), 0);
        assert_eq!(old.take("k", 1, START).await.remaining(), 5);
    });
}

#[test]
fn versions_beyond_doubles_are_told_apart() {
    on_server(|server| async move {
        let late = (1 << 63) + 1;
        let new = Node::new(&server, "3/h", late).await;
        let old = Node::new(&server, "9/h", late - 1).await;
        assert_eq!(new.passed("k", 9, START).await, 3);
        assert_eq!(old.passed("k", 9, START).await, 0);
    });
}

#[test]
fn a_node_of_older_rules_with_the_same_quota_still_takes_units_in_advance() {
    on_server(|server| async move {
        let policy = || {
            let policy = Policy::new("p", "1000000/s burst 1000000".parse().unwrap()).unwrap();
            Arc::new(policy.with_lease(tollgate::Lease::Auto))
        };
        let settings = || Settings {
            time: Time::Server,
            ..settings()
        };
        let old = Node::with(&server, policy(), 1, settings()).await;
        let new = Node::with(&server, policy(), 2, settings()).await;
        assert_eq!(new.passed("k", 1, START).await, 1);
        for now in 0..1_000 {
            if old.store.near_stats().leased() > 0 {
                return;
            }
            let _ = old
                .take("k", 1, START + std::time::Duration::from_micros(now))
                .await;
        }
        panic!("it has taken none");
    });
}
