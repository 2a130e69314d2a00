//! Clients that are slow, or many from one address.

use tollgate_testkit::client::{Call, Connection};
use tollgate_testkit::upstream::Upstream;

use super::HOST;
use crate::support::launch;

#[test]
fn a_client_that_never_ends_its_head_is_cut_off_while_others_are_served() {
    let upstream = Upstream::recording();
    let rules = format!(
        "[server]\nheader_timeout_s = 5\nread_timeout_s = 5\n[[routes]]\nmatch = \"/{{*rest}}\"\nupstream = \"{}\"\n",
        upstream.url()
    );
    let gateway = launch().rules(&rules).start();
    let mut slow: Vec<Connection> = (0..50)
        .map(|_| Connection::open(gateway.address()))
        .collect();
    for connection in &mut slow {
        connection
            .write("GET / HTTP/1.1\r\nhost: x\r\nx-slow: ")
            .unwrap();
    }
    let mut silent = Connection::open(gateway.address());
    silent
        .write(format!(
            "POST / HTTP/1.1\r\n{HOST}content-length: 10\r\n\r\nhalf"
        ))
        .unwrap();
    assert_eq!(gateway.get("/").status, 200);
    for connection in &mut slow {
        let answer = connection.try_answer_to("GET").map(|answer| answer.status);
        assert!(answer.is_err() || answer.is_ok_and(|status| status == 408));
    }
    let answer = silent.try_answer_to("POST").map(|answer| answer.status);
    assert!(
        answer
            .as_ref()
            .is_ok_and(|status| [400, 408, 504].contains(status)),
        "{answer:?}"
    );
}

#[test]
fn one_address_holds_only_so_many_connections_and_others_are_served() {
    let gateway = launch()
        .rules("[server]\nconnections_per_address_max = 10\nheader_timeout_s = 600\n[[routes]]\nmatch = \"GET /\"\nrespond = { text = \"x\" }\n")
        .start();
    let mut held: Vec<Connection> = (0..10)
        .map(|_| Connection::open(gateway.address()))
        .collect();
    for connection in &mut held {
        assert_eq!(Call::get("/").over(connection).status, 200);
    }
    let refused = Call::get("/").try_send(gateway.address());
    assert!(refused.is_err(), "{refused:?}");
    let elsewhere = Call::get("/").from(std::net::Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!(gateway.call(&elsewhere).status, 200);
    drop(held);
    tollgate_testkit::process::eventually("a place to be free again", || {
        Call::get("/").try_send(gateway.address()).ok()
    });
}
