//! What is on disk: made private, kept through restarts, and missed politely when it is gone.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tollgate::{ManualClock, Micros};
use tollgate_accounts::{
    Accounts, Credential, KeyError, LogInError, OpenError, SignUpError, UserError,
};

use crate::fixture::{Fixture, PASSWORD, identify, settings};

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
async fn database_and_secret_are_for_their_owner_only_and_missing_directories_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.data_dir = dir.path().join("not/yet");
    settings.url = "sqlite:below/tollgate.db".into();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    let accounts = Accounts::open(settings, clock).await.unwrap();
    accounts.sign_up("ann", PASSWORD).await.unwrap();
    for file in ["below/tollgate.db", "below/tollgate.db-wal", "token.secret"] {
        let path = dir.path().join("not/yet").join(file);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
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
async fn a_file_that_is_no_database_or_a_url_of_another_kind_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    std::fs::write(dir.path().join("tollgate.db"), "x".repeat(8192)).unwrap();
    let no_database = Accounts::open(settings(&dir), clock.clone()).await;
    let OpenError::Database(reason) = no_database.unwrap_err() else {
        panic!("the reason comes from the database");
    };
    assert!(reason.to_string().contains("not a database"), "{reason}");
    let mut other = settings(&dir);
    other.url = "mysql://ann:hunter2@db/x".into();
    let error = Accounts::open(other, clock).await.unwrap_err().to_string();
    assert!(error.starts_with("accounts url `mysql:`"), "{error}");
}

#[tokio::test]
async fn two_processes_that_start_together_on_nothing_both_open() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    let open = || Accounts::open(settings(&dir), clock.clone());
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
