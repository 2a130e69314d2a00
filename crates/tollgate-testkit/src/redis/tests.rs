use super::*;

const BOTH: [RedisEngine; 2] = [RedisEngine::Redis, RedisEngine::Valkey];

fn ok() -> Reply {
    Reply::Status("OK".to_owned())
}

#[test]
fn a_server_can_be_asked_killed_and_started_again_on_its_port() {
    for engine in BOTH {
        let mut server = RedisServer::new(engine);
        let address = server.address();
        assert_eq!(server.ask(&["SET", "a", "1"]), ok());
        server.kill();
        assert!(std::net::TcpStream::connect(address).is_err());
        server.restart();
        assert_eq!(server.ask(&["GET", "a"]), Reply::Nil);
        assert_eq!(server.address(), address);
    }
}

#[test]
fn a_replica_follows_and_can_be_promoted() {
    let (primary, replica) = (
        RedisServer::new(RedisEngine::Redis),
        RedisServer::new(RedisEngine::Redis),
    );
    replica.follow(&primary);
    assert_eq!(primary.ask(&["SET", "a", "1"]), ok());
    eventually("the write arrives", || {
        (replica.ask(&["GET", "a"]) != Reply::Nil).then_some(())
    });
    assert!(
        matches!(replica.ask(&["SET", "a", "2"]), Reply::Error(error) if error.starts_with("READONLY"))
    );
    replica.promote();
    assert_eq!(replica.ask(&["SET", "a", "2"]), ok());
}

#[test]
fn a_cluster_divides_the_slots_and_can_move_one() {
    for engine in BOTH {
        let cluster = RedisCluster::new(engine);
        let slot_of_key = cluster.masters()[0].ask(&["CLUSTER", "KEYSLOT", "a{tag}b"]);
        assert_eq!(slot_of_key.integer(), i64::from(slot(b"a{tag}b")));
        let moved = slot(b"{tag}");
        let from = cluster.owner(moved);
        let to = (from + 1) % 3;
        assert_eq!(cluster.masters()[from].ask(&["SET", "{tag}", "1"]), ok());
        cluster.begin_move(moved, from, to);
        cluster.move_keys(moved, from, to);
        cluster.end_move(moved, to);
        assert_eq!(cluster.owner(moved), to);
        assert_eq!(cluster.masters()[to].ask(&["GET", "{tag}"]).text(), "1");
    }
}

#[test]
fn passwords_users_and_certificates_are_asked_for() {
    let options = RedisOptions {
        password: Some("hush".to_owned()),
        users: vec![("app".to_owned(), "on >word ~* +ping".to_owned())],
        tls: Some(Certificates::new()),
        ..RedisOptions::default()
    };
    let server = RedisServer::with(RedisEngine::Redis, options);
    assert!(server.url().starts_with("rediss://:hush@127.0.0.1:"));
    assert_eq!(server.ask(&["AUTH", "app", "word"]), ok());
    assert_eq!(
        server.ask(&["CONFIG", "GET", "tls-port"]).items()[1].text(),
        server.address().port().to_string()
    );
}
