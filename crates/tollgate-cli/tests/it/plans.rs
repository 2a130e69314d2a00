//! Quotas changed while the gateway runs: what then holds, for everybody, by plan, by user and by key.

use serde_json::{Value, json};
use tollgate_testkit::client::{Answer, Call};
use tollgate_testkit::database::{Database, Engine};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{HEARD_WITHIN, within};

use crate::support::{
    Key, QUOTA_EXCEEDED, join, launch, new_key, new_user, ok, pick, preset, rate_limit, rotate,
    statuses, system_now, window,
};

/// What it says when it cannot be meant.
pub(crate) fn refused(gateway: &Gateway, args: &[&str]) -> String {
    let done = gateway.command(args, "");
    assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{args:?}");
    done.stderr.trim().to_owned()
}

fn policies(answer: &Answer) -> &str {
    answer.expect("ratelimit-policy")
}

/// How many of so many calls pass.
pub(crate) fn passing(gateway: &Gateway, key: &Key, calls: usize) -> usize {
    let answered = statuses(gateway, &key.get("/limit"), calls).into_iter();
    answered.filter(|status| *status == 200).count()
}

pub(crate) fn ann(gateway: &Gateway) -> Key {
    new_user(gateway, "ann");
    new_key(gateway, "ann", &[])
}

#[test]
fn a_changed_limit_is_met_by_the_next_request_and_keeps_what_was_used() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    assert_eq!(passing(&gateway, &key, 4), 4);
    let said = ok(&gateway, &["limit", "set", "per-user", "6 per second"]);
    assert_eq!(
        said,
        "per-user is 6 per second for everybody (before: 10 per second)"
    );
    let next = gateway.call(&key.get("/limit"));
    assert_eq!(policies(&next), "\"per-user.second\";q=6;w=1");
    assert_eq!(rate_limit(&next)["per-user.second"].0, 1);
    assert_eq!(passing(&gateway, &key, 3), 1);
    ok(
        &gateway,
        &["limit", "set", "per-user", "2 per second; 4 per minute"],
    );
    gateway.advance(1.0);
    assert_eq!(passing(&gateway, &key, 3), 2);
    gateway.advance(1.0);
    let last = gateway.call(&key.get("/limit"));
    let left = rate_limit(&last);
    assert_eq!(
        (left["per-user.second"].0, left["per-user.minute"].0),
        (1, 1)
    );
    ok(&gateway, &["limit", "unset", "per-user"]);
    gateway.advance(1.0);
    assert_eq!(passing(&gateway, &key, 12), 10);
}

#[test]
fn a_plan_gives_its_users_more_or_less_and_all_answers_say_so() {
    let gateway = preset("random-number");
    let [ann, bob] = ["ann", "bob"].map(|name| join(&gateway, name));
    ok(&gateway, &["plan", "create", "pro"]);
    let quotas = "8 per minute; 20 per day fixed-window";
    ok(&gateway, &["plan", "set", "pro", "per-user", quotas]);
    ok(&gateway, &["user", "plan", "ann", "pro"]);
    for left in (0..8).rev() {
        let answer = gateway.call(&ann.get("/call_api"));
        assert_eq!(answer.status, 200);
        let announced = rate_limit(&answer);
        assert_eq!(announced["per-user.minute"].0, left);
        assert_eq!(announced["per-user.day"].0, left + 12);
        assert_eq!(
            policies(&answer),
            "\"per-user.minute\";q=8;w=60, \"per-user.day\";q=20;w=86400"
        );
        let remaining = gateway.call(&ann.get("/see_remaining_limits")).json();
        assert_eq!(remaining["minute"], window(8, 8 - left, Some(60)));
        assert_eq!(remaining["day"], window(20, 8 - left, Some(86_400)));
        assert_eq!(remaining["available_now"], left);
        assert!(remaining["hour"].is_null(), "{remaining}");
    }
    let denied = gateway.call(&ann.get("/call_api"));
    assert_eq!((denied.status, denied.retry_after()), (403, Some(60)));
    let body = denied.json();
    assert_eq!(body["type"], QUOTA_EXCEEDED);
    assert_eq!(body["violated-policies"], json!(["per-user.minute"]));
    assert_eq!(
        statuses(&gateway, &bob.get("/call_api"), 6)[4..],
        [200, 403]
    );

    let shown = ok(&gateway, &["limit", "show", "per-user", "ann", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let minute = pick(
        &shown["windows"]["minute"],
        &["limit", "used", "remaining", "resets_in"],
    );
    assert_eq!(minute, window(8, 8, Some(60)));

    ok(
        &gateway,
        &["plan", "set", "pro", "per-user", "2 per minute"],
    );
    gateway.advance(60.0);
    assert_eq!(
        statuses(&gateway, &ann.get("/call_api"), 3),
        [200, 200, 403]
    );
    ok(&gateway, &["user", "plan", "ann", "--none"]);
    let back = gateway.call(&ann.get("/call_api"));
    assert_eq!(rate_limit(&back).keys().count(), 2, "minute and hour again");
}

#[test]
fn setting_quotas_says_what_held_before_for_whom_they_are_set() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    ok(&gateway, &["plan", "create", "gold"]);
    let set = |quotas: &str, whom: &[&str]| {
        let said = ok(
            &gateway,
            &[&["limit", "set", "per-user", quotas], whom].concat(),
        );
        said.split_once("(before: ").unwrap().1.to_owned()
    };
    let rules = "10 per second)";
    assert_eq!(set("20 per second", &["--plan", "gold"]), rules);
    let anew = [
        "limit",
        "set",
        "per-user",
        "20 per second",
        "--plan",
        "gold",
    ];
    assert_eq!(
        ok(&gateway, &anew),
        "per-user is 20 per second for the plan gold (before: 20 per second)"
    );
    assert_eq!(set("30 per second", &["--plan", "gold"]), "20 per second)");
    assert_eq!(set("5 per second", &["--user", "ann"]), rules);
    ok(&gateway, &["limit", "unset", "per-user", "--user", "ann"]);
    ok(&gateway, &["user", "plan", "ann", "gold"]);
    assert_eq!(set("6 per second", &["--user", "ann"]), "30 per second)");
    assert_eq!(set("7 per second", &["--key", &key.id]), "6 per second)");
    assert_eq!(set("8 per second", &["--key", &key.id]), "7 per second)");
    assert_eq!(set("1 per second; 9 per day", &[]), rules);
    assert_eq!(set("2 per second", &[]), "1 per second; 9 per day)");
}

#[test]
fn a_users_own_quotas_stand_before_their_plans() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    ok(&gateway, &["plan", "create", "small"]);
    ok(
        &gateway,
        &["plan", "set", "small", "per-user", "2 per second"],
    );
    ok(&gateway, &["user", "plan", "ANN", "small"]);
    assert_eq!(passing(&gateway, &key, 4), 2);
    ok(
        &gateway,
        &["limit", "set", "per-user", "unlimited", "--user", "ann"],
    );
    let free = gateway.call(&key.get("/limit"));
    assert_eq!((free.status, free.field("ratelimit-policy")), (200, None));
    assert_eq!(passing(&gateway, &key, 20), 20);
    ok(
        &gateway,
        &["limit", "set", "per-user", "deny", "--user", "ann"],
    );
    assert_eq!(passing(&gateway, &key, 3), 0);
    ok(&gateway, &["limit", "unset", "per-user", "--user", "ann"]);
    gateway.advance(1.0);
    assert_eq!(passing(&gateway, &key, 4), 2);
}

#[test]
fn a_key_with_quotas_of_its_own_counts_apart_from_its_user() {
    let gateway = preset("per-api-key");
    let usual = ann(&gateway);
    let large = new_key(&gateway, "ann", &[]);
    let set = [
        "limit",
        "set",
        "per-user",
        "15 per second",
        "--key",
        &large.id,
    ];
    ok(&gateway, &set);
    assert_eq!(passing(&gateway, &usual, 12), 10);
    assert_eq!(passing(&gateway, &large, 16), 15);
    let monitored = gateway.admin(&Call::get("/monitor/keys")).json();
    let left = |key: &Key| {
        let keys = monitored["keys"].as_array().unwrap();
        let key = keys.iter().find(|shown| shown["id"] == *key.id);
        key.unwrap()["remaining"].clone()
    };
    assert_eq!((left(&usual), left(&large)), (json!(0), json!(0)));
    let show = |args: &[&str]| -> Value {
        let shown = ok(
            &gateway,
            &[&["limit", "show", "--json", "per-user", "ann"], args].concat(),
        );
        serde_json::from_str::<Value>(&shown).unwrap()["windows"]["second"].clone()
    };
    assert_eq!(
        pick(&show(&[]), &["limit", "used"]),
        json!({ "limit": 10, "used": 10 })
    );
    let of_key = show(&["--key", &large.id]);
    assert_eq!(
        pick(&of_key, &["limit", "used"]),
        json!({ "limit": 15, "used": 15 })
    );
    let reset = ["limit", "reset", "per-user", "ann", "--key", &large.id];
    assert_eq!(ok(&gateway, &reset), "reset");
    assert_eq!(passing(&gateway, &large, 16), 15);
    assert_eq!(passing(&gateway, &usual, 1), 0);
    let shrunk = [
        "limit",
        "set",
        "per-user",
        "1 per second",
        "--key",
        &large.id,
    ];
    ok(&gateway, &shrunk);
    gateway.advance(1.0);
    assert_eq!(passing(&gateway, &large, 3), 1);
    assert_eq!(passing(&gateway, &usual, 12), 10);
}

#[test]
fn a_key_in_the_place_of_another_goes_on_with_what_that_has_used() {
    // The command that rotates reads the system's clock.
    let gateway = launch().preset("per-api-key").clock(system_now()).start();
    new_user(&gateway, "ann");
    let small = new_key(&gateway, "ann", &["--quota", "2 per minute"]);
    let given = new_key(&gateway, "ann", &[]);
    let set = [
        "limit",
        "set",
        "per-user",
        "3 per minute",
        "--key",
        &given.id,
    ];
    ok(&gateway, &set);
    assert_eq!(
        (passing(&gateway, &small, 1), passing(&gateway, &given, 2)),
        (1, 2)
    );
    let rotated = |key: &Key| rotate(&gateway, key);
    // The key before it is good for a while longer, and counts as the same.
    let (small_now, given_now) = (rotated(&small), rotated(&rotated(&given)));
    assert_eq!(passing(&gateway, &small_now, 4), 1);
    assert_eq!(passing(&gateway, &small, 1), 0);
    assert_eq!(passing(&gateway, &given_now, 4), 1);
    let show = [
        "limit",
        "show",
        "--json",
        "per-user",
        "ann",
        "--key",
        &given_now.id,
    ];
    let shown: Value = serde_json::from_str(&ok(&gateway, &show)).unwrap();
    assert_eq!(shown["windows"]["minute"]["used"], 3);
    let reset = ["limit", "reset", "per-user", "ann", "--key", &given_now.id];
    assert_eq!(ok(&gateway, &reset), "reset");
    assert_eq!(passing(&gateway, &given_now, 4), 3);
    // Other quotas for one of them are those of all, so that no two keys pull one counter to and fro.
    let set = [
        "limit",
        "set",
        "per-user",
        "5 per minute",
        "--key",
        &given_now.id,
    ];
    ok(&gateway, &set);
    for _ in 0..3 {
        assert_eq!(
            passing(&gateway, &given, 1) + passing(&gateway, &given_now, 1),
            2
        );
        gateway.advance(60.0);
        assert_eq!(passing(&gateway, &given, 4), 4);
        assert_eq!(passing(&gateway, &given_now, 4), 1);
        gateway.advance(60.0);
        assert_eq!(passing(&gateway, &given_now, 3), 3);
    }
}

#[test]
fn quotas_survive_a_restart_and_are_met_by_the_first_request() {
    let gateway = preset("per-api-key");
    let key = ann(&gateway);
    ok(&gateway, &["plan", "create", "pro"]);
    ok(&gateway, &["plan", "set", "pro", "per-user", "3 per hour"]);
    ok(&gateway, &["user", "plan", "ann", "pro"]);
    assert_eq!(passing(&gateway, &key, 1), 1);
    let data = gateway.data().clone();
    assert!(gateway.stop().success());
    let again = launch().preset("per-api-key").data(&data).start();
    let first = again.call(&key.get("/limit"));
    assert_eq!(rate_limit(&first)["per-user.hour"].0, 1);
    assert_eq!(passing(&again, &key, 3), 1);
}

#[test]
fn without_anybody_named_a_limit_by_address_changes_for_everybody() {
    let gateway = preset("hello-by-ip");
    let token = gateway.get("/get-auth-token").json();
    let hello = Call::get("/").bearer(token["token"].as_str().unwrap());
    assert_eq!(statuses(&gateway, &hello, 4), [200, 200, 200, 429]);
    ok(
        &gateway,
        &["limit", "set", "per-address", "5 per 10 seconds"],
    );
    assert_eq!(statuses(&gateway, &hello, 3), [200, 200, 429]);
    for scope in [["--user", "ann"], ["--plan", "pro"]] {
        let set = ["limit", "set", "per-address", "9 per day"];
        let said = refused(&gateway, &[&set[..], &scope].concat());
        assert!(
            said.contains("ann") || said.contains("neither `user` nor `api-key`"),
            "{said}"
        );
    }
}

fn a_change_on_one_gateway_holds_on_the_other_within_two_seconds(engine: Engine) {
    let database = Database::new(engine);
    let start = || {
        let launch = launch().preset("per-api-key");
        launch.option("--accounts", database.url()).start()
    };
    let (one, two) = (start(), start());
    let person = join(&one, "ann");
    let create = Call::post("/keys").json(&json!({ "action": "create", "name": "laptop" }));
    let made = one.call(&person.with_cookie(create)).json();
    let key = Key {
        id: made["id"].as_str().unwrap().to_owned(),
        secret: made["secret"].as_str().unwrap().to_owned(),
    };
    for gateway in [&one, &two] {
        assert_eq!(passing(gateway, &key, 1), 1);
    }
    ok(&one, &["plan", "create", "pro"]);
    ok(&one, &["user", "plan", "ann", "pro"]);
    let steps: [(&[&str], &str); 5] = [
        (&["limit", "set", "per-user", "21 per second"], "q=21;"),
        (
            &["plan", "set", "pro", "per-user", "22 per second"],
            "q=22;",
        ),
        (
            &["limit", "set", "per-user", "23 per second", "--user", "ann"],
            "q=23;",
        ),
        (
            &[
                "limit",
                "set",
                "per-user",
                "24 per second",
                "--key",
                &key.id,
            ],
            "q=24;",
        ),
        (&["limit", "unset", "per-user", "--key", &key.id], "q=23;"),
    ];
    for (command, expected) in steps {
        ok(&one, command);
        one.advance(1.0);
        let here = one.call(&key.get("/limit"));
        assert!(policies(&here).contains(expected), "at once: {command:?}");
        let heard = within(HEARD_WITHIN, || {
            two.advance(1.0);
            // 503 where the database does not say in time who asks.
            let there = two.call(&key.get("/limit"));
            let policies = there.field("ratelimit-policy").unwrap_or_default();
            policies.contains(expected)
        });
        assert!(heard, "never heard: {command:?}");
    }
}

#[test]
fn a_change_beside_another_gateway_on_postgresql_holds_there_within_two_seconds() {
    a_change_on_one_gateway_holds_on_the_other_within_two_seconds(Engine::Postgres);
}

#[test]
fn a_change_beside_another_gateway_on_mariadb_holds_there_within_two_seconds() {
    a_change_on_one_gateway_holds_on_the_other_within_two_seconds(Engine::MariaDb);
}
