//! Coming in, being known, going out.

use std::time::Duration;

use tollgate_accounts::{Credential, LogInError, Lookup, UserId, Via};

use super::fixture::{Fixture, PASSWORD};

fn refusal<T: std::fmt::Debug>(result: Result<T, LogInError>) -> String {
    let error = result.expect_err("no log-in");
    assert!(matches!(error, LogInError::Wrong));
    format!("{error} {error:?}")
}

#[tokio::test]
async fn unknown_user_wrong_password_and_disabled_user_get_one_answer() {
    let (fixture, _) = Fixture::with_ann().await;
    let wrong = refusal(fixture.accounts.log_in("ann", "wrong horse").await);
    let unknown = refusal(fixture.accounts.log_in("bob", PASSWORD).await);
    let too_long = refusal(fixture.accounts.log_in("ann", &"x".repeat(1 << 20)).await);
    fixture.accounts.disable_user("ann").await.unwrap();
    let disabled = refusal(fixture.accounts.log_in("ann", PASSWORD).await);
    assert_eq!([&unknown, &too_long, &disabled], [&wrong; 3]);
    fixture.accounts.enable_user("ann").await.unwrap();
    fixture.log_in().await;
}

#[tokio::test]
async fn the_session_and_the_token_of_a_log_in_are_known_as_the_user() {
    let (fixture, ann) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    assert_eq!(log_in.user, ann);
    assert_eq!(log_in.session_expires_in, Duration::from_secs(24 * 3600));
    assert_eq!(log_in.token.expires_in, Duration::from_secs(3600));
    let presented = [
        (
            Credential::Session(log_in.session_secret.expose()),
            Via::Session,
        ),
        (Credential::Bearer(log_in.token.token.expose()), Via::Token),
    ];
    for (credential, via) in presented {
        assert!(matches!(fixture.lookup(credential), Lookup::Ask(_)));
        let identity = fixture.identify(credential).await.unwrap();
        assert_eq!(identity.user, ann.id);
        assert_eq!(identity.name.as_deref(), Some("ann"));
        assert_eq!(identity.via, via);
        assert_eq!(identity.session, Some(log_in.session.clone()));
        assert!(
            matches!(fixture.lookup(credential), Lookup::Known(_)),
            "from memory now"
        );
    }
}

#[tokio::test]
async fn a_log_out_ends_the_session_and_its_token_at_once_and_no_other() {
    let (fixture, _) = Fixture::with_ann().await;
    let (ended, kept) = (fixture.log_in().await, fixture.log_in().await);
    let session = Credential::Session(ended.session_secret.expose());
    let token = Credential::Bearer(ended.token.token.expose());
    let other = Credential::Session(kept.session_secret.expose());
    let held = fixture.identify(session).await.unwrap();
    for credential in [token, other] {
        fixture.identify(credential).await.unwrap();
    }
    fixture.accounts.log_out(&ended.session).await.unwrap();
    assert!(!held.is_alive(), "a request that still runs can see it");
    for credential in [session, token] {
        assert!(
            matches!(fixture.lookup(credential), Lookup::Ask(_)),
            "not from memory"
        );
        assert!(fixture.identify(credential).await.is_none());
        assert!(matches!(fixture.lookup(credential), Lookup::Unknown));
    }
    assert!(matches!(fixture.lookup(other), Lookup::Known(_)));
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_and_keeps_the_keys() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let (first, second) = (fixture.log_in().await, fixture.log_in().await);
    for log_in in [&first, &second] {
        fixture
            .identify(Credential::Session(log_in.session_secret.expose()))
            .await
            .unwrap();
    }
    fixture
        .accounts
        .set_password("ann", "another horse")
        .await
        .unwrap();
    for log_in in [&first, &second] {
        let session = Credential::Session(log_in.session_secret.expose());
        assert!(fixture.identify(session).await.is_none());
    }
    assert!(
        fixture
            .identify(Credential::ApiKey(key.secret.expose()))
            .await
            .is_some()
    );
    refusal(fixture.accounts.log_in("ann", PASSWORD).await);
    fixture
        .accounts
        .log_in("ann", "another horse")
        .await
        .unwrap();
}

#[tokio::test]
async fn logging_out_everywhere_ends_the_sessions_of_that_user_only() {
    let (fixture, ann) = Fixture::with_ann().await;
    fixture.accounts.sign_up("bob", PASSWORD).await.unwrap();
    let log_in = fixture.log_in().await;
    let bobs = fixture.accounts.log_in("bob", PASSWORD).await.unwrap();
    let (ann_session, bob_session) = (
        Credential::Session(log_in.session_secret.expose()),
        Credential::Session(bobs.session_secret.expose()),
    );
    fixture.identify(ann_session).await.unwrap();
    fixture.identify(bob_session).await.unwrap();
    fixture.accounts.log_out_everywhere(&ann.id).await.unwrap();
    assert!(fixture.identify(ann_session).await.is_none());
    assert!(matches!(fixture.lookup(bob_session), Lookup::Known(_)));
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_their_keys_rest() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let log_in = fixture.log_in().await;
    let key = Credential::ApiKey(key.secret.expose());
    let session = Credential::Session(log_in.session_secret.expose());
    fixture.identify(key).await.unwrap();
    fixture.identify(session).await.unwrap();
    fixture.accounts.disable_user("ann").await.unwrap();
    assert!(fixture.identify(key).await.is_none());
    assert!(fixture.identify(session).await.is_none());
    fixture.accounts.enable_user("ann").await.unwrap();
    fixture.advance_secs(1);
    assert!(fixture.identify(key).await.is_some());
    assert!(fixture.identify(session).await.is_none());
}

#[tokio::test]
async fn sessions_and_tokens_end_at_their_time_without_a_query() {
    let (fixture, _) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let session = Credential::Session(log_in.session_secret.expose());
    let token = Credential::Bearer(log_in.token.token.expose());
    fixture.identify(session).await.unwrap();
    fixture.identify(token).await.unwrap();
    fixture.accounts.close().await;
    fixture.advance_secs(3600);
    assert!(matches!(fixture.lookup(token), Lookup::Unknown));
    assert!(matches!(fixture.lookup(session), Lookup::Known(_)));
    fixture.advance_secs(23 * 3600);
    assert!(matches!(fixture.lookup(session), Lookup::Unknown));
}

#[tokio::test]
async fn a_guest_token_is_known_without_a_query_and_each_guest_is_another() {
    let fixture = Fixture::new().await;
    fixture.accounts.close().await;
    let subject = || -> UserId {
        let token = fixture.accounts.guest_token();
        match fixture.lookup(Credential::Bearer(token.token.expose())) {
            Lookup::Known(guest) if guest.is_guest() => guest.user.clone(),
            other => panic!("{other:?}"),
        }
    };
    let (first, second) = (subject(), subject());
    assert!(first.as_str().starts_with("guest-"));
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_token_made_from_a_session_dies_with_it_and_cannot_prolong_itself() {
    let (fixture, _) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let session = Credential::Session(log_in.session_secret.expose());
    let by_session = fixture.identify(session).await.unwrap();
    fixture.advance_secs(24 * 3600 - 60);
    let token = fixture.accounts.user_token(&by_session).unwrap();
    assert_eq!(token.expires_in, Duration::from_secs(60));
    let by_token = fixture
        .identify(Credential::Bearer(token.token.expose()))
        .await
        .unwrap();
    fixture.advance_secs(30);
    let again = fixture.accounts.user_token(&by_token).unwrap();
    assert_eq!(again.expires_in, Duration::from_secs(30));
    fixture.accounts.log_out(&log_in.session).await.unwrap();
    assert!(
        fixture
            .identify(Credential::Bearer(again.token.expose()))
            .await
            .is_none()
    );
}

#[tokio::test]
async fn the_debug_form_of_a_log_in_shows_no_secret() {
    let (fixture, _) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let session = Credential::Session(log_in.session_secret.expose());
    let shown = format!(
        "{log_in:?} {:?} {:?} {:?}",
        fixture.lookup(session),
        session,
        fixture.accounts
    );
    assert!(!shown.contains(log_in.session_secret.expose()));
    assert!(!shown.contains(log_in.token.token.expose()));
}
