//! Of which version this gateway's rules are, among the gateways that share its counters.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::{Clock, Micros};
use tollgate_redis::RedisStore;
use tollgate_rules::{Contents, RuleSet, Standing};

use crate::time;

/// Rules may be dated so much ahead of the clock before anybody is told.
const AHEAD_MAX: Duration = Duration::from_secs(60);
/// By so much rules are later that have changed into older ones while the gateway ran.
const STEP: Duration = Duration::from_millis(1);

/// What makes up the version, and the store that is told of it.
pub(crate) struct RulesVersion {
    of_rules: u32,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// `None` where the counters are in this process: there the last rules hold.
    store: Option<RedisStore>,
}

struct State {
    /// The store for decisions by the files that are in force, where there are any.
    of_files: Option<RedisStore>,
    standing: Standing,
    /// The last change of quotas that this gateway knows, of everybody, plans, users and keys.
    changed: Micros,
}

impl RulesVersion {
    /// That of these rules, which are so since `at`. Rules of the future are of now, so that changes come after them.
    pub(super) fn new(
        rules: &RuleSet,
        at: Micros,
        clock: Arc<dyn Clock>,
        store: Option<RedisStore>,
    ) -> Arc<Self> {
        let now = clock.now();
        if store.is_some() && at.since(now) > AHEAD_MAX {
            tracing::warn!(
                dated = time::rfc3339(at),
                "the rules are dated in the future, and count as of now: nodes on one store that differ in this can take them for different ages"
            );
        }
        let contents = rules.contents();
        let standing = Standing {
            at: at.min(now),
            contents,
        };
        let version = RulesVersion {
            of_rules: contents,
            clock,
            state: Mutex::new(State {
                of_files: None,
                standing,
                changed: Micros(0),
            }),
            store,
        };
        version.tell(&version.state());
        Arc::new(version)
    }

    /// Since when the rules are so.
    pub(super) fn at(&self) -> Micros {
        self.state().standing.at
    }

    /// Quotas have changed, and what holds here is no older than that.
    pub(super) fn terms_changed(&self, at: Micros) {
        let mut state = self.state();
        state.changed = state.changed.max(at);
        self.tell(&state);
    }

    /// Files beside the rules are read, and since when they are so. What takes the place of something that this gateway has
    /// had in force is newer, whatever its date.
    ///
    /// Returns the store for decisions by these files: of their version, also when others have taken their place. `None`
    /// where the counters are in this process.
    pub(super) fn files_read(&self, files: Standing) -> Option<RedisStore> {
        let mut contents = Contents::default();
        contents.join(self.of_rules);
        contents.join(files.contents);
        let contents = contents.number();
        let dated = files.at.min(self.clock.now());
        let mut state = self.state();
        let before = state.standing;
        let is_first = before.contents == self.of_rules;
        if contents != before.contents {
            let at = match dated > before.at || is_first {
                true => dated.max(before.at),
                false => before.at + STEP,
            };
            state.standing = Standing { at, contents };
        }
        let store = self.store.as_ref();
        state.of_files = store.map(RedisStore::with_own_version);
        self.tell(&state);
        state.of_files.clone()
    }

    /// As `/health` shows it. Beyond what is exact in JSON's numbers, so a text.
    pub(super) fn shown(&self) -> Value {
        let state = self.state();
        json!({
            "version": state.version().to_string(),
            "contents": format!("{:08x}", state.standing.contents),
            "as_of": time::rfc3339(state.standing.at),
            "quotas_changed_at": (state.changed.0 > 0).then(|| time::rfc3339(state.changed)),
        })
    }

    /// As metrics, without the mark of the end.
    pub(super) fn encode(&self) -> String {
        let state = self.state();
        let (standing, changed) = (state.standing, state.changed);
        let mut text = String::new();
        let seconds = |at: Micros| at.0 as f64 / 1e6;
        // Writing into a string does not fail.
        let _ = write!(
            text,
            "# HELP tollgate_rules What the rules of this gateway say, in short: gateways that share counters should agree.\n\
             # TYPE tollgate_rules info\n\
             tollgate_rules_info{{contents=\"{:08x}\"}} 1\n\
             # HELP tollgate_rules_as_of_seconds Since when the rules are so, in seconds since 1970; 0 for a preset.\n\
             # TYPE tollgate_rules_as_of_seconds gauge\n\
             # UNIT tollgate_rules_as_of_seconds seconds\n\
             tollgate_rules_as_of_seconds {}\n\
             # HELP tollgate_quotas_changed_seconds The last change of quotas, plans and roles that this gateway knows, in seconds since 1970; 0 for none.\n\
             # TYPE tollgate_quotas_changed_seconds gauge\n\
             # UNIT tollgate_quotas_changed_seconds seconds\n\
             tollgate_quotas_changed_seconds {}\n",
            standing.contents,
            seconds(standing.at),
            seconds(changed),
        );
        text
    }

    fn tell(&self, state: &State) {
        let stores = self.store.iter().chain(&state.of_files);
        stores.for_each(|store| store.raise_version(state.version()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn version(&self) -> u64 {
        self.standing.version(self.changed)
    }
}

#[cfg(test)]
mod tests {
    use tollgate::ManualClock;
    use tollgate_rules::Overrides;

    use super::*;

    const NOW: Micros = Micros::from_secs(1_800_000_000);

    fn version(at: Micros) -> Arc<RulesVersion> {
        let rules = "[[routes]]\nmatch = \"/\"\nrespond = { text = \"\" }\n";
        let rules = RuleSet::parse("f", rules, &Overrides::default()).unwrap();
        RulesVersion::new(&rules, at, Arc::new(ManualClock::new(NOW)), None)
    }

    fn number(version: &RulesVersion) -> u64 {
        version.state().version()
    }

    fn files(at: u64, contents: u32) -> Standing {
        let at = Micros(NOW.0 - 1_000_000 * at);
        Standing { at, contents }
    }

    #[test]
    fn rules_of_the_future_are_of_now() {
        let ahead = version(NOW + Duration::from_secs(9));
        assert_eq!(ahead.at(), NOW);
        assert_eq!(number(&ahead), number(&version(NOW)));
        ahead.terms_changed(NOW + STEP);
        assert!(number(&ahead) > number(&version(NOW)));
    }

    #[test]
    fn files_that_change_make_the_version_rise_whatever_their_dates() {
        let one = version(Micros(0));
        let mut last = number(&one);
        for (age, contents) in [(90, 1), (80, 2), (85, 3), (85, 1), (10, 2)] {
            one.files_read(files(age, contents));
            assert!(number(&one) > last, "{age}");
            last = number(&one);
        }
        // As they are.
        one.files_read(files(5, 2));
        assert_eq!(number(&one), last);
        let (other, older) = (version(Micros(0)), version(Micros(0)));
        other.files_read(files(90, 1));
        older.files_read(files(91, 7));
        assert!(number(&other) > number(&older));
    }
}
