//! What a question has to say, and how: what is missing, contradictory or spelled otherwise is refused.

use super::*;

#[test]
fn what_is_said_twice_or_contradicts_itself_is_refused_and_charges_nothing() {
    let gateway = asked("");
    let key = ann(&gateway);
    let sound = || with(traefik("GET", "/call"), &key);
    for (name, value) in [
        ("x-forwarded-uri", "/open"),
        ("x-forwarded-method", "GET"),
        ("x-original-uri", "/open"),
        ("x-original-method", "DELETE"),
        ("x-forwarded-host", "other.example"),
        ("x-forwarded-proto", "http"),
        ("x-api-key", "another"),
        ("authorization", "Bearer another"),
    ] {
        let answer = gateway.call(&sound().field(name, value));
        assert_eq!(statuses(&answer), (400, Some("400")), "{name}: {value}");
        let to_nginx = gateway.call(&with(nginx("GET", "/call"), &key).field(name, value));
        let expected = if name == "x-forwarded-method" {
            (204, None)
        } else {
            (403, Some("400"))
        };
        assert_eq!(statuses(&to_nginx), expected, "{name}: {value}");
    }
    // Of a path that servers read differently nothing is said.
    for target in [
        "/call%2f..",
        "/call;a",
        "/call#/open",
        "/..",
        "call",
        "http://site/call",
        "",
    ] {
        assert_eq!(
            gateway.call(&with(traefik("GET", target), &key)).status,
            400,
            "{target}"
        );
    }
    for name in ["x_user_id", "x+user+id", "x~forwarded-for", "x.real.ip"] {
        let answer = gateway.call(&sound().field(name, "root"));
        assert_eq!(statuses(&answer), (400, Some("400")), "{name}");
    }
    let left = rate_limit(&gateway.call(&sound()))["per-user.minute"].0;
    assert_eq!(
        left, 3,
        "what nginx did not contradict was charged, and nothing else"
    );
}

/// The server behind a proxy gets what the client wrote, not what the gateway would have made of it.
#[test]
fn a_path_that_the_gateway_would_have_spelled_otherwise_is_refused_and_charges_nothing() {
    let more = "[[routes]]\nmatch = \"/admin/{*rest}\"\nauth = [\"api-key\"]\n\
        [[routes]]\nmatch = \"/free/{*rest}\"\n\
        [[routes]]\nmatch = [\"/both/\", \"/both/{*rest}\"]\n\
        [[routes]]\nmatch = \"/Status\"\nlimits = [\"per-address\"]\n\
        [[routes]]\nmatch = \"/u/{user}/\"\n\
        [[routes]]\nmatch = \"/{user}\"\nauth = [\"api-key\"]\n";
    let gateway = asked(more);
    for target in [
        "/admin/secret/../../free/x",
        "/admin/%2e%2e/free/x",
        "/admin/.%2E/free/x",
        "//free/x",
        "/free//x",
        "/FREE/x",
        "/Free/x",
        "/free/./x",
        "/free/x/.",
        "/fr%65e/x",
        "/free/%7Ex",
        "/free/%c3%a9",
        "/free/\"x",
        "/free/a%40b",
        "/free/",
        "/status",
        "/STATUS",
        "/Status/",
        "/Status/?a=b",
        "/u/ann",
        "/U/ann/",
    ] {
        let refused = gateway.call(&traefik("GET", target));
        assert_eq!(statuses(&refused), (400, Some("400")), "{target}");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("has to be spelled `/"), "{detail}");
        let to_nginx = gateway.call(&nginx("POST", target));
        assert_eq!(statuses(&to_nginx), (403, Some("400")), "{target}");
        let preflight = traefik("OPTIONS", target)
            .field("origin", "https://app.example")
            .field("access-control-request-method", "GET");
        assert_eq!(gateway.call(&preflight).status, 400, "{target}");
    }
    for (target, status) in [
        ("/free/x", 204),
        ("/free/X/", 204),
        ("/free", 204),
        ("/both", 204),
        ("/both/", 204),
        ("/both/x", 204),
        ("/free/%C3%A9?../%2e%2e//a", 204),
        ("/Status", 204),
        ("/Status?a", 204),
        ("/Status", 429),
        ("/u/Ann/", 204),
        ("/admin/x", 401),
    ] {
        let answer = gateway.call(&traefik("GET", target));
        assert_eq!(answer.status, status, "{target}");
    }
}

#[test]
fn a_question_that_does_not_end_in_an_address_is_nobodys() {
    let gateway = asked("");
    let from = |clients: &str| {
        let call = Call::get("/v1/auth").field("x-forwarded-for", clients);
        let call = call.field("x-original-method", "GET");
        gateway.call(&call.field("x-original-uri", "/open")).status
    };
    for clients in [
        "",
        "unknown",
        "192.0.2.8:80",
        "[2001:db8::1]",
        "192.0.2.8, ",
        "192.0.2.8, _hidden",
    ] {
        assert_eq!(from(clients), 400, "{clients}");
    }
    let twice = Call::get("/v1/auth")
        .field("x-forwarded-for", "192.0.2.8")
        .field("x-forwarded-for", "unknown")
        .field("x-original-method", "GET")
        .field("x-original-uri", "/open");
    assert_eq!(gateway.call(&twice).status, 400);
    assert_eq!(from("unknown, 192.0.2.8"), 204);
    assert_eq!(from("2001:db8::1"), 204);
}

#[test]
fn a_question_that_cannot_be_taken_is_told_as_it_was_asked() {
    let gateway = asked("");
    let malformed = |path: &str, host: &str| {
        let fields =
            "x-forwarded-for: 192.0.2.7\r\nx-original-method: GET\r\nx-original-uri: /open";
        let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n\r\n");
        raw(gateway.address(), head.into_bytes()).unwrap().0
    };
    for host in ["a,b", "", "a\r\nhost: b"] {
        let to_nginx = malformed("/v1/auth?deny=403", host);
        assert_eq!(statuses(&to_nginx), (403, Some("400")), "{host:?}");
        let to_traefik = malformed("/v1/auth", host);
        assert_eq!(statuses(&to_traefik), (400, Some("400")), "{host:?}");
        let no_question = malformed("/open?deny=403", host);
        assert_eq!(statuses(&no_question), (400, None), "{host:?}");
    }
    assert_eq!(malformed("/v1/auth", "tollgate").status, 204);
    let line = "tollgate_forward_auth_questions_total{outcome=\"refused\"} 6";
    assert!(counted(&gateway, line));
}

#[test]
fn a_method_of_any_length_makes_no_line_of_any_length() {
    let gateway = asked("");
    let long = "A".repeat(9_000);
    let to_nginx = gateway.call(&nginx(&long, "/open"));
    assert_eq!(statuses(&to_nginx), (403, Some("400")));
    assert_eq!(gateway.call(&Call::new(&long, "/open")).status, 400);
    let longest = "A".repeat(32);
    assert_eq!(gateway.call(&traefik(&longest, "/open")).status, 405);
    let mut gateway = gateway;
    let log = eventually("two lines have such a method", || {
        let log = gateway.process().log();
        (log.matches(&longest).count() >= 2).then_some(log)
    });
    assert!(!log.contains(&"A".repeat(33)));
}
