//! Random policies of one family, each in several versions, and random instants, costs and requests.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{Check, Checks, Mode, Penalty, Policy};
use tollgate_testkit::Random;

const START: u64 = 1_700_000_000_000_000;
const DAY: u64 = 86_400_000_000;
const NAMES: u64 = 4;

/// Quotas that policies of one trace are made of.
pub(super) struct Family<'a>(pub(super) &'a [&'a str]);

/// Policies by name, the newest of each name last.
pub(super) struct Case<'a> {
    family: &'a Family<'a>,
    policies: Vec<Vec<Arc<Policy>>>,
    pub(super) now: u64,
}

/// One check of a request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) policy: Arc<Policy>,
    pub(super) key: Vec<u8>,
    pub(super) cost: u64,
}

pub(super) fn checks(request: &[Asked]) -> Checks<'_> {
    let mut checks = Checks::new();
    for Asked { policy, key, cost } in request {
        let cost = *cost;
        checks.push(Check { policy, key, cost }).unwrap();
    }
    checks
}

impl<'a> Case<'a> {
    pub(super) fn new(random: &mut Random, family: &'a Family<'a>) -> Self {
        let mut case = Case {
            family,
            policies: Vec::new(),
            now: *random.pick(&[0, 1, 366 * DAY, START]),
        };
        for name in 0..NAMES as usize {
            let policy = case.policy(random, name, 0);
            case.policies.push(vec![policy]);
        }
        case
    }

    fn policy(&self, random: &mut Random, name: usize, version: u64) -> Arc<Policy> {
        let quota = random.pick(self.family.0);
        let policy = Policy::new(&format!("p{name}"), quota.parse().unwrap()).unwrap();
        let punished = match random.below(4) {
            0 if policy.capacity().is_some() => policy.with_penalty(penalty(random)).unwrap(),
            _ => policy,
        };
        let mode = match random.below(5) {
            0 => Mode::Shadow,
            _ => Mode::Enforce,
        };
        let counts_denied = random.below(5) == 0;
        let policy = punished.with_mode(mode).counting_denied(counts_denied);
        Arc::new(policy.with_version(version))
    }

    /// Other numbers under a name, mostly of a newer version.
    pub(super) fn change(&mut self, random: &mut Random) {
        let name = random.below(NAMES) as usize;
        let newest = self.policies[name].last().unwrap().version();
        let version = newest + random.below(3).min(1) * random.between(1, 9);
        let policy = self.policy(random, name, version);
        self.policies[name].push(policy);
    }

    /// Mostly one check under the newest policy of its name.
    pub(super) fn request(&self, random: &mut Random) -> Vec<Asked> {
        let checks = *random.pick(&[1, 1, 1, 2, 3, 4]);
        let mut request: Vec<Asked> = Vec::new();
        for _ in 0..checks {
            let known = random.pick(&self.policies);
            let policy = match random.below(6) {
                0 => random.pick(known),
                _ => known.last().unwrap(),
            };
            let key = random.pick(&[&b"a"[..], b"{b}:", b"\xFF\n c"]).to_vec();
            let is_new = |asked: &Asked| asked.policy.name() != policy.name() || asked.key != key;
            if request.iter().all(is_new) {
                let cost = cost(random, policy.capacity());
                let policy = Arc::clone(policy);
                request.push(Asked { policy, key, cost });
            }
        }
        request
    }

    /// Mostly onward, by nothing, a tick, or parts of a policy's window; now and then back.
    pub(super) fn move_time(&mut self, random: &mut Random) {
        let policy = random.pick(&self.policies).last().unwrap();
        let window = policy
            .window()
            .map_or(1, |window| window.as_micros() as u64);
        let capacity = policy.capacity().unwrap_or(1);
        let by = match random.below(11) {
            0..=2 => 0,
            3 => 1,
            4 | 5 => random.below(window / capacity + 2),
            6 => random.below(window / 8 + 2),
            7 => random.below(window.min(DAY) + 2),
            8 => random.below(1_000_000),
            9 if random.below(20) == 0 => random.below(window + 2),
            9 => random.below(window / 130 + 2),
            _ => {
                let back = random.below(window.min(DAY) + 2) / random.between(1, 9);
                self.now = self.now.saturating_sub(back);
                return;
            }
        };
        self.now = (self.now + by).min(2 * START);
    }
}

fn penalty(random: &mut Random) -> Penalty {
    let (block, factor, block_max, quiet) = *random.pick(&[
        (1, 1, 1, 0),
        (7, 2, 100, 9),
        (60_000_000, 2, 3_600_000_000, DAY),
        (1_000_000, 10, DAY, 1_000),
        (DAY, 3, 40 * 365 * DAY, 40 * 365 * DAY),
    ]);
    Penalty::new(Duration::from_micros(block))
        .growing(factor, Duration::from_micros(block_max))
        .forgiven_after(Duration::from_micros(quiet))
}

fn cost(random: &mut Random, capacity: Option<u64>) -> u64 {
    let capacity = capacity.unwrap_or(1);
    match random.below(10) {
        0 => random.between(1, capacity),
        1 => capacity.saturating_add(random.below(2)),
        2 => random.below(2) * u64::MAX,
        _ => random.between(1, capacity.min(3)),
    }
}
