//! Charges to open windows that their shortest way has to leave to another.

use super::*;

const NOW: Micros = Micros::from_secs(1_700_000_000);
const QUOTAS: [&str; 2] = ["100000/h fixed-window", "100000/h sliding-counter"];

fn ann(policy: &Arc<Policy>, cost: u64) -> Check<'_> {
    let key = &b"ann"[..];
    Check { policy, key, cost }
}

#[test]
fn a_charge_that_its_cell_has_no_room_for_is_kept_all_the_same() {
    for quota in QUOTAS {
        let policy = policy(quota);
        for cost in [1, 2, 3, 30_000] {
            let store = small(OnFull::Open);
            let first = store.decide_one(ann(&policy, 65_533), NOW);
            let second = store.decide_one(ann(&policy, cost), NOW);
            assert!(first.is_allowed() && second.is_allowed(), "{quota}");
            let left = store.decide_one(ann(&policy, 1), NOW).remaining();
            assert_eq!(left, 100_000 - 65_533 - cost - 1, "{quota}, cost {cost}");
        }
    }
}

#[test]
fn a_check_of_no_cost_is_told_the_same_on_every_way() {
    for quota in QUOTAS {
        let policy = policy(quota);
        let store = small(OnFull::Open);
        assert!(store.decide_one(ann(&policy, 7), NOW).is_allowed());
        let check = ann(&policy, 0);
        let together = store.decide_together(std::slice::from_ref(&check), NOW);
        assert_eq!(store.decide_one(check, NOW), together, "{quota}");
    }
}
