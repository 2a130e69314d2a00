//! `examples/envoy`: Envoy, what it asks and what it protects, by one command.

use std::process::Command;

use tollgate_testkit::client::Call;
use tollgate_testkit::process::{Process, eventually, free_address};

use crate::fastapi::python;
use crate::support::{binary, root};

#[test]
fn the_example_lets_three_in_ten_seconds_through_envoy_and_ends_all_of_it() {
    let addresses = [(); 3].map(|()| free_address());
    let ports = addresses.map(|address| address.port().to_string());
    let mut command = Command::new(root().join("examples/envoy/run"));
    command
        .env("TOLLGATE", binary())
        .env("ENVOY", python().with_file_name("envoy"))
        .args(ports);
    let mut example = Process::spawn(command);
    let statuses = || (0..4).map(|_| Call::get("/random").send(addresses[0]).status);
    // Until Envoy knows its clusters it lets pass, or says 503; then three in ten seconds are what there is.
    eventually("Envoy to ask the service", || {
        assert!(example.ended().is_none(), "{}", example.log());
        let answer = Call::get("/random").try_send(addresses[0]).ok()?;
        answer.field("x-ratelimit-limit").map(drop)
    });
    let seen: Vec<u16> = statuses().collect();
    let passed = seen.iter().filter(|status| **status == 200).count();
    assert!(passed <= 2, "one of three has passed before: {seen:?}");
    assert_eq!(seen[3], 429);
    example.terminate();
    example.wait();
    for address in addresses {
        eventually("everything to end", || {
            std::net::TcpStream::connect(address).is_err().then_some(())
        });
    }
}
