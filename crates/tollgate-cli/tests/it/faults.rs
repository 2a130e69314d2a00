//! A database that cannot be written to: said clearly, over soon, and nothing acknowledged is lost.

use std::process::{Command, Stdio};

use tollgate_testkit::client::Call;

use crate::fastapi::python;
use crate::support::{credentials, join, preset};

/// Takes the database for itself until its input ends.
const LOCK: &str = "import sqlite3, sys\n\
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
    connection.execute('BEGIN EXCLUSIVE')\n\
    print('locked', flush=True)\n\
    sys.stdin.read()";

#[test]
fn while_the_database_is_locked_sign_up_is_503_and_afterwards_everything_is_there() {
    let gateway = preset("random-number");
    let ann = join(&gateway, "ann");
    assert_eq!(gateway.call(&ann.get("/call_api")).status, 200);

    let mut locker = Command::new(python())
        .args(["-c", LOCK])
        .arg(gateway.data().path().join("tollgate.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(locker.stdout.as_mut().unwrap(), &mut said).unwrap();
    assert_eq!(&said, b"locked");

    let refused = gateway.call(&Call::post("/signup").json(&credentials("bob")));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.expect("content-type"), "application/problem+json");
    assert!(refused.retry_after().is_some());
    // Who is known goes on: the database is not on a request's path.
    assert_eq!(gateway.call(&ann.get("/call_api")).status, 200);

    drop(locker.stdin.take());
    assert!(locker.wait().unwrap().success());
    let bob = join(&gateway, "bob");
    assert_eq!(gateway.call(&bob.get("/call_api")).status, 200);
    let again = gateway.call(&Call::post("/login").json(&credentials("ann")));
    assert_eq!(again.status, 200);
}
