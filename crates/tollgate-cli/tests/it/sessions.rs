//! Sessions, passwords, tokens and scopes, as browsers, programs and administrators meet them.

use serde_json::json;
use tollgate::{Clock, SystemClock};
use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::{Gateway, Launch};
use tollgate_testkit::process::{HEARD_WITHIN, within};

use crate::support::{PASSWORD, join, launch, log_in, new_key, new_user, preset};

/// What changes elsewhere is known to a running gateway within this time.
const NEW: &str = "another horse battery";

/// A gateway whose clock agrees with that of the commands.
fn at_this_hour() -> Launch {
    launch().clock(SystemClock::new().now().as_secs())
}

fn is_in(gateway: &Gateway, call: Call) -> bool {
    match gateway.call(&call).status {
        200 => true,
        401 | 403 => false,
        other => panic!("{other}"),
    }
}

#[test]
fn a_log_in_with_a_live_cookie_ends_that_session() {
    let gateway = preset("random-number");
    let before = join(&gateway, "ann");
    let credentials = json!({ "username": "ann", "password": PASSWORD });
    let again = gateway.call(&before.with_cookie(Call::post("/login").json(&credentials)));
    assert_eq!(again.status, 200);
    let fresh = again.cookie("session").unwrap().0;
    assert_ne!(fresh, before.session);
    let look = || Call::get("/see_remaining_limits");
    assert!(!is_in(&gateway, before.with_cookie(look())));
    assert!(!is_in(&gateway, before.get("/see_remaining_limits")));
    assert!(is_in(
        &gateway,
        look().field("cookie", &format!("session={fresh}"))
    ));
}

#[test]
fn a_session_that_nobody_uses_ends_and_one_in_use_does_not() {
    let rules = "[accounts]\nsession_idle_ttl_s = 600\n[[routes]]\nmatch = \"GET /\"\nauth = [\"session\"]\nrespond = { text = \"x\" }\n\
        [[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n";
    let gateway = launch().rules(rules).clock(1_800_000_000).start();
    let ann = join(&gateway, "ann");
    let idle = log_in(&gateway, "ann");
    let call = |who: &crate::support::Person| who.with_cookie(Call::get("/"));
    assert!(is_in(&gateway, call(&idle)));
    for _ in 0..3 {
        assert!(is_in(&gateway, call(&ann)));
        gateway.advance(599.0);
    }
    assert!(is_in(&gateway, call(&ann)));
    assert!(!is_in(&gateway, call(&idle)));
}

#[test]
fn a_changed_password_leaves_one_session_and_another_site_cannot_change_it() {
    let gateway = preset("random-number");
    let (ann, other) = (join(&gateway, "ann"), log_in(&gateway, "ann"));
    let change = json!({ "current_password": PASSWORD, "new_password": NEW });
    let call = || ann.with_cookie(Call::post("/password").json(&change));
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
    ] {
        assert_eq!(
            gateway.call(&call().field(name, value)).status,
            403,
            "{name}"
        );
    }
    assert_eq!(
        gateway.call(&Call::post("/password").json(&change)).status,
        401
    );
    let wrong = json!({ "current_password": "wrong", "new_password": NEW });
    let wrong = ann.with_cookie(Call::post("/password").json(&wrong));
    assert_eq!(gateway.call(&wrong).status, 422);

    let changed = gateway.call(&call());
    assert_eq!(changed.status, 200, "{}", changed.text());
    let fresh = changed.cookie("session").unwrap().0;
    let look = || Call::get("/see_remaining_limits");
    for before in [&ann, &other] {
        assert!(!is_in(&gateway, before.with_cookie(look())));
        assert!(!is_in(&gateway, before.get("/see_remaining_limits")));
    }
    assert!(is_in(
        &gateway,
        look().field("cookie", &format!("session={fresh}"))
    ));
    let page = Call::get("/password").field("cookie", &format!("session={fresh}"));
    let page = gateway.call(&page.browser());
    assert!(
        page.text().contains("name=\"new_password\""),
        "{}",
        page.text()
    );
    assert!(
        page.text().contains("href=\"/password\""),
        "{}",
        page.text()
    );
}

#[test]
fn a_program_logs_out_everywhere() {
    let gateway = preset("random-number");
    let (phone, laptop) = (join(&gateway, "ann"), log_in(&gateway, "ann"));
    let out = Call::post("/logout").json(&json!({ "everywhere": true }));
    assert_eq!(gateway.call(&phone.with_cookie(out)).status, 204);
    for person in [&phone, &laptop] {
        assert!(!is_in(&gateway, person.get("/see_remaining_limits")));
    }
}

#[test]
fn a_gateway_that_runs_notices_a_new_key_and_a_revoked_token() {
    let gateway = at_this_hour().preset("random-number").start();
    let (first, second) = (join(&gateway, "ann"), log_in(&gateway, "ann"));
    let rotated = gateway.command(&["token", "rotate"], "");
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    within(HEARD_WITHIN, || {
        header(&log_in(&gateway, "ann").token) != header(&first.token)
    });
    for person in [&first, &second, &log_in(&gateway, "ann")] {
        assert!(is_in(&gateway, person.get("/see_remaining_limits")));
    }
    let argument = gateway.command(&["token", "revoke", &first.token], "");
    assert_eq!(argument.code, 2, "others could read it: {argument:?}");
    let revoked = gateway.command(&["token", "revoke"], &first.token);
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert!(!revoked.stdout.contains(&first.token));
    within(HEARD_WITHIN, || {
        !is_in(&gateway, first.get("/see_remaining_limits"))
    });
    assert!(is_in(&gateway, second.get("/see_remaining_limits")));
    let look = Call::get("/see_remaining_limits");
    assert!(
        is_in(&gateway, first.with_cookie(look)),
        "the session goes on"
    );
    let at_once = gateway.command(&["token", "rotate", "--at-once"], "");
    assert_eq!(at_once.code, 0, "{at_once:?}");
    within(HEARD_WITHIN, || {
        !is_in(&gateway, second.get("/see_remaining_limits"))
    });
    let log = gateway.command(&["audit"], "").stdout;
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(
        (lines("token-key-rotated"), lines("token-revoked")),
        (2, 1),
        "{log}"
    );
}

const SCOPED: &str = "[limits.a]\nkey = \"user\"\nquotas = [\"3 per minute\"]\n\
    [[routes]]\nmatch = \"GET /\"\nauth = [\"session\", \"bearer\", \"api-key\"]\nscopes = [\"numbers:read\"]\nlimits = [\"a\"]\nrespond = { text = \"x\" }\n\
    [[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n\
    [[routes]]\nmatch = \"GET /token\"\nbuiltin = \"token\"\n";

#[test]
fn a_credential_without_the_scope_is_403_and_costs_nothing() {
    let gateway = at_this_hour().rules(SCOPED).start();
    new_user(&gateway, "ann");
    let lacking = new_key(
        &gateway,
        "ann",
        &["--scope", "keys:read", "--expires-in", "30d"],
    );
    let having = new_key(
        &gateway,
        "ann",
        &["--scope", "keys:read", "--scope", "numbers:read"],
    );
    let all = new_key(&gateway, "ann", &[]);
    for _ in 0..5 {
        let refused = gateway.call(&lacking.get("/"));
        assert_eq!(refused.status, 403);
        assert_eq!(
            refused.json()["type"],
            "tag:tollgate,2026:insufficient-scope"
        );
        let challenge = refused.expect("www-authenticate");
        assert!(
            challenge.contains("error=\"insufficient_scope\", scope=\"numbers:read\""),
            "{challenge}"
        );
    }
    assert_eq!(gateway.call(&having.get("/")).status, 200);
    assert_eq!(gateway.call(&all.get("/")).status, 200);
    assert_eq!(gateway.call(&log_in(&gateway, "ann").get("/")).status, 200);
    let guest = gateway.call(&Call::get("/token"));
    let guest = guest.json()["token"].as_str().unwrap().to_owned();
    let refused = gateway.call(&Call::get("/").bearer(&guest));
    assert_eq!(refused.status, 403, "anybody can be a guest");
    let listed = gateway.command(&["key", "list", "ann"], "");
    assert!(
        listed.stdout.contains("  keys:read numbers:read  "),
        "{listed:?}"
    );
    let wrong = gateway.command(&["key", "create", "ann", "--scope", "a\"b"], "");
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let wrong = gateway.command(&["key", "create", "ann", "--expires-in", "soon"], "");
    assert_eq!(wrong.code, 2, "{wrong:?}");
}
