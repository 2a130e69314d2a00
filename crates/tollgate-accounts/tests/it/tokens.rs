//! Ending single tokens, keys that follow each other, and what keys may do.

use std::time::Duration;

use sqlx::Row;
use tollgate_accounts::{
    Accounts, Credential, Lookup, Scopes, TokenAlgorithm, TokenId, read_token, rotate_token_key,
};

use super::fixture::{Fixture, PASSWORD, identify};

#[tokio::test]
async fn a_guest_can_end_their_token_here_at_once_and_elsewhere_with_the_next_poll() {
    let fixture = Fixture::new().await;
    let other = fixture.other_process().await;
    let (ended, kept) = (
        fixture.accounts.guest_token(),
        fixture.accounts.guest_token(),
    );
    let ended = Credential::Bearer(ended.token.expose());
    let kept = Credential::Bearer(kept.token.expose());
    let held = fixture.identify(ended).await.unwrap();
    for credential in [ended, kept] {
        identify(&other, credential).await.unwrap();
    }
    assert!(fixture.accounts.end_token(&held).await.unwrap());
    assert!(!held.is_alive());
    assert!(matches!(fixture.lookup(ended), Lookup::Unknown));
    assert!(identify(&other, ended).await.is_some(), "not heard of yet");
    other.poll_changes().await.unwrap();
    assert!(identify(&other, ended).await.is_none());
    for accounts in [&fixture.accounts, &other, &fixture.other_process().await] {
        assert!(identify(accounts, kept).await.is_some());
        assert!(
            identify(accounts, ended).await.is_none(),
            "also after a start"
        );
    }
}

#[tokio::test]
async fn one_token_of_a_session_can_end_without_it() {
    let (fixture, _) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let token = Credential::Bearer(log_in.token.token.expose());
    let session = Credential::Session(log_in.session_secret.expose());
    fixture.identify(token).await.unwrap();
    let (id, expires_at) = read_token(log_in.token.token.expose()).unwrap();
    assert_eq!(expires_at, fixture.now() + log_in.token.expires_in);
    fixture
        .accounts
        .revoke_token(&id, expires_at)
        .await
        .unwrap();
    assert!(fixture.identify(token).await.is_none());
    assert!(fixture.identify(session).await.is_some());
    // Twice is no error.
    fixture
        .accounts
        .revoke_token(&id, expires_at)
        .await
        .unwrap();
    let by_session = fixture.identify(session).await.unwrap();
    assert!(!fixture.accounts.end_token(&by_session).await.unwrap());
}

#[tokio::test]
async fn the_deny_list_forgets_a_token_when_it_has_expired() {
    let fixture = Fixture::new().await;
    let token = TokenId::parse("0123456789abcdef0123456789abcdef").unwrap();
    let end = fixture.now() + Duration::from_secs(120);
    fixture.accounts.revoke_token(&token, end).await.unwrap();
    let pool = fixture.place.pool().await;
    let rows = async || {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM revoked_tokens").fetch_one(&pool);
        row.await.unwrap().get::<i64, _>("n")
    };
    fixture.advance_secs(119);
    fixture.accounts.tidy().await.unwrap();
    assert_eq!(rows().await, 1);
    fixture.advance_secs(60);
    fixture.accounts.tidy().await.unwrap();
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn a_key_that_was_replaced_is_noticed_with_the_next_poll() {
    let (fixture, _) = Fixture::with_ann().await;
    let before = fixture.log_in().await;
    let before = Credential::Bearer(before.token.token.expose());
    fixture.identify(before).await.unwrap();
    rotate_token_key(fixture.place.dir.path(), false, fixture.now()).unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    let after = fixture.log_in().await;
    let after = Credential::Bearer(after.token.token.expose());
    for credential in [before, after] {
        assert!(fixture.identify(credential).await.is_some());
    }
    rotate_token_key(fixture.place.dir.path(), true, fixture.now()).unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    for credential in [before, after] {
        assert!(matches!(fixture.lookup(credential), Lookup::Unknown));
    }
}

#[tokio::test]
async fn tokens_from_before_a_change_of_algorithm_stay_good() {
    let (fixture, _) = Fixture::with_ann().await;
    let before = fixture.log_in().await;
    let mut settings = fixture.place.settings();
    settings.token_algorithm = Some(TokenAlgorithm::Es256);
    let next = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    assert!(next.jwks().contains(r#""crv":"P-256""#));
    let after = next.log_in("ann", super::fixture::PASSWORD).await.unwrap();
    for log_in in [&before, &after] {
        let token = Credential::Bearer(log_in.token.token.expose());
        assert!(identify(&next, token).await.is_some());
    }
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say_also_after_rotating_and_everything_without() {
    let (fixture, ann) = Fixture::with_ann().await;
    let scopes = Scopes::parse("numbers:read keys:write").unwrap();
    let narrow = fixture
        .accounts
        .create_scoped_key(&ann.id, "", None, None, Some(&scopes))
        .await
        .unwrap();
    let rotated = fixture
        .accounts
        .rotate_key(None, &narrow.id, Duration::from_secs(60))
        .await
        .unwrap();
    let wide = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let may = async |key: &tollgate_accounts::NewKey, scope: &str| {
        let presented = Credential::ApiKey(key.secret.expose());
        let identity = fixture.identify(presented).await.unwrap();
        identity.may(&[scope.to_owned()])
    };
    for key in [&narrow, &rotated] {
        assert!(may(key, "numbers:read").await);
        assert!(!may(key, "numbers:write").await);
    }
    assert!(may(&wide, "numbers:write").await);
    let listed = fixture.accounts.list_keys(&ann.id).await.unwrap();
    let shown = |id| {
        listed
            .iter()
            .find(|key| key.id == id)
            .unwrap()
            .scopes
            .clone()
    };
    assert_eq!(shown(rotated.id.clone()), Some(scopes));
    assert_eq!(shown(wide.id.clone()), None);
}

#[tokio::test]
async fn a_process_that_was_away_longer_than_changes_are_kept_hears_of_ended_tokens_all_the_same() {
    let fixture = Fixture::new().await;
    let token = fixture.accounts.guest_token();
    let presented = Credential::Bearer(token.token.expose());
    let held = fixture.identify(presented).await.unwrap();
    let elsewhere = fixture.other_process().await;
    assert!(elsewhere.end_token(&held).await.unwrap());
    // The log forgets, and goes on.
    let pool = fixture.place.pool().await;
    sqlx::query("DELETE FROM changes")
        .execute(&pool)
        .await
        .unwrap();
    elsewhere.sign_up("zoe", PASSWORD).await.unwrap();
    fixture.advance_secs(301);
    fixture.accounts.poll_changes().await.unwrap();
    assert!(fixture.identify(presented).await.is_none());
}
