//! Which units are given back: those that no request has had use for for a while, and those that others have replaced.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tollgate::Micros;

use super::name::Named;
use super::table::{Near, lock};
use super::unspent::Unspent;

/// A lease that ends sooner than this is not looked at again: giving back would help nobody.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(20);

impl Near {
    /// Units of one key that nobody has had use for at `now`: no longer this node's, to be given back to the store. `None`
    /// when there are no more for now.
    pub(crate) fn unspent(&self, now: Micros) -> Option<Unspent> {
        if let Some(replaced) = self.replaced().pop() {
            return Some(replaced);
        }
        let mut visits = self.visits();
        while let Some((at, name)) = visits.pop_due(now) {
            let Some(held) = self.keys.get(&name.borrowed()) else {
                continue;
            };
            let mut held = lock(&held);
            if !held.has_visit(at) {
                continue;
            }
            if let Some(idle) = held.take_idle(now) {
                let units = idle.charge.cost;
                self.stats.returned.fetch_add(units, Ordering::Relaxed);
                return Some(Unspent::of(name, idle));
            }
            // Once more, while giving back still helps.
            let left = held.ends().map_or(Duration::ZERO, |ends| ends.since(now));
            let again = now + left / 2;
            if left > LOOK_AGAIN_MIN && visits.push(again, name) {
                held.is_to_visit(again);
            }
        }
        None
    }

    /// Whether the store still has the charge of these units: a reset has forgotten it, and giving it back would take
    /// units of others.
    pub(crate) fn is_charged(&self, unspent: &Unspent) -> bool {
        let named = Named {
            tag: unspent.tag.as_deref(),
            policy: unspent.policy.name(),
            key: &unspent.key,
        };
        self.resets(named) == unspent.resets
    }
}
