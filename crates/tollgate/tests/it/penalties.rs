//! Penalties beside a plain list of denials, on random traces: whatever the algorithms are, and however the clock moves.

use std::time::Duration;

use std::sync::Arc;
use tollgate::{
    Check, Checks, Decision, MemoryStore, Micros, Mode, Penalty, PenaltyError, Policy, PolicyError,
    Quota, Receipt, Standing, Verdict,
};
use tollgate_testkit::oracle::Denials;
use tollgate_testkit::random::{Random, scaled};

const STEPS: u64 = 200;
const START: u64 = 1_700_000_000_000_000;
const KEY: &[u8] = b"ann";

const QUOTAS: [&str; 9] = [
    "1 per 7 us",
    "3 per second",
    "200 per minute",
    "1 per second burst 1",
    "5 per minute token-bucket",
    "2 per second fixed-window",
    "9 per minute calendar",
    "4 per second sliding-counter",
    "2 concurrent for 3 seconds",
];

/// One policy with a penalty, and beside it the same without one in a store of its own, and the list of its denials.
struct Line {
    punished: Arc<Policy>,
    plain: Arc<Policy>,
    denials: Option<Denials>,
}

/// A request that was charged, as a refund needs to know it.
type Charged = (Receipt, Vec<Option<Receipt>>);

struct Trace {
    store: MemoryStore,
    twin: MemoryStore,
    lines: Vec<Line>,
    /// Whether the clock has gone back: a wait may then end where a state counts again that was too far ahead.
    back: bool,
}

/// What a line makes of a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Pass,
    Deny(u64),
    Never,
}

fn one<'a>(policy: &'a Arc<Policy>, cost: u64) -> Checks<'a> {
    let mut checks = Checks::new();
    let key = KEY;
    checks.push(Check { policy, key, cost }).unwrap();
    checks
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

impl Line {
    fn new(random: &mut Random, name: &str) -> Self {
        let quota: Quota = random.pick(&QUOTAS).parse().unwrap();
        let plain = Policy::new(name, quota).unwrap();
        let block = *random.pick(&[1, 9, 300_000, 1_000_000, 5_000_000, 90_000_000]);
        let mut penalty = Penalty::new(Duration::from_micros(block));
        if random.below(2) == 0 {
            let up_to = Duration::from_micros(block * random.between(1, 30));
            penalty = penalty.growing(random.between(1, 4) as u32, up_to);
        }
        if random.below(2) == 0 {
            let quiet = random.below(4 * block + 2);
            penalty = penalty.forgiven_after(Duration::from_micros(quiet));
        }
        let punishes = random.below(5) > 0;
        let punished = match punishes {
            true => plain.clone().with_penalty(penalty).unwrap(),
            false => plain.clone(),
        };
        let mode = match random.below(4) {
            0 => Mode::Shadow,
            _ => Mode::Enforce,
        };
        Line {
            punished: Arc::new(
                punished
                    .with_mode(mode)
                    .counting_denied(random.below(4) == 0),
            ),
            plain: Arc::new(plain),
            denials: punishes.then(|| Denials::new(penalty)),
        }
    }

    fn enforces(&self) -> bool {
        self.punished.mode() == Mode::Enforce
    }

    fn until(&self, now: u64) -> Option<u64> {
        self.denials.as_ref()?.until(now)
    }

    /// The policy by itself.
    fn own(&self, twin: &MemoryStore, now: u64, cost: u64) -> (Made, Standing) {
        let seen = twin.peek(&one(&self.plain, cost), Micros(now));
        let made = match seen.verdict() {
            Verdict::Allow => Made::Pass,
            Verdict::Deny { retry_after } => Made::Deny(now + micros(retry_after)),
            Verdict::Never { .. } => Made::Never,
            Verdict::Refused { .. } => unreachable!(),
        };
        (made, seen.standings()[0])
    }

    /// The policy with its penalty: at the end of a block it is asked for itself.
    fn made(&self, twin: &MemoryStore, now: u64, cost: u64) -> Made {
        match (self.own(twin, now, cost).0, self.until(now)) {
            (Made::Pass | Made::Deny(_), Some(until)) if cost > 0 => {
                match self.own(twin, until, cost).0 {
                    Made::Deny(fits) => Made::Deny(fits),
                    _ => Made::Deny(until),
                }
            }
            (made, _) => made,
        }
    }

    /// The store's standing is that of the policy by itself, over which its penalty stands.
    fn agrees(&self, twin: &MemoryStore, now: u64, standing: &Standing) {
        let (_, own) = self.own(twin, now, 0);
        let until = self.until(now);
        let grows_at = match until {
            None => own.grows_after(),
            Some(_) => match self.made(twin, now, 1) {
                Made::Deny(fits) => Some(Duration::from_micros(fits - now)),
                _ => unreachable!("a block lets nothing pass"),
            },
        };
        let last = self.denials.as_ref().and_then(|denials| denials.last(now));
        let forgiven = Duration::from_micros(last.map_or(0, |block| block.forgiven_at - now));
        let remaining = if until.is_some() { 0 } else { own.remaining() };
        let seen = (
            standing.is_blocked(),
            standing.remaining(),
            standing.grows_after(),
            standing.full_after(),
        );
        let expected = (
            until.is_some(),
            remaining,
            grows_at,
            own.full_after().max(forgiven),
        );
        assert_eq!(seen, expected, "{:?} at {now}", self.punished);
    }
}

impl Trace {
    fn new(random: &mut Random) -> Self {
        let lines = random.between(1, 3);
        Trace {
            store: MemoryStore::new(),
            twin: MemoryStore::new(),
            lines: (0..lines)
                .map(|line| Line::new(random, &format!("p{line}")))
                .collect(),
            back: false,
        }
    }

    fn checks(&self, cost: u64) -> Checks<'_> {
        let mut checks = Checks::new();
        for line in &self.lines {
            let (policy, key) = (&line.punished, KEY);
            checks.push(Check { policy, key, cost }).unwrap();
        }
        checks
    }

    fn peek(&self, now: u64, cost: u64) -> Decision {
        self.store.peek(&self.checks(cost), Micros(now))
    }

    /// Decides in both, and compares what they say.
    fn decide(&mut self, now: u64, cost: u64) -> Option<Charged> {
        let seen = self.peek(now, cost);
        assert_eq!(self.peek(now, cost), seen, "a peek wrote something");
        for (line, standing) in self.lines.iter().zip(seen.standings()) {
            line.agrees(&self.twin, now, standing);
        }
        let made: Vec<Made> = self
            .lines
            .iter()
            .map(|line| line.made(&self.twin, now, cost))
            .collect();
        let allowed = self
            .lines
            .iter()
            .zip(&made)
            .all(|(line, made)| !line.enforces() || *made == Made::Pass);
        let decision = self.store.decide(&self.checks(cost), Micros(now));
        assert_eq!(decision.is_allowed(), allowed, "{decision:?} at {now}");

        let mut receipts = Vec::new();
        for ((line, made), standing) in self.lines.iter_mut().zip(made).zip(decision.standings()) {
            let denied = matches!(made, Made::Deny(_)) && (line.enforces() || allowed);
            let counts = line.punished.counts_denied() && line.enforces();
            let charged = match made {
                Made::Pass if allowed => cost,
                Made::Deny(_) if counts && line.until(now).is_none() => {
                    line.own(&self.twin, now, cost).1.remaining()
                }
                _ => 0,
            };
            assert_eq!(standing.charged(), charged, "{:?} at {now}", line.punished);
            let twin = self.twin.decide(&one(&line.plain, charged), Micros(now));
            assert!(twin.is_allowed());
            receipts.push(twin.receipt());
            if denied && let Some(denials) = &mut line.denials {
                denials.deny(now);
            }
            line.agrees(&self.twin, now, standing);
            let retry_after = match line.made(&self.twin, now, cost) {
                Made::Deny(fits) if made != Made::Pass => Some(Duration::from_micros(fits - now)),
                _ => None,
            };
            assert_eq!(
                standing.retry_after(),
                retry_after,
                "{:?} at {now}",
                line.punished
            );
        }
        let counting = self.lines.iter().any(|line| line.punished.counts_denied());
        if !counting {
            assert_eq!(seen.verdict(), decision.verdict(), "at {now}");
            if !self.back
                && let Some(wait) = decision.retry_after()
            {
                let fits = now + micros(wait);
                assert!(self.peek(fits, cost).is_allowed(), "{decision:?} at {now}");
                assert!(
                    !self.peek(fits - 1, cost).is_allowed(),
                    "{decision:?} at {now}"
                );
            }
        }
        Some((decision.receipt()?, receipts))
    }

    /// Refunds in both, and compares what comes back.
    fn refund(&self, now: u64, (receipt, receipts): &Charged) {
        let given_back = self.store.refund(&self.checks(1), receipt, Micros(now));
        let lines = self.lines.iter().zip(receipts);
        let expected: u64 = lines
            .filter_map(|(line, receipt)| Some((line, receipt.as_ref()?)))
            .map(|(line, receipt)| self.twin.refund(&one(&line.plain, 1), receipt, Micros(now)))
            .sum();
        assert_eq!(given_back, expected, "at {now}");
    }

    fn cost(&self, random: &mut Random) -> u64 {
        let capacity = self.lines[0].plain.capacity().unwrap();
        match random.below(10) {
            0 => 0,
            1 => random.between(1, capacity),
            2 => capacity + random.below(2),
            _ => 1,
        }
    }

    /// A step of time: none, a tick, or about as long as something that there is to wait for.
    fn moved(&mut self, random: &mut Random, now: u64, goes_back: bool) -> u64 {
        let line = &self.lines[random.below(self.lines.len() as u64) as usize];
        let window = micros(line.plain.window().unwrap());
        let until = line.until(now).map_or(0, |until| until - now);
        let last = line.denials.as_ref().and_then(|denials| denials.last(now));
        let forgiven = last.map_or(0, |block| block.forgiven_at - now);
        let by = match random.below(9) {
            0 | 1 => 0,
            2 => 1,
            3 => random.below(window + 2),
            4 => random.below(2 * window + 2),
            5 => until.saturating_sub(random.below(2)),
            6 => forgiven.saturating_sub(random.below(2)),
            7 => random.below(until + forgiven + 2),
            _ if goes_back => {
                self.back = true;
                return now.saturating_sub(random.below(3 * (window + forgiven) + 2));
            }
            _ => random.below(1_000_000),
        };
        now + by
    }
}

fn walk(goes_back: bool) {
    let mut random = Random::new();
    let mut blocks = 0;
    for _ in 0..scaled(150) {
        let mut trace = Trace::new(&mut random);
        let mut now = *random.pick(&[0, 1, START, 1 << 52]);
        let mut charged: Vec<Charged> = Vec::new();
        for _ in 0..STEPS {
            now = trace.moved(&mut random, now, goes_back);
            let held = charged.len() as u64;
            if held > 0 && random.below(8) == 0 {
                let charge = charged.swap_remove(random.below(held) as usize);
                trace.refund(now, &charge);
            }
            let cost = trace.cost(&mut random);
            charged.extend(trace.decide(now, cost));
            blocks += u64::from(trace.lines.iter().any(|line| line.until(now).is_some()));
        }
    }
    assert!(blocks > 0, "nothing was ever blocked");
}

#[test]
fn every_block_is_that_of_a_plain_list_of_denials() {
    walk(false);
}

#[test]
fn blocks_are_those_of_the_list_when_the_clock_goes_back() {
    walk(true);
}

#[test]
fn a_penalty_without_sense_is_refused_when_the_policy_is_built() {
    let refused = |quota: &str, penalty: Penalty| {
        let policy = Policy::new("p", quota.parse().unwrap()).unwrap();
        policy.with_penalty(penalty).unwrap_err()
    };
    let secs = Duration::from_secs;
    let century = secs(100 * 365 * 86_400);
    for (penalty, error) in [
        (Penalty::new(Duration::ZERO), PenaltyError::Block),
        (Penalty::new(Duration::from_nanos(999)), PenaltyError::Block),
        (
            Penalty::new(secs(9)).growing(0, secs(9)),
            PenaltyError::Factor,
        ),
        (
            Penalty::new(secs(9)).growing(2, secs(8)),
            PenaltyError::BlockMax,
        ),
        (Penalty::new(century), PenaltyError::TooLong),
        (Penalty::new(Duration::MAX), PenaltyError::TooLong),
        (
            Penalty::new(secs(9)).forgiven_after(century),
            PenaltyError::TooLong,
        ),
    ] {
        assert_eq!(refused("1/m", penalty), PolicyError::Penalty(error));
    }
    for quota in ["deny", "unlimited"] {
        let error = refused(quota, Penalty::new(secs(9)));
        assert_eq!(error, PolicyError::Penalty(PenaltyError::Uncounted));
    }
}

#[test]
fn a_policy_tells_its_penalty_with_everything_that_was_left_out() {
    let secs = Duration::from_secs;
    let policy = Policy::new("p", "1/m".parse().unwrap()).unwrap();
    assert_eq!(policy.penalty(), None);
    let told = |penalty: Penalty| {
        let policy = policy.clone().with_penalty(penalty).unwrap();
        let penalty = policy
            .with_version(3)
            .with_mode(Mode::Shadow)
            .counting_denied(true)
            .penalty()
            .unwrap();
        (
            penalty.block(),
            penalty.factor(),
            penalty.block_max(),
            penalty.quiet(),
        )
    };
    let block = Penalty::new(secs(9));
    assert_eq!(told(block), (secs(9), 1, secs(9), secs(9)));
    assert_eq!(
        told(block.growing(3, secs(30))),
        (secs(9), 3, secs(30), secs(30))
    );
    let forgiven = block.growing(3, secs(30)).forgiven_after(secs(7));
    assert_eq!(told(forgiven), (secs(9), 3, secs(30), secs(7)));
}

/// Always the same one unit, and a state of another form than any that is built in.
#[derive(Debug)]
struct Odd;

impl tollgate::Algorithm for Odd {
    fn name(&self) -> &'static str {
        "odd-seconds"
    }

    fn capacity(&self) -> u64 {
        1
    }

    fn full_refill_micros(&self) -> u64 {
        1_000_000
    }

    fn step(
        &self,
        _state: Option<tollgate::State>,
        now: Micros,
        cost: u64,
    ) -> Result<tollgate::State, tollgate::algorithm::Denied> {
        let fits_at = self.facts(None, now, cost).fits_at;
        match fits_at.filter(|at| *at <= now) {
            Some(_) => Ok(tollgate::State::Pair(now.0, 0)),
            None => Err(tollgate::algorithm::Denied { fits_at }),
        }
    }

    fn facts(
        &self,
        _state: Option<&tollgate::State>,
        now: Micros,
        _cost: u64,
    ) -> tollgate::algorithm::Facts {
        let odd = now.as_secs() % 2 == 1;
        let next = Micros::from_secs(now.as_secs() + 1);
        tollgate::algorithm::Facts {
            used: u64::from(!odd),
            remaining: u64::from(odd),
            fits_at: Some(if odd { now } else { next }),
            grows_at: (!odd).then_some(next),
            void_at: now,
        }
    }
}

#[test]
fn an_algorithm_of_ones_own_can_have_a_penalty() {
    let policy = Policy::custom("odd", Arc::new(Odd)).unwrap();
    let penalty = Penalty::new(Duration::from_secs(10));
    let policy = Arc::new(policy.with_penalty(penalty).unwrap());
    let store = MemoryStore::new();
    let decide = |now| store.decide(&one(&policy, 1), Micros::from_secs(now));
    assert!(decide(1_001).is_allowed());
    assert_eq!(
        decide(1_002).retry_after_secs(),
        Some(11),
        "the block ends in an even second"
    );
    assert_eq!(
        decide(1_003).retry_after_secs(),
        Some(10),
        "odd, and blocked"
    );
    assert!(decide(1_013).is_allowed());
}
