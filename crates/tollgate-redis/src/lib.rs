//! A store on Redis, Valkey and Redis Cluster, so that any number of processes share one set of limits.
#![deny(missing_docs)]

mod script;
