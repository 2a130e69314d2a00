//! One table of scenarios through every front: the library, Redis's protocol, HTTP and Envoy's gRPC, over memory and over
//! Redis, with the clock held. What a front says of a decision is what the library says of it.

mod grpc;
mod http;
mod library;
mod resp;
mod scenarios;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_testkit::gateway::{Gateway, START};
use tollgate_testkit::process::free_address;
use tollgate_testkit::redis::{RedisEngine, RedisServer};

use crate::support::launch;
use library::Library;
use scenarios::{LIMITS, SCENARIOS, rules};

/// What is asked of a key of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Takes so many units.
    Charge(u64),
    /// Takes nothing, and tells what a charge of so many would be told.
    Look(u64),
    /// Takes an estimate, which can be settled or given back.
    Reserve(u64),
    /// Makes of what was reserved last what it has cost.
    Settle(u64),
    /// Gives back what was reserved last.
    Refund,
    /// Forgets what the key has used.
    Reset,
}

/// A limit of the table, and whose units are meant: a word for each part of its key.
#[derive(Clone, Copy)]
struct Asked<'a> {
    limit: &'static str,
    words: &'a [&'a str],
}

/// What a front says, under the names that the library's reference has.
type Told = BTreeMap<&'static str, Value>;

/// A way to ask. Each counts under a key of its own, so that all can be asked at one instant.
trait Front {
    fn name(&self) -> &'static str;
    /// Whether its protocol has a word for it.
    fn knows(&self, act: Act, limit: &str) -> bool;
    /// What it must say of each decision: less would compare nothing.
    fn says(&self) -> &'static [&'static str];
    fn ask(&mut self, asked: Asked<'_>, act: Act) -> Told;
}

/// The service with its fronts, and the library, on counters of one kind.
struct Stage {
    gateway: Gateway,
    library: Library,
    fronts: Vec<Box<dyn Front>>,
    /// What the clock reads, in microseconds since the start.
    now: u64,
    _redis: Option<RedisServer>,
}

impl Stage {
    fn new(redis: Option<RedisServer>) -> Self {
        let [resp, http, grpc] = [(); 3].map(|()| free_address());
        let url = redis.as_ref().map(RedisServer::url);
        let mut launch = launch().rules(&rules());
        for (option, address) in [("--resp", resp), ("--http", http), ("--grpc", grpc)] {
            launch = launch.option(option, address.to_string());
        }
        if let Some(url) = &url {
            launch = launch.option("--counters", url);
        }
        Stage {
            gateway: launch.start(),
            library: Library::new(LIMITS, url.as_deref()),
            fronts: vec![
                Box::new(resp::Resp::open(resp)),
                Box::new(http::Http::at(http)),
                Box::new(grpc::Grpc::open(grpc)),
            ],
            now: 0,
            _redis: redis,
        }
    }

    fn wait_until(&mut self, now: u64) {
        if now > self.now {
            self.gateway.advance((now - self.now) as f64 / 1e6);
            self.now = now;
        }
    }

    /// Runs all scenarios, and tells how many decisions each front was compared on.
    fn run(&mut self) -> BTreeMap<&'static str, usize> {
        let mut compared = BTreeMap::new();
        let mut differences: Vec<String> = Vec::new();
        for (place, scenario) in SCENARIOS.iter().enumerate() {
            // Windows of the calendar begin where the table says: whole days after the last scenario began.
            let began = place as u64 * scenarios::APART;
            let asks = |front: &dyn Front| {
                let mut acts = scenario.steps.iter();
                acts.all(|step| front.knows(step.1, scenario.limit))
            };
            for (at, act, expected) in scenario.steps {
                self.wait_until(began + (at * 1e6).round() as u64);
                let now = START * 1_000_000 + self.now;
                let (limit, words) = (scenario.limit, scenario.words);
                let reference = self.library.ask(Asked { limit, words }, *act, now);
                let place = format!("{}: {act:?} at {at}", scenario.promise);
                let found = library::sentence(&reference);
                if found != *expected {
                    differences.push(format!("{found:?}, not {expected:?}: {place}"));
                }
                for front in &mut self.fronts {
                    if !asks(&**front) {
                        continue;
                    }
                    let own = format!("{}-{}", front.name(), words[0]);
                    let mut words = words.to_vec();
                    words[0] = &own;
                    let words = &words;
                    let told = front.ask(Asked { limit, words }, *act);
                    let place = format!("{} says of {place}", front.name());
                    let decides = matches!(act, Act::Charge(_) | Act::Look(_) | Act::Reserve(_));
                    let promised = front.says().iter().filter(|_| decides);
                    let mut missing = promised.filter(|what| !told.contains_key(*what));
                    if let Some(what) = missing.next().or(told.is_empty().then_some(&"all")) {
                        differences.push(format!("{what} is missing: {place}"));
                    }
                    for (what, value) in &told {
                        let known = reference.get(what);
                        if known != Some(value) {
                            differences.push(format!("{what} {value}, not {known:?}: {place}"));
                        }
                    }
                    *compared.entry(front.name()).or_default() += 1;
                }
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        compared
    }
}

fn steps() -> usize {
    SCENARIOS.iter().map(|scenario| scenario.steps.len()).sum()
}

/// HTTP is asked everything; the others all that they have a word for, and that is most of it.
fn most_is_compared(compared: &BTreeMap<&str, usize>) {
    assert_eq!(compared["http"], steps());
    for front in ["resp", "grpc"] {
        assert!(compared[front] * 3 > steps() * 2, "{compared:?}");
    }
}

#[test]
fn every_front_says_of_every_decision_what_the_library_says_over_memory() {
    most_is_compared(&Stage::new(None).run());
}

#[test]
fn every_front_says_of_every_decision_what_the_library_says_over_redis() {
    let redis = RedisServer::new(RedisEngine::Redis);
    most_is_compared(&Stage::new(Some(redis)).run());
}

#[test]
fn a_limit_that_nobody_knows_is_an_error_but_for_envoy_which_is_limited_by_what_it_meets() {
    let stage = Stage::new(None);
    let asked = Asked {
        limit: "nobody",
        words: &["ann"],
    };
    let told = stage
        .fronts
        .into_iter()
        .map(|mut front| (front.name(), front.ask(asked, Act::Charge(1))));
    for (name, told) in told {
        match name {
            "grpc" => assert_eq!(told["allowed"], json!(true)),
            _ => {
                let error = told["error"].as_str().unwrap();
                assert!(
                    error.contains("there is no limit `nobody`"),
                    "{name}: {error}"
                );
            }
        }
    }
}
