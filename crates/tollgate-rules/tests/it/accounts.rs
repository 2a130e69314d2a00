//! Sessions, tokens, issuers and scopes in the file.

use std::path::Path;
use std::time::Duration;

use crate::{ROUTE, complaint, complaints, rules};

const ISSUER: [&str; 4] = [
    "issuer = \"https://login.example\"",
    "audience = \"api\"",
    "jwks = \"login.json\"",
    "algorithms = [\"RS256\", \"EdDSA\"]",
];

/// A file with this issuer.
fn issuer(lines: &[&str]) -> String {
    format!("[[accounts.issuers]]\n{}\n{ROUTE}", lines.join("\n"))
}

/// The sound issuer with the line of one key replaced, or left out.
fn issuer_with(key: &str, line: &str) -> String {
    let mut lines = ISSUER.to_vec();
    lines.retain(|known| !known.starts_with(key));
    lines.push(line);
    issuer(&lines)
}

#[test]
fn sessions_do_not_end_by_being_idle_unless_they_are_told_to() {
    assert_eq!(rules(ROUTE).accounts.session_idle_ttl, None);
    let text = format!("[accounts]\nsession_idle_ttl_s = 1800\n{ROUTE}");
    let idle = rules(&text).accounts.session_idle_ttl;
    assert_eq!(idle, Some(Duration::from_secs(1800)));
    for wrong in ["0", "59", "31536001"] {
        let text = format!("[accounts]\nsession_idle_ttl_s = {wrong}\n{ROUTE}");
        let (message, _) = complaint(&text);
        assert_eq!(
            message,
            "`session_idle_ttl_s` must be between 60 and 31536000"
        );
    }
}

#[test]
fn tokens_are_signed_in_one_of_three_ways() {
    assert_eq!(rules(ROUTE).accounts.token_algorithm.name(), "HS256");
    for name in ["HS256", "ES256", "EdDSA"] {
        let text = format!("[accounts]\ntoken_algorithm = \"{name}\"\n{ROUTE}");
        assert_eq!(rules(&text).accounts.token_algorithm.name(), name);
    }
    for wrong in ["none", "RS256", "HS512"] {
        let text = format!("[accounts]\ntoken_algorithm = \"{wrong}\"\n{ROUTE}");
        let (message, _) = complaint(&text);
        assert_eq!(message, format!("`token_algorithm` cannot be `{wrong}`"));
    }
}

#[test]
fn keys_that_sign_are_in_a_file_unless_the_rules_say_that_the_database_has_them() {
    assert!(!rules(ROUTE).accounts.share_token_keys);
    for (place, is_shared) in [("file", false), ("database", true)] {
        let text = format!("[accounts]\ntoken_keys = \"{place}\"\n{ROUTE}");
        assert_eq!(rules(&text).accounts.share_token_keys, is_shared);
    }
    let (message, _) = complaint(&format!("[accounts]\ntoken_keys = \"redis\"\n{ROUTE}"));
    assert_eq!(message, "`token_keys` cannot be `redis`");
}

#[test]
fn an_issuer_is_read_with_the_usual_claim_for_users() {
    let known = rules(&issuer(&ISSUER)).accounts.issuers;
    assert_eq!(known.len(), 1);
    assert_eq!(known[0].jwks, Path::new("login.json"));
    assert_eq!(known[0].user_claim, "sub");
    assert_eq!(known[0].name_claim, None);
    let names: Vec<_> = known[0].algorithms.iter().map(|one| one.name()).collect();
    assert_eq!(names, ["RS256", "EdDSA"]);
}

#[test]
fn an_issuer_that_proves_nothing_is_refused() {
    for (key, line, expected) in [
        ("issuer", "", "an issuer needs `issuer`"),
        ("issuer", "issuer = \"\"", "`issuer` must not be empty"),
        (
            "issuer",
            "issuer = \"tollgate\"",
            "`tollgate` issues the gateway's own tokens",
        ),
        ("audience", "", "an issuer needs `audience`"),
        ("jwks", "", "an issuer needs `jwks`"),
        (
            "jwks",
            "jwks = \"https://login.example/keys\"",
            "never from the network",
        ),
        ("algorithms", "", "an issuer needs `algorithms`"),
        (
            "algorithms",
            "algorithms = []",
            "`algorithms` must not be empty",
        ),
        (
            "algorithms",
            "algorithms = [\"HS256\"]",
            "`HS256` is a shared secret",
        ),
        (
            "algorithms",
            "algorithms = [\"none\"]",
            "`algorithms` cannot be `none`",
        ),
        ("none", "audiense = \"x\"", "unknown key `audiense`"),
    ] {
        let (message, _) = complaint(&issuer_with(key, line));
        assert!(message.contains(expected), "{line}: {message}");
    }
    let twice = format!(
        "[[accounts.issuers]]\n{}\n{}",
        ISSUER.join("\n"),
        issuer(&ISSUER)
    );
    assert!(complaint(&twice).0.contains("is there already"));
    let many = format!("[[accounts.issuers]]\n{}\n", ISSUER.join("\n")).repeat(17) + ROUTE;
    assert!(complaint(&many).0.contains("more than 16 issuers"));
}

#[test]
fn scopes_are_words_where_somebody_is_asked_who_they_are() {
    let route = |scopes: &str, auth: &str| {
        format!(
            "[[routes]]\nmatch = \"GET /\"\nrespond = {{ text = \"x\" }}\nscopes = {scopes}\n{auth}\n"
        )
    };
    let auth = "auth = [\"api-key\"]";
    let read = rules(&route("[\"numbers:read\", \"b\"]", auth));
    assert_eq!(read.routes.routes()[0].scopes, ["numbers:read", "b"]);
    assert!(complaint(&route("[\"a\"]", "")).0.contains("of no use"));
    for wrong in ["\"a b\"", "\"\"", "'a\"b'"] {
        let found = complaints(&route(&format!("[{wrong}]"), auth));
        assert!(found[0].message().contains("is no scope"), "{wrong}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("\"s{n}\"")).collect();
    let many = format!("[{}]", many.join(", "));
    assert!(complaint(&route(&many, auth)).0.contains("at most 16"));
}
