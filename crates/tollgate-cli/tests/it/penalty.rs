//! A limit with a penalty: how long whoever asks for more is blocked, how that grows, and when it is forgiven.

use serde_json::Value;
use tollgate_testkit::client::{Answer, Call, Connection};
use tollgate_testkit::gateway::Gateway;

use crate::support::{
    PASSWORD, Person, QUOTA_EXCEEDED, join, launch, log_in, ok, pick, rate_limit, statuses, window,
};

const RULES: &str = r#"
[limits.calm]
key = "client-ip"
algorithm = "fixed-window"
quotas = ["2 per 10 seconds"]
penalty = { block = "1 minute", block_max = "3 minutes", quiet = "1 hour" }

[[routes]]
match = "GET /"
limits = ["calm"]
respond = { text = "Hello" }

[[routes]]
match = "GET /remaining"
builtin = "remaining"
of = ["calm"]
"#;

/// Two pass and a third is denied.
fn exceed(gateway: &Gateway) -> Answer {
    for _ in 0..2 {
        assert_eq!(gateway.get("/").status, 200);
    }
    gateway.get("/")
}

fn blocked(answer: &Answer, seconds: u64) {
    assert_eq!((answer.status, answer.retry_after()), (429, Some(seconds)));
    assert_eq!(rate_limit(answer)["calm.10s"], (0, Some(seconds)));
    let problem = answer.json();
    assert_eq!(problem["type"], QUOTA_EXCEEDED);
    let detail = format!(
        "Rate limit exceeded: calm.10s allows 2 per 10 seconds and blocks whoever asks for more. \
         Try again in {seconds} seconds."
    );
    assert_eq!(problem["detail"], detail.as_str());
}

#[test]
fn a_block_lasts_as_long_as_the_rules_say_grows_and_is_forgiven() {
    let gateway = launch().rules(RULES).start();
    blocked(&exceed(&gateway), 60);
    // The window is over, the block is not, and asking again does not make it longer.
    for (advance, left) in [(10.0, 50), (30.5, 20), (18.0, 2)] {
        gateway.advance(advance);
        blocked(&gateway.get("/"), left);
        let shown = gateway.get("/remaining").json();
        assert_eq!(
            (&shown["available_now"], &shown["10s"]["resets_in"]),
            (&0.into(), &left.into())
        );
    }
    gateway.advance(1.5);
    blocked(&exceed(&gateway), 120);
    gateway.advance(120.0);
    blocked(&exceed(&gateway), 180);
    gateway.advance(180.0);
    blocked(&exceed(&gateway), 180);
    // A second less than an hour of quiet is not enough.
    gateway.advance(180.0 + 3_599.0);
    blocked(&exceed(&gateway), 180);
    gateway.advance(180.0 + 3_600.0);
    blocked(&exceed(&gateway), 60);
}

#[test]
fn a_block_outlives_a_restart_of_the_gateway() {
    let launch = launch().rules(RULES);
    let gateway = launch.clone().start();
    blocked(&exceed(&gateway), 60);
    let _ = gateway.stop();
    let gateway = launch.start();
    blocked(&gateway.get("/"), 60);
    gateway.advance(60.0);
    blocked(&exceed(&gateway), 120);
}

const OF_USERS: &str = r#"
[accounts]
url = "sqlite:tollgate.db"

[limits.strict]
key = "user"
algorithm = "fixed-window"
quotas = ["2 per minute"]
penalty = { block = "5 minutes" }

[limits.loose]
key = "user"
quotas = ["9 per hour"]

[[routes]]
match = ["GET /signup", "POST /signup"]
builtin = "signup"

[[routes]]
match = ["GET /login", "POST /login"]
builtin = "login"

[[routes]]
match = "GET /"
auth = ["session"]
limits = ["strict", "loose"]
respond = { text = "Hello" }

[[routes]]
match = "GET /left"
auth = ["session"]
builtin = "remaining"
of = ["strict", "loose"]

[[routes]]
match = "/console/{*rest}"
auth = ["session"]
builtin = "console"

[[routes]]
match = "GET /assets/{*rest}"
builtin = "assets"
"#;

/// Where Ann stands in the strict limit's window, and in the other's, wherever it is shown.
fn shown(gateway: &Gateway, ann: &Person, root: &Person) -> Vec<[Value; 2]> {
    let get = |who: &Person, target: &str| {
        let answer = gateway.call(&who.with_cookie(Call::get(target)));
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    };
    let left = get(ann, "/left");
    let of_limits = |at: &dyn Fn(&str) -> Value| {
        let [strict, loose] = ["strict", "loose"].map(at);
        let mut both = [
            strict["windows"]["minute"].clone(),
            loose["windows"]["hour"].clone(),
        ];
        // Told there alone.
        for window in &mut both {
            for member in ["whole_in", "window_s"] {
                assert!(window.as_object_mut().unwrap().remove(member).is_some());
            }
        }
        both
    };
    let command = |limit: &str| ok(gateway, &["limit", "show", limit, "ann", "--json"]);
    let mut stream = Connection::open(gateway.address());
    stream.send(&ann.with_cookie(Call::get("/console/me/live")));
    assert_eq!(stream.head().unwrap().status, 200);
    let event = String::from_utf8(stream.chunk().unwrap()).unwrap();
    let event: Value = serde_json::from_str(event.trim_start_matches("data: ")).unwrap();
    let windows = event["windows"].as_array().unwrap();
    let of_stream = |policy: &str| {
        let window = windows.iter().find(|window| window["policy"] == policy);
        let fields = ["limit", "used", "remaining", "resets_in", "blocked"];
        let known = fields.map(|field| window.unwrap().get(field).map(|_| field));
        let known: Vec<&str> = known.into_iter().flatten().collect();
        pick(window.unwrap(), &known)
    };
    vec![
        [left["minute"].clone(), left["hour"].clone()],
        of_limits(&|limit| serde_json::from_str(&command(limit)).unwrap()),
        of_limits(&|limit| get(root, &format!("/console/api/limits/{limit}?key=ann"))),
        ["strict.minute", "loose.hour"].map(of_stream),
    ]
}

#[test]
fn a_block_is_told_from_a_window_that_is_used_up_wherever_it_is_shown() {
    let gateway = launch().rules(OF_USERS).start();
    let ann = join(&gateway, "ann");
    let made = gateway.command(&["user", "create", "root", "--admin"], PASSWORD);
    assert_eq!(made.code, 0, "{made:?}");
    let root = log_in(&gateway, "root");
    let ask = ann.with_cookie(Call::get("/"));
    let page = ann.with_cookie(Call::get("/console/")).browser();
    let expect = |used: u64, resets_in: u64, blocked: bool| {
        let mut strict = window(2, used, Some(resets_in));
        strict["blocked"] = blocked.into();
        for [minute, hour] in shown(&gateway, &ann, &root) {
            assert_eq!(minute, strict);
            assert_eq!(hour.get("blocked"), None, "it has no penalty: {hour}");
        }
        let says_so = gateway.call(&page).text().contains("blocked, resets in");
        assert_eq!(says_so, blocked);
    };
    assert_eq!(statuses(&gateway, &ask, 2), [200, 200]);
    expect(2, 60, false);
    assert_eq!(statuses(&gateway, &ask, 1), [429]);
    expect(2, 300, true);
    gateway.advance(299.0);
    expect(2, 1, true);
    gateway.advance(1.0);
    assert_eq!(statuses(&gateway, &ask, 1), [200]);
    expect(1, 60, false);
}
