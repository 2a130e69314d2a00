//! Random traces on a server and by the definition.

use std::sync::Arc;
use std::time::Duration;

use tollgate::decide::{self, Stored};
use tollgate::{Check, Micros, Policy, Receipt, Store};
use tollgate_testkit::Random;
use tollgate_testkit::random::scaled;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use super::case::{Asked, Case, Family, checks};
use super::definition::Definition;
use crate::script::Script;
use crate::settings::{Settings, Time};
use crate::store::RedisStore;
use crate::value;

/// Steps of one trace. A scale of 50 makes 200,000 of each family.
const STEPS: u64 = 400;
const TRACES: u64 = 10;
/// Charges that are remembered, to be given back or settled.
const CHARGED_MAX: u64 = 30;

pub(super) fn run(family: &Family<'_>) {
    let server = RedisServer::new(RedisEngine::Redis);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = format!("redis+unix://{}", server.socket().display());
    runtime.block_on(async {
        let mut random = Random::new();
        for _ in 0..scaled(TRACES) {
            let mut nodes = Vec::new();
            for version in [0, random.below(9), random.below(30)] {
                let node = RedisStore::connect(url.parse().unwrap(), settings()).await;
                nodes.push(node.unwrap());
                nodes[nodes.len() - 1].raise_version(version);
            }
            let trace = Trace {
                nodes: &nodes,
                node: 0,
                definition: Definition::default(),
                charged: Vec::new(),
            };
            trace.run(&mut random, family).await;
            server.ask(&["FLUSHALL"]);
        }
    });
}

/// Patient, since machines that test are busy.
pub(super) fn settings() -> Settings {
    Settings {
        deadline: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
        time: Time::Caller,
        ..Settings::default()
    }
}

struct Trace<'a> {
    /// Stores on one server, each of a version that rises.
    nodes: &'a [RedisStore],
    /// Which of them is asked.
    node: usize,
    definition: Definition,
    charged: Vec<(Vec<Asked>, Receipt)>,
}

impl Trace<'_> {
    async fn run(mut self, random: &mut Random, family: &Family<'_>) {
        let mut case = Case::new(random, family);
        for step in 0..STEPS {
            case.move_time(random);
            let now = Micros(case.now);
            let request = case.request(random);
            self.node = random.below(self.nodes.len() as u64) as usize;
            let charged = match self.charged.len() as u64 {
                0 => None,
                some => Some(random.below(some) as usize),
            };
            let (what, request) = match (random.below(20), charged) {
                (0, _) => {
                    case.change(random);
                    let version = self.node().version() + random.below(3);
                    self.node().raise_version(version);
                    ("change", request)
                }
                (1, _) => {
                    let until = Micros(now.0 + random.below(3) * random.below(120_000_000));
                    self.reserve(&request, now, until).await;
                    ("reserve", request)
                }
                (2, _) => {
                    self.reset(&request[0]).await;
                    ("reset", request)
                }
                (3..=5, Some(place)) => ("refund", self.refund(place, now).await),
                (6, Some(place)) => ("settle", self.settle(random, place, now).await),
                (7, _) => {
                    self.peek(&request, now).await;
                    ("peek", request)
                }
                (8, _) => {
                    self.release(&request, now).await;
                    ("release", request)
                }
                _ => {
                    self.decide(&request, now).await;
                    ("decide", request)
                }
            };
            if self.charged.len() as u64 > CHARGED_MAX {
                self.charged.remove(random.below(CHARGED_MAX) as usize);
            }
            let after = format!("step {step}, {what} of {request:?} at {now}");
            self.states_are_equal(&request, &after).await;
        }
    }

    fn node(&self) -> &RedisStore {
        &self.nodes[self.node]
    }

    /// The request as the node means it, which is asked: with the policies in the version of its rules.
    fn meant(&self, request: &[Asked]) -> Vec<Asked> {
        let mut request = request.to_vec();
        for Asked { policy, .. } in &mut request {
            let version = policy.version().max(self.node().version());
            *policy = Arc::new(Policy::clone(policy).with_version(version));
        }
        request
    }

    async fn decide(&mut self, request: &[Asked], now: Micros) {
        let before = states(self.node(), request).await;
        let by_store = self.node().decide(&checks(request), now).await;
        let meant = self.meant(request);
        let defined = self.definition.decide(&checks(&meant), now);
        assert_eq!(by_store, defined, "{request:?} at {now} on {before:?}");
        if let Some(receipt) = by_store.receipt() {
            self.charged.push((request.to_vec(), receipt));
        }
    }

    async fn peek(&mut self, request: &[Asked], now: Micros) {
        let by_store = self.node().peek(&checks(request), now).await;
        let defined = self.definition.peek(&checks(&self.meant(request)), now);
        assert_eq!(by_store, defined, "{request:?} at {now}");
    }

    async fn reserve(&mut self, request: &[Asked], now: Micros, until: Micros) {
        let by_store = self.node().reserve(&checks(request), now, until).await;
        let meant = self.meant(request);
        let defined = self.definition.reserve(&checks(&meant), now, until);
        assert_eq!(by_store, defined, "{request:?} at {now} until {until}");
        if let Ok((_, receipt)) = by_store {
            self.charged.push((request.to_vec(), receipt));
        }
    }

    async fn refund(&mut self, place: usize, now: Micros) -> Vec<Asked> {
        let (request, receipt) = self.charged[place].clone();
        let by_store = self.node().refund(&checks(&request), &receipt, now).await;
        let meant = self.meant(&request);
        let defined = self.definition.refund(&checks(&meant), &receipt, now);
        assert_eq!(by_store.unwrap(), defined, "{receipt:?} of {request:?}");
        request
    }

    async fn release(&mut self, request: &[Asked], now: Micros) {
        let before = states(self.node(), request).await;
        let by_store = self.node().release(&checks(request), now).await;
        let meant = self.meant(request);
        let defined = self.definition.release(&checks(&meant), now);
        assert_eq!(
            by_store.unwrap(),
            defined,
            "{request:?} at {now} on {before:?}"
        );
    }

    async fn settle(&mut self, random: &mut Random, place: usize, now: Micros) -> Vec<Asked> {
        let (mut request, receipt) = self.charged[place].clone();
        for asked in &mut request {
            let capacity = asked.policy.capacity().unwrap_or(9);
            asked.cost = random.below(2 * capacity + 3);
        }
        let settled = self.node().settle(&checks(&request), &receipt, now).await;
        settled.unwrap();
        let meant = self.meant(&request);
        self.definition.settle(&checks(&meant), &receipt, now);
        request
    }

    async fn reset(&mut self, asked: &Asked) {
        let by_store = self.node().reset(&asked.policy, &asked.key).await.unwrap();
        let checks = checks(std::slice::from_ref(asked));
        assert_eq!(by_store, self.definition.reset(&checks[0]));
    }

    async fn states_are_equal(&self, request: &[Asked], after: &str) {
        let on_server = states(self.node(), request).await;
        let checks = checks(request);
        for (cell, (text, stored)) in decide::cells(&checks).iter().zip(&on_server) {
            let defined = self.definition.stored(cell);
            let said = |stored: &Stored| stored.state.clone();
            assert_eq!(
                stored.as_ref().map(said),
                defined.map(said),
                "{after}: {text:?}"
            );
            let head =
                defined.and_then(|stored| value::head(&stored.policy, stored.policy.version()));
            let begins = |text: &String| head.as_ref().is_some_and(|head| text.starts_with(head));
            assert!(
                text.as_ref().is_none_or(begins),
                "{after}: {text:?} instead of {head:?}"
            );
        }
    }
}

/// What the cells of a request hold on the server: the text, and what it means.
async fn states(store: &RedisStore, request: &[Asked]) -> Vec<(Option<String>, Option<Stored>)> {
    states_of(store, &checks(request)).await
}

/// The same, of checks.
pub(super) async fn states_of(
    store: &RedisStore,
    checks: &[Check<'_>],
) -> Vec<(Option<String>, Option<Stored>)> {
    let cells = decide::cells(checks);
    let keys = cells.iter().map(|cell| store.shared.names.of(cell, None));
    let read = Script::new("return redis.call('MGET', unpack(KEYS))");
    let values = store
        .shared
        .link
        .call(&read, keys.collect(), Vec::new())
        .await;
    let redis::Value::Array(values) = values.unwrap() else {
        panic!("MGET answers with an array");
    };
    let mean = |(cell, value): (&Check<'_>, redis::Value)| match value {
        redis::Value::BulkString(bytes) => {
            let text = String::from_utf8(bytes).unwrap();
            let stored =
                value::read(text.as_bytes(), cell.policy, cell.policy.version()).expect(&text);
            (Some(text), Some(stored))
        }
        _ => (None, None),
    };
    cells.iter().zip(values).map(mean).collect()
}
