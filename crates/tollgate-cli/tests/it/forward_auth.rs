//! Forward authentication: a proxy asks about requests of its own clients. What real proxies do with the answers is
//! tested in `tests/deploy`.

mod questions;

use tollgate_testkit::client::{Answer, Call, raw};
use tollgate_testkit::gateway::Gateway;
use tollgate_testkit::process::eventually;
use tollgate_testkit::upstream::Upstream;

use crate::support::{
    BAD_CREDENTIALS, Key, NO_CREDENTIALS, QUOTA_EXCEEDED, join, launch, new_key, new_user,
    rate_limit,
};

const RULES: &str = "\
[limits.per-user]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n\
[limits.per-tenant]\nkey = \"query:tenant\"\nquotas = [\"1 per minute\"]\nmissing = \"skip\"\n\
[limits.per-address]\nkey = \"client-ip\"\nquotas = [\"2 per minute\"]\n\
[[routes]]\nmatch = \"/v1/auth\"\nbuiltin = \"forward-auth\"\n\
[[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n\
[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n\
[[routes]]\nmatch = [\"GET /call\", \"POST /call\"]\nauth = [\"session\", \"api-key\"]\nlimits = [\"per-user\"]\n\
[[routes]]\nmatch = \"GET /tenants/{*rest}\"\nlimits = [\"per-tenant\"]\n\
[[routes]]\nmatch = \"GET /open\"\nlimits = [\"per-address\"]\nhead = \"local\"\n\
[[routes]]\nmatch = \"GET /ahead\"\nprefetch = \"refuse\"\n\
[[routes]]\nmatch = \"GET /hidden\"\nauth = [\"api-key\"]\nstatus = { unauthenticated = 404 }\n";

/// A gateway that proxies on 127.0.0.1 ask. Others of the loopback network are strangers.
fn asked(more: &str) -> Gateway {
    let server = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\naccess_log = true\n";
    launch().rules(&format!("{server}{RULES}{more}")).start()
}

/// What Traefik's ForwardAuth sends about a request of 192.0.2.7.
fn traefik(method: &str, target: &str) -> Call {
    Call::get("/v1/auth")
        .field("user-agent", "curl/8")
        .field("x-forwarded-for", "192.0.2.7")
        .field("x-forwarded-host", "api.example.com")
        .field("x-forwarded-method", method)
        .field("x-forwarded-port", "443")
        .field("x-forwarded-proto", "https")
        .field("x-forwarded-server", "proxy-1")
        .field("x-forwarded-uri", target)
        .field("x-real-ip", "192.0.2.7")
        .field("accept-encoding", "gzip")
}

/// What nginx sends as the recipe has it.
fn nginx(method: &str, target: &str) -> Call {
    Call::get("/v1/auth?deny=403")
        .field("x-forwarded-for", "192.0.2.7")
        .field("x-forwarded-host", "api.example.com")
        .field("x-forwarded-proto", "https")
        .field("x-original-method", method)
        .field("x-original-uri", target)
}

fn ann(gateway: &Gateway) -> Key {
    new_user(gateway, "ann");
    new_key(gateway, "ann", &[])
}

fn with(call: Call, key: &Key) -> Call {
    call.field("x-api-key", &key.secret)
}

/// The status, and the one that nginx is not told.
fn statuses(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.field("x-tollgate-status"))
}

fn counted(gateway: &Gateway, line: &str) -> bool {
    let metrics = gateway.admin(&Call::get("/metrics")).text();
    metrics.lines().any(|known| known == line)
}

#[test]
fn yes_comes_with_who_it_is_and_where_the_limits_stand_and_counts_as_at_the_gateway_itself() {
    let upstream = Upstream::recording();
    let proxied = format!(
        "[[routes]]\nmatch = \"GET /proxied\"\nauth = [\"api-key\"]\nlimits = [\"per-user\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let gateway = asked(&proxied);
    let key = ann(&gateway);
    let yes = gateway.call(&with(traefik("GET", "/call?a=b"), &key));
    assert_eq!((yes.status, yes.body.len()), (204, 0));
    assert_eq!(rate_limit(&yes)["per-user.minute"].0, 4);
    assert_eq!(
        yes.expect("ratelimit-policy"),
        "\"per-user.minute\";q=5;w=60"
    );
    assert_eq!(yes.expect("x-user-name"), "ann");
    assert_eq!(yes.expect("x-api-key-id"), key.id);
    assert_eq!(yes.expect("cache-control"), "no-store");
    assert!(yes.field("x-tollgate-status").is_none() && yes.field("retry-after").is_none());
    // Here and there it is one count, and the upstream of ours is told the same of who it is.
    assert_eq!(gateway.call(&key.get("/proxied")).status, 200);
    let received = upstream.last();
    for name in ["x-user-id", "x-user-name", "x-api-key-id"] {
        assert_eq!(received.field(name), yes.field(name));
    }
    assert_eq!(
        gateway.call(&with(nginx("POST", "/call"), &key)).status,
        204
    );
    assert_eq!(
        gateway.call(&with(nginx("GET", "/proxied"), &key)).status,
        204
    );
    assert_eq!(gateway.call(&key.get("/proxied")).status, 200);
    let denied = gateway.call(&with(traefik("GET", "/call"), &key));
    assert_eq!(statuses(&denied), (429, Some("429")));
    assert_eq!(denied.retry_after(), Some(60));
    assert_eq!(denied.expect("content-type"), "application/problem+json");
    assert_eq!(denied.json()["type"], QUOTA_EXCEEDED);
    assert_eq!(
        denied.json()["instance"],
        "/call",
        "not where the proxy asked"
    );
    let there = gateway.call(&key.get("/proxied"));
    assert_eq!(
        (there.status, there.json()["type"].clone()),
        (429, QUOTA_EXCEEDED.into())
    );
    let to_nginx = gateway.call(&with(nginx("GET", "/call"), &key));
    assert_eq!(statuses(&to_nginx), (403, Some("429")));
    assert_eq!(to_nginx.retry_after(), Some(60));
    for line in [
        "tollgate_forward_auth_questions_total{outcome=\"allowed\"} 3",
        "tollgate_forward_auth_questions_total{outcome=\"denied\"} 2",
        "tollgate_requests_total{route=\"GET /call\",outcome=\"allowed\"} 2",
    ] {
        assert!(counted(&gateway, line), "{line}");
    }
}

#[test]
fn without_good_credentials_it_is_401_for_every_proxy_and_neither_they_nor_the_target_are_logged() {
    let gateway = asked("");
    let key = ann(&gateway);
    let secret = "tg_0000000000000000000000000000000000000000000";
    for ask in [traefik, nginx] {
        let none = gateway.call(&ask("GET", "/call?token=in-the-query"));
        assert_eq!(statuses(&none), (401, Some("401")));
        assert_eq!(none.json()["type"], NO_CREDENTIALS);
        assert!(none.expect("www-authenticate").starts_with("Bearer "));
        let bad = gateway.call(
            &ask("GET", "/call")
                .bearer(secret)
                .field("cookie", "session=c00kie"),
        );
        assert_eq!(statuses(&bad), (401, Some("401")));
        assert_eq!(bad.json()["type"], BAD_CREDENTIALS);
        assert_eq!(gateway.call(&with(ask("GET", "/call"), &key)).status, 204);
        // Where a route hides itself, nginx is told so beside the 403 that it understands.
        let hidden = gateway.call(&ask("GET", "/hidden"));
        assert_eq!(hidden.field("x-tollgate-status"), Some("404"));
    }
    let mut gateway = gateway;
    let log = eventually("a line of each question in the log", || {
        let log = gateway.process().log();
        let all = log.matches("GET /call").count() == 6 && log.matches("GET /hidden").count() == 2;
        all.then_some(log)
    });
    for unseen in [secret, &key.secret, "c00kie", "in-the-query", "192.0.2.7"] {
        assert!(!log.contains(unseen), "{unseen} is in the log");
    }
}

#[test]
fn a_stranger_who_speaks_as_a_proxy_is_refused_and_counted_and_spends_nobodys_units() {
    let gateway = asked("");
    let key = ann(&gateway);
    for ask in [traefik, nginx] {
        let call = with(ask("GET", "/call"), &key).from([127, 0, 0, 2].into());
        let refused = gateway.call(&call);
        assert_eq!(statuses(&refused), (403, Some("403")));
        assert!(
            refused.json()["detail"]
                .as_str()
                .unwrap()
                .contains("trusted_proxies")
        );
        assert!(refused.field("x-user-id").is_none() && refused.field("ratelimit").is_none());
    }
    let line = "tollgate_forward_auth_questions_total{outcome=\"stranger\"} 2";
    assert!(counted(&gateway, line));
    let yes = gateway.call(&with(traefik("GET", "/call"), &key));
    assert_eq!(
        rate_limit(&yes)["per-user.minute"].0,
        4,
        "nothing was charged"
    );
    // Of a client behind the proxy the last address that the proxy wrote counts, whatever stands left of it.
    let from = |chain: &str| {
        let call = Call::get("/v1/auth").field("x-forwarded-for", chain);
        let call = call.field("x-original-method", "GET");
        gateway.call(&call.field("x-original-uri", "/open")).status
    };
    assert_eq!(
        [
            "6.6.6.6, 192.0.2.8",
            "7.7.7.7, 192.0.2.8",
            "8.8.8.8, 192.0.2.8"
        ]
        .map(from),
        [204, 204, 429]
    );
    assert_eq!(from("192.0.2.9"), 204);
}

#[test]
fn what_no_route_takes_does_not_pass_and_nothing_is_there_for_those_who_come_themselves() {
    let gateway = asked("");
    let key = ann(&gateway);
    for (method, target, status) in [
        ("GET", "/nowhere", "404"),
        ("GET", "/v1/auth", "404"),
        ("DELETE", "/call", "405"),
        ("TRACE", "/call", "405"),
    ] {
        let to_traefik = gateway.call(&with(traefik(method, target), &key));
        assert_eq!(to_traefik.status.to_string(), status, "{method} {target}");
        let to_nginx = gateway.call(&with(nginx(method, target), &key));
        assert_eq!(
            statuses(&to_nginx),
            (403, Some(status)),
            "{method} {target}"
        );
    }
    assert_eq!(gateway.call(&key.get("/call")).status, 404);
    assert_eq!(gateway.get("/open").status, 404);
    assert!(gateway.call(&key.get("/call")).field("ratelimit").is_none());
    let ahead = gateway.call(&nginx("GET", "/ahead").field("sec-purpose", "prefetch"));
    assert_eq!(statuses(&ahead), (403, Some("503")));
    assert_eq!(gateway.call(&nginx("GET", "/ahead")).status, 204);
}

#[test]
fn a_preflight_passes_and_no_other_options_and_a_proxy_that_keeps_the_method_is_not_told_yes_by_it()
{
    let gateway = asked("[[routes]]\nmatch = \"/any\"\nauth = [\"api-key\"]\n");
    let key = ann(&gateway);
    let announcing = |call: Call, method: &str| {
        call.field("origin", "https://app.example")
            .field("access-control-request-method", method)
    };
    let preflight = |call: Call| announcing(call, "POST");
    // What it announces has to have a route.
    for (target, method, status) in [
        ("/call", "GET", 204),
        ("/call", "HEAD", 204),
        ("/call", "DELETE", 405),
        ("/call", "OPTIONS", 405),
        ("/call", "post", 405),
        ("/call", "", 405),
        ("/call", "POST, GET", 405),
        ("/any", "DELETE", 204),
        ("/any", "PURGE", 204),
        ("/any", "TRACE", 405),
        ("/v1/auth", "GET", 404),
    ] {
        let answer = gateway.call(&announcing(traefik("OPTIONS", target), method));
        assert_eq!(answer.status, status, "{method} {target}");
    }
    let twice =
        preflight(traefik("OPTIONS", "/call")).field("access-control-request-method", "GET");
    assert_eq!(gateway.call(&twice).status, 405);
    for ask in [traefik, nginx] {
        assert_eq!(
            gateway.call(&preflight(ask("OPTIONS", "/call"))).status,
            204
        );
        assert_ne!(gateway.call(&ask("OPTIONS", "/call")).status, 204);
        assert_ne!(
            gateway.call(&preflight(ask("OPTIONS", "/nowhere"))).status,
            204
        );
    }
    // One of the two fields makes no preflight.
    for (name, value) in [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
    ] {
        let half = gateway.call(&traefik("OPTIONS", "/call").field(name, value));
        assert_eq!(half.status, 405, "{name}");
    }
    for method in ["OPTIONS", "HEAD", "POST", "DELETE"] {
        let bare = gateway.call(&Call::new(method, "/v1/auth"));
        assert_eq!(bare.status, 400, "{method}");
        let named = Call::new(method, "/v1/auth")
            .field("x-forwarded-for", "192.0.2.7")
            .field("x-forwarded-method", method)
            .field("x-forwarded-uri", "/nowhere");
        assert_eq!(gateway.call(&named).status, 404, "{method}");
        let named = with(named, &key).from([127, 0, 0, 2].into());
        assert_eq!(gateway.call(&named).status, 403, "{method}");
    }
}

#[test]
fn head_costs_what_get_costs_because_it_goes_on_and_queries_are_those_of_the_client() {
    let gateway = asked("");
    let heads = [(); 3].map(|()| gateway.call(&traefik("HEAD", "/open")).status);
    assert_eq!(
        heads,
        [204, 204, 429],
        "also where the gateway itself would answer it"
    );
    let tenant = |name: &str| {
        let target = format!("/tenants/x?a=b&tenant={name}");
        gateway.call(&nginx("GET", &target)).status
    };
    assert_eq!(["one", "one", "two"].map(tenant), [204, 403, 204]);
    // Caddy puts the client's query behind the path where it asks.
    let caddy = Call::get("/v1/auth?tenant=three")
        .field("x-forwarded-for", "192.0.2.7")
        .field("x-forwarded-method", "GET")
        .field("x-forwarded-uri", "/tenants/x?tenant=three");
    assert_eq!([(); 2].map(|()| gateway.call(&caddy).status), [204, 429]);
}

#[test]
fn another_site_changes_nothing_by_the_cookie_of_its_visitor() {
    let gateway = asked("");
    let ann = join(&gateway, "ann");
    let post = |origin: &str| {
        let call = ann
            .with_cookie(traefik("POST", "/call"))
            .field("origin", origin);
        gateway.call(&call).status
    };
    assert_eq!(post("https://api.example.com"), 204);
    assert_eq!(post("https://evil.example"), 403);
    assert_eq!(
        gateway
            .call(&ann.with_cookie(traefik("GET", "/call")))
            .status,
        204
    );
}

#[test]
fn the_body_of_a_request_is_not_waited_for() {
    let gateway = asked("");
    let call = traefik("POST", "/tenants/x").field("content-length", "1000000");
    let (answer, _) = raw(gateway.address(), call.bytes("tollgate")).unwrap();
    assert_eq!(answer.status, 405);
    let call = traefik("GET", "/tenants/x").field("content-length", "1000000");
    let (answer, _) = raw(gateway.address(), call.bytes("tollgate")).unwrap();
    assert_eq!(answer.status, 204);
}

#[test]
fn a_limit_of_slots_is_refused_where_nobody_says_when_a_request_ends() {
    let upstream = Upstream::recording();
    let slots = format!(
        "[limits.slots]\nkey = \"client-ip\"\nquotas = [\"2 concurrent\"]\n\
         [[routes]]\nmatch = \"GET /slots\"\nlimits = [\"slots\", \"1 per minute by global\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let gateway = asked(&slots);
    let refused = gateway.call(&traefik("GET", "/slots"));
    assert_eq!(statuses(&refused), (403, Some("403")));
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("under way")
    );
    assert_eq!(gateway.get("/slots").status, 200, "nothing was charged");
    // Also where an administrator brings slots later.
    let done = gateway.command(&["limit", "set", "per-address", "5 concurrent"], "");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(gateway.call(&traefik("GET", "/open")).status, 403);
}

#[test]
fn preflights_are_charged_where_a_route_names_options() {
    let gateway =
        asked("[[routes]]\nmatch = \"OPTIONS /call\"\nlimits = [\"2 per minute by client-ip\"]\n");
    let preflight = traefik("OPTIONS", "/call")
        .field("origin", "https://app.example")
        .field("access-control-request-method", "POST");
    let answered = [(); 3].map(|()| gateway.call(&preflight).status);
    assert_eq!(answered, [204, 204, 429]);
}
