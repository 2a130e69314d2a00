//! The first system: a number API behind accounts. Here the number and its limits.

mod log_in;

use serde_json::{Value, json};
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use crate::support::{
    BAD_CREDENTIALS, NO_CREDENTIALS, QUOTA_EXCEEDED, join, launch, log_in, pick, preset,
    rate_limit, root, statuses, window,
};

const LEFT: &str = "/see_remaining_limits";

/// The preset in front of an upstream that the test watches.
fn watched() -> (Gateway, Upstream) {
    let upstream = Upstream::recording();
    let gateway = launch()
        .preset("random-number")
        .upstream(&upstream.url())
        .start();
    (gateway, upstream)
}

/// The preset's own file with another hour, so that the hour can run out before the minute does.
fn with_hour_of(units: u64) -> Gateway {
    let file = root().join("examples/random-number/tollgate.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let changed = text.replace("300 per hour", &format!("{units} per hour"));
    assert_ne!(changed, text);
    launch().rules(&changed).start()
}

#[test]
fn five_numbers_a_minute_are_called_from_the_number_api_and_the_sixth_is_403() {
    let (gateway, upstream) = watched();
    let ann = join(&gateway, "ann");
    for _ in 0..5 {
        let answer = gateway.call(&ann.get("/call_api"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "{\"random\":7}")
        );
    }
    let refused = gateway.call(&ann.get("/call_api"));
    assert_eq!(refused.status, 403);
    assert_eq!(upstream.count(), 5, "a refused call reached the number API");
}

#[test]
fn nobody_and_nothing_left_are_both_403_and_told_apart() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    assert_eq!(statuses(&gateway, &ann.get("/call_api"), 5), [200; 5]);
    let nothing_left = gateway.call(&ann.get("/call_api"));
    let nobody = gateway.get("/call_api");
    let unknown = gateway.call(&Call::get("/call_api").bearer("wrong"));
    for (answer, kind) in [
        (&nothing_left, QUOTA_EXCEEDED),
        (&nobody, NO_CREDENTIALS),
        (&unknown, BAD_CREDENTIALS),
    ] {
        assert_eq!(answer.status, 403);
        assert_eq!(answer.expect("content-type"), "application/problem+json");
        let body = answer.json();
        assert_eq!(body["type"], kind);
        assert_eq!(
            (&body["status"], &body["instance"]),
            (&json!(403), &json!("/call_api"))
        );
        assert_eq!(body["request_id"], answer.expect("x-request-id"));
        let challenged = answer.field("www-authenticate").is_some();
        assert_eq!(challenged, kind != QUOTA_EXCEEDED, "{kind}");
    }
    assert!(unknown.expect("www-authenticate").contains("invalid_token"));
    assert_eq!(nothing_left.retry_after(), Some(60));
    assert_eq!(nothing_left.json()["retry_after"], 60);
    assert_eq!(
        nothing_left.json()["violated-policies"],
        json!(["per-user.minute"])
    );
    let left = rate_limit(&nothing_left);
    assert_eq!(left["per-user.minute"], (0, Some(60)));
    assert_eq!(left["per-user.hour"], (295, Some(3_600)));
    assert_eq!(
        nothing_left.expect("ratelimit-policy"),
        "\"per-user.minute\";q=5;w=60, \"per-user.hour\";q=300;w=3600"
    );
    assert_eq!(nobody.retry_after(), None);
}

#[test]
fn what_is_left_is_shown_for_minute_and_hour_only_to_its_user() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    for path in ["/see_remaining_limits", "/see_remaining_limit"] {
        let answer = gateway.get(path);
        assert_eq!(
            (answer.status, &answer.json()["type"]),
            (403, &json!(NO_CREDENTIALS))
        );
        let body = gateway.call(&ann.get(path)).json();
        assert_eq!(body["minute"], window(5, 0, None));
        assert_eq!(body["hour"], window(300, 0, None));
        assert_eq!(body["available_now"], 5);
    }
    let cookie = gateway.call(&ann.with_cookie(Call::get(LEFT)));
    assert_eq!(cookie.status, 200);
}

#[test]
fn what_is_left_agrees_to_the_unit_with_the_fields_and_looking_costs_nothing() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    for used in 1..=6 {
        let fields = rate_limit(&gateway.call(&ann.get("/call_api")));
        for _ in 0..3 {
            let body = gateway.call(&ann.get(LEFT)).json();
            for (name, policy) in [("minute", "per-user.minute"), ("hour", "per-user.hour")] {
                let (remaining, resets_in) = fields[policy];
                assert_eq!(body[name]["remaining"], remaining, "after {used}");
                assert_eq!(body[name]["resets_in"], json!(resets_in), "after {used}");
                let (limit, spent) = (body[name]["limit"].as_u64(), body[name]["used"].as_u64());
                assert_eq!(limit.unwrap() - spent.unwrap(), remaining);
            }
            assert_eq!(body["available_now"], 5_u64.saturating_sub(used));
        }
        gateway.advance(1.25);
    }
}

#[test]
fn minute_and_hour_are_charged_together_or_not_at_all() {
    let gateway = with_hour_of(7);
    let ann = join(&gateway, "ann");
    let left = || pick(&gateway.call(&ann.get(LEFT)).json(), &["minute", "hour"]);
    assert_eq!(
        statuses(&gateway, &ann.get("/call_api"), 7),
        [200, 200, 200, 200, 200, 403, 403]
    );
    // The minute denied: the hour was not charged.
    let expected = json!({ "minute": window(5, 5, Some(60)), "hour": window(7, 5, Some(3_600)) });
    assert_eq!(left(), expected);
    gateway.advance(60.0);
    assert_eq!(
        statuses(&gateway, &ann.get("/call_api"), 3),
        [200, 200, 403]
    );
    // The hour denied: the minute was not charged, and the wait is the hour's.
    let expected = json!({ "minute": window(5, 2, Some(60)), "hour": window(7, 7, Some(3_540)) });
    assert_eq!(left(), expected);
    let refused = gateway.call(&ann.get("/call_api"));
    assert_eq!(
        refused.json()["violated-policies"],
        json!(["per-user.hour"])
    );
    assert_eq!(refused.retry_after(), Some(3_540));
    gateway.advance(60.0);
    let expected = json!({ "minute": window(5, 0, None), "hour": window(7, 7, Some(3_480)) });
    assert_eq!(left(), expected);
    gateway.advance(3_480.0);
    // By the cookie: the token has lived its hour.
    let cookie = |target: &str| gateway.call(&ann.with_cookie(Call::get(target)));
    let expected = json!({ "minute": window(5, 0, None), "hour": window(7, 0, None) });
    assert_eq!(pick(&cookie(LEFT).json(), &["minute", "hour"]), expected);
    assert_eq!(cookie("/call_api").status, 200);
}

#[test]
fn a_window_starts_with_its_first_request_and_its_lock_ends_as_a_whole() {
    let gateway = preset("random-number");
    gateway.advance(47.3);
    let ann = join(&gateway, "ann");
    let minute = || gateway.call(&ann.get(LEFT)).json()["minute"].clone();
    assert_eq!(minute(), window(5, 0, None), "unused, whatever the time");
    for second in 0..5 {
        let answer = gateway.call(&ann.get("/call_api"));
        assert_eq!(answer.status, 200);
        // The end does not move with later requests.
        assert_eq!(
            rate_limit(&answer)["per-user.minute"].1,
            Some(60 - second * 10)
        );
        gateway.advance(10.0);
    }
    gateway.advance(9.999_999);
    let refused = gateway.call(&ann.get("/call_api"));
    assert_eq!((refused.status, refused.retry_after()), (403, Some(1)));
    gateway.advance(0.000_001);
    assert_eq!(minute(), window(5, 0, None), "all five at once");
    assert_eq!(
        statuses(&gateway, &ann.get("/call_api"), 6),
        [200, 200, 200, 200, 200, 403]
    );
}

#[test]
fn waits_are_whole_seconds_rounded_up_and_the_same_everywhere() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    assert_eq!(statuses(&gateway, &ann.get("/call_api"), 5), [200; 5]);
    for (advance, wait) in [(0.0, 60), (0.2, 60), (0.8, 59), (58.0, 1), (0.999, 1)] {
        gateway.advance(advance);
        let refused = gateway.call(&ann.get("/call_api"));
        let shown: Value = gateway.call(&ann.get(LEFT)).json();
        assert_eq!(refused.retry_after(), Some(wait));
        assert_eq!(rate_limit(&refused)["per-user.minute"], (0, Some(wait)));
        assert_eq!(refused.json()["retry_after"], wait);
        assert_eq!(shown["minute"]["resets_in"], wait);
    }
    gateway.advance(0.001);
    assert_eq!(gateway.call(&ann.get("/call_api")).status, 200);
}

#[test]
fn the_limit_follows_the_user_not_the_session() {
    let gateway = preset("random-number");
    let phone = join(&gateway, "ann");
    let laptop = log_in(&gateway, "ann");
    let bob = join(&gateway, "bob");
    assert_eq!(statuses(&gateway, &phone.get("/call_api"), 3), [200; 3]);
    assert_eq!(
        statuses(&gateway, &laptop.get("/call_api"), 3),
        [200, 200, 403]
    );
    gateway.call(&phone.with_cookie(Call::post("/logout")));
    let again = log_in(&gateway, "ann");
    assert_eq!(gateway.call(&again.get("/call_api")).status, 403);
    assert_eq!(
        gateway
            .call(&again.with_cookie(Call::get("/call_api")))
            .status,
        403
    );
    assert_eq!(gateway.call(&bob.get("/call_api")).status, 200);
}

#[test]
fn the_number_comes_over_http_from_the_demo_or_from_any_server_by_url() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let numbers: Vec<u64> = (0..5)
        .map(|_| {
            gateway.call(&ann.get("/call_api")).json()["random"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert!(
        numbers.iter().any(|number| *number != numbers[0]),
        "{numbers:?}"
    );

    let upstream = Upstream::recording();
    let url = format!("{}/random", upstream.url());
    let gateway = launch().preset("random-number").upstream(&url).start();
    let ann = join(&gateway, "ann");
    assert_eq!(
        gateway.call(&ann.get("/call_api?min=1&max=6")).json()["random"],
        7
    );
    let received = upstream.last();
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("GET", "/random?min=1&max=6")
    );
    assert_eq!(
        received.field("host").unwrap(),
        upstream.address().to_string()
    );
}

#[test]
fn a_browser_sees_the_number_within_a_page_and_a_program_sees_json() {
    let (gateway, _upstream) = watched();
    let ann = join(&gateway, "ann");
    let page = gateway.call(&ann.with_cookie(Call::get("/call_api").browser()));
    assert_eq!(
        (page.status, page.expect("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(
        page.text().contains("<p class=\"number\">7</p>"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("data-window=\"minute\""));
    let program = gateway.call(&ann.with_cookie(Call::get("/call_api")));
    assert_eq!(program.expect("content-type"), "application/json");
}
