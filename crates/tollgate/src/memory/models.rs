//! Models: what the store promises when threads meet, tried in every order that their steps can take. `make models`
//! runs them, and plants the bugs that each must find (`scripts/planted-bugs`).
//!
//! The locks of the registry and of long states are the standard library's and not in the models; no cell or insert
//! lock is touched while one of them is held.

use std::sync::Arc;

use loom::thread;

use super::*;

/// Times that a thread is interrupted where it need not be, at most: in the model of three threads, and with one or two
/// more in two models of long ways. The others have no such bound.
const PREEMPTIONS: usize = 2;
/// Steps after which a model is believed never to end.
const STEPS_MAX: usize = 20_000;

/// Later than the end of any window that was opened at [`BEFORE`].
const NOW: Micros = Micros::from_secs(1_800_000_000);
const BEFORE: Micros = Micros::from_secs(1_700_000_000);

fn explore(model: impl Fn() + Sync + Send + 'static) {
    explore_within(None, model);
}

fn explore_within(preemptions: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = STEPS_MAX;
    builder.check(model);
}

/// A store in which every key has the same few cells.
fn store() -> Arc<MemoryStore> {
    let hasher = KeyHasher::with_seed(KeyHash::Fast, [1, 2]);
    let (slots, lines) = (Table::with_homes(1), Table::with_homes(1));
    let store = MemoryStore::with_parts(hasher, slots, lines, 1 << 20, OnFull::Open);
    Arc::new(store)
}

fn policy(name: &str, quota: &str) -> Arc<Policy> {
    Arc::new(Policy::new(name, quota.parse().unwrap()).unwrap())
}

fn checks<'a>(policies: &'a [&'a Arc<Policy>], key: &'a str, cost: u64) -> Checks<'a> {
    let mut checks = Checks::new();
    for policy in policies {
        let key = key.as_bytes();
        checks.push(Check { policy, key, cost }).unwrap();
    }
    checks
}

fn take(store: &MemoryStore, policies: &[&Arc<Policy>], key: &str, cost: u64) -> bool {
    store.decide(&checks(policies, key, cost), NOW).is_allowed()
}

/// As [`take`], by a thread that looks at a cell before it holds it.
fn take_after_refusal(store: &MemoryStore, policy: &Arc<Policy>, key: &str) -> bool {
    one::note_refusal(true);
    take(store, &[policy], key, 1)
}

fn used(store: &MemoryStore, policies: &[&Arc<Policy>], key: &str) -> Vec<u64> {
    let decision = store.peek(&checks(policies, key, 1), NOW);
    let used = decision.standings().iter().map(|standing| standing.used());
    used.collect()
}

/// Runs `one` beside `other`, and returns what each returned.
fn beside<A: 'static, B>(one: impl FnOnce() -> A + 'static, other: impl FnOnce() -> B) -> (A, B) {
    let one = thread::spawn(one);
    let other = other();
    (one.join().unwrap(), other)
}

/// One of two decisions passes: on a key that is there, or on one that both put in.
fn one_of_two_passes(quota: &'static str, is_there: bool) {
    explore(move || {
        let (store, policy) = (store(), policy("p", quota));
        if is_there {
            assert!(take(&store, &[&policy], "ann", 1));
        }
        let (one, other) = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || take(&store, &[&policy], "ann", 1)
            },
            || take(&store, &[&policy], "ann", 1),
        );
        assert!(one != other, "{one} and {other}");
        let limit = if is_there { 2 } else { 1 };
        assert_eq!(used(&store, &[&policy], "ann"), [limit]);
        let cells = store.slots.used().count() + store.lines.used().count();
        assert_eq!(cells, 1, "a key has one cell");
    });
}

#[test]
fn decisions_on_one_key_admit_exactly_what_is_left() {
    one_of_two_passes("2 per hour fixed-window", true);
}

/// More than one credit comes in a tick: such a bucket has no shortest way.
#[test]
fn decisions_on_one_fast_bucket_admit_exactly_what_is_left() {
    one_of_two_passes("7/us burst 2", true);
}

#[test]
fn decisions_on_one_bucket_admit_exactly_what_is_left() {
    one_of_two_passes("2 per hour token-bucket", true);
}

#[test]
fn decisions_on_one_log_admit_exactly_what_is_left() {
    one_of_two_passes("2 per hour", true);
}

#[test]
fn a_key_that_two_threads_put_in_has_one_cell() {
    one_of_two_passes("1 per hour fixed-window", false);
}

#[test]
fn a_key_that_three_threads_put_in_admits_one() {
    explore_within(Some(PREEMPTIONS), || {
        let (store, policy) = (store(), policy("p", "1 per hour fixed-window"));
        let spawn = || {
            let (store, policy) = (store.clone(), policy.clone());
            thread::spawn(move || take(&store, &[&policy], "ann", 1))
        };
        let others = [spawn(), spawn()];
        let mut passed = u32::from(take(&store, &[&policy], "ann", 1));
        for other in others {
            passed += u32::from(other.join().unwrap());
        }
        assert_eq!(passed, 1);
        assert_eq!(store.slots.used().count(), 1);
    });
}

#[test]
fn newcomers_to_one_window_take_cells_of_their_own() {
    explore(|| {
        let (store, policy) = (store(), policy("p", "5 per hour fixed-window"));
        let both = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || take(&store, &[&policy], "ann", 2)
            },
            || take(&store, &[&policy], "bob", 3),
        );
        assert_eq!(both, (true, true));
        assert_eq!(used(&store, &[&policy], "ann"), [2]);
        assert_eq!(used(&store, &[&policy], "bob"), [3]);
    });
}

/// The window is full, and one key of it has fewer units than the newcomer.
#[test]
fn a_key_that_gives_way_while_it_is_charged_goes_whole_or_stays_whole() {
    explore(|| {
        let (store, policy) = (store(), policy("p", "9 per hour fixed-window"));
        crowd(&store, &policy);
        let both = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || take(&store, &[&policy], "newcomer", 2)
            },
            || take(&store, &[&policy], "ann", 1),
        );
        assert_eq!(both, (true, true));
        let ann = used(&store, &[&policy], "ann");
        let newcomer = used(&store, &[&policy], "newcomer");
        match store.stats(NOW).live_evictions {
            0 => assert_eq!((ann, newcomer), (vec![2], vec![0])),
            _ => assert_eq!((ann, newcomer), (vec![0], vec![2])),
        }
    });
}

/// A full window, in which all keys but "ann" are too heavy to give way.
fn crowd(store: &MemoryStore, policy: &Arc<Policy>) {
    assert!(take(store, &[policy], "ann", 1));
    for heavy in 1..table::WINDOW {
        assert!(take(store, &[policy], &heavy.to_string(), 9));
    }
}

/// What stands in the cell of the newcomer would deny the key that it takes the cell from.
#[test]
fn a_denial_that_holds_no_cell_is_of_no_other_key() {
    explore(|| {
        let (store, policy) = (store(), policy("p", "9 per hour fixed-window"));
        crowd(&store, &policy);
        let both = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || take(&store, &[&policy], "newcomer", 9)
            },
            || take_after_refusal(&store, &policy, "ann"),
        );
        assert_eq!(both, (true, true));
    });
}

/// As before, and then the key has its cell again.
#[test]
fn a_denial_that_holds_no_cell_is_of_no_other_key_that_had_it_in_between() {
    explore_within(Some(PREEMPTIONS + 1), || {
        let (store, policy) = (store(), policy("p", "9 per hour fixed-window"));
        crowd(&store, &policy);
        let both = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || {
                    let newcomer = take(&store, &[&policy], "newcomer", 9);
                    store.reset(&policy, b"newcomer");
                    newcomer && take(&store, &[&policy], "ann", 1)
                }
            },
            || take_after_refusal(&store, &policy, "ann"),
        );
        assert_eq!(both, (true, true));
    });
}

/// The first cell is void: a newcomer takes it while its old key comes back.
#[test]
fn a_key_that_is_replaced_while_it_comes_back_loses_no_charge() {
    explore(|| {
        let (store, policy) = (store(), policy("p", "5 per hour fixed-window"));
        let before = store.decide(&checks(&[&policy], "ann", 5), BEFORE);
        assert!(before.is_allowed());
        let both = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || take(&store, &[&policy], "newcomer", 3)
            },
            || take(&store, &[&policy], "ann", 2),
        );
        assert_eq!(both, (true, true));
        assert_eq!(used(&store, &[&policy], "newcomer"), [3]);
        assert_eq!(used(&store, &[&policy], "ann"), [2]);
        assert_eq!(store.slots.used().count(), 2);
    });
}

/// As before, for a request that waits for the cell instead of passing it by.
#[test]
fn a_key_that_is_replaced_while_others_wait_for_it_is_looked_for_again() {
    explore(|| {
        let (store, policy, both) = (
            store(),
            policy("p", "5 per hour fixed-window"),
            policy("q", "unlimited"),
        );
        let before = store.decide(&checks(&[&policy], "ann", 5), BEFORE);
        assert!(before.is_allowed());
        let allowed = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || take(&store, &[&policy], "newcomer", 3)
            },
            || take(&store, &[&policy, &both], "ann", 2),
        );
        assert_eq!(allowed, (true, true));
        assert_eq!(used(&store, &[&policy], "newcomer"), [3]);
        assert_eq!(used(&store, &[&policy], "ann"), [2]);
    });
}

#[test]
fn two_keys_in_either_order_are_charged_together() {
    explore(|| {
        let (store, a, b) = (
            store(),
            policy("a", "2/h burst 2"),
            policy("b", "2/h burst 2"),
        );
        assert!(take(&store, &[&a, &b], "ann", 1));
        let (one, other) = beside(
            {
                let (store, a, b) = (store.clone(), a.clone(), b.clone());
                move || take(&store, &[&b, &a], "ann", 1)
            },
            || take(&store, &[&a, &b], "ann", 1),
        );
        assert!(one != other, "{one} and {other}");
        assert_eq!(used(&store, &[&a, &b], "ann"), [2, 2]);
    });
}

#[test]
fn two_new_keys_in_either_order_are_put_in_together() {
    explore(|| {
        let (store, a, b) = (
            store(),
            policy("a", "1/h burst 1"),
            policy("b", "1/h burst 1"),
        );
        let (one, other) = beside(
            {
                let (store, a, b) = (store.clone(), a.clone(), b.clone());
                move || take(&store, &[&b, &a], "ann", 1)
            },
            || take(&store, &[&a, &b], "ann", 1),
        );
        assert!(one != other, "{one} and {other}");
        assert_eq!(used(&store, &[&a, &b], "ann"), [1, 1]);
    });
}

#[test]
fn a_peek_sees_both_charges_or_none() {
    explore(|| {
        let (store, a, b) = (
            store(),
            policy("a", "9/h burst 9"),
            policy("b", "9/h burst 9"),
        );
        assert!(take(&store, &[&a, &b], "ann", 1));
        let (_, seen) = beside(
            {
                let (store, a, b) = (store.clone(), a.clone(), b.clone());
                move || take(&store, &[&a, &b], "ann", 1)
            },
            || used(&store, &[&b, &a], "ann"),
        );
        assert_eq!(seen[0], seen[1]);
    });
}

#[test]
fn who_is_denied_for_one_key_by_a_charge_to_two_is_denied_for_the_other() {
    explore_within(Some(PREEMPTIONS + 2), || {
        let (store, a, b) = (
            store(),
            policy("a", "2/h burst 2"),
            policy("b", "2/h burst 2"),
        );
        assert!(take(&store, &[&a, &b], "ann", 1));
        let (both, each) = beside(
            {
                let (store, a, b) = (store.clone(), a.clone(), b.clone());
                move || take(&store, &[&a, &b], "ann", 1)
            },
            || [&a, &b].map(|policy| take_after_refusal(&store, policy, "ann")),
        );
        assert_eq!(each, [!both; 2]);
    });
}

#[test]
fn nobody_sees_a_charge_that_is_taken_back() {
    explore(|| {
        let (store, a, spent) = (
            store(),
            policy("a", "1/h burst 1"),
            policy("b", "1/h burst 1"),
        );
        assert!(take(&store, &[&spent], "ann", 1));
        let (both, alone) = beside(
            {
                let (store, a, spent) = (store.clone(), a.clone(), spent.clone());
                move || take(&store, &[&a, &spent], "ann", 1)
            },
            || take(&store, &[&a], "ann", 1),
        );
        assert_eq!((both, alone), (false, true));
    });
}

#[test]
fn a_reset_comes_before_a_decision_or_after_it() {
    explore(|| {
        let (store, policy) = (store(), policy("p", "1 per hour fixed-window"));
        assert!(take(&store, &[&policy], "ann", 1));
        let (forgot, allowed) = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || store.reset(&policy, b"ann")
            },
            || take(&store, &[&policy], "ann", 1),
        );
        assert!(forgot);
        assert_eq!(used(&store, &[&policy], "ann"), [u64::from(allowed)]);
    });
}

#[test]
fn a_reset_of_all_comes_before_a_decision_or_after_it() {
    explore(|| {
        let (store, policy) = (store(), policy("p", "2 per hour"));
        assert!(take(&store, &[&policy], "ann", 1));
        let ((), allowed) = beside(
            {
                let (store, policy) = (store.clone(), policy.clone());
                move || store.reset_all(&policy)
            },
            || take(&store, &[&policy], "ann", 1),
        );
        assert!(allowed);
        assert!(used(&store, &[&policy], "ann")[0] <= 1);
    });
}
