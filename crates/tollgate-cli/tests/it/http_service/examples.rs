//! The examples for other languages, as they are.

use std::process::Command;

use tollgate_testkit::process::{free_address, run};

use super::Service;
use crate::fastapi::python;
use crate::support::{launch, root};

fn says_fine(mut command: Command) {
    let name = format!("{command:?}");
    let done = run(
        {
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command
        },
        "",
    );
    assert_eq!(
        (done.code, done.stdout.trim()),
        (0, "fine"),
        "{name}: {}",
        done.stderr
    );
}

#[test]
fn flask_django_and_fastapi_ask_through_the_one_file() {
    let service = Service::usual();
    let mut command = Command::new(python());
    command
        .arg(root().join("tests/clients/frameworks.py"))
        .args([
            format!("http://{}", service.address),
            format!("http://{}", free_address()),
        ]);
    says_fine(command);
}

#[test]
fn a_node_server_asks_by_cl_throttle() {
    let address = free_address();
    let _gateway = launch().option("--resp", address.to_string()).start();
    let mut command = Command::new("node");
    command
        .arg(root().join("tests/clients/node_example.mjs"))
        .args([
            address.port().to_string(),
            free_address().port().to_string(),
        ]);
    says_fine(command);
}
