//! Credentials, forms and names that mean nothing, two things, or something else elsewhere.

use serde_json::json;
use tollgate_testkit::client::Call;

use crate::support::{PASSWORD, join, new_key, preset};

#[test]
fn a_credential_that_is_sent_twice_is_400_and_names_no_secret() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    let token = format!("Bearer {}", ann.token);
    for call in [
        ann.get("/call_api").field("authorization", &token),
        ann.get("/call_api").field("Authorization", "Bearer other"),
        key.get("/call_api").field("x-api-key", &key.secret),
        key.get("/call_api").bearer(&ann.token),
        ann.with_cookie(ann.with_cookie(Call::get("/call_api"))),
        Call::get("/call_api").field("cookie", &format!("session=x; session={}", ann.session)),
    ] {
        let answer = gateway.call(&call);
        assert_eq!(answer.status, 400, "{call:?}");
        for secret in [&ann.token, &ann.session, &key.secret] {
            assert!(!answer.text().contains(secret.as_str()));
        }
    }
    let left = gateway.call(&ann.get("/see_remaining_limits")).json();
    assert_eq!(left["minute"]["used"], 0);
}

#[test]
fn credentials_of_every_bad_shape_are_refused_as_credentials() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    let parts: Vec<&str> = ann.token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let shapes = [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}.x", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][1..]),
        format!("{}=", ann.token),
        "a.b.c".to_owned(),
        "...".to_owned(),
        "'; DROP TABLE sessions; --".to_owned(),
        "x".repeat(9_000),
    ];
    for shape in shapes {
        let answer = gateway.call(&Call::get("/call_api").bearer(&shape));
        assert_eq!(answer.status, 403, "{shape}");
        assert_eq!(
            answer.json()["type"],
            crate::support::BAD_CREDENTIALS,
            "{shape}"
        );
    }
    let binary = gateway.call(&Call::get("/call_api").field("x-api-key", "tg_\u{e9}"));
    assert_eq!(binary.status, 403);
    assert_eq!(gateway.call(&ann.get("/call_api")).status, 200);
}

#[test]
fn bodies_that_a_form_cannot_read_are_4xx_and_repeat_nothing() {
    let gateway = preset("random-number");
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{{\"username\":{deep},\"password\":\"{PASSWORD}\"}}");
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("application/json", b"".to_vec(), 400),
        ("application/json", b"{".to_vec(), 400),
        ("application/json", b"null".to_vec(), 400),
        ("application/json", b"[1,2]".to_vec(), 400),
        (
            "application/json",
            b"{\"username\":\"\\ud800\",\"password\":\"x\"}".to_vec(),
            400,
        ),
        ("application/json", b"\xff\xfe".to_vec(), 400),
        ("application/json", nested.into_bytes(), 400),
        ("application/json", vec![b' '; 70_000], 413),
        (
            "application/x-www-form-urlencoded",
            b"username=%zz&password=%ff".to_vec(),
            422,
        ),
        (
            "text/plain",
            b"username=ann&password=secret-word".to_vec(),
            400,
        ),
        ("multipart/form-data; boundary=x", b"--x--".to_vec(), 400),
        ("", b"username=ann&password=secret-word".to_vec(), 400),
    ];
    for (content_type, body, expected) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = gateway.call(&Call::post("/signup").body(content_type, body));
        assert_eq!(answer.status, expected, "{content_type} {shown}");
        assert!(!answer.text().contains("secret-word") && answer.body.len() < 4_096);
    }
    let get_with_body = Call::get("/see_remaining_limits").body("text/plain", "x");
    assert_eq!(gateway.call(&get_with_body).status, 403);
}

#[test]
fn names_that_would_be_code_elsewhere_are_stored_as_names_and_shown_as_text() {
    let gateway = preset("random-number");
    for (number, name) in [
        "<script>alert(1)</script>",
        "'; DROP TABLE users; --",
        "=cmd|'/C calc'!A0",
        "élodie ☃",
        "a\"b&c",
        "${jndi:ldap://x}",
    ]
    .into_iter()
    .enumerate()
    {
        let person = join(&gateway, name);
        let left = gateway.call(&person.get("/see_remaining_limits"));
        assert_eq!(left.json()["user"], json!(name));
        let page = gateway.call(&person.with_cookie(Call::get("/").browser()));
        assert_eq!(page.status, 200);
        assert!(
            !page.text().contains("<script>alert"),
            "it is markup on a page"
        );
        assert!(number > 10 || gateway.call(&person.get("/call_api")).status == 200);
    }
}

#[test]
fn a_request_that_another_site_makes_a_browser_send_changes_nothing() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    for fields in [
        [("sec-fetch-site", "cross-site")],
        [("origin", "http://evil.example")],
        [("origin", "null")],
    ] {
        let call = fields
            .iter()
            .fold(Call::post("/logout"), |call, (name, value)| {
                call.field(name, value)
            });
        assert_eq!(
            gateway.call(&ann.with_cookie(call)).status,
            403,
            "{fields:?}"
        );
        let call = fields
            .iter()
            .fold(Call::post("/login"), |call, (name, value)| {
                call.field(name, value)
            });
        let answer = gateway.call(&call.form(&[("username", "ann"), ("password", PASSWORD)]));
        assert_eq!(
            (answer.status, answer.cookie("session")),
            (403, None),
            "{fields:?}"
        );
    }
    assert_eq!(
        gateway
            .call(&ann.with_cookie(Call::get("/see_remaining_limits")))
            .status,
        200
    );
    let own = Call::post("/logout").field("origin", &format!("http://{}", gateway.address()));
    assert_eq!(gateway.call(&ann.with_cookie(own)).status, 204);
}
