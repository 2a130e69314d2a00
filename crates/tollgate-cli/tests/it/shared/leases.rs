//! What a gateway answers without asking the store: from units taken in advance, and from denials that it remembers.

use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;

use super::{PATIENT, Shared, metric};

const RULES: &str = r#"
[limits.fast]
key = "client-ip"
algorithm = "token-bucket"
quotas = "1000 per second"
lease = "auto"

[limits.rare]
key = "client-ip"
quotas = "2 per century"

[[routes]]
match = "GET /fast"
limits = ["fast"]
respond = { text = "fast" }

[[routes]]
match = "GET /rare"
limits = ["rare"]
respond = { text = "rare" }
"#;

fn gateway(shared: &Shared) -> Gateway {
    let rules = format!("{PATIENT}{RULES}");
    shared.launch(&rules).running_clock().start()
}

#[test]
fn a_hot_key_is_paid_from_units_taken_in_advance() {
    let shared = Shared::new();
    let gateway = gateway(&shared);
    let mut calls = 0;
    // What is given back takes round trips, too: on a slow machine it takes longer until decisions have saved more.
    while metric(&gateway, "tollgate_store_decisions_paid_total ") < 100
        || metric(&gateway, "tollgate_store_round_trip_seconds_count ") >= calls
    {
        assert!(calls < 10_000, "nothing is paid in advance");
        for _ in 0..100 {
            let status = gateway.call(&Call::get("/fast")).status;
            assert!(status == 200 || status == 429, "{status}");
            calls += 1;
        }
    }
    assert!(metric(&gateway, "tollgate_store_units_leased_total ") >= 100);
}

#[test]
fn a_denial_is_told_again_without_asking_and_ended_by_a_reset() {
    let shared = Shared::new();
    let gateway = gateway(&shared);
    let call = Call::get("/rare");
    let mut statuses = (0..50).map(|_| gateway.call(&call).status);
    assert_eq!((statuses.next(), statuses.next()), (Some(200), Some(200)));
    assert!(statuses.all(|status| status == 429));
    assert!(metric(&gateway, "tollgate_store_denials_remembered_total ") >= 10);
    let reset = gateway.command(&["limit", "reset", "rare", "127.0.0.1"], "");
    assert_eq!(reset.stdout.trim(), "reset", "{reset:?}");
    assert_eq!(gateway.call(&call).status, 200);
}
