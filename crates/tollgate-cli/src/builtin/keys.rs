//! A user's API keys: a page with its forms, and the same as JSON.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tollgate::notation::parse_duration;
use tollgate::{Micros, Quota};
use tollgate_accounts::{Identity, KeyError, KeyId, KeySummary, NewKey, Scopes, UserId};
use tollgate_gateway::accepts::Accepts;
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::form::{self, Fields};
use super::pages::{FreshKey, KeyRow, KeysPage};
use super::{Builtins, account, answer, time, unreachable};

/// How long a rotated key stays good when nothing else is said: a day, to change it everywhere.
const GRACE_SECONDS: u64 = 24 * 3600;
const GRACE_SECONDS_MAX: u64 = 365 * 24 * 3600;

/// A key that was just made. Its secret goes to its owner in this answer and never again.
struct Fresh {
    key: NewKey,
    name: String,
}

impl Builtins {
    pub(super) async fn list_keys(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        if Accepts::of(call.request.headers()) == Accepts::Html {
            return self.keys_page(call, StatusCode::OK, None, None).await;
        }
        let keys = self.keys_of(&account(call)?.user).await?;
        let keys: Vec<Value> = keys.iter().map(|key| as_json(key, self.now())).collect();
        answer::json(StatusCode::OK, &json!({ "keys": keys }))
    }

    pub(super) async fn change_keys(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let who = account(call)?;
        let fields = Fields::of(&call.request)?;
        let changed = self.change_key(who, &fields).await;
        if !form::is_from_page(&call.request) {
            return match changed? {
                Some(Fresh { key, name }) => {
                    let body = json!({ "id": key.id.as_str(), "name": name, "secret": key.secret.expose(), "hint": key.hint });
                    answer::json(StatusCode::CREATED, &body)
                }
                None => Ok(answer::no_content()),
            };
        }
        match changed {
            // Not to a page of its own: a secret in a URL would be kept by the browser and by every log.
            Ok(Some(fresh)) => {
                self.keys_page(call, StatusCode::CREATED, Some(&fresh), None)
                    .await
            }
            Ok(None) => Ok(answer::see_other(call.request.uri().path())),
            Err(refusal) => match refusal.status(None) {
                status @ (StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) => {
                    self.keys_page(call, status, None, Some(form::for_people(&refusal)))
                        .await
                }
                _ => Err(refusal),
            },
        }
    }

    async fn change_key(&self, who: &Identity, fields: &Fields) -> Result<Option<Fresh>, Refusal> {
        match fields.text("action")? {
            "create" => self.create_key(who, fields).await.map(Some),
            "rotate" => self.rotate_key(who, fields).await.map(Some),
            "revoke" => {
                let id = self.key_within(who, fields).await?.id;
                let revoked = self.accounts.revoke_key(Some(&who.user), &id).await;
                revoked.map(|()| None).map_err(refused)
            }
            _ => Err(Refusal::unprocessable(
                "action",
                "must be `create`, `rotate` or `revoke`",
            )),
        }
    }

    /// The key that is to be changed. A key with scopes changes none that may do more than it may itself.
    async fn key_within(&self, who: &Identity, fields: &Fields) -> Result<KeySummary, Refusal> {
        let id = KeyId::from(fields.text("id")?);
        let key = self.accounts.key(&id).await;
        let key = key
            .map_err(|error| unreachable(&error))?
            .filter(|key| key.user == who.user)
            .ok_or_else(Refusal::not_found)?;
        if !is_within(key.scopes.as_ref(), who) {
            return Err(Refusal::forbidden(
                "This key may do more than the key that asks.",
            ));
        }
        Ok(key)
    }

    async fn create_key(&self, who: &Identity, fields: &Fields) -> Result<Fresh, Refusal> {
        let name = fields.text("name")?.trim();
        if name.is_empty() {
            return Err(Refusal::unprocessable("name", "must not be empty"));
        }
        let quota = fields
            .optional_text("quota")?
            .map(str::parse::<Quota>)
            .transpose();
        let quota = quota
            .map_err(|error| Refusal::unprocessable("quota", format!("cannot be read: {error}")))?;
        let scopes = fields
            .optional_text("scopes")?
            .map(Scopes::parse)
            .transpose();
        let scopes =
            scopes.map_err(|invalid| Refusal::unprocessable(invalid.field, &invalid.reason))?;
        if !is_within(scopes.as_ref(), who) {
            return Err(Refusal::unprocessable(
                "scopes",
                "must be some of those of the key that asks",
            ));
        }
        let expires_at = match fields.optional_text("expires_in")? {
            Some(text) => Some(self.now() + lifetime(text)?),
            None => None,
        };
        let made = self.accounts.create_scoped_key(
            &who.user,
            name,
            quota.as_ref(),
            expires_at,
            scopes.as_ref(),
        );
        Ok(Fresh {
            key: self.made(who, made).await?,
            name: name.to_owned(),
        })
    }

    async fn rotate_key(&self, who: &Identity, fields: &Fields) -> Result<Fresh, Refusal> {
        let grace = fields
            .optional_number("grace_seconds")?
            .unwrap_or(GRACE_SECONDS);
        if grace > GRACE_SECONDS_MAX {
            return Err(Refusal::unprocessable(
                "grace_seconds",
                format!("must be at most {GRACE_SECONDS_MAX}"),
            ));
        }
        // Read first: a key whose secret could not be shown must not be made.
        let old = self.key_within(who, fields).await?;
        let grace = Duration::from_secs(grace);
        let rotated = self.accounts.rotate_key(Some(&who.user), &old.id, grace);
        Ok(Fresh {
            key: self.made(who, rotated).await?,
            name: old.name,
        })
    }

    /// A key, if the account may have another made; what was not made is not charged.
    async fn made(
        &self,
        who: &Identity,
        making: impl Future<Output = Result<NewKey, KeyError>>,
    ) -> Result<NewKey, Refusal> {
        let attempt = self.protection.key(&who.user);
        let receipt = attempt.charge(&self.counters, self.now()).await?;
        let made = making.await;
        if made.is_err() {
            attempt.refund(&self.counters, receipt, self.now()).await;
        }
        made.map_err(refused)
    }

    async fn keys_page(
        &self,
        call: &BuiltinCall,
        status: StatusCode,
        created: Option<&Fresh>,
        error: Option<String>,
    ) -> Result<Response<Bytes>, Refusal> {
        let keys = match self.keys_of(&account(call)?.user).await {
            // The list can be read again, the secret cannot.
            Err(_) if created.is_some() => Vec::new(),
            keys => keys?,
        };
        let created = created.map(|fresh| FreshKey {
            name: &fresh.name,
            secret: fresh.key.secret.expose(),
            example: self.example(call, fresh.key.secret.expose()),
        });
        let keys = keys.iter().map(|key| as_row(key, self.now())).collect();
        answer::page(
            status,
            &KeysPage {
                site: self.site(call),
                created,
                error,
                keys,
            },
        )
    }

    async fn keys_of(&self, user: &UserId) -> Result<Vec<KeySummary>, Refusal> {
        self.accounts
            .list_keys(user)
            .await
            .map_err(|error| unreachable(&error))
    }
}

/// Whether a key with these scopes may do no more than who asks; without scopes it may do everything.
fn is_within(scopes: Option<&Scopes>, who: &Identity) -> bool {
    let own = who.scopes.as_ref();
    own.is_none_or(|own| scopes.is_some_and(|scopes| scopes.are_within(own)))
}

/// How long a key is to live, as limits are written: `30d`.
fn lifetime(text: &str) -> Result<Duration, Refusal> {
    let wrong = |error| Refusal::unprocessable("expires_in", format!("cannot be read: {error}"));
    parse_duration(text).map_err(wrong)
}

fn refused(error: KeyError) -> Refusal {
    match error {
        KeyError::NoSuchUser => Refusal::bad_credentials(),
        KeyError::NoSuchKey => Refusal::not_found(),
        KeyError::NotLive => Refusal::conflict("This key is revoked or has expired."),
        KeyError::TooMany { max } => {
            Refusal::conflict(format!("At most {max} keys can be live; revoke one first."))
        }
        KeyError::Invalid(invalid) => Refusal::unprocessable(invalid.field, &invalid.reason),
        KeyError::Unavailable(error) => unreachable(&error),
        _ => Refusal::internal(),
    }
}

pub(crate) fn state(key: &KeySummary, now: Micros) -> &'static str {
    match key.revoked_at {
        Some(_) => "revoked",
        None if key.is_live(now) => "active",
        None => "expired",
    }
}

fn as_json(key: &KeySummary, now: Micros) -> Value {
    json!({
        "id": key.id.as_str(),
        "name": key.name,
        "hint": key.hint,
        "state": state(key, now),
        "quota": key.quota.as_ref().map(Quota::to_string),
        "scopes": key.scopes.as_ref().map(|scopes| scopes.iter().collect::<Vec<_>>()),
        "created_at": time::rfc3339(key.created_at),
        "expires_at": key.expires_at.map(time::rfc3339),
        "last_used_at": key.last_used_at.map(time::rfc3339),
    })
}

pub(super) fn as_row(key: &KeySummary, now: Micros) -> KeyRow {
    let live = key.is_live(now);
    let state = match key.expires_at.filter(|_| live) {
        Some(end) => format!("active until {}", time::for_people(end)),
        None => state(key, now).to_owned(),
    };
    KeyRow {
        id: key.id.to_string(),
        name: key.name.clone(),
        hint: key.hint.clone(),
        live,
        state,
        created: time::for_people(key.created_at),
        last_used: key.last_used_at.map(time::for_people),
        scopes: key.scopes.as_ref().map(Scopes::to_string),
        quota: key.quota.as_ref().map(Quota::to_string),
    }
}

#[cfg(test)]
mod tests;
