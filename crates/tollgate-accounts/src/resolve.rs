//! The one query behind a credential that the directory does not know.

use std::sync::Arc;

use sqlx::any::AnyRow;
use tollgate::Policy;

use crate::accounts::Accounts;
use crate::credential::Credential;
use crate::database::Columns;
use crate::directory::{About, Lookup, Question};
use crate::error::Unavailable;
use crate::id::{SessionId, UserId};
use crate::identity::{Identity, Via};
use crate::keys::read_counts_as;
use crate::liveness::Alive;
use crate::own_quota;
use crate::role::Role;
use crate::scopes::Scopes;
use crate::terms::Terms;

/// How often a query is repeated because something ended while it ran.
const ATTEMPTS: usize = 8;

impl Accounts {
    /// Asks the database who this is, and remembers the answer: a known credential until something ends it, an
    /// unknown one for a second.
    ///
    /// One query, and a second for somebody with quotas of their own; more only when a session or key has ended while it
    /// ran, so that an answer from before a log-out is never remembered after it. A token whose key has gone since the
    /// question was asked is nobody's.
    pub async fn resolve(&self, question: &Question) -> Result<Option<Arc<Identity>>, Unavailable> {
        let inner = self.inner();
        let mut answer = None;
        for _ in 0..ATTEMPTS {
            let epoch = inner.directory.epoch();
            // After the epoch: a key that goes later ends the answer.
            if !inner.directory.is_proved(question, inner.clock.now()) {
                return Ok(None);
            }
            let found = self.find(question).await?;
            let now = inner.clock.now();
            let is_good = |identity: &Identity| {
                !identity.has_expired(now)
                    && !identity.is_idle(now)
                    && !inner.directory.is_denied(identity.token.as_ref())
            };
            let Some(identity) = found.filter(is_good) else {
                inner.directory.learn_unknown(question, now);
                return Ok(None);
            };
            identity.note_use(now);
            if let Some(known) = inner.directory.learn(question, &identity, epoch) {
                return Ok(Some(known));
            }
            answer = Some(Arc::new(identity));
        }
        // True when it was read, and not remembered.
        Ok(answer)
    }

    /// [`Directory::lookup`](crate::Directory::lookup), then [`resolve`](Self::resolve) where that is needed: for
    /// callers that may wait.
    pub async fn identify(
        &self,
        credential: &Credential<'_>,
    ) -> Result<Option<Arc<Identity>>, Unavailable> {
        match self
            .directory()
            .lookup(credential, self.inner().clock.now())
        {
            Lookup::Known(identity) => Ok(Some(identity)),
            Lookup::Unknown => Ok(None),
            Lookup::Ask(question) => self.resolve(&question).await,
        }
    }

    async fn find(&self, question: &Question) -> Result<Option<Identity>, Unavailable> {
        let db = &self.inner().db;
        let statement = match &question.about {
            About::SessionSecret => db.sql(
                "SELECT s.*, u.name, u.plan, u.role,
                    (SELECT COUNT(*) FROM overrides o WHERE o.scope = 'user' AND o.subject = u.id) AS overrides
                FROM sessions s JOIN users u ON u.id = s.user_id
                WHERE s.token_hash = $1 AND u.disabled_at IS NULL",
            )
            .bind(question.digest.to_hex()),
            About::Token { session, user, .. } => db.sql(
                "SELECT s.*, u.name, u.plan, u.role,
                    (SELECT COUNT(*) FROM overrides o WHERE o.scope = 'user' AND o.subject = u.id) AS overrides
                FROM sessions s JOIN users u ON u.id = s.user_id
                WHERE s.id = $1 AND s.user_id = $2 AND u.disabled_at IS NULL",
            )
            .bind(session.to_string())
            .bind(user.to_string()),
            About::ApiKey => db.sql(
                "SELECT k.id, k.counts_as, k.user_id, k.expires_at, k.quota, k.scopes, u.name, u.plan, u.role,
                    (SELECT COUNT(*) FROM overrides o WHERE (o.scope = 'user' AND o.subject = u.id)
                        OR (o.scope = 'key' AND o.subject = COALESCE(k.counts_as, k.id))) AS overrides
                FROM api_keys k JOIN users u ON u.id = k.user_id
                WHERE k.secret_hash = $1 AND k.revoked_at IS NULL AND u.disabled_at IS NULL",
            )
            .bind(question.digest.to_hex()),
        };
        let row = statement.fetch_optional(db.pool()).await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let mut identity = match &question.about {
            About::SessionSecret => self.of_session(&row),
            About::Token {
                token, expires_at, ..
            } => {
                let session = self.of_session(&row)?;
                Ok(Identity {
                    via: Via::Token,
                    token: Some(token.clone()),
                    expires_at: session.expires_at.min(Some(*expires_at)),
                    ..session
                })
            }
            About::ApiKey => of_key(&row),
        }?;
        if row.count("overrides")? > 0 {
            let Identity {
                user, counts_as, ..
            } = &identity;
            let mut terms = identity.terms.clone();
            self.inner()
                .read_terms(&mut terms, user, counts_as.as_ref())
                .await?;
            identity.terms = terms;
        }
        Ok(Some(identity))
    }

    fn of_session(&self, row: &AnyRow) -> sqlx::Result<Identity> {
        let session = SessionId::from(row.text("id")?);
        let seen = match self.inner().settings.session_idle_ttl {
            Some(idle_ttl) => {
                let last = row.instant_or_null("last_seen_at")?;
                let last = last.map_or_else(|| row.instant("created_at"), Ok)?;
                Some(self.inner().seen.of(&session, last, idle_ttl))
            }
            None => None,
        };
        Ok(Identity {
            user: UserId::from(row.text("user_id")?),
            name: Some(row.text("name")?.into()),
            via: Via::Session,
            session: Some(session),
            token: None,
            issuer: None,
            claims: Vec::new(),
            scopes: None,
            key: None,
            counts_as: None,
            own: Vec::new(),
            terms: Terms::on_plan(row.text_or_null("plan")?),
            role: Role::read(&row.text("role")?),
            expires_at: Some(row.instant("expires_at")?),
            alive: Alive::default(),
            seen,
        })
    }
}

fn of_key(row: &AnyRow) -> sqlx::Result<Identity> {
    let quota = row.text_or_null("quota")?;
    let own = quota.map(|text| read_own_policy(&text)).transpose()?;
    Ok(Identity {
        user: UserId::from(row.text("user_id")?),
        name: Some(row.text("name")?.into()),
        via: Via::ApiKey,
        session: None,
        token: None,
        issuer: None,
        claims: Vec::new(),
        scopes: row
            .text_or_null("scopes")?
            .map(|words| Scopes::words(words.split(' '))),
        key: Some(row.text("id")?.into()),
        counts_as: Some(read_counts_as(row)?),
        own: own.into_iter().map(Arc::new).collect(),
        terms: Terms::on_plan(row.text_or_null("plan")?),
        role: Role::read(&row.text("role")?),
        expires_at: row.instant_or_null("expires_at")?,
        alive: Alive::default(),
        seen: None,
    })
}

fn read_own_policy(quota: &str) -> sqlx::Result<Policy> {
    own_quota::own_policy(own_quota::read(quota)?)
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use tollgate::{ManualClock, Micros};

    use super::*;
    use crate::settings::{HashCost, Settings};
    use crate::token::rotate_token_key;

    async fn accounts(dir: &tempfile::TempDir) -> Accounts {
        let mut settings = Settings::new("sqlite::memory:", dir.path());
        settings.cost = HashCost {
            memory_kib: 8,
            passes: 1,
            lanes: 1,
        };
        let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
        Accounts::open(settings, clock).await.unwrap()
    }

    #[tokio::test]
    async fn an_answer_read_before_a_log_out_is_not_remembered_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(&dir).await;
        accounts.sign_up("ann", "password").await.unwrap();
        let log_in = accounts.log_in("ann", "password").await.unwrap();
        let credential = Credential::Session(log_in.session_secret.expose());
        let now = accounts.inner().clock.now();
        let Lookup::Ask(question) = accounts.directory().lookup(&credential, now) else {
            panic!("a new session is not in memory yet");
        };

        let epoch = accounts.directory().epoch();
        let in_flight = accounts.find(&question).await.unwrap().unwrap();
        accounts.log_out(&log_in.session).await.unwrap();

        assert!(
            accounts
                .directory()
                .learn(&question, &in_flight, epoch)
                .is_none()
        );
        assert!(matches!(
            accounts.directory().lookup(&credential, now),
            Lookup::Ask(_)
        ));
        assert!(accounts.resolve(&question).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_token_whose_key_goes_while_it_waits_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(&dir).await;
        accounts.sign_up("ann", "password").await.unwrap();
        let log_in = accounts.log_in("ann", "password").await.unwrap();
        let credential = Credential::Bearer(log_in.token.token.expose());
        let now = accounts.inner().clock.now();
        let Lookup::Ask(question) = accounts.directory().lookup(&credential, now) else {
            panic!("a new token is not in memory yet");
        };
        rotate_token_key(dir.path(), true, now).unwrap();
        accounts.poll_changes().await.unwrap();
        assert!(accounts.resolve(&question).await.unwrap().is_none());
        assert!(matches!(
            accounts.directory().lookup(&credential, now),
            Lookup::Unknown
        ));
    }

    #[tokio::test]
    async fn a_token_for_somebody_elses_session_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = accounts(&dir).await;
        accounts.sign_up("ann", "password").await.unwrap();
        let bob = accounts.sign_up("bob", "password").await.unwrap();
        let anns = accounts.log_in("ann", "password").await.unwrap();
        let now = accounts.inner().clock.now();
        let end = now + anns.session_expires_in;
        let token = accounts
            .inner()
            .tokens
            .for_session(&bob.id, &anns.session, end, now);
        let presented = Credential::Bearer(token.token.expose());
        assert!(accounts.identify(&presented).await.unwrap().is_none());
    }
}
