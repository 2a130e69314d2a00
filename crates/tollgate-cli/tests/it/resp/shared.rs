//! The service over a store that is a round trip away.

use std::sync::Barrier;

use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::{Client, Service};
use crate::support::launch;

const PATIENT: &str = "[service]\n[counters]\ndeadline_ms = 10000\n[limits.per-user]\nkey = \"user\"\nquotas = [\"5 per minute\"]\n";

fn service(redis: &RedisServer) -> Service {
    Service::start(launch().rules(PATIENT).option("--counters", redis.url()))
}

#[test]
fn two_services_on_one_store_let_five_of_a_hundred_pass_and_keep_the_order_of_a_pipeline() {
    let redis = RedisServer::new(RedisEngine::Redis);
    let services = [service(&redis), service(&redis)];
    let start = Barrier::new(100);
    let passed: i64 = std::thread::scope(|scope| {
        let ask = |place: usize| {
            let (service, start) = (&services[place % 2], &start);
            scope.spawn(move || {
                let mut client = service.connect();
                start.wait();
                1 - client.integers("CL.THROTTLE ann 4 5 60")[0]
            })
        };
        let clients: Vec<_> = (0..100).map(ask).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    assert_eq!(passed, 5);
    // A hundred in one write, of keys that are asked for at the same time.
    let mut client: Client = services[0].connect();
    let words: String = (0..100)
        .map(|key| format!("CL.THROTTLE key-{key} {key} 1 60\r\n"))
        .collect();
    client.send(words.as_bytes());
    for key in 0..100i64 {
        client.expect(format!("*5\r\n:0\r\n:{}\r\n:{key}\r\n:-1\r\n:60\r\n", key + 1).as_bytes());
    }
    let check = "TOLLGATE.CHECK per-user bob";
    let remaining = |reply: tollgate_testkit::redis::Reply| reply.items()[5].integer();
    assert_eq!(
        [0, 1, 0].map(|place| remaining(services[place].connect().ask(check))),
        [4, 3, 2]
    );
    assert_eq!(client.ask("TOLLGATE.RESET per-user bob").integer(), 1);
    assert_eq!(remaining(services[1].connect().ask(check)), 4);
    assert_eq!(client.ask("DEL ann").integer(), 1);
}

#[test]
fn questions_of_one_pipeline_about_one_key_are_decided_in_their_order() {
    let redis = RedisServer::new(RedisEngine::Redis);
    let service = service(&redis);
    let mut client: Client = service.connect();
    // Scripts that the server does not know are sent again, and may be overtaken.
    client.ask("TOLLGATE.CHECK per-user warm");
    client.ask("TOLLGATE.PEEK per-user warm");
    client.ask("CL.THROTTLE warm 9 10 3600");
    for key in 0..20 {
        client.send(
            format!("CL.THROTTLE k{key} 9 10 3600\r\n")
                .repeat(10)
                .as_bytes(),
        );
        let remaining =
            (0..10).map(|_| super::resp::read(&mut client.0).unwrap().items()[2].integer());
        let in_order: Vec<i64> = (0..10).rev().collect();
        assert_eq!(remaining.collect::<Vec<_>>(), in_order, "k{key}");
        let pair = format!("TOLLGATE.CHECK per-user k{key}\r\nTOLLGATE.PEEK per-user k{key}\r\n");
        client.send(pair.as_bytes());
        let remaining =
            [(); 2].map(|()| super::resp::read(&mut client.0).unwrap().items()[5].integer());
        assert_eq!(remaining, [4, 4], "k{key}");
    }
}
