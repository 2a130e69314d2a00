//! What `validate` looks at beside the rules themselves: files of certificates, and paths that look like patterns.

use std::path::Path;
use std::process::Command;

use tollgate_testkit::process::{Done, run};

use super::tollgate;
use crate::support::{certificates, launch};

const ROUTE: &str = "[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"x\" }\n";

fn validated(directory: &Path, rules: &str) -> Done {
    std::fs::write(directory.join("rules.toml"), rules).unwrap();
    tollgate(directory, &["validate", "rules.toml"])
}

fn tls(cert: &str, key: &str) -> String {
    format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n")
}

fn openssl(directory: &Path, args: &[&str]) {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(args);
    let done = run(command, "");
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn files_of_certificates_are_read_and_what_is_wrong_with_each_is_said_as_serve_says_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    certificates(at);
    let encrypt = ["-in", "service.key", "-passout", "pass:hush"];
    let pkcs8 = ["pkey", "-aes256", "-out", "encrypted.key"];
    openssl(at, &[&pkcs8[..], &encrypt].concat());
    let older = ["ec", "-aes256", "-out", "older.key"];
    openssl(at, &[&older[..], &encrypt].concat());
    std::fs::write(at.join("empty"), "").unwrap();
    let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(at.join("noise.pem"), noise).unwrap();
    for (cert, key, said) in [
        (
            "none.pem",
            "service.key",
            "none.pem cannot be used: No such file",
        ),
        (
            "service.pem",
            "none.key",
            "none.key cannot be used: No such file",
        ),
        (
            "empty",
            "service.key",
            "empty cannot be used: there is no certificate in it",
        ),
        (
            "service.key",
            "service.key",
            "service.key cannot be used: there is no certificate in it",
        ),
        (
            "noise.pem",
            "service.key",
            "noise.pem cannot be used: what stands in it as a certificate is none",
        ),
        (
            "service.pem",
            "service.pem",
            "service.pem cannot be used: there is no private key in it",
        ),
        (
            "service.pem",
            "client.key",
            "client.key cannot be used: it is not the key of the certificate in service.pem",
        ),
        (
            "service.pem",
            "encrypted.key",
            "encrypted.key cannot be used: the key in it is encrypted",
        ),
        (
            "service.pem",
            "older.key",
            "older.key cannot be used: the key in it is encrypted",
        ),
    ] {
        let done = validated(at, &format!("[server]\n{}{ROUTE}", tls(cert, key)));
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{done:?}");
        let said = format!("error: `tls` in [server]: {said}");
        assert!(done.stderr.starts_with(&said), "{said}: {}", done.stderr);
        let served = tollgate(at, &["serve", "--rules", "rules.toml"]);
        assert_eq!((served.code, served.stderr), (2, done.stderr));
    }
    let right = format!("[server]\n{}{ROUTE}", tls("service.pem", "service.key"));
    let done = validated(at, &right);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
}

#[test]
fn the_certificates_of_both_sections_are_looked_at_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (none, other) = (tls("a.pem", "a.key"), tls("b.pem", "b.key"));
    let rules = format!("[server]\n{none}[service]\nhttp = \"127.0.0.1:1\"\n{other}{ROUTE}");
    let done = validated(directory.path(), &rules);
    assert_eq!(done.code, 2);
    for said in ["`tls` in [server]: a.pem", "`tls` in [service]: b.pem"] {
        assert!(done.stderr.contains(said), "{}", done.stderr);
    }
}

#[test]
fn paths_that_look_like_patterns_of_other_routers_are_pointed_out() {
    let directory = tempfile::tempdir().unwrap();
    let rules = "[[routes]]\nmatch = [\"GET /users/:id/posts\", \"POST /users/:id/posts\", \"/files/*\", \"/a/*/b\", \"/v1/things:batch\", \"/{name}/{*rest}\", \"/:\"]\n\
                 respond = { text = \"x\" }\n";
    let done = validated(directory.path(), rules);
    assert_eq!(done.code, 0, "{done:?}");
    let warnings: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (warning, (pattern, meant)) in warnings.iter().zip([
        ("`/users/:id/posts`", "`/users/{id}/posts`"),
        ("`/files/*`", "`/files/{*rest}`"),
        ("`/a/*/b`", "`/a/{part2}/b`"),
    ]) {
        assert!(
            warning.starts_with("warning: ")
                && warning.contains(pattern)
                && warning.contains(meant),
            "{warning}"
        );
    }
}

#[test]
fn what_looks_odd_is_in_the_log_of_the_start_too_once_each() {
    let rules = "[[routes]]\nmatch = [\"/files/*\", \"/a\"]\nrespond = { text = \"x\" }\n\
                 [limits.idle]\nkey = \"global\"\nquotas = [\"5 per minute\"]\n";
    let mut gateway = launch().rules(rules).start();
    // The last of them.
    gateway.process().logged("limit=idle");
    let warnings = gateway.process().logged("WARN");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("/files/* ") || warnings[0].contains("pattern=/files/*"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("/files/{*rest}"), "{warnings:?}");
}
