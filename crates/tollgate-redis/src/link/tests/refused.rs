//! What a server refuses, at the start and later: named in one sentence that says what to do.

use tollgate_testkit::certificates::Certificates;
use tollgate_testkit::redis::{RedisCluster, RedisSentinel, Reply};

use super::*;

fn with_password() -> RedisServer {
    let options = RedisOptions {
        password: Some("hush".to_owned()),
        users: vec![
            (
                "app".to_owned(),
                "on >hush ~tollgate* ~a* +@scripting +@read +@write +time +info".to_owned(),
            ),
            (
                "mute".to_owned(),
                "on >hush ~* +@all -eval -evalsha".to_owned(),
            ),
            ("far".to_owned(), "on >hush ~other* +@all".to_owned()),
        ],
        ..RedisOptions::default()
    };
    RedisServer::with(RedisEngine::Redis, options)
}

#[tokio::test]
async fn users_passwords_and_permissions_that_do_not_do_are_named_at_the_start() {
    let server = with_password();
    let at = |user: &str| format!("redis://{user}{}", server.address());
    assert_eq!(refused(&at("")).await, LinkError::NoPassword);
    assert_eq!(refused(&at(":wrong@")).await, LinkError::WrongPassword);
    assert_eq!(refused(&at("nobody:hush@")).await, LinkError::WrongPassword);
    for (user, word) in [("mute", "eval"), ("far", "key")] {
        let error = refused(&at(&format!("{user}:hush@"))).await;
        let text = error.to_string();
        assert!(matches!(error, LinkError::NotPermitted(_)), "{text}");
        assert!(
            text.contains(word) && text.contains("grant it") && !text.contains("hush"),
            "{text}"
        );
    }
    assert_eq!(
        linked(&at("app:hush@"), patient()).await.add("a").await,
        Ok(1)
    );
    let open = RedisServer::new(RedisEngine::Redis);
    assert_eq!(
        refused(&format!("redis://:hush@{}", open.address())).await,
        LinkError::WrongPassword
    );
}

#[tokio::test]
async fn a_password_that_is_changed_later_is_a_failure_and_heals_with_it() {
    let server = with_password();
    let link = linked(&format!("redis://app:hush@{}", server.address()), patient()).await;
    server.ask(&["ACL", "SETUSER", "app", "resetpass", ">other"]);
    server.ask(&["CLIENT", "KILL", "USER", "app"]);
    until("it is away", || async {
        link.add("a").await == Err(LinkError::Away)
    })
    .await;
    server.ask(&["ACL", "SETUSER", "app", ">hush"]);
    until("it is back", || async { link.add("a").await.is_ok() }).await;
}

#[tokio::test]
async fn permissions_that_are_taken_away_later_are_a_failure() {
    let server = with_password();
    let link = linked(&format!("redis://app:hush@{}", server.address()), patient()).await;
    server.ask(&["ACL", "SETUSER", "app", "-evalsha", "-eval"]);
    let error = link.add("a").await.unwrap_err();
    assert!(matches!(error, LinkError::NotPermitted(_)), "{error}");
    until("it is away", || async {
        link.add("a").await == Err(LinkError::Away)
    })
    .await;
    server.ask(&["ACL", "SETUSER", "app", "+evalsha", "+eval"]);
    until("it is back", || async { link.add("a").await.is_ok() }).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_at_the_start() {
    let options = RedisOptions {
        tls: Some(Certificates::new()),
        ..RedisOptions::default()
    };
    let server = RedisServer::with(RedisEngine::Redis, options);
    let port = server.address().port();
    let stranger = Certificates::new();
    let strange = format!(
        "rediss://127.0.0.1:{port}?ca={}",
        stranger.authority().display()
    );
    for url in [format!("rediss://127.0.0.1:{port}"), strange] {
        let error = refused(&url).await;
        assert!(
            matches!(&error, LinkError::Tls(text) if text.contains("ertificate")),
            "{error}"
        );
    }
    let missing = refused(&format!("rediss://127.0.0.1:{port}?ca=/nowhere.pem")).await;
    assert!(
        matches!(&missing, LinkError::Authorities(text) if text.contains("/nowhere.pem")),
        "{missing}"
    );
}

#[tokio::test]
async fn tls_on_one_side_alone_is_named_at_the_start() {
    let options = RedisOptions {
        tls: Some(Certificates::new()),
        password: Some("hush".to_owned()),
        ..RedisOptions::default()
    };
    let encrypted = RedisServer::with(RedisEngine::Redis, options);
    let plain = [RedisServer::new(RedisEngine::Redis), with_password()];
    let at = encrypted.address();
    let error = refused(&format!("redis://:hush@{at}")).await;
    assert_eq!(error, LinkError::SpeaksTls(at.to_string()));
    for plain in plain {
        let at = plain.address();
        let error = refused(&format!("rediss://:hush@{at}")).await;
        assert_eq!(error, LinkError::SpeaksNoTls(at.to_string()));
    }
}

/// A server that says this to whoever comes, and closes.
async fn stranger(says: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut heard = [0; 1024];
                // A banner comes first, an answer does not.
                if says.starts_with("HTTP") {
                    let _ = stream.read(&mut heard).await;
                }
                let _ = stream.write_all(says.as_bytes()).await;
                let _ = stream.read(&mut heard).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn what_is_no_redis_is_named_at_the_start() {
    for says in [
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
    ] {
        let at = stranger(says).await;
        let not_redis = LinkError::NotRedis(at.clone());
        for scheme in ["redis", "rediss", "redis+cluster", "redis+sentinel"] {
            let service = if scheme == "redis+sentinel" {
                "/main"
            } else {
                ""
            };
            let error = refused(&format!("{scheme}://{at}{service}")).await;
            assert_eq!(error, not_redis, "{scheme}: {says}");
        }
    }
}

#[tokio::test]
async fn sentinels_are_told_from_servers_and_names_that_they_do_not_know_are_named() {
    let server = RedisServer::new(RedisEngine::Redis);
    let sentinel = RedisSentinel::of(&server);
    let at = sentinel.address();
    let error = refused(&format!("redis+sentinel://{at}/nobody")).await;
    assert_eq!(error, LinkError::NoSuchService("nobody".to_owned()));
    let error = refused(&format!("redis://{at}")).await;
    assert_eq!(error, LinkError::IsSentinel);
    let at = server.address();
    let error = refused(&format!("redis+sentinel://{at}/main")).await;
    assert_eq!(error, LinkError::IsNoSentinel(at.to_string()));
}

#[tokio::test]
async fn servers_of_another_kind_are_named_at_the_start() {
    let single = RedisServer::new(RedisEngine::Redis);
    let url = format!("redis+cluster://{}", single.address());
    assert_eq!(refused(&url).await, LinkError::IsNoCluster);
    assert_eq!(
        refused(&format!("{}/4000", single.url())).await,
        LinkError::NoDatabase(4_000)
    );
    for engine in [RedisEngine::Redis, RedisEngine::Valkey] {
        let cluster = RedisCluster::new(engine);
        assert_eq!(
            refused(&cluster.masters()[0].url()).await,
            LinkError::IsCluster
        );
    }
}

#[tokio::test]
async fn a_script_of_somebody_else_that_does_not_end_is_a_failure_until_it_is_killed() {
    let options = RedisOptions::default().set("busy-reply-threshold", "50");
    let server = RedisServer::with(RedisEngine::Redis, options);
    let link = linked(&server.url(), patient()).await;
    assert_eq!(link.add("a").await, Ok(1));
    server.tell(&["EVAL", "while true do end", "0"]);
    until("it is busy", || async {
        link.add("a").await == Err(LinkError::Busy)
    })
    .await;
    until("it is away", || async {
        link.add("a").await == Err(LinkError::Away)
    })
    .await;
    assert_eq!(
        server.ask(&["SCRIPT", "KILL"]),
        Reply::Status("OK".to_owned())
    );
    until("it is back", || async { link.add("a").await.is_ok() }).await;
}

#[tokio::test]
async fn a_server_without_memory_is_a_failure_until_it_has_some() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    assert_eq!(link.add("a").await, Err(LinkError::OutOfMemory));
    until("it is away", || async {
        link.add("a").await == Err(LinkError::Away)
    })
    .await;
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    until("it is back", || async { link.add("a").await.is_ok() }).await;
}

#[tokio::test]
async fn probes_that_fail_bring_nobody_back() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    until("it is away", || async {
        link.add("a").await == Err(LinkError::Away)
    })
    .await;
    let probes = || {
        let eval = server.info("cmdstat_eval").unwrap();
        let calls = eval
            .strip_prefix("calls=")
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        calls.parse::<u32>().unwrap()
    };
    let before = probes();
    until("it is probed eight times", || async {
        assert_eq!(link.add("a").await, Err(LinkError::Away));
        probes() >= before + 8
    })
    .await;
}

#[tokio::test]
async fn a_server_that_cannot_save_is_a_failure() {
    let options = RedisOptions::default().set("min-replicas-to-write", "1");
    let server = RedisServer::with(RedisEngine::Redis, options);
    let link = linked(&server.url(), patient()).await;
    assert_eq!(link.stats().servers_away(), 1);
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    until("it is back", || async { link.add("a").await == Ok(1) }).await;
    server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let error = link.add("a").await.unwrap_err();
    assert!(
        matches!(&error, LinkError::Unwritable(text) if text.starts_with("NOREPLICAS")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_becomes_a_replica_is_left_and_found_again_when_it_is_promoted() {
    let (server, other) = (
        RedisServer::new(RedisEngine::Redis),
        RedisServer::new(RedisEngine::Redis),
    );
    let link = linked(&server.url(), patient()).await;
    let load = Load::new(&link, &["a"; 4]);
    load.more(100).await;
    server.follow(&other);
    until("it is away", || async { link.stats().servers_away() == 1 }).await;
    server.promote();
    load.more(100).await;
    let errors = load.end().await;
    assert!(errors.contains(&LinkError::ReadOnly));
    let expected = [LinkError::ReadOnly, LinkError::Broken, LinkError::Away];
    assert!(
        errors.iter().all(|error| expected.contains(error)),
        "{errors:?}"
    );
}

#[tokio::test]
async fn settings_under_which_no_call_could_be_answered_are_named_at_the_start() {
    let url = format!("redis://{}", tollgate_testkit::process::free_address());
    let usual = Settings::default;
    for (settings, name) in [
        (usual().with_deadline(Duration::ZERO), "`deadline`"),
        (
            usual().with_connect_timeout(Duration::ZERO),
            "`connect_timeout`",
        ),
        (usual().with_connections(0), "`connections`"),
        (usual().with_in_flight_max(0), "`in_flight_max`"),
        (usual().with_nodes(0), "`nodes`"),
    ] {
        let Err(error) = Link::connect(url.parse().unwrap(), settings).await else {
            panic!("{name}: connected");
        };
        assert!(error.is_permanent(), "{name}");
        assert_eq!(
            error.to_string(),
            format!("the settings of the store: {name} is 0")
        );
    }
}
