//! TLS to a database server: what its URL asks for is checked, and nothing else.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use tollgate::{ManualClock, Micros};
use tollgate_accounts::{Accounts, OpenError, Settings};
use tollgate_testkit::certificates::Certificates;
use tollgate_testkit::database::{Database, Engine, OwnServer};

use super::ENGINE;

/// A server for one test, with a certificate.
struct Encrypted {
    certificates: Certificates,
    server: OwnServer,
}

impl Encrypted {
    /// For 127.0.0.1.
    fn new() -> Self {
        Self::named(Certificates::new())
    }

    fn named(certificates: Certificates) -> Self {
        let engine = ENGINE.expect("a server");
        Encrypted {
            server: OwnServer::with_tls(engine, &certificates),
            certificates,
        }
    }
}

/// What makes a URL check the server's certificate and name by this authority.
fn checked(authority: &Path) -> String {
    let authority = authority.display();
    match ENGINE {
        Some(Engine::Postgres) => format!("?sslmode=verify-full&sslrootcert={authority}"),
        _ => format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={authority}"),
    }
}

fn unchecked() -> &'static str {
    match ENGINE {
        Some(Engine::Postgres) => "?sslmode=require",
        _ => "?ssl-mode=REQUIRED",
    }
}

async fn open(database: &Database, parameters: &str) -> Result<Accounts, OpenError> {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = Settings::new(database.url() + parameters, dir.path());
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    // As a gateway opens them, which waits for a server that is away.
    Accounts::open_or_wait(settings, clock).await
}

/// How many connections the server of this test has over TLS; of MariaDB, has had since its start.
fn encrypted_connections(database: &Database) -> u64 {
    let asked = match ENGINE {
        Some(Engine::Postgres) => {
            "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE ssl AND datname = current_database() AND pid <> pg_backend_pid()"
        }
        _ => {
            "SELECT variable_value FROM information_schema.global_status
              WHERE variable_name = 'Ssl_finished_accepts'"
        }
    };
    database.ask(asked).parse().expect("a number")
}

/// The same when those that waited for the server to start have been counted, which may be after they have gone. Asking is none.
fn settled_connections(database: &Database) -> u64 {
    let asked: Vec<_> = (0..20).map(|_| encrypted_connections(database)).collect();
    assert_eq!(asked[18], asked[19], "asking is none: {asked:?}");
    asked[19]
}

async fn refused(database: &Database, parameters: &str) -> String {
    let error = open(database, parameters).await.expect_err("a refusal");
    assert!(!error.is_away(), "nobody waits for another certificate");
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}

#[tokio::test]
async fn a_certificate_of_the_authority_that_the_url_names_is_taken_and_one_of_another_refused() {
    let Encrypted {
        certificates,
        server,
    } = Encrypted::new();
    let database = Database::on(&server);
    let before = settled_connections(&database);
    let known = open(&database, &checked(&certificates.authority())).await;
    let known = known.expect("a certificate that is known");
    known.sign_up("ann", "correct horse").await.expect("a user");
    assert!(encrypted_connections(&database) > before);
    known.close().await;
    let other = Certificates::new();
    let said = refused(&database, &checked(&other.authority())).await;
    assert!(said.contains("cannot open the accounts database"), "{said}");
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn a_file_of_authorities_that_is_missing_is_said_and_not_passed_over() {
    let encrypted = Encrypted::new();
    let database = Database::on(&encrypted.server);
    let said = refused(&database, &checked(Path::new("/no/such/ca.pem"))).await;
    assert!(said.contains("/no/such/ca.pem: No such file"), "{said}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_where_the_name_is_checked() {
    let elsewhere = Encrypted::named(Certificates::naming("DNS:elsewhere.example"));
    let database = Database::on(&elsewhere.server);
    let authority = elsewhere.certificates.authority();
    let said = refused(&database, &checked(&authority)).await;
    assert!(said.contains("certificate"), "{said}");
    let by_authority_alone = checked(&authority)
        .replace("verify-full", "verify-ca")
        .replace("VERIFY_IDENTITY", "VERIFY_CA");
    let opened = open(&database, &by_authority_alone).await;
    opened.expect("a name that nobody checks").close().await;
}

#[tokio::test]
async fn tls_without_checks_takes_any_certificate_and_is_still_tls() {
    let encrypted = Encrypted::new();
    let database = Database::on(&encrypted.server);
    let before = settled_connections(&database);
    let opened = open(&database, unchecked()).await.expect("any certificate");
    assert!(encrypted_connections(&database) > before);
    opened.close().await;
}

#[tokio::test]
async fn tls_that_the_url_asks_for_is_not_done_without() {
    let plain = Database::new(ENGINE.expect("a server"));
    let said = refused(&plain, unchecked()).await;
    assert!(said.to_lowercase().contains("tls"), "{said}");
}
