//! What each algorithm means, written so plainly that it cannot be wrong: a log of everything admitted, and nothing
//! clever. Slow on purpose.

mod denials;

pub use denials::{Block, Denials};
use tollgate::AlgorithmKind;

/// What an oracle knows: the algorithms, and the fixed window on UTC's minutes, hours and days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SlidingWindow,
    TokenBucket,
    FixedWindow,
    Calendar,
    SlidingCounter,
    Concurrency,
}

impl Kind {
    pub fn algorithm(self) -> AlgorithmKind {
        match self {
            Kind::SlidingWindow => AlgorithmKind::SlidingWindow,
            Kind::TokenBucket => AlgorithmKind::TokenBucket,
            Kind::FixedWindow | Kind::Calendar => AlgorithmKind::FixedWindow,
            Kind::SlidingCounter => AlgorithmKind::SlidingCounter,
            Kind::Concurrency => AlgorithmKind::Concurrency,
        }
    }
}

/// A limiter of one key, in exact integers, without states, ticks or coalescing.
pub struct Oracle {
    kind: Kind,
    limit: u64,
    period: u64,
    burst: u64,
    /// Every admission: when, and how many units.
    admitted: Vec<(u64, u64)>,
}

/// What the oracle says about a cost.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub passes: bool,
    pub remaining: u64,
}

impl Oracle {
    pub fn new(kind: Kind, limit: u64, period: u64, burst: u64) -> Self {
        Oracle {
            kind,
            limit,
            period,
            burst,
            admitted: Vec::new(),
        }
    }

    /// What would be said at `now`, which is not earlier than any admission.
    pub fn ask(&self, now: u64, cost: u64) -> Said {
        let remaining = match self.kind {
            // A lease ends, as a unit expires, one period after it was granted.
            Kind::SlidingWindow | Kind::Concurrency => self
                .limit
                .saturating_sub(self.units(|at| at + self.period > now)),
            Kind::FixedWindow => {
                let start = self.window_start(now);
                self.limit - self.units(|at| start.is_some_and(|start| at >= start))
            }
            Kind::Calendar => self.limit - self.units(|at| at / self.period == now / self.period),
            Kind::SlidingCounter => self.limit - self.weighed(now),
            Kind::TokenBucket => self.whole_tokens(now),
        };
        Said {
            passes: cost <= remaining,
            remaining,
        }
    }

    /// Charges `cost` at `now`.
    pub fn admit(&mut self, now: u64, cost: u64) {
        self.admitted.push((now, cost));
    }

    fn units(&self, counts: impl Fn(u64) -> bool) -> u64 {
        self.admitted
            .iter()
            .filter(|(at, _)| counts(*at))
            .map(|(_, units)| units)
            .sum()
    }

    /// The start of the window open at `now`: each window begins with the first admission after the one before.
    fn window_start(&self, now: u64) -> Option<u64> {
        let mut start: Option<u64> = None;
        for (at, _) in &self.admitted {
            if start.is_none_or(|start| *at >= start + self.period) {
                start = Some(*at);
            }
        }
        start.filter(|start| now < start + self.period)
    }

    /// The units of the clock's window, and those of the one before by the share of its steps that have not passed.
    fn weighed(&self, now: u64) -> u64 {
        let window = now / self.period;
        let of_window = |wanted: u64| self.units(|at| at / self.period == wanted);
        let step = self.period.div_ceil(1024);
        let steps_in_all = self.period.div_ceil(step);
        let time_left = (window + 1) * self.period - now;
        let steps_left = time_left.div_ceil(step);
        let before = window.checked_sub(1).map_or(0, of_window);
        of_window(window) + (before * steps_left).div_ceil(steps_in_all)
    }

    /// Tokens in the bucket, as a fraction with the period as denominator, replayed from the first admission.
    fn whole_tokens(&self, now: u64) -> u64 {
        let full = u128::from(self.burst) * u128::from(self.period);
        let (mut level, mut last) = (full, 0);
        for (at, units) in &self.admitted {
            level = (level + u128::from(at - last) * u128::from(self.limit)).min(full);
            level -= u128::from(*units) * u128::from(self.period);
            last = *at;
        }
        level = (level + u128::from(now - last) * u128::from(self.limit)).min(full);
        (level / u128::from(self.period)) as u64
    }

    /// The most units that any interval of one period may hold.
    pub fn promise(&self) -> u64 {
        match self.kind {
            Kind::SlidingWindow | Kind::Concurrency => self.limit,
            Kind::TokenBucket => self.burst + self.limit - 1,
            Kind::FixedWindow | Kind::Calendar => 2 * self.limit,
            Kind::SlidingCounter => 2 * self.limit - 1,
        }
    }

    /// The most units that any half-open interval of one period holds.
    pub fn most_in_any_period(&self) -> u64 {
        let in_period = |start: u64| self.units(|at| (start..start + self.period).contains(&at));
        let starts = self.admitted.iter().map(|(at, _)| in_period(*at));
        starts.max().unwrap_or(0)
    }
}
