//! From what a request asks to a decision on each of its descriptors: all together, or each for itself.

use std::sync::Arc;

use futures_util::future::try_join_all;
use smallvec::SmallVec;
use tollgate::{Check, Checks, Micros, Policy, Standing};
use tollgate_gateway::Counters;
use tollgate_rules::domain::Decide;

use super::asked::{Asked, AskedDescriptor, Hits};
use super::deadline::Deadline;
use super::{Grpc, Refused};
use crate::metrics::{Protocol, Tally};

/// How one descriptor of a request was decided.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) is_over: bool,
    /// Its policies and where they stand; none where nothing limits it, or where it was not decided by numbers.
    pub(super) standings: SmallVec<[(Arc<Policy>, Standing); 1]>,
    /// Whether it would have been over a limit that only watches.
    pub(super) is_watched_over: bool,
}

impl Decided {
    fn plain(is_over: bool) -> Self {
        Decided {
            is_over,
            standings: SmallVec::new(),
            is_watched_over: false,
        }
    }

    /// By where the descriptor's policies stand.
    fn by(standings: SmallVec<[(Arc<Policy>, Standing); 1]>) -> Self {
        let any = |shadow: bool| {
            let mut of = standings
                .iter()
                .filter(|(_, standing)| standing.is_shadow() == shadow);
            of.any(|(_, standing)| standing.is_violated())
        };
        Decided {
            is_over: any(false),
            is_watched_over: any(true),
            standings,
        }
    }
}

/// Which of the descriptors a call of the store is about, and what for.
type Part<'a, 'k> = (&'a AskedDescriptor<'k>, u64);

/// Where and when a request is decided, and until when that is of use.
#[derive(Clone, Copy)]
struct At<'k> {
    counters: &'k Counters,
    deadline: Deadline,
    now: Micros,
}

impl Grpc {
    /// Decides each descriptor, in their order.
    pub(super) async fn decide(
        &self,
        asked: &Asked<'_>,
        deadline: Deadline,
        now: Micros,
    ) -> Result<SmallVec<[Decided; 2]>, Refused> {
        let how = asked
            .domain
            .map_or(Decide::Apart, |known| known.domain.decide);
        let at = At {
            counters: asked.counters,
            deadline,
            now,
        };
        match how {
            Decide::Together => self.together(&asked.descriptors, at).await,
            // Asked at the same time: a store that is a round trip away is waited for once.
            Decide::Apart => {
                let each = asked.descriptors.chunks(1);
                let each = each.map(|one| self.together(one, at));
                let decided = try_join_all(each).await?;
                Ok(decided.into_iter().flatten().collect())
            }
        }
    }

    /// All are charged, or none is. What looks is looked at before: it charges nothing, so it cannot be undone either.
    async fn together(
        &self,
        asked: &[AskedDescriptor<'_>],
        at: At<'_>,
    ) -> Result<SmallVec<[Decided; 2]>, Refused> {
        let looks = asked
            .iter()
            .any(|one| one.hits == Hits::Look && one.is_limited());
        if looks {
            let every = asked.iter().map(|one| match one.hits {
                Hits::Take(hits) => (one, hits),
                // What another one of the request takes from its key is as good as a look.
                Hits::Look => (
                    one,
                    u64::from(!asked.iter().any(|other| takes_from(other, one))),
                ),
                Hits::GiveBack(_) => (one, 0),
            });
            let seen = self.ask(every.collect(), Call::Peek, at).await?;
            if seen.iter().any(|decided| decided.is_over) || !asked.iter().any(takes) {
                return Ok(seen);
            }
        }
        let taking = asked.iter().map(|one| match one.hits {
            Hits::Take(hits) => (one, hits),
            Hits::Look | Hits::GiveBack(_) => (one, 0),
        });
        let decided = self.ask(taking.collect(), Call::Decide, at).await?;
        let is_over = decided.iter().any(|decided| decided.is_over);
        let refunds = asked
            .iter()
            .any(|one| matches!(one.hits, Hits::GiveBack(_)));
        if is_over || !refunds {
            return Ok(decided);
        }
        self.give_back(asked, at).await
    }

    async fn give_back(
        &self,
        asked: &[AskedDescriptor<'_>],
        at: At<'_>,
    ) -> Result<SmallVec<[Decided; 2]>, Refused> {
        for one in asked {
            let Hits::GiveBack(hits) = one.hits else {
                continue;
            };
            for policy in one.limit.policies() {
                let mut checks = Checks::new();
                let check = Check {
                    policy,
                    key: one.key.as_ref(),
                    cost: hits,
                };
                checks.push(check).map_err(|_| Refused::TOO_MANY)?;
                let counters = at.counters;
                let given_back = counters.see_through(counters.release(&checks, at.now));
                match at.deadline.within(given_back).await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => self.metrics.refund_lost(hits),
                }
            }
        }
        let every = asked.iter().map(|one| (one, 0)).collect();
        self.ask(every, Call::Peek, at).await
    }

    /// Asks the store about these at one instant. Where its answer would come too late, it decides as it does while it is
    /// away.
    async fn ask(
        &self,
        parts: SmallVec<[Part<'_, '_>; 2]>,
        call: Call,
        at: At<'_>,
    ) -> Result<SmallVec<[Decided; 2]>, Refused> {
        let mut checks = Checks::new();
        // Where in the checks the policies of each descriptor are: two descriptors may be the same.
        let mut places: SmallVec<[usize; 4]> = SmallVec::new();
        for (one, cost) in &parts {
            for policy in one.limit.policies() {
                let check = Check {
                    policy,
                    key: one.key.as_ref(),
                    cost: *cost,
                };
                let before = checks.len();
                checks.push(check).map_err(|_| Refused::TOO_MANY)?;
                let same = |known: &Check<'_>| {
                    known.key == check.key && known.policy.name() == policy.name()
                };
                places.push(match checks.len() > before {
                    true => before,
                    false => checks.iter().position(same).unwrap_or(before),
                });
            }
        }
        if checks.is_empty() {
            return Ok(parts.iter().map(|_| Decided::plain(false)).collect());
        }
        let counters = at.counters;
        let time = at.deadline.left();
        let answer = match call {
            Call::Decide => counters.decide_within(&checks, at.now, time),
            Call::Peek => counters.peek_within(&checks, at.now, time),
        };
        let decision = answer.await;
        if decision.is_degraded() && at.deadline.left().is_zero() {
            self.metrics.late();
        }
        if call == Call::Decide {
            let tally = Tally::of(&decision);
            self.service.metrics.decisions(Protocol::Grpc, tally);
        }
        let mut places = places.into_iter();
        let decided = parts.iter().map(|(one, _)| {
            let of = places.by_ref().take(one.limit.policies().len());
            let policies = one.limit.policies().iter().zip(of);
            let standings: Option<SmallVec<_>> = policies
                .map(|(policy, place)| {
                    let standing = decision.standings().get(place)?;
                    Some((Arc::clone(policy), *standing))
                })
                .collect();
            match standings {
                Some(standings) => Decided::by(standings),
                // It was refused, or let pass, without numbers.
                None => Decided::plain(!decision.is_allowed()),
            }
        });
        Ok(decided.collect())
    }
}

fn takes(one: &AskedDescriptor<'_>) -> bool {
    one.is_limited() && matches!(one.hits, Hits::Take(_))
}

/// Whether `other` takes from what `one` is counted by.
fn takes_from(other: &AskedDescriptor<'_>, one: &AskedDescriptor<'_>) -> bool {
    let (theirs, ours) = (other.limit.policies().iter(), one.limit.policies().iter());
    let is_same = theirs
        .map(|policy| policy.name())
        .eq(ours.map(|policy| policy.name()));
    takes(other) && other.key == one.key && is_same
}

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Decide,
    Peek,
}
