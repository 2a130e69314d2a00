//! A limit with a penalty: how long whoever asks for more is blocked, how that grows, and when it is forgiven.

use tollgate_testkit::client::Answer;
use tollgate_testkit::gateway::Gateway;

use crate::support::{QUOTA_EXCEEDED, launch, rate_limit};

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
