//! `examples/cluster`: two gateways and one store by one command.

use std::process::Command;

use tollgate_testkit::client::Call;
use tollgate_testkit::process::{Process, eventually, free_address};

use crate::support::{binary, root};

#[test]
fn the_example_starts_two_gateways_that_share_one_limit_and_ends_all_of_it() {
    let addresses = [(); 3].map(|()| free_address());
    let [first, second, store] = addresses.map(|address| address.to_string());
    let mut command = Command::new(root().join("examples/cluster/run"));
    command
        .env("TOLLGATE", binary())
        .args([&first, &second, &store]);
    let mut example = Process::spawn(command);
    for address in &addresses[..2] {
        eventually("the gateways to answer", || {
            assert!(example.ended().is_none(), "{}", example.log());
            Call::get("/free").try_send(*address).ok()
        });
    }
    let turns = (0..6).map(|turn| Call::get("/").send(addresses[turn % 2]).status);
    assert_eq!(turns.collect::<Vec<_>>(), [200, 200, 200, 200, 200, 429]);
    example.terminate();
    example.wait();
    for address in addresses {
        eventually("everything to end", || {
            std::net::TcpStream::connect(address).is_err().then_some(())
        });
    }
}
