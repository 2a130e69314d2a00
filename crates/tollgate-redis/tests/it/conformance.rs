//! What every store must keep, on each kind of server.

use super::servers::store;

mod redis {
    tollgate_testkit::store_conformance!(|| super::store(
        tollgate_testkit::redis::RedisEngine::Redis
    ));
}

mod valkey {
    tollgate_testkit::store_conformance!(|| super::store(
        tollgate_testkit::redis::RedisEngine::Valkey
    ));
}
