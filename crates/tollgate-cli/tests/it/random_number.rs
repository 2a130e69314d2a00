//! The first system: a number API behind accounts.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::{DataDir, Gateway};
use tollgate_testkit::process::within;
use tollgate_testkit::upstream::Upstream;

use crate::support::{
    BAD_CREDENTIALS, NO_CREDENTIALS, PASSWORD, QUOTA_EXCEEDED, credentials, join, launch, log_in,
    pick, preset, rate_limit, root, sign_up, statuses, window,
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
fn a_sign_up_makes_an_account_once_whether_json_or_a_form() {
    let gateway = preset("random-number");
    let json = gateway.call(&Call::post("/signup").json(&credentials("ann")));
    assert_eq!(
        (json.status, &json.json()["username"]),
        (201, &json!("ann"))
    );
    let form = [("username", "bob"), ("password", PASSWORD)];
    assert_eq!(gateway.call(&Call::post("/signup").form(&form)).status, 201);
    for taken in ["ann", "ANN", "bob"] {
        let again = gateway.call(&Call::post("/signup").json(&credentials(taken)));
        assert_eq!(again.status, 409, "{taken}");
        assert_eq!(again.expect("content-type"), "application/problem+json");
    }
    for name in ["ann", "bob"] {
        assert!(!log_in(&gateway, name).token.is_empty());
    }
}

#[test]
fn bad_input_at_sign_up_is_422_and_names_the_field() {
    let gateway = preset("random-number");
    for (body, field) in [
        (json!({ "username": "", "password": PASSWORD }), "username"),
        (
            json!({ "username": "a\nb", "password": PASSWORD }),
            "username",
        ),
        (
            json!({ "username": "x".repeat(65), "password": PASSWORD }),
            "username",
        ),
        (json!({ "username": 7, "password": PASSWORD }), "username"),
        (json!({ "password": PASSWORD }), "username"),
        (
            json!({ "username": "ann", "password": "short" }),
            "password",
        ),
        (
            json!({ "username": "ann", "password": "x".repeat(2_000) }),
            "password",
        ),
        (json!({ "username": "ann" }), "password"),
    ] {
        let answer = gateway.call(&Call::post("/signup").json(&body));
        assert_eq!(answer.status, 422, "{body}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&format!("`{field}`")), "{body}: {detail}");
        assert!(!answer.text().contains(PASSWORD), "a password is repeated");
    }
    let form = gateway.call(&Call::post("/signup").form(&[("username", "ann")]));
    assert_eq!(form.status, 422);
}

#[test]
fn a_log_in_sets_a_cookie_and_returns_a_token_and_either_opens_the_api() {
    let gateway = preset("random-number");
    sign_up(&gateway, "ann");
    for call in [
        Call::post("/login").json(&credentials("ann")),
        Call::post("/login").form(&[("username", "Ann"), ("password", PASSWORD)]),
    ] {
        let answer = gateway.call(&call);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.expect("content-type"), "application/json");
        assert_eq!(answer.expect("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 3_600);
        let (session, attributes) = answer.cookie("session").unwrap();
        assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"));
        let bearer = Call::get("/call_api").bearer(body["token"].as_str().unwrap());
        let cookie = Call::get("/call_api").field("cookie", &format!("a=b; session={session}"));
        assert_eq!(gateway.call(&bearer).status, 200);
        assert_eq!(gateway.call(&cookie).status, 200);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let gateway = preset("random-number");
    sign_up(&gateway, "ann");
    let wrong = |name: &str| {
        let body = json!({ "username": name, "password": "wrong horse battery" });
        let answer = gateway.call(&Call::post("/login").json(&body));
        (
            answer.status,
            pick(&answer.json(), &["type", "title", "status", "detail"]),
        )
    };
    let (status, body) = wrong("ann");
    assert_eq!((status, &body["type"]), (401, &json!(BAD_CREDENTIALS)));
    assert_eq!(wrong("nobody"), (status, body));
}

#[test]
fn a_log_out_ends_the_session_and_its_token_at_once_and_no_other_session() {
    let gateway = preset("random-number");
    let phone = join(&gateway, "ann");
    let laptop = log_in(&gateway, "ann");
    let out = gateway.call(&phone.with_cookie(Call::post("/logout")));
    assert_eq!((out.status, out.body.len()), (204, 0));
    assert_eq!(out.cookie("session").unwrap().0, "");
    for dead in [phone.get(LEFT), phone.with_cookie(Call::get(LEFT))] {
        let answer = gateway.call(&dead);
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["type"], BAD_CREDENTIALS);
    }
    assert_eq!(gateway.call(&laptop.get(LEFT)).status, 200);
    // By the token as well as by the cookie.
    let out = gateway.call(&Call::post("/logout").bearer(&laptop.token));
    assert_eq!(out.status, 204);
    for dead in [laptop.get(LEFT), laptop.with_cookie(Call::get(LEFT))] {
        assert_eq!(gateway.call(&dead).status, 403);
    }
}

#[test]
fn a_log_out_is_heard_of_by_every_other_node_within_two_seconds() {
    let first = preset("random-number");
    let ann = join(&first, "ann");
    let data = DataDir::new();
    let secret = |data: &DataDir| data.path().join("token.secret");
    std::fs::copy(secret(first.data()), secret(&data)).unwrap();
    let database = first.data().path().join("tollgate.db");
    let second = launch()
        .preset("random-number")
        .data(&data)
        .option("--accounts", format!("sqlite:{}", database.display()))
        .start();
    let calls = [ann.get(LEFT), ann.with_cookie(Call::get(LEFT))];
    for call in &calls {
        assert_eq!(second.call(call).status, 200);
    }
    assert_eq!(
        first.call(&ann.with_cookie(Call::post("/logout"))).status,
        204
    );
    for call in &calls {
        let heard = within(Duration::from_secs(2), || second.call(call).status == 403);
        assert!(heard, "two seconds later the other node still believes it");
        assert_eq!(second.call(call).json()["type"], BAD_CREDENTIALS);
    }
}

#[test]
fn a_form_that_accepts_html_is_answered_303_to_the_next_page_and_everything_else_is_not() {
    let gateway = preset("random-number");
    let form = [("username", "ann"), ("password", PASSWORD)];
    let signed_up = gateway.call(&Call::post("/signup").form(&form).browser());
    assert_eq!(
        (signed_up.status, signed_up.expect("location")),
        (303, "/login")
    );
    let logged_in = gateway.call(&Call::post("/login").form(&form).browser());
    assert_eq!(
        (logged_in.status, logged_in.expect("location")),
        (303, "/call_api")
    );
    let session = logged_in.cookie("session").unwrap().0;
    let cookie = format!("session={session}");
    let out = gateway.call(
        &Call::post("/logout")
            .form(&[])
            .browser()
            .field("cookie", &cookie),
    );
    assert_eq!((out.status, out.expect("location")), (303, "/"));
    assert_eq!(
        gateway
            .call(&Call::get(LEFT).field("cookie", &cookie))
            .status,
        403
    );
    // JSON stays JSON in a browser, and a form without a browser is a program's.
    let json = gateway.call(&Call::post("/login").json(&credentials("ann")).browser());
    assert_eq!(json.status, 200);
    let program = gateway.call(&Call::post("/login").form(&form).field("accept", "*/*"));
    assert_eq!(program.status, 200);
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

#[test]
fn a_password_cannot_be_guessed_without_end_and_right_ones_cost_nothing() {
    let gateway = preset("random-number");
    sign_up(&gateway, "ann");
    for _ in 0..8 {
        log_in(&gateway, "ann");
    }
    let wrong = Call::post("/login").json(&json!({ "username": "ann", "password": "no no no no" }));
    assert_eq!(
        statuses(&gateway, &wrong, 6),
        [401, 401, 401, 401, 401, 429]
    );
    let right = gateway.call(&Call::post("/login").json(&credentials("ann")));
    assert_eq!((right.status, right.retry_after()), (429, Some(900)));
    gateway.advance(900.0);
    log_in(&gateway, "ann");
}

#[test]
fn a_log_in_never_adopts_a_session_that_was_there_before_and_ends_it() {
    let gateway = preset("random-number");
    let mallory = join(&gateway, "mallory");
    sign_up(&gateway, "ann");
    let call = mallory.with_cookie(Call::post("/login").json(&credentials("ann")));
    let answer = gateway.call(&call);
    assert_eq!(answer.status, 200);
    let session = answer.cookie("session").unwrap().0;
    assert_ne!(session, mallory.session);
    let user = |session: &str| {
        let call = Call::get(LEFT).field("cookie", &format!("session={session}"));
        gateway.call(&call).json()["user"].clone()
    };
    assert_eq!(
        (user(&session), user(&mallory.session)),
        (json!("ann"), json!(null))
    );
}

#[test]
fn the_cookie_is_bound_to_https_when_a_trusted_proxy_says_that_the_client_came_by_it() {
    let file = root().join("examples/random-number/tollgate.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let trusting = text.replace("[server]", "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]");
    for (rules, secure) in [(&trusting, true), (&text, false)] {
        let gateway = launch().rules(rules).start();
        sign_up(&gateway, "ann");
        let call = Call::post("/login").json(&credentials("ann"));
        let answer = gateway.call(&call.field("x-forwarded-proto", "https"));
        let name = if secure { "__Host-session" } else { "session" };
        let (session, attributes) = answer.cookie(name).unwrap();
        assert_eq!(attributes.contains("; Secure"), secure, "{attributes}");
        let cookie = Call::get(LEFT).field("cookie", &format!("{name}={session}"));
        assert_eq!(gateway.call(&cookie).status, 200);
    }
}
