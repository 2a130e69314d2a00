//! A limit: one key and one or more quotas, so one or more policies; and other quotas put in their place.

use std::sync::Arc;

use ipnet::IpNet;
use tollgate::key::CompositeKey;
use tollgate::{Mode, Policy, Quota, Reason};

use crate::key::{KeySpec, Subject};
use crate::terms::Terms;

/// The most policies of a route: one decision carries so many checks, of which an API key's own quota may be one.
pub const POLICIES_MAX: usize = tollgate::store::CHECKS_MAX - 1;

/// One key and one or more quotas.
#[derive(Debug)]
pub struct Limit {
    /// Its name in the file.
    pub name: String,
    /// What it is keyed by.
    pub key: KeySpec,
    /// One policy for each quota, named `LIMIT.WINDOW`.
    pub policies: Vec<Arc<Policy>>,
    /// What happens to a request that carries nothing to limit it by.
    pub missing: MissingKey,
    /// Who is not limited.
    pub exempt: Vec<Exempt>,
    /// What holds for every quota, also for others in the place of these.
    pub terms: Terms,
}

/// What happens to a request that carries nothing to limit it by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// It is refused.
    #[default]
    Deny,
    /// All such requests share one key.
    Anonymous,
    /// It is not limited.
    Skip,
}

/// Who a limit does not apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exempt {
    /// Clients of a network.
    Network(IpNet),
    /// A user, by name.
    User(String),
}

impl Limit {
    /// The key that this request is counted under; `None` when the limit does not apply to it.
    ///
    /// # Errors
    /// [`Reason::MissingKey`] when the request carries nothing to limit it by, and the limit says that this denies.
    pub fn key_of(&self, subject: &Subject<'_>) -> Result<Option<CompositeKey>, Reason> {
        if self.exempt.iter().any(|exempt| exempt.covers(subject)) {
            return Ok(None);
        }
        match (self.key.key_of(subject), self.missing) {
            (Some(key), _) => Ok(Some(key)),
            (None, MissingKey::Skip) => Ok(None),
            // What only watches, or is off, refuses nobody.
            (None, MissingKey::Deny) if !self.enforces() => Ok(None),
            (None, MissingKey::Deny) => Err(Reason::MissingKey),
            // A key without parts, which no request that has its parts can have.
            (None, MissingKey::Anonymous) => Ok(Some(CompositeKey::new())),
        }
    }

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

    fn enforces(&self) -> bool {
        self.policies
            .iter()
            .any(|policy| policy.mode() == Mode::Enforce)
    }
}

impl Exempt {
    fn covers(&self, subject: &Subject<'_>) -> bool {
        match self {
            Exempt::Network(network) => network.contains(&subject.address.to_canonical()),
            Exempt::User(name) => subject
                .user_name
                .is_some_and(|user| user.eq_ignore_ascii_case(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyPart;
    use crate::{Overrides, RuleSet};

    fn key_of(mode: Option<Mode>) -> Result<Option<CompositeKey>, Reason> {
        let policy = |mode| {
            let policy = Policy::new("p.minute", "5 per minute".parse().unwrap()).unwrap();
            Arc::new(policy.with_mode(mode))
        };
        let limit = Limit {
            name: "p".to_owned(),
            key: KeySpec(vec![KeyPart::User]),
            policies: mode.into_iter().map(policy).collect(),
            missing: MissingKey::Deny,
            exempt: Vec::new(),
            terms: Terms::default(),
        };
        let headers = http::HeaderMap::new();
        limit.key_of(&Subject {
            address: "192.0.2.1".parse().unwrap(),
            user: None,
            user_name: None,
            api_key: None,
            claims: &[],
            headers: &headers,
            query: None,
            route: "",
        })
    }

    #[test]
    fn a_limit_that_only_watches_or_is_off_refuses_nobody_for_a_missing_key() {
        assert_eq!(key_of(Some(Mode::Enforce)), Err(Reason::MissingKey));
        assert_eq!(key_of(Some(Mode::Shadow)), Ok(None));
        assert_eq!(key_of(None), Ok(None));
    }

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
}
