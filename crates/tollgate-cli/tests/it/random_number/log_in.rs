//! Sign-up, log-in and log-out of the first system.

use serde_json::json;
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::DataDir;
use tollgate_testkit::process::{HEARD_WITHIN, within};

use super::LEFT;
use crate::support::{
    BAD_CREDENTIALS, PASSWORD, credentials, join, launch, log_in, pick, preset, root, sign_up,
    statuses,
};

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
        let heard = within(HEARD_WITHIN, || second.call(call).status == 403);
        assert!(heard, "the other node still believes it");
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
