//! Sessions that nobody uses end, and those that somebody uses anywhere do not.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;
use tollgate_accounts::{Accounts, Credential, LogIn, Lookup};

use super::fixture::{Fixture, identify};

const IDLE_S: u64 = 600;

async fn process(fixture: &Fixture) -> Accounts {
    let mut settings = fixture.place.settings();
    settings.session_idle_ttl = Some(Duration::from_secs(IDLE_S));
    let opened = Accounts::open(settings, fixture.clock.clone()).await;
    opened.expect("accounts that open")
}

fn cookie(log_in: &LogIn) -> Credential<'_> {
    Credential::Session(log_in.session_secret.expose())
}

fn lookup(accounts: &Accounts, fixture: &Fixture, log_in: &LogIn) -> Lookup {
    accounts.directory().lookup(&cookie(log_in), fixture.now())
}

#[tokio::test]
async fn a_session_that_is_used_lives_on_and_one_that_is_not_ends_with_its_tokens() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = process(&fixture).await;
    let (used, unused) = (fixture.log_in().await, fixture.log_in().await);
    for log_in in [&used, &unused] {
        identify(&accounts, cookie(log_in)).await.unwrap();
    }
    let token = Credential::Bearer(unused.token.token.expose());
    let held = identify(&accounts, token).await.unwrap();
    assert!(held.is_good(fixture.now()));
    for _ in 0..3 {
        fixture.advance_secs(IDLE_S - 1);
        let known = lookup(&accounts, &fixture, &used);
        assert!(matches!(known, Lookup::Known(_)), "without a query");
    }
    assert!(!held.is_good(fixture.now()), "nor does a stream go on");
    assert!(identify(&accounts, cookie(&unused)).await.is_none());
    assert!(identify(&accounts, token).await.is_none());
    fixture.advance_secs(IDLE_S - 1);
    assert!(identify(&accounts, cookie(&used)).await.is_some());
    fixture.advance_secs(IDLE_S);
    assert!(identify(&accounts, cookie(&used)).await.is_none());
}

#[tokio::test]
async fn a_use_of_the_token_is_a_use_of_the_session() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = process(&fixture).await;
    let log_in = fixture.log_in().await;
    let token = Credential::Bearer(log_in.token.token.expose());
    identify(&accounts, cookie(&log_in)).await.unwrap();
    identify(&accounts, token).await.unwrap();
    fixture.advance_secs(IDLE_S - 1);
    identify(&accounts, token).await.unwrap();
    fixture.advance_secs(IDLE_S - 1);
    let known = lookup(&accounts, &fixture, &log_in);
    assert!(matches!(known, Lookup::Known(_)));
}

#[tokio::test]
async fn a_later_use_on_another_node_counts_before_an_end_is_believed() {
    let (fixture, _) = Fixture::with_ann().await;
    let (here, there) = (process(&fixture).await, process(&fixture).await);
    let log_in = fixture.log_in().await;
    identify(&here, cookie(&log_in)).await.unwrap();
    identify(&there, cookie(&log_in)).await.unwrap();
    fixture.advance_secs(IDLE_S - 1);
    identify(&there, cookie(&log_in)).await.unwrap();
    there.tidy().await.unwrap();
    fixture.advance_secs(IDLE_S - 1);
    let known = lookup(&here, &fixture, &log_in);
    assert!(matches!(known, Lookup::Ask(_)), "the row is read again");
    assert!(identify(&here, cookie(&log_in)).await.is_some());
}

#[tokio::test]
async fn a_use_costs_one_write_in_a_while_and_none_of_an_earlier_use_comes_after_it() {
    let (fixture, _) = Fixture::with_ann().await;
    let (here, there) = (process(&fixture).await, process(&fixture).await);
    let log_in = fixture.log_in().await;
    let pool = fixture.place.pool().await;
    let last_seen = async || -> u64 {
        let row = sqlx::query("SELECT last_seen_at FROM sessions").fetch_one(&pool);
        row.await.unwrap().get::<i64, _>("last_seen_at") as u64
    };
    let start = fixture.now().0;
    identify(&here, cookie(&log_in)).await.unwrap();
    identify(&there, cookie(&log_in)).await.unwrap();
    fixture.advance_secs(20);
    identify(&here, cookie(&log_in)).await.unwrap();
    here.tidy().await.unwrap();
    assert_eq!(last_seen().await, start, "not yet");
    fixture.advance_secs(20);
    identify(&here, cookie(&log_in)).await.unwrap();
    fixture.advance_secs(20);
    identify(&there, cookie(&log_in)).await.unwrap();
    there.tidy().await.unwrap();
    here.tidy().await.unwrap();
    assert_eq!(last_seen().await, fixture.now().0);
}

#[tokio::test]
async fn each_of_many_uses_is_written_with_its_own_instant() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = process(&fixture).await;
    let mut expected = Vec::new();
    for _ in 0..10 {
        let log_in = fixture.log_in().await;
        identify(&accounts, cookie(&log_in)).await.unwrap();
        fixture.advance_secs(IDLE_S / 20);
        identify(&accounts, cookie(&log_in)).await.unwrap();
        expected.push((log_in.session.to_string(), fixture.now().0));
    }
    expected.sort();
    accounts.tidy().await.unwrap();
    let pool = fixture.place.pool().await;
    let sql = "SELECT id, last_seen_at FROM sessions ORDER BY id";
    let rows = sqlx::query(sql).fetch_all(&pool).await.unwrap();
    let row = |row: &sqlx::any::AnyRow| (row.get("id"), row.get::<i64, _>("last_seen_at") as u64);
    assert_eq!(rows.iter().map(row).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn without_an_idle_time_nothing_is_noted_and_rows_from_before_are_young() {
    let (fixture, _) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    identify(&fixture.accounts, cookie(&log_in)).await.unwrap();
    fixture.advance_secs(IDLE_S * 10);
    assert!(matches!(fixture.lookup(cookie(&log_in)), Lookup::Known(_)));
    let pool = fixture.place.pool().await;
    let old = "UPDATE sessions SET last_seen_at = NULL";
    sqlx::query(old).execute(&pool).await.unwrap();
    let fresh = fixture.log_in().await;
    sqlx::query(old).execute(&pool).await.unwrap();
    let accounts = process(&fixture).await;
    assert!(identify(&accounts, cookie(&fresh)).await.is_some());
    assert!(identify(&accounts, cookie(&log_in)).await.is_none());
}

#[tokio::test]
async fn rows_of_idle_sessions_are_deleted() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = process(&fixture).await;
    fixture.log_in().await;
    fixture.advance_secs(2 * IDLE_S);
    let kept = fixture.log_in().await;
    accounts.tidy().await.unwrap();
    let pool = fixture.place.pool().await;
    let rows = sqlx::query("SELECT id FROM sessions").fetch_all(&pool);
    let ids: Vec<String> = rows
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("id"))
        .collect();
    assert_eq!(ids, [kept.session.to_string()]);
    let _: Arc<_> = identify(&accounts, cookie(&kept)).await.unwrap();
}
