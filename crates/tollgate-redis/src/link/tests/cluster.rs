//! A cluster whose slots move and whose masters fail.

use tollgate_testkit::redis::{RedisCluster, RedisSentinel, slot};

use super::*;

/// A key in a slot of each of the three masters.
const KEYS: [&str; 3] = ["{a}", "{b}", "{c}"];

#[tokio::test]
async fn calls_go_to_the_master_of_their_slot() {
    for engine in [RedisEngine::Redis, RedisEngine::Valkey] {
        let cluster = RedisCluster::new(engine);
        let link = linked(&cluster.url(), patient()).await;
        for key in 0..100 {
            let key = format!("key:{{{key}}}");
            assert_eq!(link.add(&key).await, Ok(1));
            let owner = &cluster.masters()[cluster.owner(slot(key.as_bytes()))];
            assert_eq!(owner.ask(&["GET", &key]).text(), "1");
        }
        assert_eq!(link.stats().redirects(), 0);
        link.forget(b"key:").await.unwrap();
        assert_eq!(link.add("key:{1}").await, Ok(1));
    }
}

#[tokio::test]
async fn one_node_that_is_there_is_enough_to_find_the_others() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let one = cluster.masters()[1].address();
    let nowhere = tollgate_testkit::process::free_address();
    let link = linked(&format!("redis+cluster://{nowhere},{one}"), patient()).await;
    for key in KEYS {
        assert_eq!(link.add(key).await, Ok(1));
    }
}

#[tokio::test]
async fn a_node_that_knows_of_no_slots_is_not_believed() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let options = RedisOptions::default().set("cluster-enabled", "yes");
    let stray = RedisServer::with(RedisEngine::Redis, options);
    let others: Vec<String> = cluster
        .masters()
        .iter()
        .map(|master| master.address().to_string())
        .collect();
    let url = format!("redis+cluster://{},{}", stray.address(), others.join(","));
    let link = linked(&url, patient()).await;
    for key in KEYS {
        assert_eq!(link.add(key).await, Ok(1));
    }
    let Routes::Cluster(routes) = &*link.0.routes else {
        panic!("no cluster");
    };
    // Nor when it is asked again.
    routes.refresh().await.unwrap();
    assert_eq!(link.0.routes.masters().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_that_move_under_load_fail_no_call_and_lose_none() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let link = linked(&cluster.url(), patient()).await;
    // The keys of one slot: some are there already when it moves, and some come while it does.
    let moved = slot(b"{a}");
    let keys: Vec<String> = (0..40).map(|key| format!("{{a}}{key}")).collect();
    let load = Load::new(
        &link,
        &keys.iter().map(String::as_str).collect::<Vec<_>>()[..20],
    );
    load.more(200).await;
    let mut from = cluster.owner(moved);
    for round in 0..4 {
        let to = (from + 1) % 3;
        cluster.begin_move(moved, from, to);
        let fresh = format!("{{a}}fresh{round}");
        // It is nowhere yet, so the old owner sends it on with ASK.
        assert_eq!(link.add(&fresh).await, Ok(1));
        assert_eq!(
            cluster.masters()[to].ask(&["EXISTS", &fresh]),
            tollgate_testkit::redis::Reply::Error(format!(
                "MOVED {moved} {}",
                cluster.masters()[from].address()
            ))
        );
        load.more(100).await;
        cluster.move_keys(moved, from, to);
        load.more(100).await;
        cluster.end_move(moved, to);
        load.more(100).await;
        from = to;
    }
    let good = load.good.clone();
    assert_eq!(load.end().await, []);
    let owner = &cluster.masters()[from];
    let sums = keys
        .iter()
        .map(|key| owner.ask(&["GET", key]).text().parse().unwrap_or(0));
    assert_eq!(sums.sum::<u64>(), good.load(Ordering::Acquire));
    assert!(link.stats().redirects() > 4);
    assert_eq!(link.stats().servers_away(), 0);
}

#[tokio::test]
async fn where_a_slot_has_gone_is_told_once() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let link = linked(&cluster.url(), patient()).await;
    let moved = slot(b"{a}");
    let from = cluster.owner(moved);
    let to = (from + 1) % 3;
    cluster.begin_move(moved, from, to);
    cluster.end_move(moved, to);
    for sum in 1..=20 {
        assert_eq!(link.add("{a}").await, Ok(sum));
        assert_eq!(link.stats().redirects(), 1);
    }
}

#[tokio::test]
async fn a_call_whose_keys_are_on_two_nodes_waits_a_little_and_then_fails_alone() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let link = linked(&cluster.url(), patient()).await;
    let both = Script::new("return redis.call('INCR', KEYS[1]) + redis.call('INCR', KEYS[2])");
    let keys = || vec![b"{a}1".to_vec(), b"{a}2".to_vec()];
    assert_eq!(
        link.call(&both, keys(), Vec::new()).await,
        Ok(Value::Int(2))
    );
    let moved = slot(b"{a}");
    let from = cluster.owner(moved);
    let to = (from + 1) % 3;
    cluster.begin_move(moved, from, to);
    cluster.masters()[from].ask(&["DEL", "{a}2"]);
    let called = link.call(&both, keys(), Vec::new()).await;
    assert_eq!(called, Err(LinkError::Redirected(HOPS_MAX)));
    cluster.move_keys(moved, from, to);
    cluster.end_move(moved, to);
    assert_eq!(
        link.call(&both, keys(), Vec::new()).await,
        Ok(Value::Int(3)),
        "it was not carried out"
    );
    assert_eq!(link.stats().servers_away(), 0);
}

#[tokio::test]
async fn a_call_is_sent_on_five_times_at_most() {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    let link = linked(&cluster.url(), patient()).await;
    let moved = slot(b"{a}");
    let from = cluster.owner(moved);
    let to = (from + 1) % 3;
    let owner = |place: usize| cluster.masters()[place].ask(&["CLUSTER", "MYID"]).text();
    // Each of the two believes that the other has the slot.
    let other = owner(to);
    cluster.masters()[from].ask(&["CLUSTER", "SETSLOT", &moved.to_string(), "NODE", &other]);
    let error = link.add("{a}").await.unwrap_err();
    assert_eq!(error, LinkError::Redirected(HOPS_MAX));
    assert!(link.stats().redirects() <= u64::from(HOPS_MAX) + 1);
    assert_eq!(link.stats().servers_away(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_is_away_takes_only_its_own_slots_along() {
    let options = RedisOptions::default().set("cluster-require-full-coverage", "no");
    let mut cluster = RedisCluster::with(RedisEngine::Redis, &options);
    let link = linked(&cluster.url(), patient()).await;
    let places = KEYS.map(|key| cluster.owner(slot(key.as_bytes())));
    let gone = places[0];
    cluster.masters_mut()[gone].kill();
    until("it is away", || async { link.stats().servers_away() == 1 }).await;
    for (key, place) in KEYS.iter().zip(places) {
        assert_eq!(link.add(key).await.is_ok(), place != gone, "{key}");
    }
    cluster.masters_mut()[gone].restart();
    for key in KEYS {
        until("all is well again", || async {
            link.add(key).await.is_ok()
        })
        .await;
    }
    until("all is well again", || async {
        link.stats().servers_away() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_takes_over_is_found() {
    let mut cluster = RedisCluster::new(RedisEngine::Redis);
    let gone = cluster.owner(slot(b"{a}"));
    let replica = cluster.add_replica(gone);
    let link = linked(&cluster.url(), patient()).await;
    assert_eq!(link.add("{a}").await, Ok(1));
    until("the write arrives", || async {
        replica.info("master_link_status").as_deref() == Some("up")
    })
    .await;
    cluster.masters_mut()[gone].kill();
    until("the replica has taken over", || async {
        link.add("{a}").await.is_ok()
    })
    .await;
    assert!(replica.ask(&["GET", "{a}"]).integer() >= 1);
}

#[tokio::test]
async fn a_cluster_that_comes_after_the_start_is_found() {
    let mut cluster = RedisCluster::new(RedisEngine::Redis);
    cluster.masters_mut().iter_mut().for_each(RedisServer::kill);
    let link = linked(&cluster.url(), patient()).await;
    assert_eq!(link.add("{a}").await, Err(LinkError::Away));
    assert!(link.forget(b"a").await.is_err());
    cluster
        .masters_mut()
        .iter_mut()
        .for_each(RedisServer::restart);
    until("it is found", || async { link.add("{a}").await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_primary_that_sentinels_name_is_called_also_when_it_is_another() {
    let mut primary = RedisServer::new(RedisEngine::Redis);
    let replica = RedisServer::new(RedisEngine::Redis);
    replica.follow(&primary);
    let sentinel = RedisSentinel::of(&primary);
    sentinel.knows_replicas(1);
    let nowhere = tollgate_testkit::process::free_address();
    let url = format!("redis+sentinel://{nowhere},{}/main", sentinel.address());
    let link = linked(&url, patient()).await;
    assert_eq!(link.add("a").await, Ok(1));
    until("the write arrives", || async {
        replica.ask(&["GET", "a"]).text() == "1"
    })
    .await;
    primary.kill();
    until("the replica has taken over", || async {
        link.add("a").await == Ok(2)
    })
    .await;
    assert_eq!(replica.ask(&["GET", "a"]).text(), "2");
}
