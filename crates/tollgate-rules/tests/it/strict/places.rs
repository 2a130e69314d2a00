//! Where accounts live, and which addresses, networks, origins and names are read.

use crate::{ROUTE, complaint, complaints, read};

#[test]
fn places_where_accounts_cannot_live_are_refused_and_repeat_no_password() {
    for (url, shown) in [
        (
            "oracle://ann:s3cr3t@h:1521/db",
            "oracle://ann:******@h:1521/db",
        ),
        ("mysql://ann:s3cr3t@h", "mysql://ann:******@h"),
        ("oracle://ann:s3cr3t/x@h", "oracle://ann:********@h"),
        ("postgres:db", "postgres:db"),
        ("sqlite:", "sqlite:"),
        ("tollgate.db", "tollgate.db"),
    ] {
        let errors = complaints(&format!("[accounts]\nurl = \"{url}\"\n{ROUTE}"));
        let message = format!("accounts cannot live in `{shown}`");
        assert_eq!((errors[0].message(), errors[0].line()), (&*message, 2));
        let shown = crate::printed(&errors);
        for way in ["sqlite:FILE", "postgres://", "mysql://"] {
            assert!(shown.contains(way), "{shown}");
        }
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn no_password_of_a_line_is_repeated_however_many_urls_it_has_and_wherever_it_is_cut() {
    let long = format!("redis://ann:{}@h", "s3cr3t".repeat(40));
    for urls in [
        "http://h\", \"redis://ann:s3cr3t@h",
        "redis://bob:s3cr3t@g\", \"redis://änn:s3cr3t@h\", \"http://h",
        &long,
    ] {
        let errors = complaints(&format!("[accounts]\nurls = [\"{urls}\"]\n{ROUTE}"));
        let shown = crate::printed(&errors);
        assert!(shown.contains("urls = [\""), "{shown}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn accounts_live_in_any_of_three_databases_and_no_debug_form_shows_the_password() {
    for url in [
        "sqlite:a.db",
        "sqlite::memory:",
        "postgres://ann:s3cr3t@h/db",
        "postgresql:///db?host=/run/postgresql",
        "mysql://ann:s3cr3t@h:3306/db",
        "mariadb://ann:s3cr3t@h/db",
    ] {
        let text = format!("[accounts]\nurl = \"{url}\"\n{ROUTE}");
        let rules = read(&text).unwrap();
        assert_eq!(rules.accounts.url, url);
        assert!(!format!("{rules:?}").contains("s3cr3t"));
    }
}

#[test]
fn addresses_networks_origins_and_names_are_checked() {
    for (text, expected) in [
        (
            "[server]\nlisten = \"localhost\"\n",
            "`localhost` is not an address",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:70000\"\n",
            "`127.0.0.1:70000` is not an address",
        ),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]\n",
            "`10.0.0.0/33` is not a network",
        ),
        (
            "[server]\ncors_origins = [\"https://a.example/\"]\n",
            "is no origin",
        ),
        (
            "[limits.\"a b\"]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n",
            "`a b` cannot name a limit",
        ),
        (
            "[limits.own]\nkey = \"api-key\"\nquotas = [\"5 per minute\"]\n",
            "`own` is the name of every API key's own quota",
        ),
        (
            "[limits.cl]\nkey = \"user\"\nquotas = { throttle = \"5 per minute\" }\n",
            "`cl.throttle` counts what is asked by `CL.THROTTLE`",
        ),
        (
            "[limits.1st]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n",
            "`1st` cannot name a limit",
        ),
        (
            "[limits.a]\nkey = \"user\"\nquotas = [\"5 per minute\"]\nexempt = [\"ci\"]\n",
            "`ci` is neither a network nor `user:NAME`",
        ),
        (
            "[limits.a]\nkey = \"client-ip\"\nipv6_prefix = 129\nquotas = [\"5 per minute\"]\n",
            "`ipv6_prefix` must be between 16 and 128",
        ),
        (
            "[defaults]\nstatus = { limited = 200 }\n",
            "`limited` must be between 400 and 599",
        ),
    ] {
        let (message, _) = complaint(&format!("{text}{ROUTE}"));
        assert!(message.contains(expected), "{message}");
    }
}
