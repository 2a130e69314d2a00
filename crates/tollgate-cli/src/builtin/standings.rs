//! Where somebody stands under some limits, charging nothing: for `remaining` and `monitor` alike.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderMap;
use tollgate::key::CompositeKey;
use tollgate::store::CHECKS_MAX;
use tollgate::{Check, Checks, Policy, Reason, Verdict};
use tollgate_accounts::Terms;
use tollgate_gateway::InForce;
use tollgate_gateway::page::Window;
use tollgate_rules::{Limit, Subject};

use super::Builtins;

/// Every window, and what passes under all of them together.
pub(super) struct Standings {
    pub(super) windows: Vec<Window>,
    /// `None` when nothing limits.
    pub(super) available: Option<u64>,
}

/// One policy with the key that it counts the subject under.
struct Line {
    policy: Arc<Policy>,
    key: CompositeKey,
}

/// What limits see of a caller of whom no more is known, as if they asked with nothing else in their request.
pub(super) fn caller<'a>(
    user: Option<&'a str>,
    user_name: Option<&'a str>,
    api_key: Option<&'a str>,
    headers: &'a HeaderMap,
) -> Subject<'a> {
    Subject {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        user,
        user_name,
        api_key,
        claims: &[],
        headers,
        query: None,
        route: "",
    }
}

impl Builtins {
    /// Where `subject`, for whom `terms` hold, stands under `limits`, and under its API key's `own` policies.
    ///
    /// # Errors
    /// When the subject lacks what one of the limits is keyed by; [`Reason::StoreClosed`] where the store is away and a
    /// limit is `closed` then.
    pub(super) async fn standings(
        &self,
        limits: &[Arc<Limit>],
        subject: &Subject<'_>,
        own: &[Arc<Policy>],
        terms: Option<&Terms>,
    ) -> Result<Standings, Reason> {
        let mut lines = Vec::new();
        for (place, limit) in limits.iter().enumerate() {
            let again = limits[..place]
                .iter()
                .any(|before| before.name == limit.name);
            // A limit by route counts where it is charged, which is not here.
            let route = self.charging_route(limit).unwrap_or(subject.route);
            let key = limit.key_of(&Subject { route, ..*subject })?;
            let Some(key) = key.filter(|_| !again) else {
                continue;
            };
            let in_force = InForce::of(limit, Some(&self.accounts), terms);
            let key = in_force.key(key, subject.api_key);
            lines.extend(in_force.policies().iter().map(|policy| Line {
                policy: Arc::clone(policy),
                key: key.clone(),
            }));
        }
        if let (Some(user), Some(api_key)) = (subject.user, subject.api_key) {
            let key = InForce::own_key(user, api_key);
            lines.extend(own.iter().map(|policy| Line {
                policy: Arc::clone(policy),
                key: key.clone(),
            }));
        }
        self.peek(&lines).await
    }

    async fn peek(&self, lines: &[Line]) -> Result<Standings, Reason> {
        let now = self.now();
        let all = policies_of(lines);
        let (mut windows, mut available) = (Vec::new(), u64::MAX);
        // In a cluster only what has one key is surely on one server.
        let is_cluster = self.rules.counters.is_cluster();
        let together = |one: &Line, other: &Line| !is_cluster || one.key == other.key;
        let parts = lines.chunk_by(together);
        for some in parts.flat_map(|part| part.chunks(CHECKS_MAX)) {
            let decision = self.counters.peek(&checks_of(some)?, now).await;
            if let Verdict::Refused {
                reason: reason @ (Reason::StoreClosed | Reason::KeysApart),
            } = decision.verdict()
            {
                return Err(reason);
            }
            available = available.min(decision.remaining());
            let policies = policies_of(some);
            windows.extend(Window::among(&policies, &decision, &all));
        }
        Ok(Standings {
            windows,
            available: Some(available).filter(|units| *units < u64::MAX),
        })
    }

    /// The first route that charges a limit.
    fn charging_route(&self, limit: &Limit) -> Option<&str> {
        let mut routes = self.rules.routes.routes().iter();
        let route = routes.find(|route| route.charges(&limit.name));
        route.map(|route| &*route.name)
    }
}

fn checks_of(lines: &[Line]) -> Result<Checks<'_>, Reason> {
    let mut checks = Checks::new();
    for line in lines {
        checks.push(Check {
            policy: &line.policy,
            key: line.key.as_ref(),
            cost: 1,
        })?;
    }
    Ok(checks)
}

fn policies_of(lines: &[Line]) -> Vec<Arc<Policy>> {
    lines.iter().map(|line| Arc::clone(&line.policy)).collect()
}

#[cfg(test)]
mod tests {
    use tollgate_rules::{Overrides, RuleSet};

    use super::super::testing::{Site, rules};
    use super::*;

    const TWO_LIMITS: &str = r#"
        [limits.per-user]
        key = "user"
        quotas = ["5 per minute", "300 per hour"]

        [limits.per-address]
        key = "client-ip"
        quotas = { minute = "9 per minute", user = "20 per day", second = "1 per second" }

        [[routes]]
        match = "GET /"
        auth = ["bearer"]
        limits = ["per-user", "per-address"]
        respond = { text = "" }
    "#;

    async fn names(rules: RuleSet, own: &[Arc<Policy>]) -> (Vec<String>, Option<u64>) {
        let site = Site::of(rules).await;
        let headers = HeaderMap::new();
        let subject = Subject {
            address: "192.0.2.1".parse().unwrap(),
            user: Some("ann"),
            user_name: None,
            api_key: Some("key"),
            claims: &[],
            headers: &headers,
            query: None,
            route: "",
        };
        let mut limits = site.builtins.rules.limits.clone();
        // A limit that is named twice is one limit.
        limits.extend(limits.clone());
        let standings = site
            .builtins
            .standings(&limits, &subject, own, None)
            .await
            .unwrap();
        let mut names: Vec<String> = standings
            .windows
            .into_iter()
            .map(|window| window.name)
            .collect();
        names.sort_unstable();
        (names, standings.available)
    }

    #[tokio::test]
    async fn a_window_goes_by_its_own_name_while_no_other_has_it() {
        let own = Arc::new(Policy::new("own.minute", "2 per minute".parse().unwrap()).unwrap());
        let (found, available) = names(rules("random-number"), &[own]).await;
        assert_eq!(found, ["hour", "minute", "own.minute"]);
        assert_eq!(available, Some(2));
    }

    #[tokio::test]
    async fn windows_of_one_name_and_names_of_other_fields_go_by_their_policies() {
        let rules = RuleSet::parse("two", TWO_LIMITS, &Overrides::default()).unwrap();
        let (found, available) = names(rules, &[]).await;
        assert_eq!(
            found,
            [
                "hour",
                "per-address.minute",
                "per-address.user",
                "per-user.minute",
                "second"
            ]
        );
        assert_eq!(available, Some(1));
    }

    #[tokio::test]
    async fn a_limit_by_route_is_shown_as_the_route_that_charges_it_counts() {
        let text = r#"
            [limits.per-route]
            key = "route"
            quotas = ["5 per minute"]

            [[routes]]
            match = "GET /charged"
            limits = ["per-route"]
            respond = { text = "" }
        "#;
        let site = Site::of(RuleSet::parse("route", text, &Overrides::default()).unwrap()).await;
        let headers = HeaderMap::new();
        let subject = |route| Subject {
            address: "192.0.2.1".parse().unwrap(),
            user: None,
            user_name: None,
            api_key: None,
            claims: &[],
            headers: &headers,
            query: None,
            route,
        };
        let limits = &site.builtins.rules.limits;
        let key = limits[0].key_of(&subject("GET /charged")).unwrap().unwrap();
        let mut checks = Checks::new();
        checks
            .push(Check {
                policy: &limits[0].policies[0],
                key: key.as_ref(),
                cost: 2,
            })
            .unwrap();
        assert!(site.store.decide(&checks, site.builtins.now()).is_allowed());
        let standings = site
            .builtins
            .standings(limits, &subject("/left"), &[], None)
            .await
            .unwrap();
        assert_eq!(standings.available, Some(3));
    }
}
