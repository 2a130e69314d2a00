//! The decision service over Redis's protocol, as its clients meet it.

mod clients;
mod hostile;
mod limits;
mod shared;
mod tokens;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::Duration;

use tollgate_testkit::gateway::{DataDir, Gateway, Launch};
use tollgate_testkit::process::free_address;
use tollgate_testkit::redis::Reply;
use tollgate_testkit::redis::resp;

use crate::support::launch;

/// The service on its own address, beside a gateway or alone.
struct Service {
    gateway: Gateway,
    address: SocketAddr,
}

impl Service {
    fn start(launch: Launch) -> Self {
        let address = free_address();
        Service {
            gateway: launch.option("--resp", address.to_string()).start(),
            address,
        }
    }

    /// Without a rules file.
    fn alone() -> Self {
        Service::start(launch())
    }

    fn connect(&self) -> Client {
        Client::open(self.address)
    }
}

/// One connection, which sends and reads what a test says.
struct Client(TcpStream);

impl Client {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Client(stream)
    }

    /// Sends the words of one command and reads its reply.
    fn ask(&mut self, words: &str) -> Reply {
        let words: Vec<&str> = words.split(' ').collect();
        resp::ask(&mut self.0, &words).unwrap()
    }

    /// The integers of the reply.
    fn integers(&mut self, words: &str) -> Vec<i64> {
        let reply = self.ask(words);
        reply.items().iter().map(Reply::integer).collect()
    }

    /// The error that is the reply.
    fn error(&mut self, words: &str) -> String {
        match self.ask(words) {
            Reply::Error(text) => text,
            other => panic!("no error: {other:?}"),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The bytes that come until the server closes the connection.
    fn rest(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn expect(&mut self, bytes: &[u8]) {
        let mut found = vec![0; bytes.len()];
        self.0.read_exact(&mut found).unwrap();
        assert_eq!(
            found.escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        );
    }
}

#[test]
fn replies_are_those_of_redis_cell_to_the_letter() {
    let service = Service::alone();
    let mut client = service.connect();
    assert_eq!(
        client.integers("CL.THROTTLE user123 15 30 60"),
        [0, 16, 15, -1, 2]
    );
    assert_eq!(client.integers("CL.THROTTLE k 0 1 10"), [0, 1, 0, -1, 10]);
    // Seconds are cut off, as redis-cell does it.
    service.gateway.advance(0.5);
    assert_eq!(client.integers("cl.throttle k 0 1 10"), [1, 1, 0, 9, 9]);
    assert_eq!(
        client.integers("CL.THROTTLE k 0 1 10 0"),
        [0, 1, 0, -1, 9],
        "a peek is never denied"
    );
    assert_eq!(
        client.integers("CL.THROTTLE big 10 10 60 11"),
        [0, 11, 0, -1, 66]
    );
    service.gateway.advance(0.5);
    assert_eq!(
        client.integers("CL.THROTTLE big 10 10 60 12"),
        [1, 11, 0, -1, 65],
        "more than ever fits"
    );
    // What was asked for as a whole is charged as a whole or not at all.
    assert_eq!(
        client.integers("CL.THROTTLE three 9 10 60 3"),
        [0, 10, 7, -1, 18]
    );
    assert_eq!(
        client.integers("CL.THROTTLE three 9 10 60 8"),
        [1, 10, 7, 6, 18]
    );
    assert_eq!(
        client.integers("CL.THROTTLE three 9 10 60 7"),
        [0, 10, 0, -1, 60]
    );
    // The last second of a wait is said as one: redis-cell says 0 there, and its clients ask without end.
    service.gateway.advance(8.75);
    assert_eq!(client.integers("CL.THROTTLE k 0 1 10"), [1, 1, 0, 1, 0]);
    service.gateway.advance(0.25);
    assert_eq!(client.integers("CL.THROTTLE k 0 1 10"), [0, 1, 0, -1, 10]);
    let usage =
        "Cell error: Usage: cl.throttle <key> <max_burst> <count per period> <period> [<quantity>]";
    assert_eq!(client.error("CL.THROTTLE k 15 30"), usage);
    for broken in [
        "k 5 0 60",
        "k 0 1 10 -1",
        "k 5 1 0",
        "k x 1 60",
        "k 9007199254740993 1 60",
        "k 5 1 99999999999",
    ] {
        let error = client.error(&format!("CL.THROTTLE {broken}"));
        assert!(error.starts_with("Cell error: "), "{broken}: {error}");
    }
    assert_eq!(
        client.integers("CL.THROTTLE k 0 1 10 0"),
        [0, 1, 0, -1, 10],
        "an error changes nothing"
    );
}

#[test]
fn the_command_of_throttlecrab_has_its_own_order() {
    let service = Service::alone();
    let mut client = service.connect();
    assert_eq!(client.integers("THROTTLE k 2 1 10"), [1, 2, 1, 10, 0]);
    assert_eq!(client.integers("THROTTLE k 2 1 10"), [1, 2, 0, 20, 0]);
    assert_eq!(client.integers("THROTTLE k 2 1 10"), [0, 2, 0, 20, 10]);
    assert!(client.error("THROTTLE k 0 1 10").starts_with("ERR "));
}

#[test]
fn what_a_key_has_used_stays_used_under_other_numbers_and_can_be_forgotten() {
    let service = Service::alone();
    let mut client = service.connect();
    assert_eq!(
        client.integers("CL.THROTTLE ann 4 5 60 5"),
        [0, 5, 0, -1, 60]
    );
    let raised = client.integers("CL.THROTTLE ann 9 10 60 0");
    assert_eq!(raised[1..3], [10, 5], "five of ten are used");
    assert_eq!(client.ask("DEL ann bob"), Reply::Integer(1));
    assert_eq!(
        client.integers("CL.THROTTLE ann 4 5 60 0"),
        [0, 5, 5, -1, 0]
    );
}

#[test]
fn a_pipeline_is_answered_in_its_order_wherever_the_network_cuts_it() {
    let service = Service::alone();
    let throttle = "CL.THROTTLE p 2 1 10\r\n";
    let pipeline = format!(
        "{throttle}PING\r\n{throttle}NONSENSE\r\n{throttle}{throttle}*5\r\n$11\r\nCL.THROTTLE\r\n$1\r\nq\r\n$1\r\n0\r\n$1\r\n1\r\n$2\r\n10\r\nDEL p\r\n{throttle}"
    );
    let answer = "*5\r\n:0\r\n:3\r\n:2\r\n:-1\r\n:10\r\n+PONG\r\n\
        *5\r\n:0\r\n:3\r\n:1\r\n:-1\r\n:20\r\n\
        -ERR unknown command 'NONSENSE', with args beginning with: \r\n\
        *5\r\n:0\r\n:3\r\n:0\r\n:-1\r\n:30\r\n\
        *5\r\n:1\r\n:3\r\n:0\r\n:10\r\n:30\r\n\
        *5\r\n:0\r\n:1\r\n:0\r\n:-1\r\n:10\r\n:1\r\n\
        *5\r\n:0\r\n:3\r\n:2\r\n:-1\r\n:10\r\n";
    let mut client = service.connect();
    for cut in 1..pipeline.len() {
        let (first, second) = pipeline.as_bytes().split_at(cut);
        client.send(first);
        // The first piece has come alone once another client is answered.
        if cut % 16 == 0 {
            assert_eq!(service.connect().ask("PING"), Reply::Status("PONG".into()));
        }
        client.send(second);
        client.expect(answer.as_bytes());
        assert_eq!(client.ask("DEL p q"), Reply::Integer(2));
    }
}

#[test]
fn libraries_find_what_they_ask_for_when_they_connect() {
    let service = Service::alone();
    let mut client = service.connect();
    let hello = client.ask("HELLO 3 SETNAME worker-1");
    assert_eq!(
        hello.items()[0..2],
        [
            Reply::Bulk(b"server".into()),
            Reply::Bulk(b"tollgate".into())
        ]
    );
    assert_eq!(hello.items()[5], Reply::Integer(3));
    client.send(b"CL.THROTTLE ann 15 30 60\r\n");
    client.expect(b"*5\r\n:0\r\n:16\r\n:15\r\n:-1\r\n:2\r\n");
    assert_eq!(client.ask("CLIENT GETNAME").text(), "worker-1");
    let ok = Reply::Status("OK".into());
    for said in [
        "CLIENT SETINFO LIB-NAME redis-py",
        "CLIENT SETNAME w",
        "SELECT 0",
        "CLIENT NO-EVICT on",
    ] {
        assert_eq!(client.ask(said), ok, "{said}");
    }
    assert!(client.ask("CLIENT ID").integer() > 0);
    assert_eq!(client.ask("ECHO hello").text(), "hello");
    assert_eq!(client.ask("PING hello").text(), "hello");
    let info = client.ask("INFO").text();
    assert!(
        info.contains("loading:0\r\n") && info.contains("role:master\r\n"),
        "{info}"
    );
    assert_eq!(
        client.ask("COMMAND COUNT").integer() as usize,
        client.ask("COMMAND").items().len()
    );
    assert_eq!(
        client.ask("COMMAND INFO cl.throttle").items()[0].items()[3],
        Reply::Integer(1)
    );
    client.send(b"COMMAND INFO nonsense\r\nCLIENT SETNAME a:b\r\nHELLO 4\r\nSELECT 1\r\n");
    client.expect(b"*1\r\n_\r\n+OK\r\n-NOPROTO unsupported protocol version\r\n-ERR DB index is out of range\r\n");
    assert_eq!(client.ask("RESET"), Reply::Status("RESET".into()));
    client.send(b"COMMAND INFO nonsense\r\nCLIENT GETNAME\r\nQUIT\r\n");
    assert_eq!(
        client.rest(),
        b"*1\r\n*-1\r\n$-1\r\n+OK\r\n",
        "RESP2 again, without a name, and closed"
    );
}

#[test]
fn of_a_hundred_at_once_exactly_five_pass() {
    let service = Service::alone();
    let start = Barrier::new(100);
    for round in 0..20 {
        let words = format!("CL.THROTTLE key-{round} 4 5 60");
        let passed: i64 = std::thread::scope(|scope| {
            let ask = || {
                let mut client = service.connect();
                start.wait();
                1 - client.integers(&words)[0]
            };
            let clients: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
            clients
                .into_iter()
                .map(|client| client.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 5);
    }
}

#[test]
fn counters_of_clients_survive_a_restart() {
    let data = DataDir::new();
    for left in [2, 1, 0] {
        let service = Service::start(launch().data(&data));
        assert_eq!(
            service.connect().integers("CL.THROTTLE ann 2 1 60")[2],
            left
        );
        assert!(service.gateway.stop().success());
    }
}

#[test]
fn decisions_are_counted_by_how_they_were_and_without_keys() {
    let service = Service::alone();
    let mut client = service.connect();
    for _ in 0..3 {
        client.ask("CL.THROTTLE secret-of-ann 0 1 10");
    }
    client.error("NONSENSE");
    let metrics = service
        .gateway
        .admin(&tollgate_testkit::client::Call::get("/metrics"));
    let text = metrics.text();
    for line in [
        "tollgate_service_decisions_total{protocol=\"resp\",outcome=\"allowed\"} 1",
        "tollgate_service_decisions_total{protocol=\"resp\",outcome=\"denied\"} 2",
        "tollgate_service_errors_total{protocol=\"resp\"} 1",
        "tollgate_service_connections{protocol=\"resp\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    assert!(!text.contains("secret-of-ann"));
}
