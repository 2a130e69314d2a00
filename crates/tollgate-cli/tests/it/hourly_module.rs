//! The fourth system as a gateway: what the library's `Limiter` does, over HTTP. The module itself is tested in
//! `crates/tollgate/tests/it/limiter.rs`, and the tower layer in `crates/tollgate-tower/tests/it`.

use std::net::Ipv4Addr;

use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::gateway::Gateway;

use crate::support::{preset, rate_limit};

/// One requester's calls over one connection, as (second, passed).
fn calls(gateway: &Gateway, seconds: impl Iterator<Item = f64>) -> Vec<bool> {
    let mut connection = Connection::open(gateway.address());
    let mut now = 0.0;
    let mut call = |at: f64| {
        gateway.advance(at - now);
        now = at;
        match Call::get("/").over(&mut connection).status {
            200 => true,
            429 => false,
            other => panic!("{other}"),
        }
    };
    seconds.map(&mut call).collect()
}

#[test]
fn the_101st_in_an_hour_is_told_in_plain_words_how_long_to_wait() {
    let gateway = preset("hourly-module");
    let mut connection = Connection::open(gateway.address());
    for left in (0..100).rev() {
        let answer = Call::get("/").over(&mut connection);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "Hello, World!")
        );
        assert_eq!(rate_limit(&answer)["hourly.hour"].0, left);
    }
    gateway.advance(3_564.2);
    for (advance, seconds) in [(0.0, 36), (0.8, 35), (34.9, 1), (0.099, 1)] {
        gateway.advance(advance);
        let refused = gateway.get("/");
        assert_eq!(
            (refused.status, refused.retry_after()),
            (429, Some(seconds))
        );
        assert_eq!(
            refused.text(),
            format!("Rate limit exceeded. Try again in {seconds} seconds")
        );
        assert_eq!(refused.expect("content-type"), "text/plain; charset=utf-8");
    }
    gateway.advance(0.001);
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn of_101_calls_at_once_the_last_is_denied() {
    let gateway = preset("hourly-module");
    let passed = calls(&gateway, (0..101).map(|_| 0.0));
    assert_eq!(passed, [vec![true; 100], vec![false]].concat());
}

#[test]
fn of_200_calls_over_half_an_hour_the_first_hundred_pass() {
    let gateway = preset("hourly-module");
    let passed = calls(&gateway, (0..200).map(|call| f64::from(call) * 9.0));
    assert_eq!(passed, [[true; 100], [false; 100]].concat());
}

#[test]
fn a_hundred_calls_over_one_hour_all_pass() {
    let gateway = preset("hourly-module");
    let passed = calls(&gateway, (0..100).map(|call| f64::from(call) * 36.0));
    assert_eq!(passed, [true; 100]);
}

#[test]
fn of_200_calls_over_one_hour_the_first_hundred_pass_and_so_does_the_one_at_3600() {
    let gateway = preset("hourly-module");
    let passed = calls(&gateway, (0..=200).map(|call| f64::from(call) * 18.0));
    assert_eq!(
        passed,
        [vec![true; 100], vec![false; 100], vec![true]].concat()
    );
}

#[test]
fn three_requesters_each_pass_a_hundred_times_and_are_denied_once() {
    let gateway = preset("hourly-module");
    let mut connections = [1, 2, 3].map(|last| {
        let address = Ipv4Addr::new(127, 0, 0, last);
        Connection::try_open(gateway.address(), Some(address)).unwrap()
    });
    for round in 1..=101 {
        for connection in &mut connections {
            let expected = if round <= 100 { 200 } else { 429 };
            assert_eq!(
                Call::get("/").over(connection).status,
                expected,
                "round {round}"
            );
        }
    }
}
