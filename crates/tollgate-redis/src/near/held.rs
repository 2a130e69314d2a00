//! What a node holds for one key under one policy: units in advance, a denial, and how much it is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tollgate::algorithm::Charge;
use tollgate::{Check, LeaseTerms, Micros, Policy, Standing};

use super::denial::{Denial, is_same};
use super::look::{Look, Probe};
use super::unspent::Idle;

/// A request for units whose answer has not come after this long is given up: another may ask.
const ASKING_MAX: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) denial: Option<Denial>,
    lease: Option<Units>,
    demand: Demand,
    /// When its lease is looked at again: there is one such visit, however often units are granted.
    visit: Option<Micros>,
    /// When units were asked for, until their answer comes.
    asking: Option<Micros>,
    /// Who asks whether a denial is over; closed when the answer has come.
    probe: Option<Arc<Semaphore>>,
}

/// A lease, as this node knows it.
#[derive(Debug)]
struct Units {
    policy: Arc<Policy>,
    granted: u64,
    left: u64,
    mark: (u64, u64),
    /// How often its key was reset by then.
    resets: u64,
    /// The first instant at which they can no longer be spent, counted from before they were asked for.
    ends: Micros,
    last_spent: Micros,
    /// Where the policy stood when they were granted, and when that was, by this node's clock.
    standing: Standing,
    from: Micros,
    /// The store's instant then.
    at: Micros,
}

/// Units asked for, in spans as long as a lease.
#[derive(Debug, Default)]
struct Demand {
    span: u64,
    now: u64,
    before: u64,
}

impl Demand {
    fn note(&mut self, cost: u64, now: Micros, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let span = now.0 / micros;
        if span != self.span {
            self.before = if span == self.span + 1 { self.now } else { 0 };
            (self.span, self.now) = (span, 0);
        }
        self.now = self.now.saturating_add(cost);
    }

    fn in_a_span(&self) -> u64 {
        self.now.max(self.before)
    }
}

impl Held {
    /// Where these checks were denied and the wait is over: one request asks the store whether it is, and the others wait
    /// for what it hears.
    pub(super) fn probe(&mut self, checks: &[Check<'_>]) -> Option<Look> {
        self.denial.as_ref().filter(|denial| denial.is_of(checks))?;
        match self.probe.as_ref().filter(|probe| !probe.is_closed()) {
            Some(probe) => Some(Look::Wait(Arc::clone(probe))),
            None => {
                let probe = Arc::new(Semaphore::new(0));
                self.probe = Some(Arc::clone(&probe));
                Some(Look::Ask(Some(Probe(probe))))
            }
        }
    }

    pub(super) fn note(&mut self, cost: u64, now: Micros, terms: LeaseTerms) {
        self.demand.note(cost, now, terms.time);
    }

    /// Whether so many units can be spent.
    pub(super) fn can_pay(&self, policy: &Arc<Policy>, cost: u64, now: Micros) -> bool {
        self.lease.as_ref().is_some_and(|lease| {
            lease.left >= cost
                && now >= lease.from
                && now < lease.ends
                && is_same(&lease.policy, policy)
        })
    }

    /// Spends units that are known to be there: where the policy now stands, and the store's instant.
    pub(super) fn pay(&mut self, cost: u64, now: Micros) -> Option<(Standing, Micros)> {
        let lease = self.lease.as_mut()?;
        lease.left -= cost;
        lease.last_spent = now;
        let elapsed = now.since(lease.from);
        // Where it stood before the store took these units out of it, less those that are spent.
        let spent = lease.granted - lease.left;
        let remaining = lease.standing.remaining().saturating_sub(spent);
        let charge = Charge {
            cost,
            mark: lease.mark,
        };
        let standing = lease.standing.later_with(elapsed, remaining, charge);
        Some((standing, lease.at + elapsed))
    }

    /// How many units to ask for beside a request: none for a key that is asked for once in the time of a lease, nor
    /// while there are some, nor while somebody asks.
    pub(super) fn wants(&mut self, terms: LeaseTerms, now: Micros) -> u64 {
        let has = |lease: &Units| lease.left > 0 && now < lease.ends;
        let asks = |since: Micros| now.since(since) < ASKING_MAX && now >= since;
        if self.lease.as_ref().is_some_and(has) || self.asking.is_some_and(asks) {
            return 0;
        }
        let demand = self.demand.in_a_span();
        if demand < 2 {
            return 0;
        }
        self.asking = Some(now);
        demand.min(terms.units_max)
    }

    /// The answer has come to who asked for units at this instant. Who has asked since, the answer being late, still
    /// waits.
    pub(super) fn has_heard(&mut self, asked: Micros) {
        self.asking = self.asking.filter(|asking| *asking != asked);
    }

    /// Units have come, of a key that was reset so often by then: what is left of those that they replace.
    pub(super) fn take(
        &mut self,
        policy: &Arc<Policy>,
        terms: LeaseTerms,
        granted: Charge,
        resets: u64,
        (sent, at): (Micros, Micros),
        standing: Standing,
    ) -> Option<Idle> {
        let replaced = self.take_left(sent);
        self.lease = Some(Units {
            policy: Arc::clone(policy),
            granted: granted.cost,
            left: granted.cost,
            mark: granted.mark,
            resets,
            ends: sent + terms.time,
            last_spent: sent,
            standing,
            from: sent,
            at,
        });
        replaced
    }

    /// Whether its lease is now looked at again at this instant, and was not to be by then.
    pub(super) fn is_to_visit(&mut self, at: Micros) -> bool {
        let is_sooner = self.visit.is_none_or(|visit| at < visit);
        if is_sooner {
            self.visit = Some(at);
        }
        is_sooner
    }

    /// Whether it was to be looked at again at this instant, as it now is not any more. It was not where another visit, or
    /// another lease, has come in the place of that one.
    pub(super) fn has_visit(&mut self, at: Micros) -> bool {
        self.visit.take_if(|visit| *visit == at).is_some()
    }

    /// Takes what is left of a lease that nobody has spent from for a quarter of its time.
    pub(super) fn take_idle(&mut self, now: Micros) -> Option<Idle> {
        let lease = self.lease.as_ref()?;
        let time = lease.policy.lease_terms()?.time;
        if now.since(lease.last_spent) < time / 4 {
            return None;
        }
        self.take_left(now)
    }

    /// Takes what is left of a lease that has not ended.
    fn take_left(&mut self, now: Micros) -> Option<Idle> {
        let lease = self
            .lease
            .as_mut()
            .filter(|lease| lease.left > 0 && now < lease.ends)?;
        let charge = Charge {
            cost: std::mem::take(&mut lease.left),
            mark: lease.mark,
        };
        Some(Idle {
            policy: Arc::clone(&lease.policy),
            charge,
            resets: lease.resets,
        })
    }

    /// When the units end; `None` when there are none.
    pub(super) fn ends(&self) -> Option<Micros> {
        self.lease
            .as_ref()
            .filter(|lease| lease.left > 0)
            .map(|lease| lease.ends)
    }
}
