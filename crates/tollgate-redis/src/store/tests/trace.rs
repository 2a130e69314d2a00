//! Random traces on a server and by the definition.

use std::time::Duration;

use tollgate::decide::{self, Stored};
use tollgate::{Check, Micros, Receipt, State, Store};
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
        let store = RedisStore::connect(url.parse().unwrap(), settings()).await;
        let store = store.unwrap();
        let mut random = Random::new();
        for _ in 0..scaled(TRACES) {
            let trace = Trace {
                store: &store,
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
        time: Time::Caller,
        ..Settings::default()
    }
}

struct Trace<'a> {
    store: &'a RedisStore,
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
            let charged = match self.charged.len() as u64 {
                0 => None,
                some => Some(random.below(some) as usize),
            };
            let (what, request) = match (random.below(20), charged) {
                (0, _) => {
                    case.change(random);
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

    async fn decide(&mut self, request: &[Asked], now: Micros) {
        let before = states(self.store, request).await;
        let by_store = self.store.decide(&checks(request), now).await;
        let defined = self.definition.decide(&checks(request), now);
        assert_eq!(by_store, defined, "{request:?} at {now} on {before:?}");
        if let Some(receipt) = by_store.receipt() {
            self.charged.push((request.to_vec(), receipt));
        }
    }

    async fn peek(&mut self, request: &[Asked], now: Micros) {
        let by_store = self.store.peek(&checks(request), now).await;
        let defined = self.definition.peek(&checks(request), now);
        assert_eq!(by_store, defined, "{request:?} at {now}");
    }

    async fn reserve(&mut self, request: &[Asked], now: Micros, until: Micros) {
        let by_store = self.store.reserve(&checks(request), now, until).await;
        let defined = self.definition.reserve(&checks(request), now, until);
        assert_eq!(by_store, defined, "{request:?} at {now} until {until}");
        if let Ok((_, receipt)) = by_store {
            self.charged.push((request.to_vec(), receipt));
        }
    }

    async fn refund(&mut self, place: usize, now: Micros) -> Vec<Asked> {
        let (request, receipt) = self.charged[place].clone();
        let by_store = self.store.refund(&checks(&request), &receipt, now).await;
        let defined = self.definition.refund(&checks(&request), &receipt, now);
        assert_eq!(by_store.unwrap(), defined, "{receipt:?} of {request:?}");
        request
    }

    async fn release(&mut self, request: &[Asked], now: Micros) {
        let before = states(self.store, request).await;
        let by_store = self.store.release(&checks(request), now).await;
        let defined = self.definition.release(&checks(request), now);
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
        let settled = self.store.settle(&checks(&request), &receipt, now).await;
        settled.unwrap();
        self.definition.settle(&checks(&request), &receipt, now);
        request
    }

    async fn reset(&mut self, asked: &Asked) {
        let by_store = self.store.reset(&asked.policy, &asked.key).await.unwrap();
        let checks = checks(std::slice::from_ref(asked));
        assert_eq!(by_store, self.definition.reset(&checks[0]));
    }

    async fn states_are_equal(&self, request: &[Asked], after: &str) {
        let on_server = states(self.store, request).await;
        let checks = checks(request);
        for (cell, (text, stored)) in decide::cells(&checks).iter().zip(&on_server) {
            let defined = self.definition.stored(cell);
            assert_eq!(said(stored.as_ref()), said(defined), "{after}: {text:?}");
        }
    }
}

/// What two states must have in common: whose numbers, of which version, and the state.
fn said(stored: Option<&Stored>) -> Option<(Option<String>, State)> {
    stored.map(|stored| (value::head(&stored.policy), stored.state.clone()))
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
            let stored = value::read(text.as_bytes(), cell.policy).expect(&text);
            (Some(text), Some(stored))
        }
        _ => (None, None),
    };
    cells.iter().zip(values).map(mean).collect()
}
