//! Where counters live, what happens while they cannot be reached, and what a cluster asks of the rules.

use std::time::Duration;

use tollgate::{Lease, OnError};
use tollgate_rules::{Overrides, RuleSet};

use crate::{ROUTE, complaint, complaints, printed, read, rules};

fn counters(body: &str) -> String {
    format!("[counters]\n{body}\n{ROUTE}")
}

#[test]
fn counters_are_in_memory_unless_the_file_or_the_command_line_names_a_store() {
    let defaults = rules(ROUTE).counters;
    assert!(!defaults.is_shared() && !defaults.is_cluster());
    assert_eq!(defaults.sharing.on_error, OnError::Local);
    assert_eq!(
        (defaults.nodes, defaults.deadline),
        (2, Duration::from_millis(25))
    );
    assert_eq!(defaults.prefix, "tollgate");
    for (url, is_cluster) in [
        ("redis://h", false),
        ("rediss://u:p@h:1/2", false),
        ("redis+unix:///run/redis.sock", false),
        ("redis+sentinel://a,b/main", false),
        ("redis+cluster://a:1,b:2", true),
        ("rediss+cluster://a:1,b:2", true),
    ] {
        let written = rules(&counters(&format!("url = \"{url}\""))).counters;
        assert!(written.is_shared(), "{url}");
        assert_eq!((&*written.url, written.is_cluster()), (url, is_cluster));
        let overrides = Overrides {
            counters: Some(url.to_owned()),
            ..Overrides::default()
        };
        let file = counters("url = \"memory:\"");
        let said = RuleSet::parse("file", &file, &overrides).unwrap().counters;
        assert_eq!(said.url, url);
    }
    let text = "url = \"redis://h\"\non_error = \"closed\"\nnodes = 3\ndeadline_ms = 50\nprefix = \"app.1\"";
    let written = rules(&counters(text)).counters;
    assert_eq!(written.sharing.on_error, OnError::Closed);
    assert_eq!(
        (written.nodes, written.deadline),
        (3, Duration::from_millis(50))
    );
    assert_eq!(written.prefix, "app.1");
}

#[test]
fn a_limit_has_the_leases_that_it_names_or_else_those_of_the_counters() {
    let body = |of_all: &str, own: &str| {
        format!(
            "[counters]\n{of_all}\n[limits.a]\nkey = \"client-ip\"\nquotas = \"9 per second token-bucket\"\n{own}\n{ROUTE}"
        )
    };
    for (of_all, own, lease) in [
        ("", "", Lease::Off),
        ("lease = \"auto\"", "", Lease::Auto),
        ("lease = \"auto\"", "lease = \"off\"", Lease::Off),
        ("", "lease = 5", Lease::Units(5)),
    ] {
        let rules = rules(&body(of_all, own));
        let limit = rules.limit("a").unwrap();
        assert_eq!(limit.policies[0].lease(), lease, "{of_all} {own}");
        let others = limit.policies_of("3 per second token-bucket").unwrap();
        assert_eq!(others[0].lease(), lease);
    }
}

#[test]
fn a_place_where_counters_cannot_live_is_refused_and_no_password_is_repeated() {
    for (url, shown, help) in [
        ("reds://h:1", "reds://h:1", "did you mean `redis:`?"),
        (
            "redis+clutser://a:1",
            "redis+clutser://a:1",
            "did you mean `redis+cluster:`?",
        ),
        ("memory", "memory", "write `memory:`"),
        ("redis:", "redis:", "redis://"),
        ("redis://", "redis://", "redis+unix://"),
        (
            "http://ann:s3cr3t@h",
            "http://ann:******@h",
            "redis+cluster://",
        ),
    ] {
        let errors = complaints(&counters(&format!("url = \"{url}\"")));
        let message = format!("counters cannot live in `{shown}`");
        assert_eq!((errors[0].message(), errors[0].line()), (&*message, 2));
        assert!(
            errors[0].help().unwrap().contains(help),
            "{url}: {errors:?}"
        );
        assert!(!printed(&errors).contains("s3cr3t"));
    }
    let shown = format!("{:?}", rules(&counters("url = \"redis://:s3cr3t@h\"")));
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn settings_of_a_store_that_make_no_sense_are_refused_with_what_would() {
    for (body, message, help) in [
        (
            "on_error = \"locl\"",
            "`on_error` cannot be `locl`",
            "did you mean `local`?",
        ),
        ("nodes = 0", "`nodes` must be between 1 and 10000", ""),
        (
            "lease = \"atuo\"",
            "`lease` cannot be `atuo`",
            "did you mean `auto`?",
        ),
        (
            "lease = 0",
            "`lease` must be between 1 and 9007199254740992",
            "",
        ),
        (
            "deadline_ms = 0",
            "`deadline_ms` must be between 1 and 10000",
            "",
        ),
        (
            "deadline_ms = 60000",
            "`deadline_ms` must be between 1 and 10000",
            "",
        ),
        (
            "prefix = \"\"",
            "`` cannot begin the names of keys",
            "letters, digits",
        ),
        (
            "prefix = \"a{b\"",
            "`a{b` cannot begin the names of keys",
            "letters, digits",
        ),
    ] {
        assert_eq!(
            complaint(&counters(body)),
            (message.to_owned(), help_of(body, help))
        );
    }
}

/// The whole help of which `part` is one.
fn help_of(body: &str, part: &str) -> String {
    let (_, help) = complaint(&counters(body));
    assert!(help.contains(part), "{help}");
    help
}

#[test]
fn each_limit_says_what_happens_without_the_store_or_else_the_counters_do() {
    let text = r#"
        [counters]
        url = "redis://h"
        on_error = "open"

        [limits.careful]
        key = "client-ip"
        quotas = ["5 per minute", "9 per hour"]
        on_error = "closed"

        [limits.usual]
        key = "client-ip"
        quotas = ["5 per minute"]

        [[routes]]
        match = "GET /"
        limits = ["careful", "usual", "7 per day"]
        respond = { text = "" }
    "#;
    let rules = rules(text);
    let found: Vec<_> = rules.routes.routes()[0]
        .policies()
        .map(|policy| policy.on_error())
        .collect();
    use OnError::{Closed, Open};
    assert_eq!(found, [Closed, Closed, Open, Open]);
    let careful = rules.limit("careful").unwrap();
    let others = careful.policies_of("1 per day").unwrap();
    assert_eq!(others[0].on_error(), Closed);
}

#[test]
fn log_ins_and_guesses_are_counted_also_where_limits_are_open_without_the_store() {
    for (written, protection) in [
        ("open", OnError::Local),
        ("local", OnError::Local),
        ("closed", OnError::Closed),
    ] {
        let rules = rules(&counters(&format!("on_error = \"{written}\"")));
        assert_eq!(rules.counters.on_error_of_protection(), protection);
    }
}

/// A route with these limits, on a cluster or not.
fn route(url: &str, auth: &str, limits: &str) -> String {
    format!(
        "[counters]\nurl = \"{url}\"\n\
         [limits.address]\nkey = \"client-ip\"\nquotas = [\"5 per minute\"]\n\
         [limits.both]\nkey = [\"user\", \"client-ip\"]\nquotas = [\"5 per minute\"]\n\
         [limits.user]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n\
         [limits.all]\nkey = \"global\"\nquotas = [\"5 per minute\"]\n\
         [[routes]]\nmatch = \"GET /\"\nauth = [{auth}]\nlimits = [{limits}]\nrespond = {{ text = \"\" }}\n"
    )
}

const CLUSTER: &str = "redis+cluster://a:1,b:2";

#[test]
fn a_route_whose_keys_may_be_on_several_servers_is_refused_in_a_cluster_and_told_what_to_do() {
    for (auth, limits, told) in [
        (
            "\"session\"",
            "\"user\", \"address\"",
            "`user`, by user, and `address`, by client-ip,",
        ),
        (
            "\"session\"",
            "\"all\", \"user\"",
            "`all`, by global, and `user`, by user,",
        ),
        ("\"api-key\"", "\"address\"", "that counts by user"),
    ] {
        let (message, help) = complaint(&route(CLUSTER, auth, limits));
        assert!(message.contains(told), "{message}");
        assert!(
            help.contains("key = [\"user\", ") && help.contains("one server"),
            "{help}"
        );
        assert!(read(&route("redis://h", auth, limits)).is_ok());
        assert!(read(&route("memory:", auth, limits)).is_ok());
    }
    for (auth, limits) in [
        ("\"session\", \"api-key\"", "\"user\", \"both\""),
        ("\"session\"", "\"address\""),
        ("", "\"all\", \"9 per hour by global\""),
    ] {
        let read = read(&route(CLUSTER, auth, limits));
        assert!(read.is_ok(), "{}", printed(&read.unwrap_err()));
    }
}
