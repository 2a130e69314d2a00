//! Users of the gateway's accounts, whom the service counts together with it: by id.

use serde_json::json;

use super::Service;
use crate::support::{join, launch, new_key};

const RULES: &str = "
[service]
[limits.per-user]
key = \"user\"
quotas = [\"3 per hour\"]
[limits.per-pair]
key = [\"header:x-tenant\", \"user\"]
quotas = [\"3 per hour\"]
[limits.mails]
key = \"user\"
quotas = [\"3 per hour\"]
[[routes]]
match = \"GET /\"
auth = [\"api-key\"]
limits = [\"per-user\", \"per-pair\"]
respond = { text = \"x\" }
[[routes]]
match = \"POST /signup\"
builtin = \"signup\"
[[routes]]
match = \"POST /login\"
builtin = \"login\"
";

#[test]
fn a_name_is_no_user_of_a_limit_that_the_gateway_counts_by_id() {
    let service = Service::start(launch().rules(RULES));
    let gateway = &service.gateway;
    join(gateway, "ann");
    let key = new_key(gateway, "ann", &[]);
    let listed = gateway.command(&["user", "list"], "").stdout;
    let id = listed
        .lines()
        .find(|line| line.starts_with("ann "))
        .unwrap();
    let id = id.split_whitespace().last().unwrap();
    let call = key.get("/").field("x-tenant", "a");
    assert_eq!(gateway.call(&call).status, 200);
    let asked =
        |limit: &str, key: serde_json::Value| service.check(json!({ "limit": limit, "key": key }));
    for (limit, named) in [
        ("per-user", json!("ann")),
        ("per-user", json!({ "user": "ann" })),
        ("per-pair", json!(["a", "ann"])),
    ] {
        let refused = asked(limit, named.clone());
        assert_eq!(refused.status, 422, "{named}");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        for told in ["by id", "tollgate user list", "`ann` is none"] {
            assert!(detail.contains(told), "{detail}");
        }
    }
    // The id is whom the gateway counts; other kinds of users have ids, too.
    let counted = asked("per-user", json!(id));
    assert_eq!(
        (counted.status, counted.json()["remaining"].as_u64()),
        (200, Some(1))
    );
    assert_eq!(asked("per-user", json!(format!("guest-{id}"))).status, 200);
    // What no route charges is counted by whatever the application calls a user.
    assert_eq!(asked("mails", json!("ann")).status, 200);
}
