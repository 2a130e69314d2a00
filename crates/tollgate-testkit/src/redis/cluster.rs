//! A cluster of three masters, its slots divided evenly, which can move a slot from one to another.

use super::{RedisEngine, RedisOptions, RedisServer, Reply};
use crate::process::{eventually, free_address};

const SLOTS: usize = 16_384;
const MASTERS: usize = 3;

/// Three masters that know each other.
pub struct RedisCluster {
    engine: RedisEngine,
    options: RedisOptions,
    masters: Vec<RedisServer>,
    bus: Vec<u16>,
}

impl RedisCluster {
    /// A new one, in which every node has heard that all is well.
    pub fn new(engine: RedisEngine) -> Self {
        Self::with(engine, &RedisOptions::default())
    }

    /// One whose masters have these options.
    pub fn with(engine: RedisEngine, options: &RedisOptions) -> Self {
        let mut bus = Vec::new();
        let masters = (0..MASTERS).map(|_| {
            let (node, port) = node(engine, options);
            bus.push(port);
            node
        });
        let masters = masters.collect();
        let options = options.clone();
        let cluster = RedisCluster {
            engine,
            options,
            masters,
            bus,
        };
        cluster.join();
        cluster
    }

    fn join(&self) {
        let bound = |place: usize| SLOTS * place / MASTERS;
        for (place, master) in self.masters.iter().enumerate() {
            let (first, last) = (bound(place), bound(place + 1) - 1);
            done(
                master,
                &[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &last.to_string(),
                ],
            );
            done(
                master,
                &["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()],
            );
        }
        let first = &self.masters[0];
        for (master, bus) in self.masters.iter().zip(&self.bus).skip(1) {
            let (ip, port) = (
                master.address.ip().to_string(),
                master.address.port().to_string(),
            );
            done(first, &["CLUSTER", "MEET", &ip, &port, &bus.to_string()]);
        }
        self.settle();
    }

    /// A replica of a master, in step with it; it takes over when the others find the master gone.
    pub fn add_replica(&self, of: usize) -> RedisServer {
        let (replica, _) = node(self.engine, &self.options);
        let (master, bus) = (&self.masters[of], self.bus[of]);
        let (ip, port) = (
            master.address.ip().to_string(),
            master.address.port().to_string(),
        );
        done(&replica, &["CLUSTER", "MEET", &ip, &port, &bus.to_string()]);
        let id = id(master);
        eventually("the replica knows its master", || {
            let reply = replica.ask(&["CLUSTER", "REPLICATE", &id]);
            (reply == Reply::Status("OK".to_owned())).then_some(())
        });
        let everybody = || self.masters.iter().chain([&replica]);
        eventually("all know the replica, and it is in step", || {
            let know = everybody().all(|node| {
                let slots = node.ask(&["CLUSTER", "SLOTS"]);
                slots.items().iter().any(|range| range.items().len() == 4)
            });
            let is_in_step = replica.info("master_link_status")? == "up";
            (know && is_in_step).then_some(())
        });
        let timeout = FAILOVER_TIMEOUT_MS.to_string();
        for node in everybody() {
            done(node, &["CONFIG", "SET", "cluster-node-timeout", &timeout]);
        }
        replica
    }

    /// Waits until every node says that all is well, and knows where all slots are.
    pub fn settle(&self) {
        eventually("the cluster is well", || {
            let is_well = self.masters.iter().all(|master| {
                let info = master.ask(&["CLUSTER", "INFO"]).text();
                let has = |line| info.lines().any(|found| found == line);
                has("cluster_state:ok")
                    && has("cluster_slots_ok:16384")
                    && has("cluster_known_nodes:3")
            });
            is_well.then_some(())
        });
    }

    /// Its masters, in the order of their first slots.
    pub fn masters(&self) -> &[RedisServer] {
        &self.masters
    }

    /// The same, to kill or suspend one.
    pub fn masters_mut(&mut self) -> &mut [RedisServer] {
        &mut self.masters
    }

    /// How a client finds it: `redis+cluster://` with all masters.
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self
            .masters
            .iter()
            .map(|master| master.address.to_string())
            .collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The place among [`masters`](RedisCluster::masters) of the one that has `slot` now.
    pub fn owner(&self, slot: u16) -> usize {
        let ranges = self.masters[0].ask(&["CLUSTER", "SLOTS"]);
        let within = |range: &&Reply| {
            let bounds = range.items();
            (bounds[0].integer()..=bounds[1].integer()).contains(&i64::from(slot))
        };
        let range = ranges.items().iter().find(within).unwrap();
        let port = range.items()[2].items()[1].integer();
        let has_port = |master: &RedisServer| i64::from(master.address.port()) == port;
        self.masters.iter().position(has_port).unwrap()
    }

    /// Begins to move `slot`: from now on its old owner answers `ASK` for keys that it does not have.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let (from, to) = (&self.masters[from], &self.masters[to]);
        done(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        done(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    }

    /// Moves the keys that the slot has now.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize) {
        let (from, to) = (&self.masters[from], &self.masters[to]);
        let (ip, port) = (to.address.ip().to_string(), to.address.port().to_string());
        loop {
            let keys = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"]);
            let keys: Vec<_> = keys.items().iter().map(Reply::text).collect();
            if keys.is_empty() {
                return;
            }
            let mut words = vec!["MIGRATE", &ip, &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            let reply = from.ask(&words);
            assert!(matches!(&reply, Reply::Status(_)), "{reply:?}");
        }
    }

    /// Ends the move: the old owner answers `MOVED` from now on.
    pub fn end_move(&self, slot: u16, to: usize) {
        let owner = id(&self.masters[to]);
        // The new owner first, so that the slot is never without one.
        let others = (0..MASTERS).filter(|place| *place != to);
        for place in std::iter::once(to).chain(others) {
            done(
                &self.masters[place],
                &["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &owner],
            );
        }
    }
}

/// The slot of a key: CRC-16 of what stands between its first braces, or of all of it.
pub fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open + 1..open + 1 + length])
    });
    let crc = tag.unwrap_or(key).iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    });
    crc % SLOTS as u16
}

/// A node that is silent for so long is taken for gone.
const NODE_TIMEOUT_MS: u32 = 15_000;
/// Where a replica is to take over.
const FAILOVER_TIMEOUT_MS: u32 = 2_000;

/// A server that may become part of a cluster, and the port by which the nodes talk.
fn node(engine: RedisEngine, options: &RedisOptions) -> (RedisServer, u16) {
    let port = free_address().port();
    let options = options
        .clone()
        .set("cluster-enabled", "yes")
        .set("cluster-port", &port.to_string())
        .set("cluster-node-timeout", &NODE_TIMEOUT_MS.to_string());
    (RedisServer::with(engine, options), port)
}

fn id(master: &RedisServer) -> String {
    master.ask(&["CLUSTER", "MYID"]).text()
}

fn done(master: &RedisServer, words: &[&str]) {
    let reply = master.ask(words);
    assert_eq!(reply, Reply::Status("OK".to_owned()), "{words:?}");
}
