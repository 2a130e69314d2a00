//! What is in the database: kept through restarts, and missed politely when it is gone.

use std::sync::Arc;

use tollgate::{ManualClock, Micros};
use tollgate_accounts::{
    Accounts, Credential, KeyError, LogInError, OpenError, SignUpError, UserError, migrate,
};

use super::fixture::{Fixture, PASSWORD, Place, identify};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_process_vanished() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "ci", None, None)
        .await
        .unwrap();
    let log_in = fixture.log_in().await;
    // Nothing was closed or flushed: the other process sees what a restart after kill -9 would see.
    let restarted = fixture.other_process().await;
    assert_eq!(restarted.list_users().await.unwrap(), [ann]);
    let credentials = [
        Credential::ApiKey(key.secret.expose()),
        Credential::Session(log_in.session_secret.expose()),
        Credential::Bearer(log_in.token.token.expose()),
    ];
    for credential in credentials {
        assert!(
            identify(&restarted, credential).await.is_some(),
            "{credential:?}"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_said_to_be_unavailable() {
    let (fixture, ann) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    let key = accounts.create_key(&ann.id, "", None, None).await.unwrap();
    accounts.close().await;
    assert!(matches!(
        accounts.sign_up("bob", PASSWORD).await,
        Err(SignUpError::Unavailable(_))
    ));
    assert!(matches!(
        accounts.log_in("ann", PASSWORD).await,
        Err(LogInError::Unavailable(_))
    ));
    assert!(matches!(
        accounts.set_password("ann", PASSWORD).await,
        Err(UserError::Unavailable(_))
    ));
    assert!(matches!(
        accounts.revoke_key(None, &key.id).await,
        Err(KeyError::Unavailable(_))
    ));
    assert!(
        accounts
            .identify(&Credential::ApiKey(key.secret.expose()))
            .await
            .is_err()
    );
    let error = accounts.list_users().await.unwrap_err();
    assert_eq!(error.to_string(), "the accounts database is unavailable");
}

#[tokio::test]
async fn two_processes_that_start_together_on_nothing_both_open() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    let open = || Accounts::open(place.settings(), clock.clone());
    let (first, second) = tokio::join!(open(), open());
    let (first, second) = (first.unwrap(), second.unwrap());
    first.sign_up("ann", PASSWORD).await.unwrap();
    let log_in = second.log_in("ann", PASSWORD).await.unwrap();
    let token = Credential::Bearer(log_in.token.token.expose());
    assert!(
        identify(&first, token).await.is_some(),
        "both sign with one secret"
    );
}

#[tokio::test]
async fn tables_are_brought_up_to_date_once_and_what_was_done_is_said() {
    let place = Place::new();
    let (url, dir) = (place.url(), place.dir.path());
    let first = migrate(&url, dir).await.unwrap();
    assert_eq!(first.applied.first().map(String::as_str), Some("1 init"));
    let again = migrate(&url, dir).await.unwrap();
    assert!(again.applied.is_empty(), "{again:?}");
    assert_eq!(again.version, first.version);
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    let accounts = Accounts::open(place.settings(), clock).await.unwrap();
    accounts.sign_up("ann", PASSWORD).await.unwrap();
    accounts.close().await;
    assert!(migrate(&url, dir).await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn tables_of_a_newer_version_are_left_alone() {
    let fixture = Fixture::new().await;
    let newer = fixture.place.pool().await;
    sqlx::query("UPDATE _sqlx_migrations SET version = version + 999")
        .execute(&newer)
        .await
        .unwrap();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    let opened = Accounts::open(fixture.place.settings(), clock).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Migrate(_)), "{error:?}");
}
