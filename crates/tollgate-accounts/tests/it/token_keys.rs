//! Keys that sign tokens, shared in the database by processes that each have a data directory of their own.

use std::sync::Arc;

use sqlx::Row;
use tempfile::TempDir;
use tollgate::ManualClock;
use tollgate_accounts::{
    Accounts, Credential, OpenError, Settings, Token, TokenAlgorithm, keep_own_token_keys,
    rotate_token_key,
};

use super::fixture::{Fixture, PASSWORD, Place, identify};

/// A process with a data directory of its own.
struct Process {
    accounts: Accounts,
    dir: TempDir,
}

fn settings(place: &Place, dir: &TempDir) -> Settings {
    let mut settings = place.settings();
    settings.data_dir = dir.path().to_owned();
    settings.share_token_keys = true;
    settings
}

async fn start(fixture: &Fixture) -> Process {
    start_in(fixture, tempfile::tempdir().expect("a directory")).await
}

async fn start_in(fixture: &Fixture, dir: TempDir) -> Process {
    let accounts = Accounts::open(settings(&fixture.place, &dir), fixture.clock.clone()).await;
    Process {
        accounts: accounts.expect("accounts that open"),
        dir,
    }
}

async fn takes(process: &Process, token: &Token) -> bool {
    let token = Credential::Bearer(token.token.expose());
    identify(&process.accounts, token).await.is_some()
}

fn file(dir: &TempDir) -> Vec<u8> {
    std::fs::read(dir.path().join("token.secret")).expect("a file")
}

/// The row, if there is one.
async fn row(place: &Place) -> Option<String> {
    let pool = place.pool().await;
    let row = sqlx::query("SELECT ring FROM token_keys").fetch_optional(&pool);
    let ring = row.await.expect("an answer").map(|row| row.get("ring"));
    pool.close().await;
    ring
}

async fn damage(place: &Place, ring: &str) {
    let pool = place.pool().await;
    let damaged = sqlx::AssertSqlSafe(format!("UPDATE token_keys SET ring = '{ring}'"));
    let done = sqlx::query(damaged).execute(&pool).await;
    done.expect("a row");
    pool.close().await;
}

#[tokio::test]
async fn processes_that_share_their_keys_take_each_other_s_tokens() {
    let (fixture, _) = Fixture::with_ann().await;
    let (one, two) = (start(&fixture).await, start(&fixture).await);
    for (issuer, other) in [(&one, &two), (&two, &one)] {
        let log_in = issuer.accounts.log_in("ann", PASSWORD).await.unwrap();
        assert!(takes(other, &log_in.token).await);
        assert!(takes(other, &issuer.accounts.guest_token()).await);
    }
    assert!(
        !takes(&one, &fixture.accounts.guest_token()).await,
        "of another key"
    );
}

#[tokio::test]
async fn processes_that_start_at_the_same_moment_agree_on_one_key() {
    let fixture = Fixture::new().await;
    let (a, b, c, d) = tokio::join!(
        start(&fixture),
        start(&fixture),
        start(&fixture),
        start(&fixture)
    );
    let all = [a, b, c, d];
    for issuer in &all {
        let token = issuer.accounts.guest_token();
        for process in &all {
            assert!(takes(process, &token).await);
        }
        assert_eq!(file(&issuer.dir), file(&all[0].dir));
    }
}

#[tokio::test]
async fn a_rotation_is_heard_of_by_all_and_at_once_ends_what_was_signed_before() {
    let fixture = Fixture::new().await;
    let (one, two) = (start(&fixture).await, start(&fixture).await);
    let before = one.accounts.guest_token();
    assert!(takes(&two, &before).await);
    for (at_once, stays) in [(false, true), (true, false)] {
        assert!(
            fixture
                .accounts
                .rotate_shared_token_keys(at_once)
                .await
                .unwrap()
        );
        for process in [&one, &two] {
            process.accounts.poll_changes().await.unwrap();
        }
        for (issuer, process) in [(&one, &two), (&two, &one)] {
            assert!(takes(process, &issuer.accounts.guest_token()).await);
            assert_eq!(takes(process, &before).await, stays);
        }
    }
    let log = fixture.accounts.audit_log(None, 10).await.unwrap();
    let actions: Vec<&str> = log.iter().map(|entry| &*entry.action).collect();
    assert_eq!(actions, ["token-key-rotated"; 2]);
}

#[tokio::test]
async fn who_was_away_while_a_key_ended_does_not_bring_it_back() {
    let fixture = Fixture::new().await;
    let one = start(&fixture).await;
    let Process { accounts, dir } = start(&fixture).await;
    let before = one.accounts.guest_token();
    accounts.close().await;
    one.accounts.rotate_shared_token_keys(true).await.unwrap();
    one.accounts.poll_changes().await.unwrap();
    let again = start_in(&fixture, dir).await;
    for process in [&one, &again] {
        assert!(!takes(process, &before).await);
        assert!(takes(process, &one.accounts.guest_token()).await);
    }
    assert_eq!(file(&again.dir), file(&one.dir));
}

#[tokio::test]
async fn the_file_of_a_data_directory_says_nothing_where_keys_are_shared() {
    let fixture = Fixture::new().await;
    let (one, two) = (start(&fixture).await, start(&fixture).await);
    rotate_token_key(one.dir.path(), true, fixture.now()).unwrap();
    one.accounts.poll_changes().await.unwrap();
    assert!(takes(&two, &one.accounts.guest_token()).await);
}

#[tokio::test]
async fn another_algorithm_takes_the_place_for_all_and_what_was_signed_before_stays_good() {
    let fixture = Fixture::new().await;
    let one = start(&fixture).await;
    let before = one.accounts.guest_token();
    let dir = tempfile::tempdir().unwrap();
    let mut next = settings(&fixture.place, &dir);
    next.token_algorithm = Some(TokenAlgorithm::Es256);
    let accounts = Accounts::open(next, fixture.clock.clone()).await.unwrap();
    let next = Process { accounts, dir };
    one.accounts.poll_changes().await.unwrap();
    for process in [&one, &next] {
        assert!(process.accounts.jwks().contains(r#""crv":"P-256""#));
        assert!(takes(process, &before).await);
        assert!(takes(process, &next.accounts.guest_token()).await);
    }
}

#[tokio::test]
async fn processes_that_ask_for_different_algorithms_do_not_replace_each_other_s_keys_for_ever() {
    let fixture = Fixture::new().await;
    let mut all = Vec::new();
    for algorithm in [TokenAlgorithm::Hs256, TokenAlgorithm::Es256] {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&fixture.place, &dir);
        settings.token_algorithm = Some(algorithm);
        let accounts = Accounts::open(settings, fixture.clock.clone()).await;
        let accounts = accounts.unwrap();
        all.push(Process { accounts, dir });
    }
    let agreed = row(&fixture.place).await;
    let token = all[1].accounts.guest_token();
    for _ in 0..10 {
        for process in &all {
            process.accounts.poll_changes().await.unwrap();
            assert!(takes(process, &token).await);
        }
    }
    assert_eq!(row(&fixture.place).await, agreed);
}

#[tokio::test]
async fn damaged_keys_keep_nobody_from_hearing_what_else_has_changed() {
    let (fixture, _) = Fixture::with_ann().await;
    let one = start(&fixture).await;
    let log_in = one.accounts.log_in("ann", PASSWORD).await.unwrap();
    assert!(takes(&one, &log_in.token).await);
    let rotated = fixture.accounts.rotate_shared_token_keys(false).await;
    assert!(rotated.unwrap());
    let sound = row(&fixture.place).await.unwrap();
    damage(&fixture.place, "none").await;
    fixture.accounts.disable_user("ann").await.unwrap();
    for _ in 0..2 {
        one.accounts.poll_changes().await.unwrap();
        assert!(!takes(&one, &log_in.token).await);
        assert_ne!(file(&one.dir), sound.as_bytes());
    }
    damage(&fixture.place, &sound).await;
    one.accounts.poll_changes().await.unwrap();
    assert_eq!(file(&one.dir), sound.as_bytes());
}

#[tokio::test]
async fn damaged_keys_end_a_start_and_leave_what_runs_as_it_is() {
    let fixture = Fixture::new().await;
    let one = start(&fixture).await;
    let token = one.accounts.guest_token();
    for ring in ["", "HS256 AAAA", "none"] {
        damage(&fixture.place, ring).await;
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<ManualClock> = fixture.clock.clone();
        let opened = Accounts::open_or_wait(settings(&fixture.place, &dir), clock).await;
        let error = opened.unwrap_err();
        assert!(
            matches!(error, OpenError::Database(_)) && !error.is_away(),
            "{error:?}"
        );
        assert!(format!("{error:?}").contains("token_keys"), "{error:?}");
    }
    let rotated = fixture.accounts.rotate_shared_token_keys(false).await;
    assert!(rotated.is_err());
    assert!(takes(&one, &token).await);
}

#[tokio::test]
async fn damaged_keys_are_replaced_by_a_rotation_at_once_which_ends_every_token() {
    let fixture = Fixture::new().await;
    let one = start(&fixture).await;
    for ring in ["", "HS256 AAAA", "none"] {
        let before = one.accounts.guest_token();
        damage(&fixture.place, ring).await;
        let rotated = fixture.accounts.rotate_shared_token_keys(true).await;
        assert!(rotated.unwrap());
        one.accounts.poll_changes().await.unwrap();
        assert!(!takes(&one, &before).await);
        let two = start(&fixture).await;
        assert!(takes(&two, &one.accounts.guest_token()).await);
    }
}

async fn delete(place: &Place) {
    let pool = place.pool().await;
    let done = sqlx::query("DELETE FROM token_keys").execute(&pool).await;
    done.expect("a row");
    pool.close().await;
}

#[tokio::test]
async fn keys_that_are_gone_are_replaced_by_a_rotation_and_no_copy_brings_them_back() {
    let fixture = Fixture::new().await;
    for at_once in [true, false] {
        let (one, two) = (start(&fixture).await, start(&fixture).await);
        let before = one.accounts.guest_token();
        delete(&fixture.place).await;
        // As the command does it, which does not know what the rules say.
        let mut local = settings(&fixture.place, &one.dir);
        local.share_token_keys = false;
        let local = Accounts::open(local, fixture.clock.clone()).await.unwrap();
        let rotated = local.rotate_shared_token_keys(at_once).await;
        assert!(rotated.unwrap());
        assert!(row(&fixture.place).await.is_some());
        one.accounts.poll_changes().await.unwrap();
        two.accounts.close().await;
        let again = start_in(&fixture, two.dir).await;
        for process in [&one, &again] {
            assert!(!takes(process, &before).await);
            assert!(takes(process, &one.accounts.guest_token()).await);
        }
    }
}

#[tokio::test]
async fn keys_that_are_gone_are_brought_back_by_no_start_and_all_that_start_agree() {
    let fixture = Fixture::new().await;
    let (one, two) = (start(&fixture).await, start(&fixture).await);
    let before = one.accounts.guest_token();
    one.accounts.close().await;
    two.accounts.close().await;
    delete(&fixture.place).await;
    let (one, two) = tokio::join!(start_in(&fixture, one.dir), start_in(&fixture, two.dir));
    for (issuer, process) in [(&one, &two), (&two, &one)] {
        assert!(!takes(process, &before).await);
        assert!(takes(process, &issuer.accounts.guest_token()).await);
    }
}

#[tokio::test]
async fn who_shares_no_longer_puts_no_key_in_the_database() {
    let fixture = Fixture::new().await;
    let one = start(&fixture).await;
    one.accounts.close().await;
    delete(&fixture.place).await;
    keep_own_token_keys(one.dir.path()).unwrap();
    let mut local = settings(&fixture.place, &one.dir);
    local.share_token_keys = false;
    let local = Accounts::open(local, fixture.clock.clone()).await.unwrap();
    assert!(!local.rotate_shared_token_keys(true).await.unwrap());
    assert_eq!(row(&fixture.place).await, None);
}

#[tokio::test]
async fn without_being_asked_nothing_that_signs_is_in_the_database() {
    let (fixture, _) = Fixture::with_ann().await;
    fixture.log_in().await;
    assert!(
        !fixture
            .accounts
            .rotate_shared_token_keys(false)
            .await
            .unwrap()
    );
    assert_eq!(row(&fixture.place).await, None);
    let one = start(&fixture).await;
    let kept = String::from_utf8(file(&one.dir)).unwrap();
    assert_eq!(row(&fixture.place).await, Some(kept), "as the file has it");
}
