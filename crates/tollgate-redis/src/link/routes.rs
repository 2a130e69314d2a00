//! Which server a slot is on: always the same one, or what the nodes of a cluster last said.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tollgate::Clock;

use super::backoff;
use super::dial::{Role, ask, driven};
use super::node::{Common, Node};
use super::probe;
use super::slots::{SLOTS, slot};
use crate::error::LinkError;
use crate::keys::KeyNames;
use crate::location::{Address, Kind};

/// Nodes of one cluster that are told apart.
const NODES_MAX: usize = 1_024;
/// Between two looks at where the slots are: as long as something is away or unknown, and otherwise.
const SOON: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(60);

/// Where calls go.
pub(super) enum Routes {
    One(Arc<Node>),
    Cluster(Cluster),
}

pub(super) struct Cluster {
    common: Arc<Common>,
    names: KeyNames,
    map: RwLock<Map>,
    /// Whether no node is known, so that nobody is asked.
    is_unknown: AtomicBool,
}

struct Map {
    nodes: HashMap<Address, Arc<Node>>,
    slots: Vec<Option<Arc<Node>>>,
}

impl Routes {
    pub(super) fn new(common: &Arc<Common>) -> Self {
        let names = KeyNames::new(&common.dialer.settings.prefix);
        let location = &common.dialer.location;
        let address = match location.kind {
            Kind::Single => Some(location.nodes[0].clone()),
            Kind::Sentinel(_) => None,
            Kind::Cluster => {
                probe::prepare();
                let (nodes, slots) = (HashMap::new(), vec![None; SLOTS]);
                return Routes::Cluster(Cluster {
                    common: Arc::clone(common),
                    names,
                    map: RwLock::new(Map { nodes, slots }),
                    is_unknown: AtomicBool::new(false),
                });
            }
        };
        let key = probe::key(&names, None);
        Routes::One(Arc::new(Node::new(common, address, key)))
    }

    /// The node that a slot is on.
    pub(super) fn of(&self, slot: u16) -> Result<Arc<Node>, LinkError> {
        match self {
            Routes::One(node) => Ok(Arc::clone(node)),
            Routes::Cluster(cluster) => cluster.of(slot),
        }
    }

    /// All servers that are known to have slots.
    pub(super) fn masters(&self) -> Vec<Arc<Node>> {
        match self {
            Routes::One(node) => vec![Arc::clone(node)],
            Routes::Cluster(cluster) => cluster.read().nodes.values().cloned().collect(),
        }
    }

    /// The node that another one named; a `slot` is there for good.
    pub(super) fn named(
        &self,
        by: &Node,
        host: &str,
        port: u16,
        slot: Option<u16>,
    ) -> Result<Arc<Node>, LinkError> {
        let Routes::Cluster(cluster) = self else {
            return Err(LinkError::IsCluster);
        };
        let address = match (host, by.address()) {
            ("", Some(Address::Tcp(host, _))) => Address::Tcp(host.clone(), port),
            _ => Address::Tcp(host.to_owned(), port),
        };
        let mut map = cluster.map.write().unwrap_or_else(PoisonError::into_inner);
        let node = cluster.node(&mut map, &address, slot)?;
        if let Some(slot) = slot {
            map.slots[usize::from(slot)] = Some(Arc::clone(&node));
            cluster.common.stale.notify_one();
        }
        Ok(node)
    }
}

impl Cluster {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, slot: u16) -> Result<Arc<Node>, LinkError> {
        let map = self.read();
        match &map.slots[usize::from(slot)] {
            Some(node) => Ok(Arc::clone(node)),
            None if map.nodes.is_empty() => Err(LinkError::Away),
            None => Err(LinkError::ClusterDown),
        }
    }

    fn node(
        &self,
        map: &mut Map,
        address: &Address,
        slot: Option<u16>,
    ) -> Result<Arc<Node>, LinkError> {
        if let Some(node) = map.nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        if map.nodes.len() == NODES_MAX {
            return Err(LinkError::ClusterDown);
        }
        let key = probe::key(&self.names, slot);
        let node = Arc::new(Node::new(&self.common, Some(address.clone()), key));
        map.nodes.insert(address.clone(), Arc::clone(&node));
        Ok(node)
    }

    /// Follows where the slots are, for ever.
    pub(super) async fn follow(&self) {
        loop {
            let is_well = {
                let map = self.read();
                map.slots
                    .iter()
                    .all(|node| node.as_ref().is_some_and(|node| !node.is_away()))
            };
            let wait = if is_well {
                SELDOM
            } else {
                backoff::jitter(SOON / 2, SOON)
            };
            tokio::select! {
                () = self.common.stale.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "no node of the cluster says where its slots are");
            }
            // However many calls are sent on, the nodes are asked ten times a second at most.
            tokio::time::sleep(backoff::jitter(PAUSE, PAUSE * 2)).await;
        }
    }

    /// Learns from a node where the slots are. As long as none is known, the store is away.
    pub(super) async fn refresh(&self) -> Result<(), LinkError> {
        let asked = self.ask_all().await;
        let is_unknown = self.read().nodes.is_empty();
        if self.is_unknown.swap(is_unknown, Ordering::AcqRel) != is_unknown {
            let Common { stats, clock, .. } = &*self.common;
            match is_unknown {
                true => stats.went(clock.now()),
                false => stats.came_back(),
            }
        }
        asked
    }

    /// Asks the nodes one after the other, and then those that the URL names.
    async fn ask_all(&self) -> Result<(), LinkError> {
        let known: Vec<_> = self.read().nodes.values().cloned().collect();
        let limit = self.common.dialer.settings.connect_timeout;
        for node in known.iter().filter(|node| !node.is_away()) {
            let (Some(mut connection), Some(asked)) = (node.at_hand(), node.address()) else {
                continue;
            };
            let ranges = tokio::time::timeout(limit, ranges(&mut connection, asked)).await;
            if let Ok(Ok(ranges)) = ranges {
                self.learn(&ranges);
                return Ok(());
            }
        }
        let mut last = LinkError::Unreachable("the URL names no node".to_owned());
        for seed in &self.common.dialer.location.nodes {
            match self.ask_seed(seed).await {
                Ok(ranges) => {
                    self.learn(&ranges);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_seed(&self, seed: &Address) -> Result<Vec<Range>, LinkError> {
        let (mut connection, mut driver) = self.common.dialer.open(seed, Role::Server).await?;
        let limit = self.common.dialer.settings.connect_timeout;
        let asked = async {
            probe::inspect(&mut connection, true).await?;
            ranges(&mut connection, seed).await
        };
        let ranges = tokio::time::timeout(limit, driven(&mut driver, asked)).await;
        ranges.unwrap_or(Err(LinkError::Timeout(limit)))
    }

    fn learn(&self, ranges: &[Range]) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.nodes
            .retain(|address, _| ranges.iter().any(|range| range.owner == *address));
        map.slots.fill(None);
        for range in ranges {
            if let Ok(node) = self.node(&mut map, &range.owner, Some(range.first)) {
                let slots = &mut map.slots[usize::from(range.first)..=usize::from(range.last)];
                slots.fill(Some(node));
            }
        }
        for (address, node) in &map.nodes {
            let probed = usize::from(slot(node.probe_key().as_bytes()));
            let is_there = map.slots[probed]
                .as_ref()
                .is_some_and(|owner| Arc::ptr_eq(owner, node));
            let first = ranges.iter().find(|range| range.owner == *address);
            if let Some(range) = first.filter(|_| !is_there) {
                node.probe_by(probe::key(&self.names, Some(range.first)));
            }
        }
    }
}

/// Slots from one to another, both included, and the node that has them.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    owner: Address,
}

async fn ranges(
    connection: &mut MultiplexedConnection,
    asked: &Address,
) -> Result<Vec<Range>, LinkError> {
    let mut command = redis::cmd("CLUSTER");
    let reply = ask(connection, command.arg("SLOTS"))
        .await
        .map_err(|error| match error {
            LinkError::Script(_) => LinkError::IsNoCluster,
            error => error,
        })?;
    let ranges =
        read(&reply, asked).ok_or_else(|| LinkError::Garbage("where the slots are".to_owned()))?;
    match ranges.is_empty() {
        // A node that has just come, or was taken out, knows of no slots; the others do.
        true => Err(LinkError::ClusterDown),
        false => Ok(ranges),
    }
}

/// `CLUSTER SLOTS`: for each range the first slot, the last, and the master's host, port and more.
fn read(reply: &Value, asked: &Address) -> Option<Vec<Range>> {
    let items = |value: &Value| match value {
        Value::Array(items) => Some(items.clone()),
        _ => None,
    };
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    let slot = |value: &Value| number(value).filter(|slot| usize::from(*slot) < SLOTS);
    items(reply)?
        .iter()
        .map(|range| {
            let range = items(range)?;
            let master = items(range.get(2)?)?;
            let host = match (master.first()?, asked) {
                (Value::BulkString(host), _) if !host.is_empty() && host != b"?" => {
                    String::from_utf8(host.clone()).ok()?
                }
                // A node that does not know its own name is where it was asked.
                (_, Address::Tcp(host, _)) => host.clone(),
                (_, Address::Unix(_)) => return None,
            };
            let (first, last) = (slot(range.first()?)?, slot(range.get(1)?)?);
            let owner = Address::Tcp(host, number(master.get(1)?)?);
            (first <= last).then_some(Range { first, last, owner })
        })
        .collect()
}
