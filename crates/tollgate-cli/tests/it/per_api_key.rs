//! The fifth system: a limited endpoint for holders of API keys, with its database.

use serde_json::{Value, json};
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{HEARD_WITHIN, eventually, within};

use crate::support::{
    BAD_CREDENTIALS, Key, NO_CREDENTIALS, QUOTA_EXCEEDED, join, launch, new_key, new_user, pick,
    preset, rate_limit, root, statuses,
};

/// Ann with as many keys as asked for.
fn with_keys<const N: usize>(gateway: &Gateway) -> [Key; N] {
    new_user(gateway, "ann");
    [(); N].map(|()| new_key(gateway, "ann", &[]))
}

/// What the monitor says of the caller's key.
fn monitored(gateway: &Gateway, key: &Key) -> Value {
    let answer = gateway.call(&key.get(&format!("/monitor/keys/{}", key.id)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn the_first_start_prints_a_demo_key_in_a_ready_curl_line() {
    let mut gateway = preset("per-api-key");
    let line = gateway.process().line(|line| line.contains("tg_"));
    let url = format!("http://{}/limit", gateway.address());
    assert!(
        line.trim().starts_with("curl ") && line.contains(&url),
        "{line}"
    );
    let (name, value) = line.split('\'').nth(1).unwrap().split_once(": ").unwrap();
    assert_eq!(name, "X-API-Key");
    assert_eq!(
        gateway.call(&Call::get("/limit").field(name, value)).status,
        200
    );
}

#[test]
fn where_there_are_users_already_the_start_says_why_it_makes_no_demo_key() {
    let other = preset("random-number");
    join(&other, "ann");
    let data = other.data().clone();
    other.stop();
    let mut gateway = launch().preset("per-api-key").data(&data).start();
    let line = gateway.process().line(|line| line.contains("demo key"));
    assert!(line.contains("there are users already"), "{line}");
    let line = gateway.process().line(|line| line.contains("tollgate key"));
    let args: Vec<&str> = line.split_whitespace().skip(1).collect();
    let done = gateway.command(&[&args[..2], &["ann"]].concat(), "");
    assert!(done.stdout.starts_with("tg_"), "{done:?}");
}

#[test]
fn ten_a_second_pass_for_a_user_and_the_eleventh_is_429() {
    let gateway = preset("per-api-key");
    let [key] = with_keys(&gateway);
    for left in (0..10).rev() {
        let answer = gateway.call(&key.get("/limit"));
        assert_eq!(
            (answer.status, rate_limit(&answer)["per-user.second"].0),
            (200, left)
        );
    }
    let refused = gateway.call(&key.get("/limit"));
    assert_eq!((refused.status, refused.retry_after()), (429, Some(1)));
    assert_eq!(refused.json()["type"], QUOTA_EXCEEDED);
    assert_eq!(
        refused.json()["violated-policies"],
        json!(["per-user.second"])
    );
}

#[test]
fn all_keys_of_a_user_share_the_limit_and_another_users_do_not() {
    let gateway = preset("per-api-key");
    let [one, two] = with_keys(&gateway);
    new_user(&gateway, "bob");
    let bobs = new_key(&gateway, "bob", &[]);
    assert_eq!(statuses(&gateway, &one.get("/limit"), 6), [200; 6]);
    assert_eq!(
        statuses(&gateway, &two.get("/limit"), 5),
        [200, 200, 200, 200, 429]
    );
    assert_eq!(gateway.call(&one.get("/limit")).status, 429);
    assert_eq!(statuses(&gateway, &bobs.get("/limit"), 10), [200; 10]);
}

#[test]
fn a_key_may_have_a_smaller_limit_of_its_own_and_what_it_denies_costs_its_user_nothing() {
    let gateway = preset("per-api-key");
    let [whole] = with_keys(&gateway);
    let small = new_key(&gateway, "ann", &["--quota", "2 per second"]);
    assert_eq!(statuses(&gateway, &small.get("/limit"), 2), [200; 2]);
    let refused = gateway.call(&small.get("/limit"));
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["violated-policies"], json!(["own.second"]));
    let left = rate_limit(&refused);
    assert_eq!((left["own.second"].0, left["per-user.second"].0), (0, 8));
    assert_eq!(
        refused.expect("ratelimit-policy"),
        "\"per-user.second\";q=10;w=1, \"own.second\";q=2;w=1"
    );
    assert_eq!(
        statuses(&gateway, &whole.get("/limit"), 9),
        [200, 200, 200, 200, 200, 200, 200, 200, 429]
    );
}

#[test]
fn a_burst_across_the_edge_of_a_second_is_held_to_ten_in_any_second() {
    let gateway = preset("per-api-key");
    let [key] = with_keys(&gateway);
    gateway.advance(0.9);
    assert_eq!(statuses(&gateway, &key.get("/limit"), 11)[9..], [200, 429]);
    for _ in 0..9 {
        gateway.advance(0.1);
        assert_eq!(gateway.call(&key.get("/limit")).status, 429);
    }
    gateway.advance(0.1);
    assert_eq!(statuses(&gateway, &key.get("/limit"), 11)[9..], [200, 429]);
}

/// Makes every query of a running gateway fail: in place, because its connections hold the files open.
fn break_database(gateway: &Gateway) {
    for name in ["tollgate.db", "tollgate.db-wal", "tollgate.db-shm"] {
        let path = gateway.data().path().join(name);
        let bytes = std::fs::metadata(&path).unwrap().len() as usize;
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xff; bytes], 0).unwrap();
    }
}

#[test]
fn without_a_key_it_is_401_at_once_and_neither_database_nor_limiter_is_touched() {
    let gateway = preset("per-api-key");
    let [known, never_used] = with_keys(&gateway);
    assert_eq!(gateway.call(&known.get("/limit")).status, 200);
    let metrics = |gateway: &Gateway| -> Vec<String> {
        let text = gateway.admin(&Call::get("/metrics")).text();
        let lines = text.lines().filter(|line| {
            line.starts_with("tollgate_decisions") || line.starts_with("tollgate_store_keys")
        });
        lines.map(str::to_owned).collect()
    };
    let before = metrics(&gateway);
    assert!(before.len() >= 3, "{before:?}");
    break_database(&gateway);
    let asks = gateway.call(&never_used.get("/limit"));
    assert_eq!(asks.status, 503, "a query fails: {}", asks.text());
    for call in [
        Call::get("/limit"),
        Call::get("/limit").field("x-api-key", ""),
    ] {
        assert_eq!(statuses(&gateway, &call, 50), [401; 50]);
        let answer = gateway.call(&call);
        assert_eq!(answer.json()["type"], NO_CREDENTIALS);
        assert!(answer.field("ratelimit").is_none(), "nothing was decided");
        let challenges = answer.fields("www-authenticate");
        assert!(
            challenges
                .iter()
                .any(|challenge| challenge.contains("X-API-Key")),
            "{challenges:?}"
        );
    }
    assert_eq!(metrics(&gateway), before);
    // Not even the limit on guessing: a hundred of them lock nobody out.
    let malformed = gateway.call(&Call::get("/limit").field("x-api-key", "wrong"));
    assert_eq!(malformed.status, 401);
    assert_eq!(gateway.call(&known.get("/limit")).status, 200);
}

#[test]
fn requests_are_decided_and_counted_while_the_database_is_broken() {
    let gateway = preset("per-api-key");
    let [key] = with_keys(&gateway);
    assert_eq!(gateway.call(&key.get("/limit")).status, 200);
    break_database(&gateway);
    for _ in 0..5 {
        gateway.advance(1.0);
        let answers = statuses(&gateway, &key.get("/limit"), 12);
        assert_eq!(answers, [[200; 10].as_slice(), &[429; 2]].concat());
    }
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    for line in [
        "tollgate_requests_total{route=\"GET /limit\",outcome=\"allowed\"} 51",
        "tollgate_requests_total{route=\"GET /limit\",outcome=\"denied\"} 10",
        "tollgate_decisions_total{policy=\"per-user.second\",outcome=\"denied\"} 10",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn an_unknown_a_revoked_or_a_malformed_key_is_401() {
    let gateway = preset("per-api-key");
    let [key, spare] = with_keys(&gateway);
    assert_eq!(gateway.call(&key.get("/limit")).status, 200);
    let revoked = gateway.command(&["key", "revoke", &key.id], "");
    assert_eq!(revoked.code, 0, "{revoked:?}");
    let heard = within(HEARD_WITHIN, || {
        gateway.advance(1.0);
        gateway.call(&key.get("/limit")).status == 401
    });
    assert!(heard, "the revoked key still passes");
    let mut unknown = spare.secret.clone().into_bytes();
    unknown.swap(10, 11);
    let unknown = String::from_utf8(unknown).unwrap();
    let malformed = [
        "x",
        "tg_",
        "tg_wrong",
        "'; DROP TABLE users; --",
        &"tg_".repeat(500),
        &unknown,
    ];
    for secret in malformed.into_iter().chain([key.secret.as_str()]) {
        let answer = gateway.call(&Call::get("/limit").field("x-api-key", secret));
        assert_eq!(answer.status, 401, "{secret}");
        assert_eq!(answer.json()["type"], BAD_CREDENTIALS);
        assert!(!answer.text().contains("tg_"), "it repeats a key");
    }
    assert_eq!(gateway.call(&spare.get("/limit")).status, 200);
    // A bearer token that is a key is the same key; in the query it is none.
    assert_eq!(
        gateway
            .call(&Call::get("/limit").bearer(&spare.secret))
            .status,
        200
    );
    let query = gateway.get(&format!("/limit?x-api-key={}", spare.secret));
    assert_eq!(query.status, 401);
}

#[test]
fn usage_is_recorded_for_every_request_per_key_and_survives_a_restart() {
    let gateway = preset("per-api-key");
    let [one, two] = with_keys(&gateway);
    assert_eq!(statuses(&gateway, &one.get("/limit"), 8), [200; 8]);
    assert_eq!(
        statuses(&gateway, &two.get("/limit"), 5),
        [200, 200, 429, 429, 429]
    );
    gateway.advance(60.0);
    assert_eq!(statuses(&gateway, &one.get("/limit"), 2), [200; 2]);
    let counted = |gateway: &Gateway, key: &Key| {
        pick(&monitored(gateway, key), &["allowed", "denied", "failed"])
    };
    let expected = [
        json!({ "allowed": 10, "denied": 0, "failed": 0 }),
        json!({ "allowed": 2, "denied": 3, "failed": 0 }),
    ];
    assert_eq!([counted(&gateway, &one), counted(&gateway, &two)], expected);
    let data = gateway.data().clone();
    assert!(gateway.stop().success());
    let again = launch().preset("per-api-key").data(&data).start();
    assert_eq!([counted(&again, &one), counted(&again, &two)], expected);
}

#[test]
fn the_monitor_shows_how_fast_each_key_is_used_what_is_left_and_when_it_was_last_seen() {
    let mut gateway = preset("per-api-key");
    // The demo key is made before there are other users.
    gateway.process().line(|line| line.contains("tg_"));
    let [key, idle] = with_keys(&gateway);
    new_user(&gateway, "bob");
    let bobs = new_key(&gateway, "bob", &[]);
    for _ in 0..60 {
        assert_eq!(statuses(&gateway, &key.get("/limit"), 5), [200; 5]);
        gateway.advance(1.0);
    }
    let shown = monitored(&gateway, &key);
    assert_eq!(shown["id"], key.id);
    assert_eq!(
        (&shown["current_per_s"], &shown["avg_1m"]),
        (&json!(5), &json!(5.0))
    );
    assert_eq!(
        (&shown["allowed"], &shown["denied"], &shown["remaining"]),
        (&json!(300), &json!(0), &json!(10))
    );
    // 2027-01-15T08:00:00Z is where the held clock starts.
    let seen = shown["last_seen"].as_str().unwrap();
    assert!(seen.starts_with("2027-01-15T08:00:59"), "{seen}");
    assert_eq!(statuses(&gateway, &key.get("/limit"), 12)[10..], [429, 429]);
    let shown = monitored(&gateway, &key);
    assert_eq!(
        (&shown["denied"], &shown["remaining"]),
        (&json!(2), &json!(0))
    );
    gateway.advance(240.0);
    let shown = monitored(&gateway, &key);
    assert_eq!(
        (&shown["current_per_s"], &shown["avg_1m"]),
        (&json!(0), &json!(0.0))
    );
    let average = shown["avg_5m"].as_f64().unwrap();
    assert!(
        (1.0..=1.1).contains(&average),
        "312 requests in 300 seconds: {average}"
    );

    let all = gateway.call(&key.get("/monitor/keys")).json();
    let mut ids: Vec<&str> = all["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap())
        .collect();
    ids.sort();
    let mut own = [key.id.as_str(), idle.id.as_str()];
    own.sort();
    assert_eq!(ids, own, "one's own keys and nobody else's");
    assert_eq!(
        gateway
            .call(&key.get(&format!("/monitor/keys/{}", bobs.id)))
            .status,
        404
    );
    assert_eq!(gateway.get("/monitor/keys").status, 401);
    let unused = monitored(&gateway, &idle);
    assert_eq!(
        (&unused["allowed"], &unused["last_seen"]),
        (&json!(0), &Value::Null)
    );
    // Administrators see every key on the admin socket.
    let everybody = gateway.admin(&Call::get("/monitor/keys")).json();
    assert_eq!(
        everybody["keys"].as_array().unwrap().len(),
        4,
        "with the demo key"
    );
}

#[test]
fn usage_is_in_the_database_within_seconds() {
    let gateway = preset("per-api-key");
    let [key] = with_keys(&gateway);
    assert_eq!(statuses(&gateway, &key.get("/limit"), 3), [200; 3]);
    // What another process reads from the same database is what was written.
    eventually("the usage to be written", || {
        let rows = std::fs::read(gateway.data().path().join("tollgate.db-wal")).ok()?;
        let row = b"GET /limit";
        rows.windows(row.len())
            .any(|bytes| bytes == row)
            .then_some(())
    });
}

#[test]
fn the_limiter_is_our_own() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let packages: Vec<&str> = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \""))
        .map(|name| name.trim_end_matches('"'))
        .collect();
    assert!(packages.contains(&"tollgate") && packages.len() > 50);
    for package in packages {
        let limits = [
            "governor",
            "ratelimit",
            "rate-limit",
            "rate_limit",
            "leaky-bucket",
            "leaky_bucket",
            "throttle",
            "limitador",
            "redis-cell",
        ];
        assert!(
            !limits.iter().any(|word| package.contains(word)),
            "{package} is a rate limiter"
        );
    }
}

#[test]
fn the_makefile_has_the_commands_that_are_promised() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for target in [
        "run", "init", "build", "dist", "image", "up", "down", "bash", "test", "tests",
    ] {
        let line = makefile
            .lines()
            .find(|line| line.starts_with(&format!("{target}:")));
        assert!(
            line.is_some_and(|line| line.contains("## ")),
            "make {target}"
        );
    }
}
