//! Clients that are slow, broken or bad: they cost themselves a connection, and others nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tollgate_testkit::Random;
use tollgate_testkit::process::eventually;
use tollgate_testkit::redis::Reply;

use super::Service;
use crate::support::launch;

fn pong() -> Reply {
    Reply::Status("PONG".into())
}

#[test]
fn an_error_keeps_the_connection_and_only_what_is_no_protocol_ends_it() {
    let service = Service::alone();
    let mut client = service.connect();
    for words in [
        "GET key",
        "CL.THROTTLE",
        "TOLLGATE.CHECK nobody",
        "CLIENT KILL all",
        "ECHO",
        "SELECT 7",
        "CONFIG SET a b",
    ] {
        client.error(words);
        assert_eq!(client.ask("PING"), pong(), "behind {words}");
    }
    assert!(
        client
            .error("GET line\r\nbreak")
            .starts_with("ERR unknown command 'GET', with args beginning with: 'line  break'")
    );
    client.send(b"PING\r\n*1\r\n:1\r\nPING\r\n");
    assert_eq!(
        client.rest(),
        b"+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"
    );
    let mut browser = service.connect();
    browser.send(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nCL.THROTTLE ann 0 1 10\r\n");
    assert_eq!(browser.rest(), b"", "a page cannot make a browser ask");
    assert_eq!(service.connect().integers("CL.THROTTLE ann 0 1 10")[0], 0);
}

#[test]
fn who_never_reads_stops_being_read_and_others_are_answered() {
    // So that it is not closed meanwhile.
    let rules = "[server]\nread_timeout_s = 3600\n[service]\n";
    let service = Service::start(launch().rules(rules));
    let mut deaf = TcpStream::connect(service.address).unwrap();
    deaf.set_nonblocking(true).unwrap();
    // Small questions with large answers.
    let questions = "INFO\n".repeat(10_000);
    let (mut sent, mut refused) = (0, 0);
    while refused < 100 {
        match deaf.write(questions.as_bytes()) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                assert_eq!(service.connect().ask("PING"), pong());
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 64 << 20, "the server reads on and on");
    }
    let memory = resident_kib(&service);
    assert!(memory < 200 << 10, "{memory} KiB");
}

fn resident_kib(service: &Service) -> u64 {
    let data = service.gateway.data().path().to_owned();
    let ours = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let status = entry.ok()?.path();
        let line = std::fs::read(status.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(data.to_str()?)
            .then(|| std::fs::read_to_string(status.join("status")).ok())?
    });
    let resident = |status: String| -> Option<u64> {
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))?
            .to_owned();
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    ours.filter_map(resident).max().unwrap()
}

#[test]
fn half_a_command_is_not_waited_for_without_end() {
    let service = Service::start(launch().rules("[server]\nheader_timeout_s = 1\n[service]\n"));
    let mut slow = service.connect();
    slow.send(b"*2\r\n$4\r\nPI");
    let mut patient = service.connect();
    let mut byte = [0];
    slow.0.set_nonblocking(true).unwrap();
    eventually("the slow client to be cut off", || {
        assert_eq!(
            patient.ask("PING"),
            pong(),
            "who has asked whole questions stays"
        );
        match slow.0.read(&mut byte) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Ok(0) | Err(_) => Some(()),
            Ok(_) => panic!("an answer to half a question"),
        }
    });
    assert_eq!(patient.ask("PING"), pong());
}

#[test]
fn one_address_has_so_many_connections_and_further_ones_are_closed() {
    let service =
        Service::start(launch().rules("[server]\nconnections_per_address_max = 3\n[service]\n"));
    let mut few: Vec<_> = (0..3).map(|_| service.connect()).collect();
    few.iter_mut()
        .for_each(|client| assert_eq!(client.ask("PING"), pong()));
    assert_eq!(service.connect().rest(), b"");
    few.pop();
    eventually("a place", || {
        let mut client = service.connect();
        client
            .0
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let _ = client.0.write_all(b"PING\r\n");
        let mut byte = [0];
        matches!(client.0.read(&mut byte), Ok(1)).then_some(())
    });
}

#[test]
fn strangers_make_so_many_quotas_and_no_more_and_nobody_else_notices() {
    let service = Service::alone();
    let mut client = service.connect();
    assert_eq!(client.integers("CL.THROTTLE ann 4 5 60")[2], 4);
    let mut errors = 0;
    for count in 1..=5_000 {
        client.send(format!("CL.THROTTLE x 1 {count} 1000000\r\n").as_bytes());
        if count % 500 == 0 {
            client.send(b"ECHO end\r\n");
            loop {
                match tollgate_testkit::redis::resp::read(&mut client.0).unwrap() {
                    Reply::Error(text) => {
                        assert_eq!(
                            text,
                            "Cell error: more than 4096 different quotas are in use; use fewer, or limits of the rules"
                        );
                        errors += 1;
                    }
                    Reply::Bulk(_) => break,
                    _ => {}
                }
            }
        }
    }
    assert_eq!(errors, 5_000 - 4_095);
    assert_eq!(
        client.integers("CL.THROTTLE ann 4 5 60")[2],
        3,
        "who was there goes on"
    );
}

#[test]
fn random_bytes_end_a_connection_at_most() {
    let service = Service::alone();
    let mut random = Random::new();
    let pieces: [&[u8]; 12] = [
        b"*3\r\n",
        b"$4\r\n",
        b"PING\r\n",
        b"\r\n",
        b"*-1\r\n",
        b"$0\r\n\r\n",
        b"CL.THROTTLE ",
        b"a 1 1 1\r\n",
        b"HELLO 3\r\n",
        b"\x00\xff",
        b"*1\r\n$4\r\nINFO\r\n",
        b"TOLLGATE.CHECK a",
    ];
    for _ in 0..300 {
        let mut client = service.connect();
        for _ in 0..random.below(40) {
            let piece = pieces[random.below(pieces.len() as u64) as usize];
            if client.0.write_all(piece).is_err() {
                break;
            }
        }
    }
    assert_eq!(service.connect().ask("PING"), pong());
}
