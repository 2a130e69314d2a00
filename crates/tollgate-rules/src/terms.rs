//! What a limit says about its quotas besides their numbers, and other quotas put in their place.

use std::fmt;
use std::sync::Arc;

use tollgate::{AlgorithmKind, Lease, Mode, OnError, Penalty, Policy, Quota};

use crate::RuleSet;
use crate::key::{KeyPart, KeySpec};
use crate::limit::Limit;
use crate::route::POLICIES_MAX;

/// What holds for every quota of a limit, whichever they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// Counts for quotas that name no algorithm.
    pub algorithm: AlgorithmKind,
    /// `None` for a limit that is off.
    pub mode: Option<Mode>,
    /// Whether a denied request takes what still fits.
    pub count_denied: bool,
    /// What holds where the counters are in a shared store.
    pub sharing: Sharing,
    /// For how long a key is blocked after a denial.
    pub penalty: Option<Penalty>,
}

/// What holds for a limit where its counters are in a shared store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sharing {
    /// What happens to requests while the store cannot be reached.
    pub on_error: OnError,
    /// Whether each gateway takes units in advance.
    pub lease: Lease,
}

impl Sharing {
    /// The policy with what holds where it is shared.
    pub fn with(self, policy: Policy) -> Policy {
        policy.with_on_error(self.on_error).with_lease(self.lease)
    }
}

impl Limit {
    /// The policies that these quotas are under this limit: named `LIMIT.WINDOW`, with its mode, penalty and default
    /// algorithm. None for a limit that is off.
    ///
    /// # Errors
    /// What is wrong with the text, for people: it cannot be read, two quotas have one window, they are too many, or
    /// one of them makes no policy of this limit.
    pub fn policies_of(&self, quotas: &str) -> Result<Vec<Arc<Policy>>, String> {
        let quotas = Quota::parse_list_with(quotas, self.terms.algorithm)
            .map_err(|error| error.to_string())?;
        if quotas.len() > POLICIES_MAX {
            return Err(format!("a limit has at most {POLICIES_MAX} quotas"));
        }
        let mut policies: Vec<Arc<Policy>> = Vec::new();
        for quota in quotas {
            let name = format!("{}.{}", self.name, quota.window_name());
            if policies.iter().any(|policy| policy.name() == name) {
                return Err(format!(
                    "two quotas have the window `{}`",
                    quota.window_name()
                ));
            }
            let wrong = |error: tollgate::PolicyError| error.to_string();
            let policy = Policy::new(&name, quota).map_err(wrong)?;
            let policy = policy
                .with_mode(self.terms.mode.unwrap_or_default())
                .counting_denied(self.terms.count_denied);
            let policy = self.terms.sharing.with(policy);
            let policy = match self.terms.penalty {
                Some(penalty) => policy.with_penalty(penalty).map_err(wrong)?,
                None => policy,
            };
            policies.push(Arc::new(policy));
        }
        match self.terms.mode {
            Some(_) => Ok(policies),
            None => Ok(Vec::new()),
        }
    }
}

impl KeySpec {
    /// Whether the key tells users or API keys apart, so that one of them can have quotas that others do not have:
    /// otherwise two callers would count one key under two quotas.
    pub fn names_caller(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, KeyPart::User | KeyPart::ApiKey))
    }
}

/// Its parts, as the rules file writes them.
impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

/// As the rules file writes it.
impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPart::ClientIp { .. } => f.write_str("client-ip"),
            KeyPart::User => f.write_str("user"),
            KeyPart::ApiKey => f.write_str("api-key"),
            KeyPart::Header(name) => write!(f, "header:{name}"),
            KeyPart::Cookie(name) => write!(f, "cookie:{name}"),
            KeyPart::Query(name) => write!(f, "query:{name}"),
            KeyPart::Claim(name) => write!(f, "claim:{name}"),
            KeyPart::Route => f.write_str("route"),
            KeyPart::Global => f.write_str("global"),
        }
    }
}

impl RuleSet {
    /// The limit whose name is nearest to one that there is not.
    pub fn nearest_limit(&self, name: &str) -> Option<&str> {
        crate::read::nearest(name, self.limits.iter().map(|limit| limit.name.as_str()))
    }

    /// The most policies that a route that charges the limit `name` can come to, when each limit has as many as
    /// `most` says; 0 when no route charges it.
    pub fn most_policies(&self, name: &str, most: impl Fn(&Limit) -> usize) -> usize {
        let routes = self.routes.routes().iter();
        let charging = routes.filter(|route| route.limits.iter().any(|limit| limit.name == name));
        let of_route = charging.map(|route| route.limits.iter().map(|limit| most(limit)).sum());
        of_route.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Overrides;

    fn rules(limit: &str) -> RuleSet {
        let text = format!(
            "[limits.a]\nkey = \"user\"\n{limit}\n[limits.b]\nkey = \"client-ip\"\nquotas = [\"1 per day\"]\n\
             [[routes]]\nmatch = \"GET /\"\nauth = [\"bearer\"]\nlimits = [\"a\", \"b\"]\nrespond = {{ text = \"\" }}\n"
        );
        RuleSet::parse("rules", &text, &Overrides::default()).unwrap()
    }

    #[test]
    fn quotas_in_the_place_of_a_limits_keep_its_algorithm_mode_and_penalty() {
        let rules = rules(
            "quotas = [\"5 per minute\"]\nalgorithm = \"fixed-window\"\nmode = \"shadow\"\ncount_denied = true\n\
             penalty = { block = \"1 minute\" }",
        );
        let limit = rules.limit("a").unwrap();
        let same = limit.policies_of("5 per minute").unwrap();
        assert_eq!(format!("{:?}", same[0]), format!("{:?}", limit.policies[0]));
        let other = limit.policies_of("7 per hour; 3 per minute").unwrap();
        let names: Vec<&str> = other.iter().map(|policy| policy.name()).collect();
        assert_eq!(names, ["a.hour", "a.minute"]);
        assert!(other.iter().all(|policy| policy.mode() == Mode::Shadow));
        let unlimited = limit.policies_of("unlimited").unwrap_err();
        assert!(unlimited.contains("penalty"), "{unlimited}");
    }

    #[test]
    fn quotas_that_make_no_policies_are_refused_with_the_reason() {
        let rules = rules("quotas = [\"5 per minute\"]");
        let limit = rules.limit("a").unwrap();
        let many: Vec<String> = (1..=16).map(|n| format!("1 per {n} days")).collect();
        for (text, reason) in [
            ("5 per minut", "did you mean `minute`?"),
            ("", "a number of requests"),
            ("0 per minute", "deny"),
            ("1 per minute; 2 per 60 seconds", "the window `minute`"),
            (&many.join("; "), "at most 15"),
        ] {
            let refused = limit.policies_of(text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
        assert!(limit.policies_of("unlimited").is_ok());
        assert!(limit.policies_of("deny").is_ok());
    }

    #[test]
    fn a_limit_that_is_off_stays_off_under_any_quotas() {
        let rules = rules("quotas = [\"5 per minute\"]\nmode = \"off\"");
        let limit = rules.limit("a").unwrap();
        assert!(limit.policies_of("1 per day").unwrap().is_empty());
        assert!(limit.policies_of("1 per dy").is_err());
    }

    #[test]
    fn the_most_policies_of_a_limits_routes_are_counted_over_all_limits_of_a_route() {
        let rules = rules("quotas = [\"5 per minute\"]");
        let most = |limit: &Limit| if limit.name == "a" { 4 } else { 2 };
        assert_eq!(rules.most_policies("b", most), 6);
        assert_eq!(rules.most_policies("c", most), 0);
    }
}
