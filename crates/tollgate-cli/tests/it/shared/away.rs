//! The store goes away: what requests meet, what is said of it, and how it is back.

use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::{eventually, free_address};
use tollgate_testkit::redis::{RedisEngine, RedisOptions, RedisServer};

use super::{Shared, remaining, statuses};
use crate::support::{launch, root};

/// Ten an hour by address, and what happens without the store.
fn rules(on_error: &str) -> String {
    format!(
        "[counters]\non_error = \"{on_error}\"\nnodes = 2\ndeadline_ms = 1000\n\
         [[routes]]\nmatch = \"GET /\"\nlimits = [\"10 per hour by client-ip\"]\nrespond = {{ text = \"hello\" }}\n\
         [[routes]]\nmatch = \"GET /free\"\nrespond = {{ text = \"free\" }}\n"
    )
}

fn readiness(gateway: &Gateway) -> String {
    let answer = gateway.admin(&Call::get("/readyz"));
    assert_eq!(answer.status, 200, "it takes requests: {}", answer.text());
    answer.text()
}

fn eventually_degraded(gateway: &Gateway) {
    eventually("the gateway to notice", || {
        // Only who asks learns that nobody answers.
        gateway.get("/");
        readiness(gateway)
            .starts_with("degraded: counters unreachable for ")
            .then_some(())
    });
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
    let gateway = shared.launch(&rules("local")).start();
    assert_eq!(remaining(&gateway.get("/"), "route.hour"), 9);
    assert!(
        top(&gateway).contains("shared store up"),
        "{}",
        top(&gateway)
    );
    assert_eq!(metric(&gateway, "tollgate_store_up"), 1.0);
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
    let mut lines_with = |words: &str| {
        let lines = gateway.process().stderr();
        lines.iter().filter(|line| line.contains(words)).count()
    };
    eventually("the log to say so", || {
        (lines_with("the store is away") == 1).then_some(())
    });
    eventually("the log to say so", || {
        (lines_with("the store is back") == 1).then_some(())
    });
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
    assert_eq!(closed.get("/free").status, 200);
    assert!(
        metric(
            &closed,
            "tollgate_decisions_degraded_total{outcome=\"refused\"}"
        ) >= 3.0
    );
    assert_eq!(statuses(&open, &Call::get("/"), 20), [200; 20]);
    shared.redis.restart();
    eventually_ready(&closed);
    assert_eq!(closed.get("/").status, 200);
}

#[test]
fn a_gateway_starts_without_its_store_and_is_whole_when_it_comes() {
    let mut shared = Shared::new();
    shared.redis.kill();
    let gateway = shared.launch(&rules("local")).start();
    eventually_degraded(&gateway);
    assert!([200, 429].contains(&gateway.get("/").status));
    shared.redis.restart();
    eventually_ready(&gateway);
    assert_eq!(remaining(&gateway.get("/"), "route.hour"), 9);
}

#[test]
fn what_waiting_does_not_mend_ends_the_start_with_one_sentence_and_without_the_password() {
    let options = RedisOptions {
        password: Some("right-one".to_owned()),
        ..RedisOptions::default()
    };
    let redis = RedisServer::with(RedisEngine::Redis, options);
    let address = redis.address();
    for (url, words) in [
        (format!("redis://:wr0ng-one@{address}"), "password"),
        (format!("redis://{address}"), "password"),
        (
            format!("redis+cluster://:right-one@{address}"),
            "no cluster",
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
