//! One node's part of a policy that several nodes share, for the time in which they cannot ask each other.

use crate::policy::Policy;
use crate::quota::{Limited, Quota, Rate, Shape};

impl Policy {
    /// The same policy with the share of one of `nodes`: of the limit, and of a burst, max(1, N / nodes), rounded down.
    /// Where that could not be counted exactly, the next smaller number of fewer digits that can. `deny`, `unlimited` and
    /// algorithms of one's own stay whole.
    ///
    /// ```
    /// use tollgate::{Policy, Quota};
    ///
    /// let policy = Policy::new("per-user", Quota::per_minute(10)?)?;
    /// assert_eq!(policy.share(4).quota(), Some(Quota::per_minute(2)?));
    /// assert_eq!(policy.share(100).quota(), Some(Quota::per_minute(1)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn share(&self, nodes: u32) -> Policy {
        let quota = self.quota();
        let Some(limited) = quota.as_ref().and_then(Quota::limited) else {
            return self.clone();
        };
        let part = |number: u64| (number / u64::from(nodes.max(1))).max(1);
        let rounded_to = |digits| {
            let coarse = 10_u64.pow(digits);
            let rounded = |number: u64| (part(number) / coarse * coarse).max(1);
            self.of_share(Quota(Rate::Limited(limited.with(rounded))))
        };
        // No number has more than 16 digits, and one per period with a burst of one can always be counted.
        let share = (0..=16).find_map(rounded_to);
        share.unwrap_or_else(|| self.clone())
    }

    fn of_share(&self, quota: Quota) -> Option<Policy> {
        let share = Policy::new(self.name(), quota).ok()?;
        let share = match self.penalty() {
            Some(penalty) => share.with_penalty(penalty).ok()?,
            None => share,
        };
        let share = share.with_mode(self.mode()).with_version(self.version());
        Some(
            share
                .counting_denied(self.counts_denied())
                .with_on_error(self.on_error()),
        )
    }
}

impl Limited {
    fn with(&self, part: impl Fn(u64) -> u64) -> Limited {
        let shape = match &self.shape {
            Shape::TokenBucket { burst } => Shape::TokenBucket {
                burst: part(*burst),
            },
            shape => shape.clone(),
        };
        let (limit, period) = (part(self.limit), self.period);
        Limited {
            limit,
            period,
            shape,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{Mode, OnError, Penalty, Policy, Quota};

    fn share(text: &str, nodes: u32) -> String {
        let policy = Policy::new("p", text.parse().unwrap()).unwrap();
        policy.share(nodes).quota().unwrap().to_string()
    }

    #[test]
    fn limit_and_burst_are_divided_and_algorithm_and_period_stay() {
        for (text, expected) in [
            ("10 per minute", "3 per minute"),
            ("2 per minute", "1 per minute"),
            ("10 per second burst 30", "3 per second burst 10"),
            ("10 per second burst 2", "3 per second burst 1"),
            ("10 per hour fixed-window", "3 per hour fixed-window"),
            ("10 per hour sliding-counter", "3 per hour sliding-counter"),
            ("10 concurrent", "3 concurrent"),
            ("deny", "deny"),
            ("unlimited", "unlimited"),
        ] {
            assert_eq!(share(text, 3), expected);
        }
        assert_eq!(share("10 per minute", 1), "10 per minute");
        assert_eq!(share("10 per minute", 0), "10 per minute");
    }

    #[test]
    fn every_quota_that_can_be_counted_has_a_share_that_can_and_is_no_more() {
        for limit in [1, 2, 287, 1_000, 104_251, 999_983, 1_000_000, 8_640_001] {
            for period in [1, 60, 86_400, 31_536_000] {
                for burst in [1, limit, 1_000_003] {
                    let quota = Quota::new(limit, Duration::from_secs(period))
                        .unwrap()
                        .burst(burst)
                        .unwrap();
                    let Ok(policy) = Policy::new("p", quota) else {
                        continue;
                    };
                    for nodes in [2, 3, 7, 97] {
                        let share = policy.share(nodes).quota().unwrap().limit().unwrap();
                        assert!(
                            share >= 1 && share <= (limit / u64::from(nodes)).max(1),
                            "{limit}/{period}/{nodes}: {share}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_else_a_policy_says_its_share_says_too() {
        let penalty = Penalty::new(Duration::from_secs(60));
        let policy = Policy::new("p", Quota::per_minute(10).unwrap()).unwrap();
        let policy = policy
            .with_penalty(penalty)
            .unwrap()
            .with_mode(Mode::Shadow)
            .with_version(7);
        let penalty = policy.penalty();
        let share = policy
            .counting_denied(true)
            .with_on_error(OnError::Open)
            .share(2);
        assert_eq!(
            (share.name(), share.mode(), share.version()),
            ("p", Mode::Shadow, 7)
        );
        assert_eq!(share.penalty(), penalty);
        assert!(share.counts_denied());
        assert_eq!(
            (share.on_error(), share.capacity()),
            (OnError::Open, Some(5))
        );
    }

    #[test]
    fn a_share_that_cannot_be_counted_is_the_next_smaller_of_fewer_digits() {
        // A bucket may take 731 centuries to fill, not 731.4: of limit and burst three digits go.
        let whole = "2001 per century burst 1462931";
        assert_eq!(share(whole, 1), whole);
        assert_eq!(share(whole, 2), "1000 per century burst 731000");
    }
}
