//! `examples/envoy`: Envoy, what it asks and what it protects, by one command.

use std::process::Command;

use tollgate_testkit::client::Call;
use tollgate_testkit::process::{Process, eventually, free_address};

use crate::fastapi::python;
use crate::support::{binary, patient};

#[test]
fn the_example_lets_three_in_ten_seconds_through_envoy_and_ends_all_of_it() {
    let addresses = [(); 3].map(|()| free_address());
    let ports = addresses.map(|address| address.port().to_string());
    // Envoy lets pass what is not answered in a quarter of a second.
    let example = patient("envoy", &[("timeout: 0.25s", "timeout: 60s")]);
    let mut command = Command::new(example.path().join("run"));
    command
        .env("TOLLGATE", binary())
        .env("ENVOY", python().with_file_name("envoy"))
        .args(ports);
    let mut running = Process::spawn(command);
    // Until Envoy knows its clusters it lets pass, or says 503; then three in ten seconds are what there is.
    eventually("Envoy to ask the service", || {
        assert!(running.ended().is_none(), "{}", running.log());
        let answer = Call::get("/random").try_send(addresses[0]).ok()?;
        answer.field("x-ratelimit-limit").map(drop)
    });
    let asked = (0..3).map(|_| Call::get("/random").send(addresses[0]).status);
    assert_eq!(asked.collect::<Vec<_>>(), [200, 200, 429], "one has passed");
    running.terminate();
    running.wait();
    for address in addresses {
        eventually("everything to end", || {
            std::net::TcpStream::connect(address).is_err().then_some(())
        });
    }
}
