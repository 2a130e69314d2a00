//! `examples/cluster`: two gateways and one store by one command.

use std::process::Command;

use tollgate_testkit::client::Call;
use tollgate_testkit::process::{Process, eventually, free_address};

use crate::support::{binary, patient};

#[test]
fn the_example_starts_two_gateways_that_share_one_limit_and_ends_all_of_it() {
    let addresses = [(); 3].map(|()| free_address());
    let [first, second, store] = addresses.map(|address| address.to_string());
    // A call that takes longer than 25 ms would be decided by one gateway's share.
    let slow = "[counters]\ndeadline_ms = 10000\n";
    let example = patient("cluster", &[("[counters]\n", slow)]);
    let mut command = Command::new(example.path().join("run"));
    command
        .env("TOLLGATE", binary())
        .args([&first, &second, &store]);
    let mut running = Process::spawn(command);
    for address in &addresses[..2] {
        eventually("the gateways to answer", || {
            assert!(running.ended().is_none(), "{}", running.log());
            Call::get("/free").try_send(*address).ok()
        });
    }
    let turns = (0..6).map(|turn| Call::get("/").send(addresses[turn % 2]).status);
    assert_eq!(turns.collect::<Vec<_>>(), [200, 200, 200, 200, 200, 429]);
    running.terminate();
    running.wait();
    for address in addresses {
        eventually("everything to end", || {
            std::net::TcpStream::connect(address).is_err().then_some(())
        });
    }
}
