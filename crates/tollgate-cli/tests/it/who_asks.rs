//! Whose request it is: what clients say about themselves, what proxies say about them, and what the upstream is told.

use tollgate_testkit::client::Call;
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::upstream::Upstream;

use crate::support::{join, launch, new_key};

const ACCOUNTS: &str = "\
[[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n\
[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n";

/// Everything under `/private` for those who are known, everything under `/open` for everybody.
fn two_ways(upstream: &Upstream, server: &str) -> Gateway {
    let url = upstream.url();
    launch()
        .rules(&format!(
            "[server]\n{server}\n{ACCOUNTS}\
             [[routes]]\nmatch = \"/private/{{*rest}}\"\nauth = [\"session\", \"bearer\", \"api-key\"]\nupstream = \"{url}\"\n\
             [[routes]]\nmatch = \"/open/{{*rest}}\"\nupstream = \"{url}\"\n"
        ))
        .start()
}

#[test]
fn the_upstream_learns_who_asks_from_the_gateway_alone() {
    let upstream = Upstream::recording();
    let gateway = two_ways(&upstream, "");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    let lies = [
        ("X-User-Id", "root"),
        ("x_user_id", "root"),
        ("X-User_Id", "root"),
        ("X.User.Id", "root"),
        ("x!user~id", "root"),
        ("X-User-Name", "root"),
        ("x_user_name", "root"),
        ("X-Api-Key-Id", "root"),
        ("X_API_KEY_ID", "root"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/admin"),
        ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Request-Id", "chosen"),
    ];
    let lying = |call: Call| {
        lies.iter()
            .fold(call, |call, (name, value)| call.field(name, value))
    };
    for (call, key_id) in [
        (ann.get("/private/x"), None),
        (ann.with_cookie(Call::get("/private/x")), None),
        (key.get("/private/x"), Some(key.id.as_str())),
        (
            Call::get("/private/x").bearer(&key.secret),
            Some(key.id.as_str()),
        ),
    ] {
        let answer = gateway.call(&lying(call));
        assert_eq!(answer.status, 200);
        let received = upstream.last();
        assert_eq!(received.fields("x-user-name"), ["ann"]);
        let ids = received.fields("x-user-id");
        assert!(
            ids.len() == 1 && ids[0] != "root" && ids[0].len() >= 16,
            "{ids:?}"
        );
        assert_eq!(received.field("x-api-key-id"), key_id);
        assert_eq!(received.fields("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(received.fields("x-forwarded-proto"), ["http"]);
        assert_eq!(
            received.fields("x-forwarded-host"),
            [gateway.address().to_string()]
        );
        assert_eq!(
            received.fields("x-request-id"),
            [answer.expect("x-request-id")]
        );
        for gone in ["x-forwarded-prefix", "x-real-ip", "forwarded"] {
            assert_eq!(received.field(gone), None);
        }
        let spelled_with_underscores: Vec<String> = received
            .names()
            .into_iter()
            .filter(|name| name.contains('_'))
            .collect();
        assert!(
            spelled_with_underscores.is_empty(),
            "{spelled_with_underscores:?}"
        );
    }
    // Where nobody is asked, nobody is named.
    assert_eq!(gateway.call(&lying(Call::get("/open/x"))).status, 200);
    let received = upstream.last();
    for gone in ["x-user-id", "x-user-name", "x-api-key-id"] {
        assert_eq!(received.field(gone), None);
    }
}

#[test]
fn credentials_end_at_the_gateway_where_it_asked_for_them_and_go_on_where_it_did_not() {
    let upstream = Upstream::recording();
    let gateway = two_ways(&upstream, "");
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    let cookies = format!("a=1; session={}; b=2; __Host-sessions=3", ann.session);
    for call in [
        ann.get("/private/x"),
        key.get("/private/x"),
        Call::get("/private/x").field("cookie", &cookies),
    ] {
        assert_eq!(gateway.call(&call).status, 200);
        let received = upstream.last();
        assert_eq!(received.field("authorization"), None);
        assert_eq!(received.field("x-api-key"), None);
        let everything = format!("{received:?}");
        for secret in [&ann.token, &ann.session, &key.secret] {
            assert!(
                !everything.contains(secret.as_str()),
                "a secret travelled on: {everything}"
            );
        }
    }
    assert_eq!(
        upstream.last().fields("cookie"),
        ["a=1; b=2; __Host-sessions=3"]
    );
    let own = Call::get("/open/x")
        .field("authorization", "Basic YTpi")
        .field("x-api-key", "theirs");
    gateway.call(&own.field("cookie", "session=theirs"));
    let received = upstream.last();
    assert_eq!(received.field("authorization"), Some("Basic YTpi"));
    assert_eq!(received.field("x-api-key"), Some("theirs"));
    assert_eq!(received.field("cookie"), Some("session=theirs"));
}

#[test]
fn nobody_is_believed_about_their_address_unless_the_rules_list_them() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("5 per minute by client-ip")
        .start();
    for number in 0..20 {
        let call = Call::get("/").field("x-forwarded-for", &format!("10.0.0.{number}"));
        let expected = if number < 5 { 200 } else { 429 };
        assert_eq!(gateway.call(&call).status, expected);
    }
    for name in [
        "forwarded",
        "x-real-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "x_forwarded_for",
    ] {
        assert_eq!(
            gateway.call(&Call::get("/").field(name, "10.1.1.1")).status,
            429,
            "{name}"
        );
    }
}

#[test]
fn behind_a_trusted_proxy_the_client_is_the_first_unknown_address_from_the_right() {
    let upstream = Upstream::recording();
    let rules = format!(
        "[server]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n\
         [[routes]]\nmatch = \"/{{*rest}}\"\nlimits = [\"1 per minute by client-ip\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    // Each chain with the client that it means: two that mean the same one share its limit.
    let chains: [(&[&str], &str); 8] = [
        (&["192.0.2.1"], "192.0.2.1"),
        (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (&["6.6.6.6, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (&["6.6.6.6", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        (&["::ffff:192.0.2.1"], "192.0.2.1"),
        (&["2001:DB8::1"], "2001:db8:0:0::/64"),
        (&["2001:db8:0:0:ffff::9"], "2001:db8:0:0::/64"),
        (&["192.0.2.1, 198.51.100.7"], "198.51.100.7"),
    ];
    let mut seen = Vec::new();
    let gateway = launch().rules(&rules).start();
    for (lines, client) in chains {
        let call = lines.iter().fold(Call::get("/"), |call, line| {
            call.field("x-forwarded-for", line)
        });
        let expected = if seen.contains(&client) { 429 } else { 200 };
        seen.push(client);
        assert_eq!(gateway.call(&call).status, expected, "{lines:?}");
    }
    // The chain goes on with the proxy at its end.
    let call = Call::get("/")
        .field("x-forwarded-for", "203.0.113.9")
        .field("x-forwarded-proto", "https");
    assert_eq!(gateway.call(&call).status, 200);
    assert_eq!(
        upstream.last().field("x-forwarded-for"),
        Some("203.0.113.9, 127.0.0.1")
    );
    assert_eq!(upstream.last().field("x-forwarded-proto"), Some("https"));
}

#[test]
fn whoever_has_no_credentials_of_a_routes_is_told_which_ones_it_takes() {
    let route = |path: &str, auth: &str| {
        format!(
            "[[routes]]\nmatch = \"GET {path}\"\nauth = [{auth}]\nrespond = {{ text = \"in\" }}\n"
        )
    };
    let routes = [
        route("/key", "\"api-key\""),
        route("/session", "\"session\""),
        route("/token", "\"bearer\""),
        route("/person", "\"session\", \"bearer\""),
        route("/program", "\"bearer\", \"api-key\""),
    ];
    let rules =
        ACCOUNTS.replace("\"POST /login\"", "[\"GET /login\", \"POST /login\"]") + &routes.concat();
    let gateway = launch().rules(&rules).start();
    let ann = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &[]);
    let (bearer, api_key) = ("Bearer", "ApiKey");
    let cases: [(Call, &str, &[&str]); 6] = [
        (
            ann.get("/key"),
            "Send an API key: this route takes API keys only.",
            &[bearer, api_key],
        ),
        (
            key.get("/session"),
            "Log in: this route takes sessions only.",
            &["Cookie"],
        ),
        (
            ann.get("/session"),
            "Log in: this route takes sessions only.",
            &["Cookie"],
        ),
        (
            key.get("/token"),
            "Send a token: this route takes tokens only.",
            &[bearer],
        ),
        (key.get("/person"), "Log in, or send a token.", &[bearer]),
        (
            Call::get("/program"),
            "Send a token or an API key.",
            &[bearer, api_key],
        ),
    ];
    for (call, detail, schemes) in cases {
        let page = gateway.call(&call.clone().field("accept", "text/html"));
        let answer = gateway.call(&call);
        assert_eq!((answer.status, page.status), (401, 401), "{detail}");
        assert_eq!(answer.json()["detail"], detail);
        let challenges = answer.fields("www-authenticate");
        let named = challenges
            .iter()
            .map(|challenge| challenge.split(' ').next().unwrap());
        assert_eq!(named.collect::<Vec<_>>(), schemes, "{detail}");
        assert!(page.text().contains(detail), "{}", page.text());
        let leads_to_log_in = page.text().contains("/login?next=");
        assert_eq!(leads_to_log_in, detail.starts_with("Log in"), "{detail}");
    }
}
