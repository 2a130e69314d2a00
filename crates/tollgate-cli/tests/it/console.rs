//! The console: everybody's own, and everything for administrators, through the handlers of the admin socket.

use serde_json::{Value, json};
use tollgate_testkit::client::{Answer, Call};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{HEARD_WITHIN, within};

use crate::support::{PASSWORD, Person, join, log_in, new_key, preset, statuses};

/// Every path of the admin side, with a method.
const MANAGEMENT: [(&str, &str); 25] = [
    ("GET", "limits"),
    ("PUT", "limits/per-user/quotas"),
    ("DELETE", "limits/per-user/quotas"),
    ("GET", "limits/per-user?key=ann"),
    ("DELETE", "limits/per-user?all=true"),
    ("GET", "plans"),
    ("PUT", "plans/pro"),
    ("DELETE", "plans/pro"),
    ("PUT", "plans/pro/limits/per-user"),
    ("DELETE", "plans/pro/limits/per-user"),
    ("GET", "users"),
    ("POST", "users"),
    ("PUT", "users/ann/role"),
    ("PUT", "users/ann/disabled"),
    ("DELETE", "users/ann/disabled"),
    ("PUT", "users/ann/plan"),
    ("DELETE", "users/ann/plan"),
    ("PUT", "users/ann/limits/per-user"),
    ("DELETE", "users/ann/limits/per-user"),
    ("PUT", "keys/x/limits/per-user"),
    ("GET", "audit"),
    ("GET", "health"),
    ("GET", "monitor/overview"),
    ("GET", "monitor/live"),
    ("GET", "monitor/heavy"),
];

const PAGES: [&str; 7] = [
    "live", "callers", "limits", "users", "plans", "audit", "health",
];

fn administrator(gateway: &Gateway) -> Person {
    let made = gateway.command(&["user", "create", "root", "--admin"], PASSWORD);
    assert_eq!(made.code, 0, "{made:?}");
    log_in(gateway, "root")
}

fn ask(gateway: &Gateway, who: &Person, method: &str, path: &str, body: &Value) -> Answer {
    let target = format!("/console/{path}");
    let call = who.with_cookie(Call::new(method, &target));
    match body {
        Value::Null => gateway.call(&call),
        body => gateway.call(&call.json(body)),
    }
}

fn get(gateway: &Gateway, who: &Person, path: &str) -> Answer {
    ask(gateway, who, "GET", path, &Value::Null)
}

#[test]
fn whoever_does_not_administer_gets_none_of_it() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let quotas = json!({ "quotas": "1 per day", "plan": "pro", "role": "admin", "username": "eve", "password": PASSWORD });
    for (method, path) in MANAGEMENT {
        let body = if method == "GET" {
            &Value::Null
        } else {
            &quotas
        };
        let refused = ask(&gateway, &ann, method, &format!("api/{path}"), body);
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text());
        assert_eq!(refused.json()["detail"], "This is for administrators.");
        let nobody = gateway.call(&Call::new(method, &format!("/console/api/{path}")));
        assert_eq!(nobody.status, 401, "{method} {path}");
    }
    for page in PAGES {
        assert_eq!(get(&gateway, &ann, page).status, 403, "{page}");
    }
    let own = get(&gateway, &ann, "");
    assert_eq!(own.status, 200);
    for page in PAGES {
        let link = format!("href=\"/console/{page}\"");
        assert!(!own.text().contains(&link), "{page}");
    }
    let log = get(&gateway, &administrator(&gateway), "api/audit").json();
    let actions: Vec<&str> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        ["user-created", "user-created"],
        "nothing was done"
    );
}

#[test]
fn an_api_key_of_an_administrator_and_a_request_of_another_site_open_nothing() {
    let text = r#"
        [accounts]
        url = "sqlite:tollgate.db"

        [[routes]]
        match = ["GET /login", "POST /login"]
        builtin = "login"

        [[routes]]
        match = "/console/{*rest}"
        auth = ["session", "api-key"]
        builtin = "console"
    "#;
    let gateway = crate::support::launch().rules(text).start();
    let root = administrator(&gateway);
    let key = new_key(&gateway, "root", &[]);
    for path in ["", "me/keys", "api/users", "limits"] {
        assert_eq!(
            gateway.call(&key.get(&format!("/console/{path}"))).status,
            403,
            "{path}"
        );
    }
    let call = root.with_cookie(Call::new("PUT", "/console/api/users/root/disabled"));
    let foreign = gateway.call(&call.field("sec-fetch-site", "cross-site"));
    assert_eq!(foreign.status, 403);
    assert_eq!(get(&gateway, &root, "api/users").status, 200);
}

#[test]
fn an_administrator_changes_a_limit_and_the_next_request_is_decided_under_it() {
    let gateway = preset("random-number");
    let (ann, root) = (join(&gateway, "ann"), administrator(&gateway));
    let call = ann.get("/call_api");
    assert_eq!(statuses(&gateway, &call, 2), [200, 200]);
    let set = json!({ "quotas": "2 per minute" });
    let answer = ask(
        &gateway,
        &root,
        "PUT",
        "api/users/ann/limits/per-user",
        &set,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(statuses(&gateway, &call, 1), [403]);
    let found = get(&gateway, &root, "api/limits/per-user?key=ann").json();
    assert_eq!(found["windows"]["minute"]["remaining"], 0);
    let reset = ask(
        &gateway,
        &root,
        "DELETE",
        "api/limits/per-user?key=ann",
        &Value::Null,
    );
    assert_eq!(reset.status, 200);
    assert_eq!(statuses(&gateway, &call, 3), [200, 200, 403]);
    let unset = ask(
        &gateway,
        &root,
        "DELETE",
        "api/users/ann/limits/per-user",
        &Value::Null,
    );
    assert_eq!(unset.status, 200);
    assert_eq!(statuses(&gateway, &call, 4), [200, 200, 200, 403]);

    let wrong = ask(
        &gateway,
        &root,
        "PUT",
        "api/limits/per-user/quotas",
        &json!({ "quotas": "lots" }),
    );
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("lots"), "{}", wrong.text());
    assert_eq!(
        ask(&gateway, &root, "PUT", "api/limits/per-users/quotas", &set).status,
        404
    );
    assert_eq!(get(&gateway, &root, "api/nothing").status, 404);
    assert_eq!(get(&gateway, &root, "nothing").status, 404);

    let log = get(&gateway, &root, "api/audit").json();
    let newest = &log["entries"][0];
    assert_eq!(newest["actor_name"], "root", "{newest}");
    assert_eq!(newest["action"], "quotas-unset");
    let (_, ann) = newest["subject"].as_str().unwrap().split_once(':').unwrap();
    assert_eq!(log["names"][ann], json!({ "name": "ann" }), "{log}");
}

#[test]
fn users_are_made_disabled_enabled_and_given_roles_whatever_they_are_called() {
    let gateway = preset("random-number");
    let root = administrator(&gateway);
    let segment =
        |name: &str| -> String { name.bytes().map(|byte| format!("%25{byte:02X}")).collect() };
    let crabs = "\u{1F980}".repeat(64);
    for name in [
        "<script>alert(1)</script>",
        "a/b?c=d&e#f%41",
        "..",
        crabs.as_str(),
        "\u{645}\u{633}\u{62a}",
    ] {
        let new = json!({ "username": name, "password": PASSWORD });
        let made = ask(&gateway, &root, "POST", "api/users", &new);
        assert_eq!(made.status, 201, "{name}: {}", made.text());
        assert_eq!(ask(&gateway, &root, "POST", "api/users", &new).status, 409);
        let at = |what: &str| format!("api/users/{}/{what}", segment(name));
        let login = || gateway.call(&Call::post("/login").json(&new)).status;
        assert_eq!(login(), 200, "{name}");
        let disabled = ask(&gateway, &root, "PUT", &at("disabled"), &Value::Null);
        assert_eq!(disabled.status, 200, "{name}: {}", disabled.text());
        assert_eq!(login(), 401, "{name}");
        assert_eq!(
            ask(&gateway, &root, "DELETE", &at("disabled"), &Value::Null).status,
            200
        );
        assert_eq!(login(), 200, "{name}");
        let role = ask(
            &gateway,
            &root,
            "PUT",
            &at("role"),
            &json!({ "role": "admin" }),
        );
        assert_eq!(role.status, 200, "{name}: {}", role.text());
    }
    let users = get(&gateway, &root, "api/users").json();
    let shown = users["users"].as_array().unwrap();
    assert!(
        shown
            .iter()
            .all(|user| user["role"] == "admin" && user["disabled_at"].is_null()),
        "{users}"
    );

    for body in [
        json!({}),
        json!({ "username": "eve" }),
        json!({ "username": 7, "password": 8 }),
        json!([]),
    ] {
        let refused = ask(&gateway, &root, "POST", "api/users", &body);
        assert_eq!(refused.status, 422, "{body}");
    }
    let short = json!({ "username": "eve", "password": "x" });
    assert_eq!(
        ask(&gateway, &root, "POST", "api/users", &short).status,
        400
    );
    let role = json!({ "role": "king" });
    assert_eq!(
        ask(&gateway, &root, "PUT", "api/users/root/role", &role).status,
        400
    );
    assert_eq!(
        ask(
            &gateway,
            &root,
            "PUT",
            "api/users/nobody/role",
            &json!({ "role": "user" })
        )
        .status,
        404
    );
    assert_eq!(
        ask(
            &gateway,
            &root,
            "PUT",
            "api/users/nobody/disabled",
            &Value::Null
        )
        .status,
        404
    );
}

#[test]
fn the_last_administrator_stays_one() {
    let gateway = preset("random-number");
    let root = administrator(&gateway);
    let role = ask(
        &gateway,
        &root,
        "PUT",
        "api/users/root/role",
        &json!({ "role": "user" }),
    );
    assert_eq!(
        (role.status, role.text().trim()),
        (409, "this is the last administrator")
    );
    let disabled = ask(
        &gateway,
        &root,
        "PUT",
        "api/users/root/disabled",
        &Value::Null,
    );
    assert_eq!(disabled.status, 409);
    assert_eq!(get(&gateway, &root, "api/health").status, 200);
}

#[test]
fn who_administers_no_more_sees_nothing_more() {
    let gateway = preset("random-number");
    let root = administrator(&gateway);
    assert_eq!(get(&gateway, &root, "api/users").status, 200);
    let done = gateway.command(&["user", "role", "root", "user"], "");
    assert_eq!(done.code, 0, "{done:?}");
    let refused = || get(&gateway, &root, "api/users").status == 403;
    assert!(within(HEARD_WITHIN, refused));
    assert_eq!(get(&gateway, &root, "users").status, 403);
}

#[test]
fn ones_use_is_everything_with_any_key_or_without_and_nobody_elses() {
    let gateway = preset("random-number");
    let (ann, bob) = (join(&gateway, "ann"), join(&gateway, "bob"));
    let key = new_key(&gateway, "ann", &[]);
    statuses(&gateway, &ann.get("/call_api"), 2);
    statuses(&gateway, &key.get("/call_api"), 5);
    statuses(&gateway, &bob.get("/call_api"), 1);
    let sums = |who: &Person, id: &str, span: &str| -> (u64, u64) {
        let target = format!("me/series/{id}?span={span}");
        let use_of = ask(&gateway, who, "GET", &target, &Value::Null).json();
        let sum = |name: &str| {
            use_of[name]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_u64)
                .sum()
        };
        (sum("allowed"), sum("denied"))
    };
    assert_eq!(sums(&ann, &key.id, "5-minutes"), (3, 2));
    // Of the console itself are these further requests, each of which is counted when it is answered.
    for span in ["hour", "day", "month"] {
        let whole = || sums(&ann, "all", span).1 == 2 && sums(&ann, &key.id, span) == (3, 2);
        assert!(within(HEARD_WITHIN, whole), "{span}");
        assert_eq!(sums(&ann, "-", span).1, 0, "{span}");
        assert_eq!(sums(&bob, "all", span).1, 0, "{span}");
        assert!(
            sums(&ann, "all", span).0 >= sums(&ann, "-", span).0 + 3,
            "{span}"
        );
    }
    assert_eq!(sums(&ann, "all", "5-minutes").1, 2);
    assert_eq!(
        get(&gateway, &bob, &format!("me/series/{}?span=hour", key.id)).status,
        404
    );
    for wrong in ["all", "all?span=week", "all?span=", "-?step=minute"] {
        assert_eq!(
            get(&gateway, &ann, &format!("me/series/{wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn the_console_leads_to_log_in_and_back() {
    let gateway = preset("random-number");
    join(&gateway, "ann");
    let refused = gateway.call(&Call::get("/console/").browser());
    assert_eq!(refused.status, 401);
    assert!(
        refused.text().contains("href=\"/login?next=/console/\""),
        "{}",
        refused.text()
    );
    let form = [("username", "ann"), ("password", PASSWORD)];
    let log_in = |next: &str| {
        let target = format!("/login?next={next}");
        gateway.call(&Call::post(&target).form(&form).browser())
    };
    let back = log_in("/console/");
    assert_eq!((back.status, back.expect("location")), (303, "/console/"));
    let elsewhere = log_in("//elsewhere.example");
    assert_eq!(elsewhere.expect("location"), "/call_api");
}
