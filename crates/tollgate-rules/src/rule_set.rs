//! A rules file, read and found right: all that the other crates are told by.

use std::sync::Arc;

use tollgate::Micros;

use crate::domain::Domain;
use crate::limit::Limit;
use crate::{
    Accounts, Contents, Counters, Diagnostic, Overrides, RouteTable, Server, Service, Upstream,
    file, read,
};

/// A rules file, validated.
#[derive(Debug)]
pub struct RuleSet {
    /// Since when the rules are so, where the file says it.
    pub version: Option<Micros>,
    /// The listener and its bounds.
    pub server: Server,
    /// Where counters live.
    pub counters: Counters,
    /// Accounts and how they are protected.
    pub accounts: Accounts,
    /// The decision service.
    pub service: Service,
    /// What it limits by where Envoy asks.
    pub domains: Vec<Arc<Domain>>,
    /// Which response fields are written beside the current ones.
    pub fields: Fields,
    /// Every limit, whether a route uses it or not.
    pub limits: Vec<Arc<Limit>>,
    /// Every upstream that a route names.
    pub upstreams: Vec<Upstream>,
    /// The routes.
    pub routes: RouteTable,
}

/// The response fields beside `RateLimit` and `RateLimit-Policy`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields {
    /// The legacy family.
    pub legacy: LegacyFields,
}

/// A family of rate-limit response fields from before the IETF's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LegacyFields {
    /// `X-RateLimit-Limit`, `-Remaining`, and `-Reset` in seconds from now.
    #[default]
    Delta,
    /// The same with `-Reset` in seconds since 1970.
    Epoch,
    /// None.
    None,
}

impl RuleSet {
    /// Reads a rules file. `name` is how messages call it.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file; never empty.
    pub fn parse(
        name: &str,
        text: &str,
        overrides: &Overrides,
    ) -> Result<RuleSet, Vec<Diagnostic>> {
        file::parse(name, text, overrides)
    }

    /// Limits that no route charges: most often one was meant to. Where the service runs, its clients may.
    pub fn unused_limits(&self) -> impl Iterator<Item = &Limit> {
        let used = |limit: &Arc<Limit>| self.service.is_on() || self.is_charged(&limit.name);
        let unused = self.limits.iter().filter(move |limit| !used(limit));
        unused.map(|limit| &**limit)
    }

    /// Whether a route charges the limit `name`.
    pub fn is_charged(&self, name: &str) -> bool {
        self.routes.routes().iter().any(|route| route.charges(name))
    }

    /// What the limits say: the same number wherever they are the same.
    pub fn contents(&self) -> u32 {
        let mut contents = Contents::default();
        let of_limits = self.limits.iter().flat_map(|limit| &limit.policies);
        of_limits.for_each(|policy| contents.add(policy));
        let protection = &self.accounts.protection;
        for quotas in [
            &protection.login_per_account,
            &protection.login_per_address,
            &protection.password_per_account,
            &protection.signup_per_address,
            &protection.token_per_address,
            &protection.keys_per_account,
            &protection.credentials_per_address,
        ] {
            contents.add_quotas(quotas);
        }
        for domain in &self.domains {
            contents.join(domain.contents());
        }
        contents.number()
    }

    /// The limit of this name.
    pub fn limit(&self, name: &str) -> Option<&Arc<Limit>> {
        self.limits.iter().find(|limit| limit.name == name)
    }

    /// The limit whose name is nearest to one that there is not.
    pub fn nearest_limit(&self, name: &str) -> Option<&str> {
        read::nearest(name, self.limits.iter().map(|limit| limit.name.as_str()))
    }

    /// The most policies that a route that charges the limit `name` can come to, when each limit has as many as
    /// `most` says; 0 when no route charges it.
    pub fn most_policies(&self, name: &str, most: impl Fn(&Limit) -> usize) -> usize {
        let routes = self.routes.routes().iter();
        let charging = routes.filter(|route| route.charges(name));
        let of_route = charging.map(|route| route.limits.iter().map(|limit| most(limit)).sum());
        of_route.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(limit: &str) -> RuleSet {
        let text = format!(
            "[limits.a]\nkey = \"user\"\n{limit}\n[limits.b]\nkey = \"client-ip\"\nquotas = [\"1 per day\"]\n\
             [[routes]]\nmatch = \"GET /\"\nauth = [\"bearer\"]\nlimits = [\"a\", \"b\"]\nrespond = {{ text = \"\" }}\n"
        );
        RuleSet::parse("rules", &text, &Overrides::default()).unwrap()
    }

    #[test]
    fn the_most_policies_of_a_limits_routes_are_counted_over_all_limits_of_a_route() {
        let rules = rules("quotas = [\"5 per minute\"]");
        let most = |limit: &Limit| if limit.name == "a" { 4 } else { 2 };
        assert_eq!(rules.most_policies("b", most), 6);
        assert_eq!(rules.most_policies("c", most), 0);
    }
}
