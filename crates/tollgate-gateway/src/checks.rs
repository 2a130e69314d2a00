//! From a route and its caller to checks, and to the decision on all of them.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate::key::CompositeKey;
use tollgate::store::Answer;
use tollgate::{Check, Checks, Decision, Micros, Policy};
use tollgate_accounts::Identity;
use tollgate_rules::{Route, Subject};

use crate::gateway::Gateway;
use crate::in_force::InForce;
use crate::refusal::Refusal;
use crate::slots::{Slots, Wanted};

/// A decision with the policies of its standings.
pub(crate) struct Decided {
    pub(crate) policies: SmallVec<[Arc<Policy>; 2]>,
    pub(crate) decision: Decision,
    /// Whether the policies begin with those of all of the route's limits: none of them spares the caller.
    pub(crate) whole: bool,
    /// Whether they are just the route's, whose fields are prepared.
    pub(crate) usual: bool,
    /// Whether others stand in the place of some of the route's.
    pub(crate) overridden: bool,
    /// Slots that the request holds until its answer has gone.
    pub(crate) slots: Option<Box<Slots>>,
}

/// The policies of one limit and the key that they count under.
type Keyed<'l> = (InForce<'l>, CompositeKey);

/// Whether a decision charges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    Yes,
    No,
}

impl Gateway {
    /// Decides what the route and the caller's own key ask for; `None` when nothing limits the request. The decision is
    /// at hand, or a round trip away.
    pub(crate) fn decide(
        &self,
        route: &Route,
        subject: &Subject<'_>,
        identity: Option<&Identity>,
        charge: Charge,
        now: Micros,
    ) -> Result<Option<Answer<Decided>>, Refusal> {
        if route.limits.is_empty() {
            return Ok(None);
        }
        let mut keys: SmallVec<[Keyed<'_>; 2]> = SmallVec::new();
        for limit in &route.limits {
            let refused = |reason| Refusal::limited(Vec::new(), Decision::refused(reason, now));
            if let Some(key) = limit.key_of(subject).map_err(refused)? {
                let terms = identity.map(|identity| &identity.terms);
                let in_force = InForce::of(limit, self.accounts.as_ref(), terms);
                let key = in_force.key(key, subject.api_key);
                keys.push((in_force, key));
            }
        }
        let whole = keys.len() == route.limits.len();
        let overridden = keys.iter().any(|(in_force, _)| in_force.is_overridden());
        // A key's own limit narrows what its user may do; usage of one key never costs another.
        if let Some((identity, key)) = identity
            .and_then(|identity| Some((identity, identity.counts_as.as_ref()?)))
            .filter(|(identity, _)| !identity.own.is_empty())
        {
            let own = InForce::own_key(identity.user.as_str(), key.as_str());
            keys.push((InForce::just(&identity.own), own));
        }
        let usual = whole && !overridden && keys.len() == route.limits.len();
        let mut checks = Checks::new();
        let mut policies: SmallVec<[Arc<Policy>; 2]> = SmallVec::new();
        for (in_force, key) in &keys {
            for policy in in_force.policies() {
                let refused = |reason| Refusal::limited(Vec::new(), Decision::refused(reason, now));
                checks
                    .push(Check {
                        policy,
                        key: key.as_ref(),
                        cost: 1,
                    })
                    .map_err(refused)?;
                policies.push(Arc::clone(policy));
            }
        }
        if checks.is_empty() {
            return Ok(None);
        }
        let answer = match charge {
            Charge::Yes => self.counters.decide(&checks, now),
            Charge::No => self.counters.peek(&checks, now),
        };
        let wanted = Wanted::by(&checks, &self.counters, &self.clock);
        let takes_slots = wanted.is_some();
        let decided = answer.map(move |decision| Decided {
            slots: wanted
                .and_then(|wanted| wanted.taken(&policies, &decision))
                .map(Box::new),
            policies,
            decision,
            whole,
            usual,
            overridden,
        });
        Ok(Some(match takes_slots {
            true => self.counters.see_through(decided),
            false => decided,
        }))
    }
}
