//! What every store must keep, on each kind of server.

use tollgate_testkit::redis::{RedisCluster, RedisEngine};

use super::servers::{OnRuntime, by_callers_clock, connect, on_server};

mod redis {
    tollgate_testkit::store_conformance!(|| super::on_server(super::RedisEngine::Redis));
}

mod valkey {
    tollgate_testkit::store_conformance!(|| super::on_server(super::RedisEngine::Valkey));
}

mod cluster {
    tollgate_testkit::store_conformance!(in one test, super::in_cluster());
}

/// Makes stores in one cluster, whose keys meet nowhere. All keys of one decision have one tag.
fn in_cluster() -> impl Fn(&str) -> OnRuntime {
    let cluster = RedisCluster::new(RedisEngine::Redis);
    move |promise| {
        let mut settings = by_callers_clock();
        settings.prefix = promise.to_owned();
        OnRuntime::new(connect(&cluster.url(), settings).tagged(promise.as_bytes()))
    }
}
