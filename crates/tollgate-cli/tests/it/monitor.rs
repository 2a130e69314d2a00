//! What keys have used over time, and what goes on, as it happens.

use serde_json::{Value, json};
use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::eventually;

use crate::support::{
    Key, PASSWORD, Person, join, launch, log_in, new_key, new_user, pick, preset, sign_up, statuses,
};

fn with_key(gateway: &Gateway) -> Key {
    new_user(gateway, "ann");
    new_key(gateway, "ann", &[])
}

/// A stream, behind its head.
fn open(mut connection: Connection, call: &Call) -> Connection {
    connection.send(call);
    let head = connection.head().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.expect("content-type"), "text/event-stream");
    assert_eq!(head.expect("cache-control"), "no-store");
    connection
}

fn event(stream: &mut Connection) -> Value {
    let event = String::from_utf8(stream.chunk().unwrap()).unwrap();
    let data = event
        .strip_prefix("data: ")
        .and_then(|data| data.strip_suffix("\n\n"));
    serde_json::from_str(data.unwrap()).unwrap()
}

/// So many events are read at most: a minute of them.
const EVENTS_MAX: u32 = 60;

/// Reads on until an event is as wanted. There is one each second, so how many come before depends on the machine.
fn event_where(stream: &mut Connection, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut events = (0..EVENTS_MAX).map(|_| event(stream));
    events.find(wanted).expect("an event like this")
}

/// Reads on to the stream's end.
fn ends(stream: &mut Connection) -> bool {
    (0..EVENTS_MAX).any(|_| stream.chunk().unwrap().is_empty())
}

fn admin(gateway: &Gateway, target: &str) -> Value {
    let answer = gateway.admin(&Call::get(target));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The sum of a count over all points.
fn sum(series: &Value, count: &str) -> u64 {
    let points = series["points"].as_array().unwrap().iter();
    points.map(|point| point[count].as_u64().unwrap()).sum()
}

#[test]
fn series_add_up_to_what_was_asked_at_every_step() {
    let gateway = preset("per-api-key");
    let key = with_key(&gateway);
    let expected = statuses(&gateway, &key.get("/limit"), 12);
    assert_eq!(expected, [[200; 10].as_slice(), &[429; 2]].concat());
    gateway.advance(70.0);
    assert_eq!(statuses(&gateway, &key.get("/limit"), 5), [200; 5]);
    assert_eq!(statuses(&gateway, &Call::get("/limit"), 3), [401; 3]);
    let base = format!("/monitor/keys/{}/series", key.id);
    for (step, points) in [("second", 300), ("minute", 60), ("hour", 48), ("day", 30)] {
        let series = eventually("the usage to be written", || {
            let answer = gateway.call(&key.get(&format!("{base}?step={step}")));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let series = answer.json();
            (sum(&series, "allowed") == 15).then_some(series)
        });
        assert_eq!(sum(&series, "denied"), 2, "{step}");
        assert_eq!(series["points"].as_array().unwrap().len(), points, "{step}");
        let all = series["points"].as_array().unwrap().iter();
        let bytes: u64 = all.map(|point| point["bytes_out"].as_u64().unwrap()).sum();
        assert!(bytes > 15 * 20, "{step}: {bytes}");
        if step == "day" {
            let today = series["points"].as_array().unwrap().last().unwrap();
            assert_eq!(
                pick(today, &["at", "answers", "denied_by", "unauthenticated"]),
                json!({
                    "at": "2027-01-15T00:00:00Z",
                    "answers": { "2xx": 15, "3xx": 0, "4xx": 2, "5xx": 0 },
                    "denied_by": { "per-user.second": 2 },
                    "unauthenticated": 0,
                })
            );
        }
    }
    let nobody = eventually("the usage of nobody to be written", || {
        let series = admin(&gateway, "/monitor/keys/-/series?step=day");
        (sum(&series, "unauthenticated") == 3).then_some(series)
    });
    assert_eq!(sum(&nobody, "allowed"), 0);
    let everybodys = admin(&gateway, &format!("{base}?step=day"));
    assert_eq!(sum(&everybodys, "allowed"), 15);
    let one = gateway
        .call(&key.get(&format!("/monitor/keys/{}", key.id)))
        .json();
    assert_eq!(
        pick(&one, &["allowed", "denied", "answers"]),
        json!({ "allowed": 15, "denied": 2, "answers": { "2xx": 15, "3xx": 0, "4xx": 2, "5xx": 0 } })
    );
}

#[test]
fn a_series_of_ones_own_is_a_table_too_and_others_are_not_there() {
    let gateway = preset("per-api-key");
    let key = with_key(&gateway);
    new_user(&gateway, "bob");
    let bobs = new_key(&gateway, "bob", &["--name", "=cmd()"]);
    let status = |target: &str| gateway.call(&key.get(target)).status;
    assert_eq!(status(&format!("/monitor/keys/{}/series", bobs.id)), 404);
    assert_eq!(status("/monitor/keys/-/series"), 200);
    for wrong in [
        "step=year",
        "from=tomorrow",
        "from=9&to=8",
        "step=day&from=0&to=9999999999",
        "limit=no",
        "x=y",
    ] {
        assert_eq!(
            status(&format!("/monitor/keys/-/series?{wrong}")),
            400,
            "{wrong}"
        );
    }
    assert_eq!(gateway.get("/monitor/keys/-/series").status, 401);
    let csv = gateway.call(&bobs.get("/monitor/keys").field("accept", "text/csv"));
    assert_eq!(
        (csv.status, csv.expect("content-type")),
        (200, "text/csv; charset=utf-8")
    );
    let text = csv.text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("id,name,hint,user,"), "{text}");
    assert!(lines[1].contains(",\"'=cmd()\","), "{text}");
    let series = gateway.call(&key.get(&format!(
        "/monitor/keys/{}/series?format=csv&step=hour",
        key.id
    )));
    assert_eq!(series.text().lines().count(), 49);
}

#[test]
fn keys_are_listed_in_the_order_and_number_that_are_asked_for() {
    let gateway = preset("per-api-key");
    new_user(&gateway, "ann");
    let keys = [(); 3].map(|()| new_key(&gateway, "ann", &[]));
    for (key, requests) in keys.iter().zip([1, 3, 2]) {
        assert_eq!(
            statuses(&gateway, &key.get("/limit"), requests),
            vec![200; requests]
        );
        gateway.advance(1.0);
    }
    let ids = |query: &str| -> Vec<String> {
        let list = gateway
            .call(&keys[0].get(&format!("/monitor/keys?{query}")))
            .json();
        assert_eq!(list["total"], 3);
        let keys = list["keys"].as_array().unwrap().iter();
        keys.map(|key| key["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids("sort=rate"),
        [&keys[1], &keys[2], &keys[0]].map(|key| key.id.clone())
    );
    assert_eq!(ids("sort=rate&limit=1&offset=1"), [keys[2].id.clone()]);
    assert_eq!(
        ids("sort=last_seen"),
        [&keys[2], &keys[1], &keys[0]].map(|key| key.id.clone())
    );
}

#[test]
fn the_stream_shows_a_denial() {
    let gateway = preset("per-api-key");
    let key = with_key(&gateway);
    let mut stream = open(
        Connection::open(gateway.address()),
        &key.get("/monitor/live"),
    );
    let first = event(&mut stream);
    assert_eq!(
        (
            &first["user"],
            &first["available_now"],
            &first["keys"][0]["denied"]
        ),
        (&json!("ann"), &json!(10), &json!(0))
    );
    assert_eq!(statuses(&gateway, &key.get("/limit"), 11)[9..], [200, 429]);
    let next = event_where(&mut stream, |event| event["keys"][0]["denied"] == 1);
    assert_eq!(
        pick(&next["keys"][0], &["id", "allowed", "denied", "remaining"]),
        json!({ "id": key.id, "allowed": 10, "denied": 1, "remaining": 0 })
    );
    assert_eq!(next["windows"][0]["remaining"], 0);
}

#[test]
fn a_stream_ends_with_its_session_and_with_the_gateway() {
    let gateway = preset("per-api-key");
    let key = with_key(&gateway);
    let person = join(&gateway, "bob");
    let call = |target| person.with_cookie(Call::get(target));
    let mut of_session = open(Connection::open(gateway.address()), &call("/monitor/live"));
    let mut of_key = open(
        Connection::open(gateway.address()),
        &key.get("/monitor/live"),
    );
    event(&mut of_session);
    let log_out = person
        .with_cookie(Call::post("/logout"))
        .field("sec-fetch-site", "same-origin");
    assert!(gateway.call(&log_out).status < 400);
    assert!(ends(&mut of_session), "it goes on without its session");
    event(&mut of_key);
    assert!(gateway.stop().success());
    // It ends as a body does, and is not cut off.
    assert!(ends(&mut of_key), "it goes on without its gateway");
}

#[test]
fn one_user_has_so_many_streams_and_no_more() {
    let gateway = preset("per-api-key");
    let key = with_key(&gateway);
    let open_one = || {
        open(
            Connection::open(gateway.address()),
            &key.get("/monitor/live"),
        )
    };
    let mut streams = [(); 4].map(|()| open_one());
    assert_eq!(gateway.call(&key.get("/monitor/live")).status, 503);
    event(&mut streams[0]);
    drop(streams);
    eventually("the streams to be closed", || {
        let mut again = Connection::open(gateway.address());
        again.send(&key.get("/monitor/live"));
        (again.head().unwrap().status == 200).then_some(())
    });
}

#[test]
fn the_admin_socket_shows_all_traffic_and_who_is_heavy() {
    let gateway = preset("per-api-key");
    let key = with_key(&gateway);
    let mut stream = Connection::unix(&gateway.data().path().join("admin.sock")).unwrap();
    stream = open(stream, &Call::get("/monitor/live"));
    event(&mut stream);
    assert_eq!(statuses(&gateway, &key.get("/limit"), 11)[9..], [200, 429]);
    assert_eq!(statuses(&gateway, &Call::get("/limit"), 3), [401; 3]);
    let totals =
        json!({ "allowed": 10, "denied": 1, "unauthenticated": 3, "refused": 0, "failed": 0 });
    let counted = |value: &Value| {
        pick(
            value,
            &["allowed", "denied", "unauthenticated", "refused", "failed"],
        )
    };
    let seen = event_where(&mut stream, |event| counted(&event["totals"]) == totals);
    assert!(seen["connections"].is_u64());
    let overview = eventually("a reading", || {
        let overview = admin(&gateway, "/monitor/overview");
        let seconds = overview["seconds"].as_array().unwrap().iter();
        let allowed: u64 = seconds
            .map(|second| second["allowed"].as_u64().unwrap())
            .sum();
        (allowed == 10).then_some(overview)
    });
    assert_eq!(counted(&overview["totals"]), totals);
    assert!(overview["totals"]["latency_us"]["p99"].as_u64().unwrap() > 0);
    let routes = overview["routes"].as_array().unwrap();
    let limit = routes.iter().find(|route| route["route"] == "GET /limit");
    assert_eq!(counted(limit.unwrap()), totals);
    assert_eq!(
        pick(&overview["accounts"], &["away_for_s", "usage_dropped"]),
        json!({ "away_for_s": null, "usage_dropped": 0 })
    );

    let heavy = admin(&gateway, "/monitor/heavy?limit=1");
    let kept = |list: &str| heavy[list]["callers"].as_array().unwrap().clone();
    let [allowed, denied] = ["allowed", "denied"].map(|list| kept(list)[0].clone());
    assert_eq!(
        allowed,
        json!({ "kind": "key", "id": key.id, "name": "key", "user": "ann", "count": 10, "error": 0 })
    );
    assert_eq!(
        denied,
        json!({ "kind": "address", "id": "127.0.0.1", "name": null, "user": null, "count": 3, "error": 0 })
    );
    assert_eq!(
        (kept("denied").len(), &heavy["denied"]["total"]),
        (1, &json!(4))
    );
}

#[test]
fn a_gateway_without_accounts_shows_its_traffic_and_has_no_keys() {
    let gateway = launch()
        .rules("[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"hello\" }\n")
        .start();
    assert_eq!(gateway.get("/").status, 200);
    let overview = admin(&gateway, "/monitor/overview");
    assert_eq!(
        (&overview["totals"]["allowed"], &overview["accounts"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(gateway.admin(&Call::get("/monitor/keys")).status, 404);
}

#[test]
fn an_administrators_stream_ends_with_what_it_was_opened_by() {
    let gateway = preset("per-api-key");
    sign_up(&gateway, "root");
    let command = |words: &[&str], input: &str| {
        let done = gateway.command(words, input);
        assert_eq!(done.code, 0, "{done:?}");
    };
    let ends_with = |what: &str, end: &dyn Fn(&Person)| {
        command(&["user", "role", "root", "admin"], "");
        let root = log_in(&gateway, "root");
        // The role is heard of within two seconds; a stream that is opened while it is heard ends at once.
        let mut stream = eventually("a stream of everything", || {
            let call = root.with_cookie(Call::get("/monitor/live"));
            let mut stream = open(Connection::open(gateway.address()), &call);
            let first = stream.chunk().unwrap();
            String::from_utf8_lossy(&first)
                .contains("\"totals\":")
                .then_some(stream)
        });
        end(&root);
        assert!(ends(&mut stream), "it goes on after {what}");
    };
    ends_with("a log-out", &|root| {
        let out = root.with_cookie(Call::post("/logout"));
        let out = out.field("sec-fetch-site", "same-origin");
        assert!(gateway.call(&out).status < 400);
    });
    ends_with("the role is gone", &|_| {
        command(&["user", "role", "root", "user"], "");
    });
    ends_with("another password", &|_| {
        command(&["user", "passwd", "root"], PASSWORD);
    });
    ends_with("the session's end", &|_| gateway.advance(25.0 * 3600.0));
    ends_with("being disabled", &|_| {
        command(&["user", "disable", "root"], "")
    });
}
