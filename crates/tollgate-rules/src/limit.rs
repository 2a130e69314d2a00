//! A limit: one key and one or more quotas, so one or more policies.

use std::sync::Arc;

use ipnet::IpNet;
use tollgate::key::CompositeKey;
use tollgate::{Mode, Policy, Reason};

use crate::key::{KeySpec, Subject};
use crate::terms::Terms;

/// One key and one or more quotas.
#[derive(Debug)]
pub struct Limit {
    /// Its name in the file.
    pub name: String,
    /// What it is keyed by.
    pub key: KeySpec,
    /// One policy for each quota, named `LIMIT.WINDOW`.
    pub policies: Vec<Arc<Policy>>,
    /// The names of the windows, in the order of the policies.
    pub windows: Vec<String>,
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
}

impl Limit {
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

    fn key_of(mode: Option<Mode>) -> Result<Option<CompositeKey>, Reason> {
        let policy = |mode| {
            let policy = Policy::new("p.minute", "5 per minute".parse().unwrap()).unwrap();
            Arc::new(policy.with_mode(mode))
        };
        let limit = Limit {
            name: "p".to_owned(),
            key: KeySpec(vec![KeyPart::User]),
            policies: mode.into_iter().map(policy).collect(),
            windows: Vec::new(),
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
}
