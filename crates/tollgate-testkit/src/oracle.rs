//! What each algorithm means, written so plainly that it cannot be wrong: a log of everything admitted, and nothing
//! clever. Slow on purpose.

use tollgate::AlgorithmKind;

/// A limiter of one key, in exact integers, without states, ticks or coalescing.
pub struct Oracle {
    kind: AlgorithmKind,
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
    pub fn new(kind: AlgorithmKind, limit: u64, period: u64, burst: u64) -> Self {
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
            AlgorithmKind::SlidingWindow => self
                .limit
                .saturating_sub(self.units_after(now, |at| at + self.period > now)),
            AlgorithmKind::FixedWindow => {
                let start = self.window_start(now);
                self.limit - self.units_after(now, |at| start.is_some_and(|start| at >= start))
            }
            AlgorithmKind::TokenBucket => self.whole_tokens(now),
            _ => unreachable!("the oracle knows three algorithms"),
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

    fn units_after(&self, now: u64, counts: impl Fn(u64) -> bool) -> u64 {
        self.admitted
            .iter()
            .filter(|(at, _)| *at <= now && counts(*at))
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

    /// The most units that any half-open interval of one period holds.
    pub fn most_in_any_period(&self) -> u64 {
        let in_period = |start: u64| -> u64 {
            self.admitted
                .iter()
                .filter(|(at, _)| (start..start + self.period).contains(at))
                .map(|(_, units)| units)
                .sum()
        };
        self.admitted
            .iter()
            .map(|(at, _)| in_period(*at))
            .max()
            .unwrap_or(0)
    }
}
