//! Plans: names that users can have, for which limits have other quotas.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use tollgate::Micros;

use crate::accounts::Accounts;
use crate::audit::{About, Action, changed};
use crate::changes::Change;
use crate::database::{Columns, Tx, stored};
use crate::error::{Invalid, PlanError, Unavailable};
use crate::terms::{OVERRIDES_MAX, PLANS_MAX};
use crate::users::User;

/// The longest name of a plan.
const NAME_CHARS_MAX: usize = 64;

/// A plan as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What users and commands know it by.
    pub name: String,
    /// When it was made.
    pub created_at: Micros,
    /// How many users have it.
    pub users: u64,
    /// Its quotas, by the limit's name.
    pub limits: BTreeMap<String, String>,
}

impl Accounts {
    /// Makes a plan that changes no limit yet.
    ///
    /// # Errors
    /// A name that is taken or cannot be a plan's, or one plan too many.
    pub async fn create_plan(&self, name: &str) -> Result<(), PlanError> {
        check_name(name)?;
        let inner = self.inner();
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        let row = transaction
            .sql("SELECT COUNT(*) AS plans FROM plans")
            .fetch_one(&mut *transaction)
            .await?;
        if row.count("plans")? >= PLANS_MAX as u64 {
            return Err(PlanError::TooMany { max: PLANS_MAX });
        }
        if exists(&mut transaction, name).await? {
            return Err(PlanError::Taken);
        }
        transaction
            .sql("INSERT INTO plans (name, created_at) VALUES ($1, $2)")
            .bind(name.to_owned())
            .bind(stored(now))
            .execute(&mut *transaction)
            .await?;
        let about = About::named("plan", name);
        self.log(&mut transaction, Action::PlanCreated, &about, "", now)
            .await?;
        let change = Change::QuotasChanged(name.to_owned());
        Ok(inner.commit(transaction, change, now).await?)
    }

    /// Deletes a plan that nobody has any more, with its quotas.
    ///
    /// # Errors
    /// [`PlanError::InUse`] while users have it: what they may do must not change by accident.
    pub async fn delete_plan(&self, name: &str) -> Result<(), PlanError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        if !exists(&mut transaction, name).await? {
            return Err(PlanError::NoSuchPlan);
        }
        let row = transaction
            .sql("SELECT COUNT(*) AS users FROM users WHERE plan = $1")
            .bind(name.to_owned())
            .fetch_one(&mut *transaction)
            .await?;
        match row.count("users")? {
            0 => {}
            users => return Err(PlanError::InUse { users }),
        }
        for statement in [
            "DELETE FROM overrides WHERE scope = 'plan' AND subject = $1",
            "DELETE FROM plans WHERE name = $1",
        ] {
            transaction
                .sql(statement)
                .bind(name.to_owned())
                .execute(&mut *transaction)
                .await?;
        }
        let about = About::named("plan", name);
        self.log(&mut transaction, Action::PlanDeleted, &about, "", now)
            .await?;
        let change = Change::QuotasChanged(name.to_owned());
        Ok(inner.commit(transaction, change, now).await?)
    }

    /// All plans by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn list_plans(&self) -> Result<Vec<Plan>, Unavailable> {
        let db = &self.inner().db;
        let rows = db
            .sql(
                "SELECT p.name, p.created_at,
                    (SELECT COUNT(*) FROM users u WHERE u.plan = p.name) AS users
                FROM plans p ORDER BY p.name LIMIT $1",
            )
            .bind(PLANS_MAX as i64)
            .fetch_all(db.pool())
            .await?;
        let mut plans: Vec<Plan> = rows.iter().map(Plan::read).collect::<sqlx::Result<_>>()?;
        let rows = db
            .sql("SELECT subject, limit_name, quotas FROM overrides WHERE scope = 'plan' LIMIT $1")
            .bind((PLANS_MAX * OVERRIDES_MAX) as i64)
            .fetch_all(db.pool())
            .await?;
        for row in &rows {
            let name = row.text("subject")?;
            if let Ok(place) = plans.binary_search_by(|plan| plan.name.cmp(&name)) {
                let quotas = row.text("quotas")?;
                plans[place].limits.insert(row.text("limit_name")?, quotas);
            }
        }
        Ok(plans)
    }

    /// Gives a user a plan, or none. It holds from the next request on.
    ///
    /// # Errors
    /// When there is no such user or plan.
    pub async fn set_plan(&self, user: &str, plan: Option<&str>) -> Result<(), PlanError> {
        let inner = self.inner();
        let user = self
            .user_by_name(user)
            .await?
            .ok_or(PlanError::NoSuchUser)?
            .id;
        let now = inner.clock.now();
        let mut transaction = inner.db.begin_change().await?;
        // Before the turn to change came, somebody else may have changed it.
        let user = User::find(&mut transaction, &user)
            .await?
            .ok_or(PlanError::NoSuchUser)?;
        if let Some(plan) = plan
            && !exists(&mut transaction, plan).await?
        {
            return Err(PlanError::NoSuchPlan);
        }
        transaction
            .sql("UPDATE users SET plan = $1 WHERE id = $2")
            .bind(plan.map(str::to_owned))
            .bind(user.id.to_string())
            .execute(&mut *transaction)
            .await?;
        let detail = changed(user.plan.as_deref(), plan);
        let about = About::user(&user.id);
        self.log(&mut transaction, Action::PlanGiven, &about, &detail, now)
            .await?;
        let change = Change::UserChanged(user.id.clone());
        Ok(inner.commit(transaction, change, now).await?)
    }
}

impl Plan {
    fn read(row: &AnyRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.text("name")?,
            created_at: row.instant("created_at")?,
            users: row.count("users")?,
            limits: BTreeMap::new(),
        })
    }
}

/// No plan has a name that is refused when plans are made, and databases differ in what they make of odd ones.
pub(crate) async fn exists(transaction: &mut Tx, name: &str) -> sqlx::Result<bool> {
    if check_name(name).is_err() {
        return Ok(false);
    }
    let row = transaction
        .sql("SELECT name FROM plans WHERE name = $1")
        .bind(name.to_owned())
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(row.is_some())
}

fn check_name(name: &str) -> Result<(), Invalid> {
    let in_order = name.len() <= NAME_CHARS_MAX
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let reason =
        "of a plan has letters, digits, `-` and `_`, begins with a letter, and is at most 64 long";
    in_order
        .then_some(())
        .ok_or_else(|| Invalid::new("name", reason))
}
