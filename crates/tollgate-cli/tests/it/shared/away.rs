//! The store goes away: what requests meet, what is said of it, and how it is back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{eventually, free_address, within};
use tollgate_testkit::redis::{RedisEngine, RedisOptions, RedisServer};

use super::{Shared, remaining, statuses};
use crate::support::{launch, root};

/// Ten an hour by address, and what happens without the store.
fn rules(on_error: &str) -> String {
    format!(
        "[counters]\non_error = \"{on_error}\"\nnodes = 2\ndeadline_ms = 10000\n\
         [limits.route]\nkey = \"client-ip\"\nquotas = [\"10 per hour\"]\n\
         [[routes]]\nmatch = \"GET /\"\nlimits = [\"route\"]\nrespond = {{ text = \"hello\" }}\n\
         [[routes]]\nmatch = \"GET /free\"\nrespond = {{ text = \"free\" }}\n\
         [[routes]]\nmatch = \"GET /left\"\nbuiltin = \"remaining\"\nof = [\"route\"]\n"
    )
}

fn readiness(gateway: &Gateway) -> String {
    let answer = gateway.admin(&Call::get("/readyz"));
    assert_eq!(answer.status, 200, "it takes requests: {}", answer.text());
    answer.text()
}

/// Asks until the gateway notices: only who asks learns that nobody answers.
fn eventually_degraded(gateway: &Gateway) {
    eventually("the gateway to notice", || {
        gateway.get("/");
        is_degraded(gateway).then_some(())
    });
}

fn is_degraded(gateway: &Gateway) -> bool {
    readiness(gateway).starts_with("degraded: counters unreachable for ")
}

fn eventually_ready(gateway: &Gateway) {
    eventually("the gateway to be whole again", || {
        (readiness(gateway) == "ready\n").then_some(())
    });
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.unwrap_or_else(|| panic!("no {name}:\n{metrics}"));
    value.parse().unwrap()
}

fn top(gateway: &Gateway) -> String {
    let done = gateway.command(&["top", "--once"], "");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    done.stdout
}

#[test]
fn while_the_store_is_away_each_gateway_has_its_share_and_it_is_back_by_itself() {
    let mut shared = Shared::new();
    let mut gateway = shared.launch(&rules("local")).start();
    assert_eq!(remaining(&gateway.get("/"), "route.hour"), 9);
    assert!(
        top(&gateway).contains("shared store up"),
        "{}",
        top(&gateway)
    );
    assert_eq!(metric(&gateway, "tollgate_store_up"), 1.0);
    let answered = metric(&gateway, "tollgate_store_round_trip_seconds_count");
    assert!(answered >= 1.0, "{answered}");
    shared.redis.kill();
    eventually_degraded(&gateway);
    // Of ten this gateway, one of two, has five; some were used while it noticed.
    let statuses = statuses(&gateway, &Call::get("/"), 10);
    assert!(
        statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    assert_eq!(statuses.last(), Some(&429));
    let denied = gateway.get("/");
    assert!(
        denied.expect("ratelimit-policy").contains("q=10"),
        "{denied:?}"
    );
    // The limit that is told is that of the rules, and what is left is this gateway's.
    assert_eq!(remaining(&denied, "route.hour"), 0);
    assert_eq!(denied.expect("x-ratelimit-limit"), "10");
    assert_eq!(denied.expect("x-ratelimit-remaining"), "0");
    let logged = gateway.process().logged("decision=\"denied\"");
    assert!(
        logged.iter().all(|line| line.contains("degraded=true")),
        "{logged:?}"
    );
    assert_eq!(gateway.get("/free").status, 200);
    assert_eq!(metric(&gateway, "tollgate_store_up"), 0.0);
    let allowed = metric(
        &gateway,
        "tollgate_decisions_degraded_total{outcome=\"allowed\"}",
    );
    assert_eq!(allowed, 5.0);
    assert!(
        top(&gateway).contains("shared store away for "),
        "{}",
        top(&gateway)
    );
    // What is left is what the next request meets.
    assert_eq!(gateway.get("/left").json()["hour"]["remaining"], 0);
    let shown = gateway.command(&["limit", "show", "route", "127.0.0.1"], "");
    assert_eq!(shown.code, 1, "{shown:?}");
    assert!(
        shown.stderr.contains("the counters cannot be seen"),
        "{shown:?}"
    );
    let health = gateway.admin(&Call::get("/health")).json();
    assert_eq!(health["store"]["kind"], "shared");
    assert!(health["store"]["away_for_s"].is_u64(), "{health}");

    shared.redis.restart();
    eventually_ready(&gateway);
    assert_eq!(remaining(&gateway.get("/"), "route.hour"), 9, "it is empty");
    let away = metric(
        &gateway,
        "tollgate_decisions_degraded_total{outcome=\"allowed\"}",
    );
    assert_eq!(away, 5.0);
}

/// Clients stop when this is dropped, so that a test that fails ends as well.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_store_that_dies_under_load_costs_no_request_its_answer_and_the_limit_is_passed_by_a_share_at_most()
 {
    let mut shared = Shared::new();
    // Nothing comes back meanwhile.
    let rules = rules("local").replace("10 per hour", "1000 per year");
    let gateways = shared.pair(&rules);
    let (passed, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let asked = std::thread::scope(|scope| {
        let clients: Vec<_> = gateways
            .iter()
            .cycle()
            .take(4)
            .map(|gateway| {
                scope.spawn(|| {
                    let mut connection = Connection::open(gateway.address());
                    let mut asked = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let status = Call::get("/").over(&mut connection).status;
                        assert!([200, 429].contains(&status), "{status}");
                        passed.fetch_add(usize::from(status == 200), Ordering::Relaxed);
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        let stopping = Stop(&stop);
        let so_many = |count| {
            let enough = within(Duration::from_secs(120), || {
                passed.load(Ordering::Relaxed) >= count
            });
            assert!(enough, "of {count} passed {passed:?}");
        };
        so_many(200);
        shared.redis.kill();
        // Only the clients ask: a request that they do not count would be missing from the shares.
        eventually("the gateways to notice", || {
            gateways.iter().all(is_degraded).then_some(())
        });
        // Each has half of it for itself, and uses it up.
        so_many(1_200);
        drop(stopping);
        let asked = clients.into_iter().map(|client| client.join().unwrap());
        asked.sum::<u32>()
    });
    for gateway in &gateways {
        let last = statuses(gateway, &Call::get("/"), 1_000);
        passed.fetch_add(
            last.iter().filter(|status| **status == 200).count(),
            Ordering::Relaxed,
        );
        assert_eq!(last.last(), Some(&429));
    }
    let passed = passed.into_inner();
    assert!(passed <= 1_000 + 2 * 500, "{passed} of {asked}");
}

#[test]
fn a_store_that_is_silent_holds_nobody_up_for_longer_than_the_deadline() {
    let mut shared = Shared::new();
    let rules = rules("local").replace("deadline_ms = 10000", "deadline_ms = 100");
    let gateway = shared.launch(&rules).start();
    assert_eq!(gateway.get("/").status, 200);
    shared.redis.suspend();
    let statuses = statuses(&gateway, &Call::get("/"), 20);
    assert!(
        statuses.iter().all(|status| [200, 429].contains(status)),
        "{statuses:?}"
    );
    assert!(readiness(&gateway).starts_with("degraded"));
    // By now it is not asked any more.
    let errors = metric(&gateway, "tollgate_store_errors_total{kind=\"timeout\"}");
    assert!((1.0..20.0).contains(&errors), "{errors}");
    shared.redis.resume();
    eventually_ready(&gateway);
    // It has forgotten nothing. By a clock that the test holds it carries out what it was asked while it was silent. An
    // answer that comes too late tells of this gateway's own share, of which nothing is left.
    let left = eventually("the store to answer in time", || {
        let left = gateway.get("/left").json()["hour"]["remaining"].as_u64();
        left.filter(|left| *left > 0)
    });
    assert!((4..=9).contains(&left), "{left}");
}

#[test]
fn the_log_has_a_line_when_the_store_goes_and_one_when_it_is_back() {
    let mut shared = Shared::new();
    let mut gateway = shared.launch(&rules("open")).start();
    gateway.get("/");
    shared.redis.kill();
    eventually_degraded(&gateway);
    for _ in 0..50 {
        assert_eq!(gateway.get("/").status, 200);
    }
    shared.redis.restart();
    eventually_ready(&gateway);
    for words in ["the store is away", "the store is back"] {
        assert_eq!(gateway.process().logged(words).len(), 1);
    }
}

#[test]
fn what_is_closed_without_the_store_is_503_with_a_second_to_wait_and_what_is_open_passes() {
    let mut shared = Shared::new();
    let closed = shared.launch(&rules("closed")).start();
    let open = shared.launch(&rules("open")).start();
    assert_eq!([closed.get("/").status, open.get("/").status], [200; 2]);
    shared.redis.kill();
    eventually_degraded(&closed);
    eventually_degraded(&open);
    for _ in 0..3 {
        let refused = closed.get("/");
        assert_eq!((refused.status, refused.retry_after()), (503, Some(1)));
        assert!(refused.field("ratelimit").is_none(), "{refused:?}");
    }
    let left = closed.get("/left");
    assert_eq!((left.status, left.retry_after()), (503, Some(1)));
    assert_eq!(closed.get("/free").status, 200);
    assert!(
        metric(
            &closed,
            "tollgate_decisions_degraded_total{outcome=\"refused\"}"
        ) >= 3.0
    );
    assert_eq!(statuses(&open, &Call::get("/"), 20), [200; 20]);
    // Nobody knows what is left.
    let passed = open.get("/");
    assert!(
        passed.expect("ratelimit-policy").contains("q=10"),
        "{passed:?}"
    );
    for field in ["ratelimit", "x-ratelimit-limit", "x-ratelimit-remaining"] {
        assert!(passed.field(field).is_none(), "{passed:?}");
    }
    let left = open.get("/left").json();
    assert!(
        left["hour"].is_null() && left["available_now"].is_null(),
        "{left}"
    );
    shared.redis.restart();
    eventually_ready(&closed);
    assert_eq!(closed.get("/").status, 200);
}

#[test]
fn a_gateway_starts_without_its_store_and_is_whole_when_it_comes() {
    let mut shared = Shared::new();
    shared.redis.kill();
    let mut gateway = shared.launch(&rules("local")).start_degraded();
    eventually_degraded(&gateway);
    let said = gateway.process().logged("WARN");
    assert_eq!(said.len(), 1, "it says so once: {said:?}");
    assert!([200, 429].contains(&gateway.get("/").status));
    shared.redis.restart();
    eventually_ready(&gateway);
    assert_eq!(remaining(&gateway.get("/"), "route.hour"), 9);
}

#[test]
fn a_cluster_of_which_no_node_is_known_reads_as_away_and_every_limit_says_what_happens() {
    let url = format!("redis+cluster://{}", free_address());
    let start = |on_error: &str| {
        let launch = launch().rules(&rules(on_error));
        launch.option("--counters", &url).start_degraded()
    };
    let (closed, local) = (start("closed"), start("local"));
    for gateway in [&closed, &local] {
        assert!(readiness(gateway).starts_with("degraded: counters unreachable"));
        assert_eq!(metric(gateway, "tollgate_store_up"), 0.0);
        assert_eq!(metric(gateway, "tollgate_store_servers_away"), 1.0);
    }
    assert_eq!(closed.get("/").status, 503);
    let passed = statuses(&local, &Call::get("/"), 6);
    assert_eq!(passed, [200, 200, 200, 200, 200, 429]);
}

#[test]
fn what_waiting_does_not_mend_ends_the_start_with_one_sentence_and_without_the_password() {
    let options = RedisOptions {
        password: Some("right-one".to_owned()),
        ..RedisOptions::default()
    };
    let redis = RedisServer::with(RedisEngine::Redis, options);
    let address = redis.address();
    let gateway = launch()
        .rules("[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"hello\" }\n")
        .start();
    for (url, words) in [
        (format!("redis://:wr0ng-one@{address}"), "password"),
        (format!("redis://{address}"), "password"),
        (
            format!("redis+cluster://:right-one@{address}"),
            "no cluster",
        ),
        (format!("rediss://:right-one@{address}"), "speaks no TLS"),
        (format!("redis://:right-one@{address}/99"), "no database 99"),
        (
            format!("redis+sentinel://:right-one@{address}/main"),
            "no sentinel",
        ),
        (
            format!("redis://:right-one@{}", gateway.address()),
            "no Redis",
        ),
    ] {
        let done = launch()
            .rules(&rules("local"))
            .option("--counters", &url)
            .refused();
        assert_eq!(done.code, 1, "{done:?}");
        let lines: Vec<&str> = done
            .stderr
            .lines()
            .filter(|line| line.starts_with("error:"))
            .collect();
        assert_eq!(lines.len(), 1, "{done:?}");
        assert!(lines[0].contains(words), "{done:?}");
        assert!(!done.stderr.contains("-one"), "{done:?}");
        assert!(!done.stderr.contains("WARN"), "it is said twice: {done:?}");
    }
    let url = format!("redis://:right-one@{address}");
    let gateway = launch()
        .rules(&rules("local"))
        .option("--counters", &url)
        .start();
    assert_eq!(remaining(&gateway.get("/"), "route.hour"), 9);
}

#[test]
fn a_url_of_no_store_is_refused_on_the_command_line_and_in_the_file_without_its_password() {
    for url in [
        "reds://:s3cret@h",
        "redis://:s3cret@h:port",
        "redis://",
        "memory",
    ] {
        let done = launch()
            .rules(&rules("local"))
            .option("--counters", url)
            .refused();
        assert_eq!(done.code, 2, "{url}: {done:?}");
        assert!(done.stderr.contains("TOLLGATE_COUNTERS"), "{done:?}");
        assert!(!done.stderr.contains("s3cret"), "{done:?}");
    }
    let file = rules("local").replace(
        "[counters]\n",
        "[counters]\nurl = \"redis://:s3cret@h:port\"\n",
    );
    let done = launch().rules(&file).refused();
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.stderr.contains("port") && !done.stderr.contains("s3cret"),
        "{done:?}"
    );
    let nowhere = format!("redis://:s3cret@{}", free_address());
    let file = rules("local").replace(
        "[counters]\n",
        &format!("[counters]\nurl = \"{nowhere}\"\n"),
    );
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("rules.toml");
    std::fs::write(&path, file).unwrap();
    let mut command = std::process::Command::new(crate::support::binary());
    command.current_dir(root()).arg("validate").arg(&path);
    let done = tollgate_testkit::process::run(command, "");
    assert_eq!(done.code, 0, "it is right, wherever the store is: {done:?}");
    assert!(!(done.stdout + &done.stderr).contains("s3cret"));
}
