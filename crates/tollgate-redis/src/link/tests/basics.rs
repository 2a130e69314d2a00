use super::*;

const BOTH: [RedisEngine; 2] = [RedisEngine::Redis, RedisEngine::Valkey];

#[tokio::test]
async fn a_call_runs_the_script_once_and_says_what_it_returned() {
    for engine in BOTH {
        let server = RedisServer::new(engine);
        let link = linked(&server.url(), patient()).await;
        assert_eq!(link.add("a").await, Ok(1));
        assert_eq!(link.add("a").await, Ok(2));
        assert_eq!(server.ask(&["GET", "a"]).text(), "2");
        let stats = link.stats();
        assert_eq!(
            (
                stats.round_trips().iter().sum::<u64>(),
                stats.scripts_sent()
            ),
            (2, 1)
        );
        assert_eq!(
            (stats.servers_away(), stats.in_flight(), stats.reconnects()),
            (0, 0, 0)
        );
        assert!(
            stats.degraded_since().is_none()
                && stats.errors().is_empty()
                && stats.round_trip_micros() > 0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scripts_that_are_flushed_again_and_again_fail_no_call_and_run_once_each() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    let load = Load::new(&link, &["a"; 8]);
    for _ in 0..50 {
        server.ask(&["SCRIPT", "FLUSH"]);
        load.more(20).await;
    }
    let good = load.good.clone();
    assert_eq!(load.end().await, []);
    assert!(link.stats().scripts_sent() >= 50);
    assert_eq!(
        server.ask(&["GET", "a"]).text(),
        good.load(Ordering::Acquire).to_string()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_share_a_few_connections() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    let calls = (0..500).map(|_| {
        let link = link.clone();
        tokio::spawn(async move { link.add("a").await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(server.ask(&["GET", "a"]).text(), "500");
    let clients = server.ask(&["CLIENT", "LIST"]).text();
    let ours = clients
        .lines()
        .filter(|client| client.contains("name=tollgate"));
    assert!((1..=4).contains(&ours.count()), "{clients}");
}

#[tokio::test]
async fn a_script_that_fails_says_so_and_is_no_failure_of_the_server() {
    let server = RedisServer::new(RedisEngine::Redis);
    server.ask(&["SET", "text", "x"]);
    let link = linked(&server.url(), patient()).await;
    let push = Script::new("return redis.call('LPUSH', KEYS[1], 1)");
    for _ in 0..50 {
        let called = link.call(&push, vec![b"text".into()], Vec::new()).await;
        let error = called.unwrap_err();
        assert!(
            matches!(&error, LinkError::Script(text) if text.starts_with("WRONGTYPE")),
            "{error}"
        );
    }
    assert_eq!(link.add("a").await, Ok(1));
    assert_eq!(link.stats().errors(), [("script", 50)].into());
}

#[tokio::test]
async fn a_call_may_be_awaited_on_another_runtime_than_that_of_the_connections() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    let elsewhere = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime
            .enable_all()
            .build()
            .unwrap()
            .block_on(link.add("a"))
    });
    let result = tokio::task::spawn_blocking(move || elsewhere.join().unwrap());
    assert_eq!(result.await.unwrap(), Ok(1));
}

#[tokio::test]
async fn forgetting_a_prefix_takes_what_begins_with_it_and_nothing_else() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    for key in 0..1_000 {
        server.ask(&["SET", &format!("a*:[{key}]"), "1"]);
    }
    server.ask(&["MSET", "a", "1", "ab:1", "1", "a*", "1"]);
    link.forget(b"a*:[").await.unwrap();
    assert_eq!(server.ask(&["KEYS", "a*"]).items().len(), 3);
}

#[tokio::test]
async fn databases_users_passwords_sockets_and_tls_are_those_of_the_url() {
    let options = RedisOptions {
        password: Some("hush".to_owned()),
        users: vec![("app".to_owned(), "on >w%rd ~* +@all".to_owned())],
        tls: Some(tollgate_testkit::certificates::Certificates::new()),
        ..RedisOptions::default()
    };
    let authority = options.tls.clone().unwrap().authority();
    let server = RedisServer::with(RedisEngine::Redis, options);
    let address = server.address();
    let url = format!(
        "rediss://app:w%25rd@localhost:{}/3?ca={}",
        address.port(),
        authority.display()
    );
    assert_eq!(linked(&url, patient()).await.add("a").await, Ok(1));
    let url = format!("redis+unix://:hush@{}?db=3", server.socket().display());
    assert_eq!(linked(&url, patient()).await.add("a").await, Ok(2));
}
