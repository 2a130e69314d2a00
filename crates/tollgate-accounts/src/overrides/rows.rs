//! The rows of such quotas, within the transaction that changes them.

use std::collections::HashMap;

use crate::database::{Columns, Tx};
use crate::error::OverrideError;
use crate::keys;
use crate::plans;
use crate::quotas::Scope;
use crate::terms::OVERRIDES_MAX;

/// Fails unless there is whom the quotas are for.
pub(super) async fn require(transaction: &mut Tx, scope: &Scope) -> Result<(), OverrideError> {
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
pub(super) async fn as_counted(
    transaction: &mut Tx,
    scope: &Scope,
) -> Result<Scope, OverrideError> {
    Ok(match scope {
        Scope::Key(id) => Scope::Key(keys::counts_as(transaction, id).await?),
        other => other.clone(),
    })
}

pub(super) async fn require_room(transaction: &mut Tx, scope: &Scope) -> Result<(), OverrideError> {
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

pub(super) async fn insert(
    transaction: &mut Tx,
    scope: &Scope,
    limit: &str,
    quotas: &str,
    quota_count: usize,
) -> sqlx::Result<()> {
    transaction
        .sql("INSERT INTO overrides (scope, subject, limit_name, quotas, quota_count) VALUES ($1, $2, $3, $4, $5)")
        .bind(scope.kind())
        .bind(scope.subject().to_owned())
        .bind(limit.to_owned())
        .bind(quotas.to_owned())
        .bind(quota_count as i64)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// What is set now. A name that no limit can have is not looked for: databases differ in what they make of odd ones.
pub(super) async fn quotas_of(
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

pub(super) async fn remove(transaction: &mut Tx, scope: &Scope, limit: &str) -> sqlx::Result<()> {
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
pub(super) async fn most(transaction: &mut Tx) -> Result<HashMap<String, usize>, OverrideError> {
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
