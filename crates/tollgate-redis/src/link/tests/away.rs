//! A server that is killed, suspended, slow, silent, or not there yet.

use tollgate_testkit::process::free_address;
use tollgate_testkit::redis::RedisCluster;
use tollgate_testkit::relay::Relay;

use super::*;

async fn is_back(link: &Link) {
    until("the store is asked again", || async {
        link.stats().servers_away() == 0 && link.add("probe").await.is_ok()
    })
    .await;
    assert_eq!(link.stats().degraded_since(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_under_load_is_away_at_once_and_back_when_it_is_started_again() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    for _ in 0..3 {
        let load = Load::new(&link, &["a"; 16]);
        load.more(500).await;
        server.kill();
        until("it is away", || async { link.stats().servers_away() == 1 }).await;
        assert!(link.stats().degraded_since().is_some());
        assert_eq!(link.add("a").await, Err(LinkError::Away));
        server.restart();
        load.more(500).await;
        let errors = load.end().await;
        assert!(!errors.is_empty());
        let expected = [LinkError::Broken, LinkError::Away];
        assert!(
            errors.iter().all(|error| expected.contains(error)),
            "{errors:?}"
        );
        is_back(&link).await;
    }
    assert!(link.stats().reconnects() >= 3);
}

#[tokio::test]
async fn while_a_server_is_away_calls_fail_without_waiting() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    server.kill();
    until("it is away", || async { link.stats().servers_away() == 1 }).await;
    // A thousand calls that waited for their deadlines would take hours.
    let calls = async {
        for _ in 0..1_000 {
            assert_eq!(link.add("a").await, Err(LinkError::Away));
        }
    };
    assert!(timeout(SOON, calls).await.is_ok());
}

#[tokio::test]
async fn a_server_that_is_suspended_is_waited_for_a_few_times_and_back_when_it_goes_on() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), impatient()).await;
    until("it answers", || async { link.add("a").await.is_ok() }).await;
    server.suspend();
    for asked in 0.. {
        match link.add("a").await {
            Err(LinkError::Timeout(deadline)) => assert_eq!(deadline, impatient().deadline),
            called => {
                assert_eq!(called, Err(LinkError::Away));
                break;
            }
        }
        assert!(asked < 5, "it is asked again and again");
    }
    server.resume();
    is_back(&link).await;
}

#[tokio::test]
async fn a_slow_server_is_waited_for_no_longer_than_the_deadline() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), impatient()).await;
    server.tell(&["DEBUG", "SLEEP", "5"]);
    until("it sleeps", || async { link.add("a").await.is_err() }).await;
    assert_eq!(
        link.stats().errors().keys().collect::<Vec<_>>(),
        [&"timeout"]
    );
    is_back(&link).await;
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_counts_as_carried_out_and_is_not_repeated() {
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::new(server.address());
    let link = linked(&server.url_at(relay.address()), impatient()).await;
    assert_eq!(link.add("a").await, Ok(1));
    relay.mute();
    assert_eq!(
        link.add("a").await,
        Err(LinkError::Timeout(impatient().deadline))
    );
    let sum = || server.ask(&["GET", "a"]).text();
    until("the call arrives", || async { sum() == "2" }).await;
    relay.heal();
    is_back(&link).await;
    assert_eq!(sum(), "2");
}

#[tokio::test]
async fn connections_that_have_died_without_a_word_are_replaced() {
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::new(server.address());
    let link = linked(&server.url_at(relay.address()), impatient()).await;
    relay.freeze();
    until("it is away", || async {
        link.add("a").await == Err(LinkError::Away)
    })
    .await;
    relay.heal_for_newcomers();
    is_back(&link).await;
    for _ in 0..20 {
        assert!(link.add("a").await.is_ok());
    }
}

#[tokio::test]
async fn one_connection_of_several_that_has_died_without_a_word_is_replaced() {
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::new(server.address());
    let link = linked(&server.url_at(relay.address()), impatient()).await;
    all_connected(&link).await;
    relay.freeze();
    assert!(link.add("a").await.is_err());
    relay.heal_for_newcomers();
    // One of four calls goes over that connection; so few failures do not open the breaker.
    until("it is replaced", || async {
        let _ = link.add("a").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        link.stats().reconnects() > 0
    })
    .await;
    assert_eq!(link.stats().servers_away(), 0);
    for _ in 0..20 {
        assert!(link.add("a").await.is_ok());
    }
}

#[tokio::test]
async fn connections_that_the_server_closes_are_made_again_before_anybody_notices() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    all_connected(&link).await;
    for round in 1..=10 {
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        // What is on its way when a connection is closed is lost; here nothing is.
        until("all are there again", || async {
            link.stats().reconnects() == 4 * round
        })
        .await;
        assert!(link.add("a").await.is_ok());
    }
    assert_eq!(link.stats().errors(), [].into());
}

#[tokio::test]
async fn a_server_that_comes_after_the_start_is_found() {
    let address = free_address();
    let link = linked(&format!("redis://{address}"), patient()).await;
    assert_eq!(link.stats().servers_away(), 1);
    assert_eq!(link.add("a").await, Err(LinkError::Away));
    let server = RedisServer::new(RedisEngine::Redis);
    let relay = Relay::at(address, server.address());
    is_back(&link).await;
    drop(relay);
    until("it is away again", || async {
        link.stats().servers_away() == 1
    })
    .await;
}

#[tokio::test]
async fn a_node_that_does_not_answer_at_the_start_does_not_hold_it_up() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    server.suspend();
    let settings = Settings {
        connect_timeout: Duration::from_millis(100),
        ..patient()
    };
    let link = linked(&server.url(), settings).await;
    server.resume();
    is_back(&link).await;
}

#[tokio::test]
async fn no_more_calls_wait_for_a_server_than_are_allowed() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let settings = Settings {
        in_flight_max: 3,
        ..patient()
    };
    let link = linked(&server.url(), settings).await;
    server.suspend();
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.add("a").await })
        })
        .collect();
    until("three wait", || async {
        link.stats().in_flight() == 3 && link.stats().errors().get("saturated") == Some(&7)
    })
    .await;
    server.resume();
    let mut good = 0;
    for call in calls {
        good += u32::from(call.await.unwrap().is_ok());
    }
    assert_eq!((good, link.stats().in_flight()), (3, 0));
    assert_eq!(
        link.stats().servers_away(),
        0,
        "too many calls are no failure of the server"
    );
}

#[tokio::test]
async fn a_link_that_is_dropped_leaves_no_connection_behind() {
    let server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), patient()).await;
    assert_eq!(link.add("a").await, Ok(1));
    let ours = || {
        server
            .ask(&["CLIENT", "LIST"])
            .text()
            .contains("name=tollgate")
    };
    assert!(ours());
    drop(link);
    until("its connections are closed", || async { !ours() }).await;
}

#[tokio::test]
async fn a_server_that_is_suspended_is_away_after_a_few_calls_however_rare_they_are() {
    let mut server = RedisServer::new(RedisEngine::Redis);
    let link = linked(&server.url(), impatient()).await;
    all_connected(&link).await;
    assert_eq!(link.add("a").await, Ok(1));
    server.suspend();
    let mut calls = 0;
    while link.stats().servers_away() == 0 {
        calls += 1;
        assert!(calls <= 4, "it is still asked");
        assert!(link.add("a").await.is_err());
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(link.add("a").await, Err(LinkError::Away));
    assert!(link.stats().degraded_since().is_some());
    server.resume();
    is_back(&link).await;
}

#[tokio::test]
async fn a_cluster_none_of_whose_nodes_is_known_is_away_until_one_is() {
    let address = free_address();
    let link = linked(&format!("redis+cluster://{address}"), patient()).await;
    assert_eq!(link.stats().servers_away(), 1);
    assert!(link.stats().degraded_since().is_some());
    assert_eq!(link.add("a").await, Err(LinkError::Away));
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let relay = Relay::at(address, cluster.masters()[0].address());
    is_back(&link).await;
    drop(relay);
}
