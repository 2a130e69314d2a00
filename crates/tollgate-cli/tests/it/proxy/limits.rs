//! What limits show and charge before an upstream.

use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::process::eventually;
use tollgate_testkit::upstream::Upstream;

use crate::support::{Person, join, launch, new_key, open_proxy, rate_limit, statuses};

const ACCOUNTS: &str = "\
[[routes]]\nmatch = \"POST /signup\"\nbuiltin = \"signup\"\n\
[[routes]]\nmatch = \"POST /login\"\nbuiltin = \"login\"\n";

#[test]
fn two_flags_make_a_limited_proxy_without_a_file() {
    let upstream = Upstream::recording();
    let mut gateway = launch()
        .upstream(&upstream.url())
        .limit("3 per minute by client-ip")
        .limit("5 per hour by client-ip")
        .start();
    let answer = gateway.call(&Call::new("PUT", "/any/path?x=1").body("text/plain", "hello"));
    assert_eq!(answer.status, 200);
    let received = upstream.last();
    assert_eq!(
        (received.method.as_str(), received.target.as_str()),
        ("PUT", "/any/path?x=1")
    );
    assert_eq!(received.body, b"hello");
    assert_eq!(statuses(&gateway, &Call::get("/"), 3), [200, 200, 429]);
    gateway.advance(60.0);
    assert_eq!(statuses(&gateway, &Call::get("/"), 3), [200, 200, 429]);
    assert_eq!(upstream.count(), 5);
    let line = gateway.process().line(|line| line.contains("listens"));
    assert!(
        line.contains("limited proxy"),
        "it says which rules it took: {line}"
    );
}

#[test]
fn a_proxy_without_a_limit_says_that_it_has_none() {
    let upstream = Upstream::recording();
    let mut gateway = launch().upstream(&upstream.url()).start();
    let line = gateway.process().line(|line| line.contains("listens"));
    assert!(line.contains("limits nothing"), "{line}");
    assert_eq!(statuses(&gateway, &Call::get("/"), 3), [200; 3]);
}

#[test]
fn a_slot_is_held_until_the_answer_has_gone_and_is_free_when_the_client_goes() {
    let (upstream, held) = Upstream::held();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("1 concurrent by client-ip")
        .start();
    let call = Call::get("/slow");
    let mut first = Connection::open(gateway.address());
    first.send(&call);
    held.arrived();
    let denied = gateway.call(&call);
    assert_eq!(denied.status, 429);
    assert_eq!(
        denied.field("ratelimit-policy"),
        Some("\"rest.concurrent\";q=1;qu=\"concurrent-requests\"")
    );
    assert_eq!(denied.field("ratelimit"), Some("\"rest.concurrent\";r=0"));
    held.release();
    assert_eq!(first.answer().status, 200);

    // One that goes away in the middle gives its slot back too.
    let mut second = Connection::open(gateway.address());
    second.send(&call);
    held.arrived();
    assert_eq!(gateway.call(&call).status, 429);
    drop(second);
    // One is for the request that nobody waits for any more.
    held.release();
    held.release();
    eventually("the slot to be free", || {
        (gateway.call(&call).status == 200).then_some(())
    });
}

#[test]
fn fields_of_an_upstreams_own_limits_give_way_to_ours_where_we_limit() {
    let upstream = Upstream::answering(
        "200 OK",
        "ratelimit: \"theirs\";r=1\r\nratelimit-policy: \"theirs\";q=2\r\nx-ratelimit-limit: 2\r\nx-ratelimit-remaining: 1\r\nx-ratelimit-reset: 9\r\n",
        "x",
    );
    let limited = launch()
        .upstream(&upstream.url())
        .limit("5 per minute")
        .start();
    let answer = limited.get("/");
    assert_eq!(answer.fields("x-ratelimit-limit"), ["5"]);
    assert_eq!(answer.fields("x-ratelimit-remaining"), ["4"]);
    assert_eq!(answer.fields("ratelimit").len(), 1);
    assert!(!format!("{answer:?}").contains("theirs"));
    // Where ours has no such fields, theirs would be taken for ours.
    let rules = format!(
        "[fields]\nlegacy = \"none\"\n\
         [[routes]]\nmatch = \"GET /\"\nlimits = [\"5 per minute\"]\nupstream = \"{}\"\n",
        upstream.url()
    );
    let answer = launch().rules(&rules).start().get("/");
    assert_eq!(answer.field("x-ratelimit-limit"), None);
    assert!(!format!("{answer:?}").contains("theirs"));
    let open = open_proxy(&upstream.url());
    assert_eq!(open.get("/").field("ratelimit"), Some("\"theirs\";r=1"));
}

#[test]
fn a_key_with_its_own_quota_is_shown_beside_every_limit_that_counted_and_no_other() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .rules(&format!(
            "{ACCOUNTS}\
             [limits.one]\nkey = \"user\"\nquotas = [\"5 per minute\"]\nexempt = [\"user:ann\"]\n\
             [limits.two]\nkey = \"user\"\nquotas = [\"7 per minute\"]\n\
             [[routes]]\nmatch = \"GET /a\"\nauth = [\"api-key\"]\nlimits = [\"one\", \"two\"]\nupstream = \"{}\"\n",
            upstream.url()
        ))
        .start();
    let _: Person = join(&gateway, "ann");
    let key = new_key(&gateway, "ann", &["--quota", "3 per minute"]);
    let answer = gateway.call(&key.get("/a"));
    assert_eq!(answer.status, 200);
    let policies: Vec<String> = rate_limit(&answer).into_keys().collect();
    assert_eq!(policies, ["own.minute", "two.minute"]);
    assert_eq!(
        answer.expect("ratelimit-policy"),
        "\"two.minute\";q=7;w=60, \"own.minute\";q=3;w=60",
        "it names the policies of RateLimit, {}",
        answer.expect("ratelimit")
    );
}

#[test]
fn a_head_is_charged_and_forwarded_as_what_it_is_and_options_reach_nobody() {
    let upstream = Upstream::recording();
    let gateway = launch()
        .upstream(&upstream.url())
        .limit("3 per minute")
        .start();
    let head = gateway.call(&Call::new("HEAD", "/x"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.field("content-length"),
        Some("12"),
        "what a GET would get"
    );
    assert_eq!(upstream.last().method, "HEAD");
    for _ in 0..10 {
        let options = gateway.call(&Call::new("OPTIONS", "/x"));
        assert_eq!(options.status, 204);
        assert!(options.expect("allow").contains("GET"));
    }
    assert_eq!(
        statuses(&gateway, &Call::new("HEAD", "/x"), 3),
        [200, 200, 429]
    );
    assert_eq!(upstream.count(), 3);
}

#[test]
fn a_limit_by_a_field_refuses_who_lacks_it_and_takes_any_value_up_to_its_length() {
    let gateway = launch()
        .rules(
            "[limits.tenant]\nkey = \"header:x-tenant\"\nquotas = [\"1 per minute\"]\n\
             [[routes]]\nmatch = \"GET /\"\nlimits = [\"tenant\"]\nrespond = { text = \"x\" }\n",
        )
        .start();
    for missing in [Call::get("/"), Call::get("/").field("x-tenant", "")] {
        assert_eq!(gateway.call(&missing).status, 403);
    }
    let long = "x".repeat(8_000);
    for (tenant, expected) in [
        ("a", [200, 429]),
        ("A", [200, 429]),
        ("e\u{301}", [200, 429]),
        ("\u{e9}", [200, 429]),
        (long.as_str(), [400, 400]),
    ] {
        let call = Call::get("/").field("x-tenant", tenant);
        assert_eq!(statuses(&gateway, &call, 2), expected, "{}", &tenant[..1]);
    }
}
