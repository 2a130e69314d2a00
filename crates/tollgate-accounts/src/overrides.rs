//! Quotas in the place of those that the rules give to a limit: for everybody, a plan, a user or a single key.
//!
//! The more special stands before: key, user, plan, everybody, then the rules. `shared` keeps in memory what holds for
//! everybody and for plans; what holds for one caller is read with them, into their [`Terms`]. Neither is a query on a
//! request's path.

mod read;
mod shared;
mod terms;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tollgate::Policy;

use crate::accounts::Accounts;
use crate::audit::{About, Action, changed};
use crate::changes::Change;
use crate::database::{Columns, Tx};
use crate::error::{Invalid, OverrideError, Unavailable};
use crate::id::{KeyId, UserId};
use crate::keys;
use crate::plans;
use crate::terms::{OVERRIDES_MAX, Policies, Terms};
pub(crate) use read::Noted;
pub(crate) use shared::Shared;
pub use terms::TermsOfKeys;

/// How many are listed.
const LISTED_MAX: i64 = 10_000;

/// Whom other quotas are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody for whom nothing more special is said.
    Everybody,
    /// Users who have this plan.
    Plan(String),
    /// One user, by whatever credential they come.
    User(UserId),
    /// One API key, which then counts apart from its user.
    Key(KeyId),
}

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

impl Scope {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Everybody => "everybody",
            Self::Plan(_) => "plan",
            Self::User(_) => "user",
            Self::Key(_) => "key",
        }
    }

    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::Everybody => "",
            Self::Plan(name) => name,
            Self::User(id) => id.as_str(),
            Self::Key(id) => id.as_str(),
        }
    }

    fn read(kind: &str, subject: String) -> Option<Self> {
        match kind {
            "everybody" => Some(Self::Everybody),
            "plan" => Some(Self::Plan(subject)),
            "user" => Some(Self::User(subject.into())),
            "key" => Some(Self::Key(subject.into())),
            _ => None,
        }
    }

    fn change(&self) -> Change {
        match self {
            Self::Everybody => Change::QuotasChanged(String::new()),
            Self::Plan(name) => Change::QuotasChanged(name.clone()),
            Self::User(id) => Change::UserChanged(id.clone()),
            Self::Key(id) => Change::KeyChanged(id.clone()),
        }
    }

    /// As the audit log names it.
    fn about(&self) -> About<'_> {
        About::named(self.kind(), self.subject())
    }
}

/// `everybody`, `plan:NAME`, `user:ID` or `key:ID`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about().fmt(f)
    }
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
    /// processes hear of them with their next poll.
    ///
    /// # Errors
    /// A limit that the rules do not have, or whose key does not tell callers apart while the scope does; quotas that
    /// cannot be read, or do not fit into one decision; nobody of this name; or more limits than one may have.
    pub async fn set_quotas(
        &self,
        scope: &Scope,
        limit: &str,
        quotas: &str,
    ) -> Result<(), OverrideError> {
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
        transaction
            .sql("INSERT INTO overrides (scope, subject, limit_name, quotas, quota_count) VALUES ($1, $2, $3, $4, $5)")
            .bind(scope.kind())
            .bind(scope.subject().to_owned())
            .bind(limit.to_owned())
            .bind(quotas.to_owned())
            .bind(policies.len() as i64)
            .execute(&mut *transaction)
            .await?;
        let most = most(&mut transaction).await?;
        limits
            .fits(limit, &most)
            .map_err(|reason| Invalid::new("quotas", reason))?;
        let detail = format!("{limit}: {}", changed(old.as_deref(), Some(quotas)));
        let about = scope.about();
        self.log(&mut transaction, Action::QuotasSet, &about, &detail, now)
            .await?;
        Ok(inner.commit(transaction, scope.change(), now).await?)
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
        let about = scope.about();
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
                unusable: inner.unusable(&scope, &limit, &quotas),
                user_name: row.text_or_null("user_name")?,
                scope,
                limit,
                quotas,
            });
        }
        Ok(listed)
    }
}

/// Fails unless there is whom the quotas are for.
async fn require(transaction: &mut Tx, scope: &Scope) -> Result<(), OverrideError> {
    let is_there = match scope {
        Scope::Everybody => true,
        Scope::Plan(name) => plans::exists(transaction, name).await?,
        Scope::User(id) => keys::is_user(transaction, id).await?,
        Scope::Key(id) => keys::is_key(transaction, id).await?,
    };
    match (is_there, scope) {
        (true, _) | (_, Scope::Everybody) => Ok(()),
        (false, Scope::Plan(_)) => Err(OverrideError::NoSuchPlan),
        (false, Scope::User(_)) => Err(OverrideError::NoSuchUser),
        (false, Scope::Key(_)) => Err(OverrideError::NoSuchKey),
    }
}

/// The scope under which quotas are kept: keys that took each other's place have one.
async fn as_counted(transaction: &mut Tx, scope: &Scope) -> Result<Scope, OverrideError> {
    Ok(match scope {
        Scope::Key(id) => Scope::Key(keys::counts_as(transaction, id).await?),
        other => other.clone(),
    })
}

async fn require_room(transaction: &mut Tx, scope: &Scope) -> Result<(), OverrideError> {
    let row = transaction
        .sql("SELECT COUNT(*) AS limits FROM overrides WHERE scope = $1 AND subject = $2")
        .bind(scope.kind())
        .bind(scope.subject().to_owned())
        .fetch_one(&mut **transaction)
        .await?;
    if row.count("limits")? < OVERRIDES_MAX as u64 {
        Ok(())
    } else {
        Err(OverrideError::TooMany { max: OVERRIDES_MAX })
    }
}

/// What is set now. A name that no limit can have is not looked for: databases differ in what they make of odd ones.
async fn quotas_of(
    transaction: &mut Tx,
    scope: &Scope,
    limit: &str,
) -> Result<Option<String>, OverrideError> {
    if limit.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Ok(None);
    }
    let row = transaction
        .sql("SELECT quotas FROM overrides WHERE scope = $1 AND subject = $2 AND limit_name = $3")
        .bind(scope.kind())
        .bind(scope.subject().to_owned())
        .bind(limit.to_owned())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.map(|row| row.text("quotas")).transpose()?)
}

async fn remove(transaction: &mut Tx, scope: &Scope, limit: &str) -> sqlx::Result<()> {
    transaction
        .sql("DELETE FROM overrides WHERE scope = $1 AND subject = $2 AND limit_name = $3")
        .bind(scope.kind())
        .bind(scope.subject().to_owned())
        .bind(limit.to_owned())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The most quotas that anybody has in the place of each limit's own.
async fn most(transaction: &mut Tx) -> Result<HashMap<String, usize>, OverrideError> {
    let rows = transaction
        .sql(
            "SELECT limit_name, CAST(MAX(quota_count) AS BIGINT) AS most
            FROM overrides GROUP BY limit_name",
        )
        .fetch_all(&mut **transaction)
        .await?;
    let mut most = HashMap::new();
    for row in &rows {
        most.insert(row.text("limit_name")?, row.count("most")? as usize);
    }
    Ok(most)
}
