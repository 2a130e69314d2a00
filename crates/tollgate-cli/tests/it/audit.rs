//! Who administers, and the log of who changed what.

use serde_json::json;
use tollgate_testkit::client::Call;

use crate::support::{join, ok, preset};

/// What stands in each column of each line.
fn cells(list: &str) -> Vec<Vec<&str>> {
    list.lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect()
}

#[test]
fn who_changed_what_is_in_the_log_and_no_secret_is() {
    let mut gateway = preset("per-api-key");
    // The demo user and their key are made while it is ready already.
    gateway.process().line(|line| line.contains("tg_"));
    let person = join(&gateway, "ann");
    let create = Call::post("/keys").json(&json!({ "action": "create", "name": "laptop" }));
    let made = gateway.call(&person.with_cookie(create)).json();
    let secret = made["secret"].as_str().unwrap();
    ok(&gateway, &["plan", "create", "pro"]);
    ok(
        &gateway,
        &["plan", "set", "pro", "per-user", "3 per second"],
    );
    ok(&gateway, &["user", "plan", "ann", "pro"]);
    ok(&gateway, &["user", "role", "ann", "admin"]);
    ok(&gateway, &["limit", "reset", "per-user", "ann"]);
    let log = ok(&gateway, &["audit"]);
    let headings = ["NUMBER", "TIME", "WHO", "DID", "TO", "DETAIL"];
    let mut lines = cells(&log);
    assert_eq!(lines.remove(0), headings);
    let told: Vec<(&str, &str)> = lines.iter().map(|line| (line[2], line[3])).collect();
    let newest = [
        ("local", "counters-reset"),
        ("local", "role-set"),
        ("local", "plan-given"),
        ("local", "quotas-set"),
        ("local", "plan-created"),
        ("ann", "key-created"),
        ("ann", "user-created"),
    ];
    assert_eq!(told[..7], newest);
    assert!(lines[0][5].starts_with("user:"), "{log}");
    assert_eq!(
        lines[3][4..],
        ["plan:pro", "per-user: none -> 3 per second"]
    );
    let page = ok(
        &gateway,
        &["audit", "--before", lines[4][0], "--limit", "1"],
    );
    assert!(
        page.contains("key-created") && page.lines().count() == 2,
        "{page}"
    );
    // Whom an id stands for is told, also of a key.
    let (of_ann, of_key) = (lines[1][4], lines[5][4]);
    assert!(
        of_ann.starts_with("user:") && of_ann.ends_with(" (ann)"),
        "{log}"
    );
    assert!(
        of_key.starts_with("key:") && of_key.ends_with(" (ann / laptop)"),
        "{log}"
    );
    assert!(
        !log.contains(secret) && !log.contains(&secret[3..20]),
        "{log}"
    );
}

#[test]
fn an_administrator_can_be_made_at_once_and_shows_in_the_list() {
    let gateway = preset("per-api-key");
    let made = gateway.command(&["user", "create", "root", "--admin"], "a long password");
    assert_eq!(made.code, 0, "{made:?}");
    let listed = ok(&gateway, &["user", "list"]);
    assert_eq!(cells(&listed)[0], ["NAME", "STATE", "ROLE", "PLAN", "ID"]);
    let root = |listed: &str| -> Vec<String> {
        let lines = cells(listed);
        let line = lines.iter().find(|line| line[0] == "root").unwrap();
        line[..4].iter().map(|cell| (*cell).to_owned()).collect()
    };
    assert_eq!(root(&listed), ["root", "active", "admin", "-"]);
    ok(&gateway, &["user", "role", "root", "user"]);
    let listed = ok(&gateway, &["user", "list"]);
    assert_eq!(root(&listed), ["root", "active", "user", "-"]);
}
