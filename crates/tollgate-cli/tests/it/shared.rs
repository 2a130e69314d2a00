//! Several gateways on one store: they share limits, and what each does while the store is away.

mod away;
mod cluster;
mod example;
mod leases;
mod versions;

use std::path::PathBuf;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tollgate_testkit::client::{Answer, Call, Connection};
use tollgate_testkit::gateway::{DataDir, Gateway, Launch};
use tollgate_testkit::process::{eventually, free_address};
use tollgate_testkit::redis::{RedisEngine, RedisServer};
use tollgate_testkit::upstream::Upstream;

use crate::support::{Key, PASSWORD, Person, join, launch, log_in, root, statuses};

/// A test waits for an answer rather than for the failure of a store on a machine that has much to do.
const PATIENT: &str = "[counters]\ndeadline_ms = 10000\n";

/// A store, and the accounts of those who share it.
struct Shared {
    redis: RedisServer,
    accounts: DataDir,
}

impl Shared {
    fn new() -> Self {
        Shared {
            redis: RedisServer::new(RedisEngine::Redis),
            accounts: DataDir::new(),
        }
    }

    fn accounts(&self) -> String {
        format!(
            "sqlite:{}",
            self.accounts.path().join("shared.db").display()
        )
    }

    /// A gateway with these rules, on the store.
    fn launch(&self, rules: &str) -> Launch {
        launch()
            .rules(rules)
            .option("--counters", self.redis.url())
            .option("--accounts", self.accounts())
    }

    /// Two of them.
    fn pair(&self, rules: &str) -> [Gateway; 2] {
        [(); 2].map(|()| self.launch(rules).start())
    }

    /// An API key of somebody who has signed up.
    fn key(&self, gateway: &Gateway, user: &str, options: &[&str]) -> Key {
        let accounts = self.accounts();
        let args = [&["key", "create", user, "--accounts", &accounts], options].concat();
        let done = gateway.command(&args, "");
        assert_eq!(done.code, 0, "{done:?}");
        let id = done.stderr.split("(id ").nth(1).unwrap();
        Key {
            id: id.split(')').next().unwrap().to_owned(),
            secret: done.stdout.trim().to_owned(),
        }
    }
}

fn preset_rules(name: &str) -> String {
    let file = root().join("examples").join(name).join("tollgate.toml");
    PATIENT.to_owned() + &std::fs::read_to_string(file).unwrap()
}

fn by_cookie(person: &Person, target: &str) -> Call {
    person.with_cookie(Call::get(target))
}

/// The statuses of one call after the other, to each gateway in turn.
fn in_turn(gateways: &[Gateway; 2], call: &Call, count: usize) -> Vec<u16> {
    let turns = (0..count).map(|turn| gateways[turn % 2].call(call).status);
    turns.collect()
}

fn advance(gateways: &[Gateway; 2], seconds: f64) {
    gateways.iter().for_each(|gateway| gateway.advance(seconds));
}

#[test]
fn a_user_has_five_numbers_a_minute_over_all_gateways_and_what_is_left_agrees() {
    for preset in ["random-number", "pages"] {
        let shared = Shared::new();
        let upstream = Upstream::recording();
        let gateways = [(); 2].map(|()| {
            let launch = shared.launch(&preset_rules(preset));
            launch.upstream(&upstream.url()).start()
        });
        let ann = join(&gateways[0], "ann");
        let call = by_cookie(&ann, "/call_api");
        assert_eq!(
            in_turn(&gateways, &call, 7),
            [200, 200, 200, 200, 200, 403, 403]
        );
        assert_eq!(upstream.count(), 5);
        let left = gateways.each_ref().map(|gateway| {
            let answer = gateway.call(&by_cookie(&ann, "/see_remaining_limits"));
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()
        });
        assert_eq!(left[0]["minute"]["remaining"], 0);
        assert_eq!(left[0]["hour"]["used"], 5);
        assert_eq!(left[0], left[1]);
        let bob = join(&gateways[1], "bob");
        assert_eq!(gateways[0].call(&by_cookie(&bob, "/call_api")).status, 200);
        advance(&gateways, 60.0);
        assert_eq!(in_turn(&gateways, &call, 1), [200]);
    }
}

#[test]
fn an_address_has_its_requests_over_all_gateways() {
    let shared = Shared::new();
    let gateways = shared.pair(&preset_rules("hello-by-ip"));
    let ann = {
        // This preset has no sign-up.
        let args = ["user", "create", "ann", "--accounts", &shared.accounts()];
        assert_eq!(gateways[0].command(&args, PASSWORD).code, 0);
        shared.key(&gateways[0], "ann", &[])
    };
    assert_eq!(
        in_turn(&gateways, &ann.get("/"), 5),
        [200, 200, 200, 429, 429]
    );
    advance(&gateways, 10.0);
    assert_eq!(in_turn(&gateways, &ann.get("/"), 4), [200, 200, 200, 429]);

    let gateways = shared.pair(&preset_rules("hourly-module"));
    let statuses = in_turn(&gateways, &Call::get("/"), 103);
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((passed, &statuses[100..]), (100, &[429; 3][..]));
}

#[test]
fn all_keys_of_a_user_share_ten_a_second_over_all_gateways() {
    let shared = Shared::new();
    let gateways = shared.pair(&preset_rules("per-api-key"));
    join(&gateways[0], "ann");
    let keys = [(); 2].map(|()| shared.key(&gateways[0], "ann", &[]));
    let mut passed = 0;
    for turn in 0..24 {
        let answer = gateways[turn % 2].call(&keys[turn / 2 % 2].get("/limit"));
        passed += usize::from(answer.status == 200);
    }
    assert_eq!(passed, 10);
    // A key's own quota too.
    let slow = shared.key(&gateways[0], "ann", &["--quota", "2 per minute"]);
    advance(&gateways, 1.0);
    assert_eq!(
        in_turn(&gateways, &slow.get("/limit"), 4),
        [200, 200, 429, 429]
    );
}

#[test]
fn of_a_hundred_requests_at_once_over_two_gateways_exactly_five_pass_each_time() {
    const CLIENTS: usize = 100;
    const ROUNDS: usize = 10;
    let rules = PATIENT.to_owned()
        + "[[routes]]\nmatch = \"GET /\"\nlimits = [\"5 per minute; 7 per 2 minutes by client-ip\"]\nrespond = { text = \"\" }\n";
    let shared = Shared::new();
    let gateways = shared.pair(&rules);
    let passed = AtomicUsize::new(0);
    let (go, done) = (Barrier::new(CLIENTS + 1), Barrier::new(CLIENTS + 1));
    let mut counts = Vec::new();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (gateway, passed, go, done) = (&gateways[client % 2], &passed, &go, &done);
            scope.spawn(move || {
                let mut connection = Connection::open(gateway.address());
                let mut wrong = None;
                for _ in 0..ROUNDS {
                    go.wait();
                    let answer = Call::get("/").try_over(&mut connection);
                    match answer.map(|answer| answer.status) {
                        Ok(200) => drop(passed.fetch_add(1, Ordering::SeqCst)),
                        Ok(429) => {}
                        other => wrong = Some(other),
                    }
                    done.wait();
                }
                assert!(wrong.is_none(), "{wrong:?}");
            });
        }
        for _ in 0..ROUNDS {
            go.wait();
            done.wait();
            counts.push(passed.swap(0, Ordering::SeqCst));
            advance(&gateways, 120.0);
        }
    });
    assert_eq!(counts, [5; ROUNDS]);
}

#[test]
fn what_one_gateway_shows_and_resets_holds_for_the_other() {
    let shared = Shared::new();
    let gateways = shared.pair(&preset_rules("per-api-key"));
    join(&gateways[0], "ann");
    let key = shared.key(&gateways[0], "ann", &[]);
    assert_eq!(
        statuses(&gateways[0], &key.get("/limit"), 11).last(),
        Some(&429)
    );
    let shown = gateways.each_ref().map(|gateway| {
        let done = gateway.command(&["limit", "show", "per-user", "ann"], "");
        assert_eq!(done.code, 0, "{done:?}");
        done.stdout
    });
    assert_eq!(shown[0], shown[1]);
    for reset in [
        &["limit", "reset", "per-user", "ann"][..],
        &["limit", "reset", "per-user", "--all"],
    ] {
        assert_eq!(gateways[0].call(&key.get("/limit")).status, 429);
        let done = gateways[1].command(reset, "");
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(
            statuses(&gateways[0], &key.get("/limit"), 11)[9..],
            [200, 429]
        );
    }
}

#[test]
fn wrong_passwords_count_over_all_gateways_and_right_ones_do_not() {
    let shared = Shared::new();
    let gateways = shared.pair(&preset_rules("random-number"));
    join(&gateways[0], "ann");
    for gateway in gateways.iter().cycle().take(12) {
        log_in(gateway, "ann");
    }
    let wrong = Call::post("/login").json(&json!({ "username": "ann", "password": "wrong horse" }));
    assert_eq!(
        in_turn(&gateways, &wrong, 6),
        [401, 401, 401, 401, 401, 429]
    );
    let right = Call::post("/login").json(&crate::support::credentials("Ann"));
    assert_eq!(in_turn(&gateways, &right, 2), [429, 429]);
}

#[test]
fn wrong_credentials_of_an_address_count_over_all_gateways() {
    let shared = Shared::new();
    let gateways = shared.pair(&preset_rules("per-api-key"));
    let guess = Call::get("/limit").field("x-api-key", "tg_00000000000000000000000000000000");
    let statuses = in_turn(&gateways, &guess, 32);
    assert_eq!(statuses[..30], [401; 30]);
    assert_eq!(statuses[30..], [429; 2]);
}

#[test]
fn a_slot_is_held_over_all_gateways_until_its_request_has_ended_or_its_client_has_gone() {
    let (upstream, held) = Upstream::held();
    let rules = format!(
        "{PATIENT}[[routes]]\nmatch = \"GET /\"\nlimits = [\"1 concurrent by client-ip\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let shared = Shared::new();
    let gateways = shared.pair(&rules);
    let [one, other] = &gateways;
    let mut waiting = Connection::open(one.address());
    waiting.send(&Call::get("/"));
    held.arrived();
    assert_eq!(other.get("/").status, 429);
    held.release();
    assert_eq!(waiting.answer().status, 200);
    eventually_free(one);
    let mut leaving = Connection::open(other.address());
    leaving.send(&Call::get("/"));
    held.arrived();
    assert_eq!(one.get("/").status, 429);
    drop(leaving);
    eventually_free(one);
}

#[test]
fn a_client_that_goes_while_the_store_is_slow_to_decide_leaves_no_slot_behind() {
    let rules = format!(
        "{PATIENT}[[routes]]\nmatch = \"GET /\"\nlimits = [\"1 concurrent by client-ip\"]\nrespond = {{ text = \"\" }}\n"
    );
    let mut shared = Shared::new();
    let gateway = shared.launch(&rules).start();
    // From now on the store knows the scripts, and one call to it is enough.
    assert_eq!(gateway.get("/").status, 200);
    eventually_free(&gateway);
    let in_flight = |wanted: &str| {
        eventually("calls to be on their way, or not", || {
            let metrics = gateway.admin(&Call::get("/metrics")).text();
            let line = format!("tollgate_store_calls_in_flight {wanted}");
            metrics.lines().any(|found| found == line).then_some(())
        });
    };
    // The slot is free before the answer to the call that freed it has been read.
    in_flight("0");
    shared.redis.suspend();
    let mut leaving = Connection::open(gateway.address());
    leaving.send(&Call::get("/"));
    in_flight("1");
    drop(leaving);
    // Its connection has gone before the store goes on.
    eventually("the client's leaving to be noticed", || {
        let metrics = gateway.admin(&Call::get("/metrics")).text();
        metrics
            .lines()
            .any(|line| line == "tollgate_connections 0")
            .then_some(())
    });
    shared.redis.resume();
    in_flight("0");
    eventually_free(&gateway);
}

#[test]
fn a_client_of_the_service_that_goes_while_the_store_is_slow_leaves_no_slot_behind() {
    let http = free_address();
    let rules = format!(
        "{PATIENT}[service]\nhttp = \"{http}\"\n[limits.route]\nkey = \"client-ip\"\nquotas = [\"1 concurrent\"]\n[[routes]]\nmatch = \"GET /\"\nlimits = [\"route\"]\nrespond = {{ text = \"\" }}\n"
    );
    let mut shared = Shared::new();
    let gateway = shared.launch(&rules).start();
    let key = json!({ "limit": "route", "key": { "client-ip": "127.0.0.1" } });
    // From now on the store knows the scripts, and one call to it is enough.
    let reserved = Call::post("/v1/reserve").json(&key).send(http);
    let receipt = json!({ "receipt": reserved.json()["receipt"] });
    assert_eq!(
        Call::post("/v1/refund").json(&receipt).send(http).status,
        200
    );
    eventually_free(&gateway);
    let metric = |line: &str| {
        eventually(line, || {
            let metrics = gateway.admin(&Call::get("/metrics")).text();
            metrics.lines().any(|found| found == line).then_some(())
        });
    };
    metric("tollgate_store_calls_in_flight 0");
    shared.redis.suspend();
    let mut leaving = Connection::open(http);
    leaving.send(&Call::post("/v1/reserve").json(&key));
    metric("tollgate_store_calls_in_flight 1");
    drop(leaving);
    metric("tollgate_service_connections{protocol=\"http\"} 0");
    shared.redis.resume();
    metric("tollgate_store_calls_in_flight 0");
    eventually_free(&gateway);
}

fn eventually_free(gateway: &Gateway) {
    eventually("the slot to be free", || {
        let shown = gateway.admin(&Call::get("/limits/route?key=127.0.0.1"));
        let left = &shown.json()["windows"]["concurrent"]["remaining"];
        (*left == 1).then_some(())
    });
}

#[test]
fn counters_of_a_shared_store_are_not_saved_and_survive_every_gateway() {
    let shared = Shared::new();
    let rules = preset_rules("hourly-module");
    let data = DataDir::new();
    let first = launch()
        .data(&data)
        .rules(&rules)
        .option("--counters", shared.redis.url())
        .start();
    assert_eq!(statuses(&first, &Call::get("/"), 100), [200; 100]);
    assert!(first.stop().success());
    let saved: PathBuf = data.path().join("counters.snapshot");
    assert!(!saved.exists());
    let second = shared.launch(&rules).start();
    assert_eq!(second.get("/").status, 429);
}

fn remaining(answer: &Answer, policy: &str) -> u64 {
    crate::support::rate_limit(answer)[policy].0
}

fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.admin(&Call::get("/metrics"));
    let metrics = metrics.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.unwrap_or_else(|| panic!("no {name} in {metrics}"));
    value.trim().parse().unwrap()
}
