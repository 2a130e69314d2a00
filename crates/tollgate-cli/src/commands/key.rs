//! `tollgate key`: making, listing, revoking and rotating API keys.

use std::time::Duration;

use tollgate::{Clock, SystemClock};
use tollgate_accounts::{Accounts, KeyError, KeyId, KeySummary, NewKey, Scopes, UserId};

use super::{require_accounts, table, with_accounts};
use crate::args::{KeyArgs, KeyCommand};
use crate::builtin::keys::state;
use crate::failure::Failure;
use crate::plain;
use crate::time;

pub(crate) fn run(args: KeyArgs) -> Result<(), Failure> {
    require_accounts(&args.accounts)?;
    with_accounts(&args.accounts, async |accounts| match args.command {
        KeyCommand::Create {
            user,
            name,
            quota,
            scope,
            expires_in,
        } => {
            let scopes = scopes(&scope)?;
            let user = user_id(accounts, &user).await?;
            let expires_at = expires_in.map(|lifetime| SystemClock::new().now() + lifetime);
            show_once(
                accounts
                    .create_scoped_key(&user, &name, quota.as_ref(), expires_at, scopes.as_ref())
                    .await,
            )
        }
        KeyCommand::List { user } => list(accounts, user.as_deref()).await,
        KeyCommand::Revoke { id } => {
            accounts
                .revoke_key(None, &KeyId::from(id.as_str()))
                .await
                .map_err(refused)?;
            println!("revoked {id}");
            Ok(())
        }
        KeyCommand::Rotate { id, grace } => {
            rotate(accounts, &KeyId::from(id.as_str()), grace).await
        }
    })
}

/// Without a scope a key may do everything.
fn scopes(words: &[String]) -> Result<Option<Scopes>, Failure> {
    if words.is_empty() {
        return Ok(None);
    }
    let scopes = Scopes::parse(&words.join(" "));
    scopes
        .map(Some)
        .map_err(|error| Failure::Usage(error.to_string()))
}

async fn user_id(accounts: &Accounts, name: &str) -> Result<UserId, Failure> {
    let user = accounts
        .user_by_name(name)
        .await
        .map_err(|error| Failure::because("users cannot be read", &error))?;
    user.map(|user| user.id)
        .ok_or_else(|| Failure::Failed(format!("there is no user `{name}`")))
}

async fn rotate(accounts: &Accounts, id: &KeyId, grace: u64) -> Result<(), Failure> {
    let made = accounts.rotate_key(None, id, Duration::from_secs(grace));
    show_once(made.await)?;
    // Told as it is, for the old key may have had less time left than the grace. Without the database it goes unsaid.
    if let Ok(Some(old)) = accounts.key(id).await {
        match until(&old).as_str() {
            "" => {}
            end if old.is_live(SystemClock::new().now()) => {
                eprintln!("The old key (id {id}) is good until {end}.");
            }
            _ => eprintln!("The old key (id {id}) is good no longer."),
        }
    }
    Ok(())
}

/// When a key ends, or ended; nothing for one that lives until it is revoked.
fn until(key: &KeySummary) -> String {
    let end = match (key.revoked_at, key.expires_at) {
        (Some(revoked), Some(end)) => Some(revoked.min(end)),
        (revoked, end) => revoked.or(end),
    };
    end.map(time::rfc3339).unwrap_or_default()
}

fn show_once(made: Result<NewKey, KeyError>) -> Result<(), Failure> {
    let key = made.map_err(refused)?;
    println!("{}", key.secret.expose());
    eprintln!("This key (id {}) is shown this once.", key.id);
    Ok(())
}

fn refused(error: KeyError) -> Failure {
    match error {
        KeyError::Invalid(_) => Failure::Usage(error.to_string()),
        error => Failure::because("nothing was changed", &error),
    }
}

async fn list(accounts: &Accounts, user: Option<&str>) -> Result<(), Failure> {
    let unreadable =
        |error: tollgate_accounts::Unavailable| Failure::because("keys cannot be listed", &error);
    let keys = match user {
        Some(name) => accounts
            .list_keys(&user_id(accounts, name).await?)
            .await
            .map_err(unreadable)?,
        None => accounts.list_all_keys().await.map_err(unreadable)?,
    };
    let now = SystemClock::new().now();
    let row = |key: &KeySummary| {
        let quota = key.quota.as_ref().map(ToString::to_string);
        let scopes = key.scopes.as_ref().map(ToString::to_string);
        [
            plain::line(&key.user_name),
            plain::line(&key.name),
            state(key, now).to_owned(),
            until(key),
            key.last_used_at.map(time::rfc3339).unwrap_or_default(),
            key.hint.clone(),
            quota.unwrap_or_default(),
            scopes.unwrap_or_default(),
            key.id.to_string(),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    let headings = [
        "USER", "NAME", "STATE", "UNTIL", "USED", "KEY", "LIMIT", "SCOPES", "ID",
    ];
    table::print(headings, &rows);
    Ok(())
}
