//! The decision service over plain HTTP, as its clients meet it.

mod bodies;
mod examples;
mod minimal;
mod openapi;
mod users;
mod wire;

use std::net::SocketAddr;
use std::sync::Barrier;

use serde_json::{Value, json};
use tollgate_testkit::client::{Answer, Call, Connection, raw};
use tollgate_testkit::gateway::{Gateway, Launch};
use tollgate_testkit::process::free_address;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use crate::support::{QUOTA_EXCEEDED, launch};

const RULES: &str = "
[service]
[limits.per-user]
key = \"user\"
quotas = [\"5 per minute\", \"8 per hour\"]
[limits.per-address]
key = \"client-ip\"
quotas = [\"3 per minute token-bucket\"]
[limits.per-pair]
key = [\"user\", \"header:x-tenant\"]
quotas = [\"2 per minute\"]
[limits.everybody]
key = \"global\"
quotas = [\"100 per second\"]
[limits.work]
key = \"user\"
quotas = [\"2 concurrent\"]
[limits.tokens]
key = \"user\"
quotas = [\"1000 per hour\"]
";

struct Service {
    gateway: Gateway,
    address: SocketAddr,
}

impl Service {
    fn start(launch: Launch) -> Self {
        let address = free_address();
        Service {
            gateway: launch.option("--http", address.to_string()).start(),
            address,
        }
    }

    fn usual() -> Self {
        Service::start(launch().rules(RULES))
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        Call::post(path).json(&body).send(self.address)
    }

    fn check(&self, body: Value) -> Answer {
        self.post("/v1/check", body)
    }

    /// What is left under a limit for a key.
    fn remaining(&self, limit: &str, key: &str) -> u64 {
        let answer = self.post("/v1/peek?status=200", json!({ "limit": limit, "key": key }));
        answer.json()["remaining"].as_u64().unwrap()
    }
}

fn per_user(user: &str, cost: u64) -> Value {
    json!({ "limit": "per-user", "key": { "user": user }, "cost": cost })
}

#[test]
fn a_decision_says_its_reason_and_where_every_policy_stands() {
    let service = Service::usual();
    let allowed = service.check(per_user("ann", 3));
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.expect("ratelimit"),
        "\"per-user.minute\";r=2;t=60, \"per-user.hour\";r=5;t=3600"
    );
    assert_eq!(
        allowed.expect("ratelimit-policy"),
        "\"per-user.minute\";q=5;w=60, \"per-user.hour\";q=8;w=3600"
    );
    let told = allowed.json();
    assert_eq!(
        (&told["allowed"], &told["reason"], &told["policy"]),
        (&json!(true), &json!("allowed"), &json!("per-user.minute"))
    );
    assert_eq!((&told["limit"], &told["remaining"]), (&json!(5), &json!(2)));
    assert_eq!(told["policies"][1]["rule"], "per-user");
    assert_eq!(told["policies"][1]["charged"], 3);
    let key = told["policies"][0]["key"].as_str().unwrap();
    assert!(
        key.len() == 16 && !allowed.text().contains("ann"),
        "keys are hashed"
    );

    service.gateway.advance(0.0015);
    let denied = service.check(per_user("ann", 3));
    assert_eq!(
        (denied.status, denied.expect("content-type")),
        (429, "application/problem+json")
    );
    assert_eq!(denied.expect("retry-after"), "60");
    let told = denied.json();
    assert_eq!(
        (&told["type"], &told["status"]),
        (&json!(QUOTA_EXCEEDED), &json!(429))
    );
    assert_eq!(
        (&told["allowed"], &told["reason"], &told["retry_after_ms"]),
        (&json!(false), &json!("denied"), &json!(59_999))
    );
    assert_eq!(told["policies"][0]["violated"], true);
    assert_eq!(
        service.remaining("per-user", "ann"),
        2,
        "a denied check costs nothing"
    );

    let never = service.post("/v1/check?status=200", per_user("ann", 6));
    assert_eq!(
        (
            never.status,
            &never.json()["reason"],
            &never.json()["retry_after_ms"]
        ),
        (200, &json!("never"), &Value::Null)
    );
    assert_eq!(
        service.check(per_user("ann", 0)).status,
        200,
        "what costs nothing passes"
    );
}

#[test]
fn checks_are_charged_together_or_not_at_all_and_requests_each_by_itself() {
    let service = Service::usual();
    let together = |user: &str, address: &str| {
        json!({ "checks": [
            { "limit": "per-user", "key": user },
            { "limit": "per-address", "key": [address], "cost": 2 },
            { "limit": "everybody" },
        ] })
    };
    assert_eq!(service.check(together("ann", "192.0.2.1")).status, 200);
    let denied = service.check(together("bob", "192.0.2.1"));
    assert_eq!(
        (denied.status, &denied.json()["policy"]),
        (429, &json!("per-address.minute"))
    );
    assert_eq!(service.remaining("per-user", "bob"), 5);
    assert_eq!(service.remaining("per-user", "ann"), 4);
    let twice = json!({ "checks": [{ "limit": "per-user", "key": "cat" }, { "limit": "per-user", "key": "cat" }] });
    let twice = service.check(twice).json();
    assert_eq!(twice["policies"].as_array().unwrap().len(), 2);
    assert_eq!(
        twice["policies"][0]["charged"], 2,
        "the same limit and key twice is one check"
    );

    let requests = json!({ "requests": [per_user("dan", 5), per_user("dan", 1), together("eve", "192.0.2.1"), per_user("eve", 1)] });
    let answers = service.check(requests).json();
    let allowed: Vec<_> = answers["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["allowed"].as_bool().unwrap())
        .collect();
    assert_eq!(allowed, [true, false, false, true]);
    // One that means nothing, and none is decided.
    let wrong = json!({ "requests": [per_user("fay", 1), { "limit": "nobody" }] });
    assert_eq!(service.check(wrong).status, 422);
    assert_eq!(service.remaining("per-user", "fay"), 5);
}

#[test]
fn an_estimate_is_settled_or_given_back_once() {
    let service = Service::usual();
    let reserve = |cost: u64| {
        let answer = service.post(
            "/v1/reserve",
            json!({ "limit": "tokens", "key": "ann", "cost": cost }),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["receipt"].as_str().unwrap().to_owned()
    };
    let first = reserve(400);
    assert_eq!(service.remaining("tokens", "ann"), 600);
    let settled = service.post("/v1/settle", json!({ "receipt": first, "cost": 150 }));
    assert_eq!(
        (settled.status, settled.json()),
        (200, json!({ "settled": true }))
    );
    assert_eq!(service.remaining("tokens", "ann"), 850);
    for path in ["/v1/settle", "/v1/refund"] {
        let body = if path == "/v1/settle" {
            json!({ "receipt": first, "cost": 0 })
        } else {
            json!({ "receipt": first })
        };
        assert_eq!(
            service.post(path, body).status,
            410,
            "a receipt is good once"
        );
    }
    assert_eq!(service.remaining("tokens", "ann"), 850);
    let second = reserve(100);
    assert_eq!(
        service
            .post("/v1/settle", json!({ "receipt": second }))
            .status,
        422,
        "no cost"
    );
    let refunded = service.post("/v1/refund", json!({ "receipt": second }));
    assert_eq!(refunded.json(), json!({ "refunded": 100 }));
    assert_eq!(service.remaining("tokens", "ann"), 850);
    for guess in ["", "x", &"0".repeat(32), &"f".repeat(33)] {
        assert_eq!(
            service
                .post("/v1/refund", json!({ "receipt": guess }))
                .status,
            410
        );
    }
    // A receipt ends after an hour, and the charge stands.
    let late = reserve(50);
    service.gateway.advance(3_600.0);
    assert_eq!(
        service
            .post("/v1/refund", json!({ "receipt": late }))
            .status,
        410
    );
    assert_eq!(
        service
            .post(
                "/v1/reserve",
                json!({ "limit": "tokens", "key": "ann", "cost": 2_000 })
            )
            .status,
        429
    );
}

#[test]
fn a_slot_is_held_until_its_receipt_is_given_back() {
    let service = Service::usual();
    let work = json!({ "limit": "work", "key": "ann" });
    let receipts: Vec<_> = (0..2)
        .map(|_| service.post("/v1/reserve", work.clone()).json()["receipt"].clone())
        .collect();
    assert_eq!(service.post("/v1/reserve", work.clone()).status, 429);
    assert_eq!(
        service
            .post("/v1/refund", json!({ "receipt": receipts[0] }))
            .json(),
        json!({ "refunded": 1 })
    );
    assert_eq!(service.post("/v1/reserve", work).status, 200);
}

#[test]
fn what_is_used_can_be_forgotten_and_limits_are_listed() {
    let service = Service::usual();
    service.check(per_user("ann", 5));
    let reset = |user: &str| {
        service
            .post("/v1/reset", json!({ "limit": "per-user", "key": user }))
            .json()
    };
    assert_eq!(reset("ann"), json!({ "reset": true }));
    assert_eq!(reset("ann"), json!({ "reset": false }));
    assert_eq!(service.remaining("per-user", "ann"), 5);
    let limits = Call::get("/v1/limits").send(service.address).json();
    let limits = limits["limits"].as_array().unwrap();
    let pair = limits
        .iter()
        .find(|limit| limit["limit"] == "per-pair")
        .unwrap();
    assert_eq!(pair["key"], json!(["user", "header:x-tenant"]));
    assert_eq!(pair["policies"][0]["quota"], "2 per minute");
}

#[test]
fn what_means_nothing_is_said_and_changes_nothing() {
    let service = Service::usual();
    for (body, detail) in [
        (json!({}), "write `limit`"),
        (
            json!({ "limit": "nobody", "key": "ann" }),
            "there is no limit `nobody`",
        ),
        (
            json!({ "limit": "per-usr", "key": "ann" }),
            "there is no limit `per-usr` (did you mean `per-user`?)",
        ),
        (
            json!({ "limit": "per-usr", "key": { "user": "ann" } }),
            "(did you mean `per-user`?)",
        ),
        (json!({ "limit": "per-user" }), "1 words, not 0"),
        (
            json!({ "limit": "per-user", "key": ["ann", "bob"] }),
            "1 words, not 2",
        ),
        (
            json!({ "limit": "per-user", "key": { "person": "ann" } }),
            "just these parts",
        ),
        (
            json!({ "limit": "per-user", "key": { "user": "ann", "also": "bob" } }),
            "just these parts",
        ),
        (
            json!({ "limit": "per-address", "key": "here" }),
            "an address is wanted",
        ),
        (
            json!({ "limit": "per-user", "key": "x".repeat(1_021) }),
            "the key is too long",
        ),
        (json!({ "limit": "per-user", "key": 7 }), "invalid type"),
        (
            json!({ "limit": "per-user", "key": "ann", "cost": -1 }),
            "expected a whole number",
        ),
        (
            json!({ "limit": "per-user", "key": "ann", "cost": 9_007_199_254_740_993u64 }),
            "from 0 to 9007199254740992",
        ),
        (
            json!({ "limit": "per-user", "key": "ann", "costs": 1 }),
            "unknown field",
        ),
        (json!({ "checks": [] }), "1 to 16"),
        (json!({ "checks": vec![per_user("ann", 1); 17] }), "1 to 16"),
        (
            json!({ "limit": "per-user", "checks": [] }),
            "write `limit`",
        ),
        (
            json!({ "requests": vec![per_user("ann", 1); 101] }),
            "at most 100",
        ),
        (
            json!({ "requests": [{ "requests": [] }] }),
            "cannot stand here",
        ),
        (json!([]), "expected"),
    ] {
        let answer = service.check(body.clone());
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        let problem = answer.json();
        assert!(
            problem["detail"].as_str().unwrap().contains(detail),
            "{body}: {problem}"
        );
    }
    let raw = |call: Call| call.send(service.address).status;
    assert_eq!(
        raw(Call::post("/v1/check").body("application/json", "{")),
        400
    );
    assert_eq!(
        raw(Call::post("/v1/check").body("application/json", "[".repeat(60_000))),
        422
    );
    assert_eq!(
        raw(Call::post("/v1/check").body("application/json", "{\"checks\":".repeat(6_000))),
        422
    );
    assert_eq!(
        raw(Call::post("/v1/check").body("application/json", "[\"per-user\",\"ann\",1,null,null]")),
        422
    );
    assert_eq!(
        raw(Call::post("/v1/check").body("text/plain", per_user("ann", 1).to_string())),
        415
    );
    assert_eq!(
        raw(Call::post("/v1/check").body("application/json", " ".repeat(65_537))),
        413
    );
    assert_eq!(raw(Call::get("/v1/check")), 405);
    assert_eq!(raw(Call::post("/v1/limits")), 405);
    assert_eq!(raw(Call::get("/v2/check")), 404);
    assert_eq!(service.remaining("per-user", "ann"), 5);
}

#[test]
fn without_the_token_nothing_is_told_but_what_there_is_to_ask() {
    let token = "0123456789abcdef";
    let rules = RULES.replace(
        "[service]",
        &format!("[service]\ntokens = [\"another-0123456789\", \"{token}\"]"),
    );
    let service = Service::start(launch().rules(&rules));
    let call = Call::post("/v1/check").json(&per_user("ann", 5));
    for refused in [
        call.clone(),
        call.clone().bearer("0123456789abcdeF"),
        call.clone().field("authorization", token),
    ] {
        let answer = refused.send(service.address);
        assert_eq!(
            (answer.status, answer.expect("www-authenticate")),
            (401, "Bearer realm=\"tollgate\"")
        );
    }
    assert_eq!(Call::get("/v1/limits").send(service.address).status, 401);
    assert_eq!(
        Call::get("/v1/openapi.json").send(service.address).status,
        200
    );
    let allowed = call.bearer(token).send(service.address);
    assert_eq!(
        (allowed.status, &allowed.json()["remaining"]),
        (200, &json!(0)),
        "nothing was charged before"
    );
}

#[test]
fn of_a_hundred_at_once_exactly_five_pass_also_over_two_services_on_one_store() {
    let passed = |services: &[&Service]| -> usize {
        let start = Barrier::new(100);
        std::thread::scope(|scope| {
            let ask = |place: usize| {
                let (service, start) = (services[place % services.len()], &start);
                scope.spawn(move || {
                    let mut connection = Connection::open(service.address);
                    start.wait();
                    let call = Call::post("/v1/check").json(&per_user("ann", 1));
                    call.over(&mut connection).status == 200
                })
            };
            let clients: Vec<_> = (0..100).map(ask).collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .filter(|passed| *passed)
                .count()
        })
    };
    assert_eq!(passed(&[&Service::usual()]), 5);
    let redis = RedisServer::new(RedisEngine::Redis);
    let rules = format!("{RULES}[counters]\ndeadline_ms = 10000\n");
    let on_redis = || Service::start(launch().rules(&rules).option("--counters", redis.url()));
    let (one, other) = (on_redis(), on_redis());
    assert_eq!(passed(&[&one, &other]), 5);
    let reserved = one
        .post(
            "/v1/reserve",
            json!({ "limit": "tokens", "key": "ann", "cost": 400 }),
        )
        .json();
    let settle = json!({ "receipt": reserved["receipt"], "cost": 150 });
    assert_eq!(one.post("/v1/settle", settle).status, 200);
    assert_eq!(other.remaining("tokens", "ann"), 850);
}
