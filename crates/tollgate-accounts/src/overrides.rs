//! Quotas in the place of those that the rules give to a limit: for everybody, a plan, a user or a single key.
//!
//! The more special stands before: key, user, plan, everybody, then the rules. What holds for everybody and for plans is
//! in memory (`quotas`); what holds for one caller is read with them, into their [`Terms`]. Neither is a query on a
//! request's path.

mod rows;
mod terms;

use std::sync::Arc;

use tollgate::Policy;

use crate::accounts::Accounts;
use crate::audit::{About, Action, changed};
use crate::database::Columns;
use crate::error::{Invalid, OverrideError, Unavailable};
use crate::quotas::Scope;
use crate::terms::{Policies, Terms};
use rows::{as_counted, insert, most, quotas_of, remove, require, require_room};
pub use terms::TermsOfKeys;

/// How many are listed.
const LISTED_MAX: i64 = 10_000;

/// Quotas that somebody has in the place of a limit's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Whom they are for.
    pub scope: Scope,
    /// The user's name, where they are for a user.
    pub user_name: Option<String>,
    /// The limit's name.
    pub limit: String,
    /// The quotas, in the notation.
    pub quotas: String,
    /// What keeps these rules from using them: then the more general quotas hold.
    pub unusable: Option<String>,
}

/// Policies that stand in the place of a limit's own.
#[derive(Clone, Debug)]
pub struct Overridden {
    /// The policies.
    pub policies: Arc<[Arc<Policy>]>,
    /// Whether they are a single key's, whose use is counted apart from that of its user's other credentials.
    pub counts_apart: bool,
}

impl Accounts {
    /// The policies that stand in the place of a limit's own for a caller with these terms; `None` where the rules' own
    /// hold. No query; while nothing is overridden it costs no lock either.
    ///
    /// `by_caller` says whether the limit's key tells callers apart; where it does not, only what holds for everybody
    /// counts.
    pub fn overridden(
        &self,
        limit: &str,
        by_caller: bool,
        terms: Option<&Terms>,
    ) -> Option<Overridden> {
        let terms = terms.filter(|_| by_caller);
        let of = |policies: &Policies, counts_apart| Overridden {
            policies: Arc::clone(policies),
            counts_apart,
        };
        if let Some(terms) = terms {
            if let Some(policies) = terms.of_key.get(limit) {
                return Some(of(policies, true));
            }
            if let Some(policies) = terms.of_user.get(limit) {
                return Some(of(policies, false));
            }
        }
        let plan = terms.and_then(|terms| terms.plan.as_deref());
        let policies = self.inner().shared.find(limit, plan)?;
        Some(of(&policies, false))
    }

    /// Puts other quotas in the place of a limit's. When this has returned, the next request here meets them; other
    /// processes hear of them with their next poll. Returns the quotas of the same scope that they replace.
    ///
    /// # Errors
    /// A limit that the rules do not have, or whose key does not tell callers apart while the scope does; quotas that
    /// cannot be read, or do not fit into one decision; nobody of this name; or more limits than one may have.
    pub async fn set_quotas(
        &self,
        scope: &Scope,
        limit: &str,
        quotas: &str,
    ) -> Result<Option<String>, OverrideError> {
        let inner = self.inner();
        let quotas = quotas.trim();
        let limits = inner.settings.limits.as_ref();
        let limits = limits.ok_or(OverrideError::NoSuchLimit)?;
        match limits.is_by_caller(limit) {
            None => return Err(OverrideError::NoSuchLimit),
            Some(false) if *scope != Scope::Everybody => return Err(OverrideError::NotByCaller),
            Some(_) => {}
        }
        let policies = limits
            .policies_of(limit, quotas)
            .map_err(|reason| Invalid::new("quotas", reason))?;
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        require(&mut transaction, scope).await?;
        let scope = &as_counted(&mut transaction, scope).await?;
        let old = quotas_of(&mut transaction, scope, limit).await?;
        if old.is_none() {
            require_room(&mut transaction, scope).await?;
        }
        remove(&mut transaction, scope, limit).await?;
        insert(&mut transaction, scope, limit, quotas, policies.len()).await?;
        let most = most(&mut transaction).await?;
        limits
            .fits(limit, &most)
            .map_err(|reason| Invalid::new("quotas", reason))?;
        let detail = format!("{limit}: {}", changed(old.as_deref(), Some(quotas)));
        let about = about(scope);
        self.log(&mut transaction, Action::QuotasSet, &about, &detail, now)
            .await?;
        inner.commit(transaction, scope.change(), now).await?;
        Ok(old)
    }

    /// Takes such quotas away again, so that the next more general ones hold.
    ///
    /// # Errors
    /// [`OverrideError::NotSet`] when there are none.
    pub async fn unset_quotas(&self, scope: &Scope, limit: &str) -> Result<(), OverrideError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        require(&mut transaction, scope).await?;
        let scope = &as_counted(&mut transaction, scope).await?;
        let old = quotas_of(&mut transaction, scope, limit).await?;
        let old = old.ok_or(OverrideError::NotSet)?;
        remove(&mut transaction, scope, limit).await?;
        let detail = format!("{limit}: {}", changed(Some(&old), None));
        let about = about(scope);
        self.log(&mut transaction, Action::QuotasUnset, &about, &detail, now)
            .await?;
        Ok(inner.commit(transaction, scope.change(), now).await?)
    }

    /// All such quotas, of one limit or of all, at most 10,000; those that these rules cannot use are there as well.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_overrides(&self, limit: Option<&str>) -> Result<Vec<Override>, Unavailable> {
        let inner = self.inner();
        let (from, to) = (limit.unwrap_or(""), limit.unwrap_or("~"));
        let rows = inner
            .db
            .sql(
                "SELECT o.scope, o.subject, o.limit_name, o.quotas, u.name AS user_name
                FROM overrides o LEFT JOIN users u ON o.scope = 'user' AND u.id = o.subject
                WHERE o.limit_name >= $1 AND o.limit_name <= $2
                ORDER BY o.limit_name, o.scope, o.subject LIMIT $3",
            )
            .bind(from.to_owned())
            .bind(to.to_owned())
            .bind(LISTED_MAX)
            .fetch_all(inner.db.pool())
            .await?;
        let mut listed = Vec::new();
        for row in &rows {
            let Some(scope) = Scope::read(&row.text("scope")?, row.text("subject")?) else {
                continue;
            };
            let (limit, quotas) = (row.text("limit_name")?, row.text("quotas")?);
            listed.push(Override {
                unusable: inner.reader.unusable(&scope, &limit, &quotas),
                user_name: row.text_or_null("user_name")?,
                scope,
                limit,
                quotas,
            });
        }
        Ok(listed)
    }
}

/// As the audit log names it.
fn about(scope: &Scope) -> About<'_> {
    About::named(scope.kind(), scope.subject())
}
