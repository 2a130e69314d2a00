use std::sync::Arc;

use tollgate::{Clock, ManualClock};

use super::*;
use crate::scopes::Scopes;
use crate::settings::{HashCost, Settings};
use crate::token::issuer::Foreigner;

const NOW: Micros = Micros::from_secs(1_000_000);
const LATER: Micros = Micros::from_secs(2_000_000);

async fn accounts(dir: &tempfile::TempDir) -> Accounts {
    let mut settings = Settings::new("sqlite::memory:", dir.path());
    settings.cost = HashCost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    Accounts::open(settings, clock).await.unwrap()
}

fn token(number: usize) -> TokenId {
    format!("{number:032x}").into()
}

fn guest(number: usize) -> Identity {
    Identity::guest("guest-1".into(), token(number), LATER)
}

fn foreigner(number: usize) -> Identity {
    Identity::foreign(Foreigner {
        issuer: "https://login.example".into(),
        user: "ext-1".into(),
        name: None,
        token: token(number),
        scopes: Scopes::default(),
        claims: Vec::new(),
        expires_at: LATER,
    })
}

#[tokio::test]
async fn users_of_other_issuers_leave_room_for_guests_and_both_for_an_administrator() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = accounts(&dir).await;
    let denied = accounts.directory().denied();
    let fill = |from, to| denied.add((from..to).map(|number| (token(number), LATER)));
    fill(1, FOREIGN_MAX);
    assert!(accounts.end_token(&foreigner(0)).await.unwrap());
    assert_eq!(denied.len(), FOREIGN_MAX);
    let refused = accounts.end_token(&foreigner(REVOKED_MAX)).await;
    assert!(matches!(
        refused,
        Err(RevokeError::TooMany { max: FOREIGN_MAX })
    ));
    assert!(accounts.end_token(&guest(FOREIGN_MAX)).await.unwrap());
    fill(FOREIGN_MAX, BY_HOLDERS_MAX);
    let refused = accounts.end_token(&guest(REVOKED_MAX)).await;
    assert!(matches!(refused, Err(RevokeError::TooMany { .. })));
    let by_an_administrator = token(REVOKED_MAX);
    let revoked = accounts.revoke_token(&by_an_administrator, LATER).await;
    revoked.unwrap();
    assert!(denied.contains(&by_an_administrator));
}

#[tokio::test]
async fn a_full_deny_list_makes_room_for_an_administrator_and_is_never_read_beyond_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let accounts = accounts(&dir).await;
    let inner = accounts.inner();
    let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1)
        INSERT INTO revoked_tokens SELECT printf('%032x', n), $2 + n FROM n";
    let filled = inner.db.sql(fill);
    let filled = filled.bind(REVOKED_MAX as i64).bind(stored(LATER));
    filled.execute(inner.db.pool()).await.unwrap();
    accounts.read_revoked_tokens(&inner.db).await.unwrap();
    let denied = inner.directory.denied();
    assert!(denied.len() == REVOKED_MAX && denied.contains(&token(1)));
    let new = token(REVOKED_MAX + 1);
    let end = Micros(LATER.0 + REVOKED_MAX as u64 + 1);
    for _ in 0..2 {
        accounts.revoke_token(&new, end).await.unwrap();
    }
    let is_as_said =
        || denied.len() <= REVOKED_MAX && denied.contains(&new) && !denied.contains(&token(1));
    assert!(is_as_said());
    accounts.read_revoked_tokens(&inner.db).await.unwrap();
    assert!(is_as_said(), "also after a start");
    let beyond = "INSERT INTO revoked_tokens SELECT 'x' || jti, expires_at FROM revoked_tokens";
    let beyond = inner.db.sql(beyond).execute(inner.db.pool()).await;
    assert!(beyond.unwrap().rows_affected() > 90_000);
    accounts.read_revoked_tokens(&inner.db).await.unwrap();
    assert_eq!(denied.len(), REVOKED_MAX);
}
