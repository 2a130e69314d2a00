//! What is known of the gateway: its last answers, and what came between them.

use std::collections::{HashMap, VecDeque};

use super::reading::{Callers, Event, Heavy, Now, Overview, Traffic};
use crate::monitor::ROUTES_STREAMED_MAX;
use crate::plain::Plain;

/// Seconds that are kept: five minutes, as in the gateway.
pub(super) const SECONDS_KEPT: usize = 300;

/// What has been heard.
#[derive(Debug)]
pub(super) enum Update {
    Overview(Overview),
    Event(Event),
    /// Or why there are none.
    Callers(Result<Callers, Plain>),
    Heavy(Result<Heavy, Plain>),
    /// The gateway cannot be reached, and why.
    Away(Plain),
}

/// All that the view shows.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) now: Now,
    /// The oldest first.
    pub(super) seconds: VecDeque<Traffic>,
    pub(super) callers: Option<Result<Callers, Plain>>,
    pub(super) heavy: Option<Result<Heavy, Plain>>,
    pub(super) away: Option<Plain>,
    /// What came of each route in the last second, once two answers are known.
    by_route: Option<HashMap<Plain, Traffic>>,
}

impl Model {
    pub(super) fn new(overview: Overview) -> Self {
        let mut model = Model {
            now: overview.now,
            seconds: overview
                .seconds
                .into_iter()
                .map(|second| second.traffic)
                .collect(),
            callers: None,
            heavy: None,
            away: None,
            by_route: None,
        };
        model.forget_old();
        model
    }

    pub(super) fn take(&mut self, update: Update) {
        match update {
            Update::Overview(overview) => {
                // It may be another process than before, whose counts begin anew.
                let (callers, heavy) = (self.callers.take(), self.heavy.take());
                *self = Model {
                    callers,
                    heavy,
                    ..Model::new(overview)
                };
            }
            Update::Event(event) => {
                self.by_route = Some(self.since_last(&event.now));
                self.now = event.now;
                self.seconds
                    .extend(event.second.map(|second| second.traffic));
                self.forget_old();
                self.away = None;
            }
            Update::Callers(callers) => self.callers = Some(callers),
            Update::Heavy(heavy) => self.heavy = Some(heavy),
            Update::Away(why) => self.away = Some(why),
        }
    }

    /// What came to a route in the last second; `None` while that is not known.
    pub(super) fn in_last_second(&self, route: &Plain) -> Option<Traffic> {
        let by_route = self.by_route.as_ref()?;
        Some(by_route.get(route).copied().unwrap_or_default())
    }

    fn since_last(&self, newest: &Now) -> HashMap<Plain, Traffic> {
        let earlier: HashMap<&Plain, &Traffic> = self
            .now
            .routes
            .iter()
            .map(|route| (&route.route, &route.traffic))
            .collect();
        // Of a large gateway only the first hundred routes are told: one that is new among them may be old.
        let is_complete = newest.routes.len() < ROUTES_STREAMED_MAX;
        let came = newest.routes.iter().map(|route| {
            let came = match earlier.get(&route.route) {
                Some(earlier) => route.traffic.since(earlier),
                None if is_complete => route.traffic.since(&Traffic::default()),
                None => Traffic::default(),
            };
            (route.route.clone(), came)
        });
        came.collect()
    }

    fn forget_old(&mut self) {
        let old = self.seconds.len().saturating_sub(SECONDS_KEPT);
        self.seconds.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{event, overview};
    use super::*;

    #[test]
    fn rates_of_routes_are_known_from_the_second_answer_on_and_begin_anew_with_another_process() {
        let mut model = Model::new(overview(10));
        let limit = Plain::new("GET /limit");
        assert_eq!(model.in_last_second(&limit).map(|came| came.allowed), None);
        model.take(Update::Event(event(13)));
        assert_eq!(
            model.in_last_second(&limit).map(|came| came.allowed),
            Some(3)
        );
        // The gateway started again within a second.
        model.take(Update::Event(event(1)));
        assert_eq!(
            model.in_last_second(&limit).map(|came| came.allowed),
            Some(0)
        );
        model.take(Update::Overview(overview(2)));
        assert_eq!(model.in_last_second(&limit).map(|came| came.allowed), None);
    }

    #[test]
    fn no_more_than_five_minutes_are_kept_and_the_newest_is_the_last() {
        let mut model = Model::new(overview(0));
        for second in 1..=1_000 {
            model.take(Update::Event(event(second)));
        }
        assert_eq!(model.seconds.len(), SECONDS_KEPT);
        assert_eq!(
            model.seconds.back().map(|second| second.allowed),
            Some(1_000)
        );
    }

    #[test]
    fn a_gateway_that_was_away_is_back_with_its_next_answer() {
        let mut model = Model::new(overview(1));
        model.take(Update::Away(Plain::new("gone")));
        assert_eq!(model.away, Some(Plain::new("gone")));
        model.take(Update::Event(event(1)));
        assert_eq!(model.away, None);
        model.take(Update::Away(Plain::new("gone")));
        model.take(Update::Overview(overview(1)));
        assert_eq!(model.away, None);
    }
}
