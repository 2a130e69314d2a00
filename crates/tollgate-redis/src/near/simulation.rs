//! Several nodes with clocks of their own on one store, in virtual time: what they admit together, and how little is lost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use tollgate::algorithm::Charge;
use tollgate::decide::{Stored, decide, lease, refund};
use tollgate::{Check, Decision, Lease, Limiter, Micros, Policy, Receipt};
use tollgate_testkit::random::{Random, scaled};

use super::Near;
use super::table::Asked;

const NODES: usize = 4;
const START: u64 = 1_000_000_000_000;
/// How far each node's clock is from the store's, in microseconds.
const AHEAD: [i64; NODES] = [0, 5_000_000, -5_000_000, 1_234];

/// What happens somewhere.
enum Event {
    Request {
        node: usize,
    },
    /// Many requests at once.
    Crowd {
        node: usize,
    },
    AtStore {
        node: usize,
        asked: Asked,
        wanted: Vec<u64>,
    },
    Reply {
        node: usize,
        asked: Asked,
        decision: Decision,
        granted: Vec<Charge>,
    },
    Look {
        node: usize,
    },
    Returned {
        charge: Charge,
    },
}

struct World {
    policy: Arc<Policy>,
    nodes: Vec<Near>,
    slot: [Option<Stored>; 1],
    /// Instants and places of events, the next first; equal instants in the order in which they were thought of.
    order: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<Option<Event>>,
    /// When each unit was admitted, in true time.
    admitted: Vec<u64>,
    calls: u64,
    asked: u64,
    /// The longest way to the store, in microseconds.
    way_max: u64,
    /// Whether sometimes many requests come at once, and sometimes none for a while.
    crowds: bool,
}

impl World {
    fn new(quota: &str, way_max: u64) -> Self {
        let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
        World {
            policy: Arc::new(policy.with_lease(Lease::Auto)),
            nodes: (0..NODES).map(|_| Near::default()).collect(),
            slot: [None],
            order: BinaryHeap::new(),
            events: Vec::new(),
            admitted: Vec::new(),
            calls: 0,
            asked: 0,
            way_max,
            crowds: false,
        }
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order.push(Reverse((at, self.events.len())));
        self.events.push(Some(event));
    }

    /// Requests come to each node every `gap` microseconds or so, until `end`.
    fn run(&mut self, random: &mut Random, gap: u64, end: u64) {
        for node in 0..NODES {
            self.at(START + random.below(gap * 2), Event::Request { node });
            self.at(START, Event::Look { node });
        }
        while let Some(Reverse((at, place))) = self.order.pop() {
            let event = self.events[place].take().unwrap();
            self.happen(random, at, event, gap, end);
        }
    }

    fn happen(&mut self, random: &mut Random, at: u64, event: Event, gap: u64, end: u64) {
        let policy = Arc::clone(&self.policy);
        let check = check(&policy);
        let way = 20 + random.below(self.way_max);
        match event {
            Event::Request { node } => {
                if at < end {
                    // Sometimes nobody asks here for a while.
                    let pauses = self.crowds && random.below(500) == 0;
                    let pause = if pauses { 300_000 } else { 0 };
                    let next = at + 1 + random.below(gap * 2) + pause;
                    self.at(next, Event::Request { node });
                    if self.crowds && random.below(20) == 0 {
                        let node = random.below(NODES as u64) as usize;
                        self.at(next + random.below(150_000), Event::Crowd { node });
                    }
                }
                self.ask(random, node, at);
            }
            Event::Crowd { node } => (0..250).for_each(|_| self.ask(random, node, at)),
            Event::AtStore {
                node,
                asked,
                wanted,
            } => {
                self.calls += 1;
                let now = Micros(at);
                let decision = decide(&[check], &mut self.slot, now);
                let granted = match decision.is_allowed() {
                    true => lease(&[check], &mut self.slot, now, &wanted).to_vec(),
                    false => vec![Charge::default(); wanted.len()],
                };
                self.note(&decision, at);
                let reply = Event::Reply {
                    node,
                    asked,
                    decision,
                    granted,
                };
                self.at(at + way, reply);
            }
            Event::Reply {
                node,
                asked,
                decision,
                granted,
            } => {
                let when = (asked, clock_of(node, at));
                self.nodes[node].learn(None, &[check], &decision, &granted, when);
            }
            Event::Look { node } => {
                if at < end {
                    self.at(at + 20_000, Event::Look { node });
                }
                while let Some(unspent) = self.nodes[node].unspent(clock_of(node, at)) {
                    let charge = unspent.charge;
                    self.at(at + way, Event::Returned { charge });
                }
            }
            Event::Returned { charge } => {
                self.calls += 1;
                let receipt = Receipt::of([charge]);
                refund(&[check], &mut self.slot, &receipt, Micros(at));
            }
        }
    }

    fn ask(&mut self, random: &mut Random, node: usize, at: u64) {
        let policy = Arc::clone(&self.policy);
        let check = check(&policy);
        let (now, way) = (clock_of(node, at), 20 + random.below(self.way_max));
        self.asked += 1;
        if let Some(decision) = self.nodes[node].known_answer(&[check], now) {
            return self.note(&decision, at);
        }
        let wanted = self.nodes[node].wants(None, &[check], now).to_vec();
        let asked = self.nodes[node].asks(None, &[check], &wanted, now);
        self.at(
            at + way,
            Event::AtStore {
                node,
                asked,
                wanted,
            },
        );
    }

    fn note(&mut self, decision: &Decision, at: u64) {
        if decision.is_allowed() {
            self.admitted.push(at);
        }
    }

    /// Whether one bucket that nobody shares would have admitted every unit when it was.
    fn keeps_the_promise(&self) -> bool {
        let one = Limiter::new(self.policy.quota().unwrap()).unwrap();
        let mut admitted = self.admitted.iter();
        admitted.all(|at| one.check_at("hot", Micros(*at)).is_allowed())
    }
}

fn check(policy: &Arc<Policy>) -> Check<'_> {
    Check {
        policy,
        key: b"hot",
        cost: 1,
    }
}

fn clock_of(node: usize, at: u64) -> Micros {
    Micros(at.checked_add_signed(AHEAD[node]).unwrap())
}

#[test]
fn no_interval_holds_more_than_the_promise_whatever_the_nodes_hold_in_advance() {
    let mut random = Random::new();
    let quotas = [
        "10000 per second token-bucket",
        "100 per second token-bucket",
        "60 per minute burst 200 token-bucket",
        "1000 per second burst 100 token-bucket",
    ];
    for _ in 0..scaled(6) {
        let quota = *random.pick(&quotas);
        let gap = *random.pick(&[40, 400, 4_000, 20_000]);
        let way_max = *random.pick(&[100, 5_000, 60_000]);
        let mut world = World::new(quota, way_max);
        world.crowds = random.below(4) > 0;
        let seconds = if gap < 400 { 2 } else { 10 };
        world.run(&mut random, gap, START + seconds * 1_000_000);
        assert!(!world.admitted.is_empty());
        assert!(
            world.keeps_the_promise(),
            "{quota}, every {gap} us, {way_max} us away"
        );
    }
}

#[test]
fn under_pressure_hardly_anything_is_lost_and_below_the_limit_nothing_is_denied() {
    let mut random = Random::new();
    // Long enough that what the first lease costs, the refill of its time, is little beside it.
    let seconds = 20;
    let end = START + seconds * 1_000_000;
    // 4 nodes, 8,000 a second each, against 10,000 a second.
    let mut pressed = World::new("10000 per second token-bucket", 200);
    pressed.run(&mut random, 125, end);
    let bound = 10_000 + 10_000 * seconds;
    let admitted = pressed.admitted.len() as u64;
    assert!(
        admitted * 100 >= bound * 99 && admitted <= bound,
        "{admitted} of {bound}"
    );

    // 1,600 a second each.
    let mut easy = World::new("10000 per second token-bucket", 200);
    easy.run(&mut random, 625, end);
    assert_eq!(easy.admitted.len() as u64, easy.asked);
    assert!(
        easy.calls * 20 <= easy.asked,
        "{} calls for {} requests",
        easy.calls,
        easy.asked
    );
}

#[test]
fn a_node_that_dies_strands_no_more_than_its_lease_and_no_longer() {
    let policy = Policy::new("p", "100 per second token-bucket".parse().unwrap()).unwrap();
    let policy = Arc::new(policy.with_lease(Lease::Auto));
    let check = check(&policy);
    let (mut slot, now) = ([None], Micros(START));
    assert!(decide(&[check], &mut slot, now).is_allowed());
    let granted = lease(&[check], &mut slot, now, &[5]);
    assert_eq!(granted[0].cost, 5);
    let left = |at| tollgate::decide::peek(&[check], &slot, at).remaining();
    let time = policy.lease_terms().unwrap().time;
    assert_eq!(time, Duration::from_millis(100));
    // At its end as if its units had been spent just then; until then, the time to it is missing as well.
    assert_eq!(left(now + time), 95);
    assert_eq!(left(now), 85);
    assert_eq!(left(now + time + Duration::from_millis(50)), 100);
}
