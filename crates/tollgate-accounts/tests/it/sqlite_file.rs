//! What only a file can be: private, missing, or something else.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tollgate::{ManualClock, Micros};
use tollgate_accounts::{Accounts, OpenError};

use super::fixture::{PASSWORD, Place};

#[tokio::test]
async fn database_and_secret_are_for_their_owner_only_and_missing_directories_are_made() {
    let place = Place::new();
    let dir = &place.dir;
    let mut settings = place.settings();
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
async fn a_file_that_is_no_database_does_not_open() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    std::fs::write(place.dir.path().join("tollgate.db"), "x".repeat(8192)).unwrap();
    let no_database = Accounts::open(place.settings(), clock).await;
    let OpenError::Database(reason) = no_database.unwrap_err() else {
        panic!("the reason comes from the database");
    };
    assert!(reason.to_string().contains("not a database"), "{reason}");
}
