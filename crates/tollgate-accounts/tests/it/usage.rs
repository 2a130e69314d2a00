//! Counting what was used.

use std::sync::Arc;

use sqlx::Row;
use tollgate_accounts::{Credential, Identity, Outcome, UsageEvent};

use super::fixture::Fixture;

impl Fixture {
    async fn new_key(&self, name: &str) -> Arc<Identity> {
        let ann = self
            .accounts
            .user_by_name("ann")
            .await
            .expect("an answer")
            .expect("ann");
        let key = self
            .accounts
            .create_key(&ann.id, name, None, None)
            .await
            .expect("a key");
        self.identify(Credential::ApiKey(key.secret.expose()))
            .await
            .expect("known")
    }

    fn record(&self, who: &Identity, outcome: Outcome) {
        let route = &Arc::from("GET /limit");
        self.accounts.usage().record(
            &UsageEvent {
                who,
                route,
                outcome,
            },
            self.now(),
        );
    }

    /// (key, user, minute, allowed, denied, failed)
    async fn rows(&self) -> Vec<(String, String, i64, i64, i64, i64)> {
        let pool = self.place.pool().await;
        let sql = r#"SELECT * FROM "usage" ORDER BY bucket_start, key_id"#;
        let rows = sqlx::query(sql).fetch_all(&pool).await.expect("rows");
        let row = |row: &sqlx::any::AnyRow| {
            (
                row.get("key_id"),
                row.get("user_id"),
                row.get("bucket_start"),
                row.get("allowed"),
                row.get("denied"),
                row.get("failed"),
            )
        };
        rows.iter().map(row).collect()
    }
}

#[tokio::test]
async fn a_minute_of_one_key_on_one_route_is_one_row_however_often_it_is_flushed() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    let id = key.key.as_ref().unwrap().to_string();
    fixture.record(&key, Outcome::Allowed);
    fixture.record(&key, Outcome::Allowed);
    fixture.accounts.usage().flush().await.unwrap();
    fixture.record(&key, Outcome::Denied);
    fixture.record(&key, Outcome::Failed);
    fixture.accounts.usage().flush().await.unwrap();
    for outcome in [Outcome::Allowed, Outcome::Denied, Outcome::Failed] {
        fixture.record(&key, outcome);
    }
    fixture.accounts.usage().flush().await.unwrap();
    let minute = 999_960_000_000;
    assert_eq!(
        fixture.rows().await,
        [(id, ann.id.to_string(), minute, 3, 2, 2)]
    );
    fixture.advance_secs(60);
    fixture.record(&key, Outcome::Allowed);
    fixture.accounts.usage().flush().await.unwrap();
    assert_eq!(fixture.rows().await.len(), 2);
}

#[tokio::test]
async fn requests_by_session_count_for_the_user_and_all_guests_count_as_one() {
    let (fixture, ann) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let session = fixture
        .identify(Credential::Session(log_in.session_secret.expose()))
        .await
        .unwrap();
    fixture.record(&session, Outcome::Allowed);
    for _ in 0..3 {
        let token = fixture.accounts.guest_token();
        let guest = fixture
            .identify(Credential::Bearer(token.token.expose()))
            .await
            .unwrap();
        fixture.record(&guest, Outcome::Allowed);
    }
    fixture.accounts.usage().flush().await.unwrap();
    let mut rows: Vec<_> = fixture
        .rows()
        .await
        .into_iter()
        .map(|row| (row.0, row.1, row.3))
        .collect();
    rows.sort();
    let mut expected = [
        (String::new(), ann.id.to_string(), 1),
        (String::new(), "guest".to_owned(), 3),
    ];
    expected.sort();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn what_could_not_be_written_is_written_the_next_time() {
    let (fixture, _) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    fixture.record(&key, Outcome::Allowed);
    let pool = fixture.place.pool().await;
    let rename = r#"ALTER TABLE "usage" RENAME TO mislaid"#;
    sqlx::query(rename).execute(&pool).await.unwrap();
    assert!(fixture.accounts.usage().flush().await.is_err());
    fixture.record(&key, Outcome::Denied);
    let back = r#"ALTER TABLE mislaid RENAME TO "usage""#;
    sqlx::query(back).execute(&pool).await.unwrap();
    fixture.accounts.usage().flush().await.unwrap();
    let rows = fixture.rows().await;
    assert_eq!((rows.len(), rows[0].3, rows[0].4), (1, 1, 1));
    assert_eq!(fixture.accounts.usage().dropped(), 0);
}

#[tokio::test]
async fn totals_list_keys_that_were_never_used_and_say_when_the_others_were() {
    let (fixture, _) = Fixture::with_ann().await;
    let (used, idle) = (fixture.new_key("used").await, fixture.new_key("idle").await);
    fixture.record(&used, Outcome::Allowed);
    fixture.advance_secs(61);
    fixture.record(&used, Outcome::Denied);
    fixture.accounts.usage().flush().await.unwrap();
    let totals = fixture
        .other_process()
        .await
        .usage()
        .key_totals()
        .await
        .unwrap();
    assert_eq!(totals.len(), 2);
    assert_eq!(Some(&totals[0].key), used.key.as_ref());
    assert_eq!(
        (totals[0].allowed, totals[0].denied, totals[0].failed),
        (1, 1, 0)
    );
    assert_eq!(totals[0].last_used_at, Some(fixture.now()));
    assert_eq!(
        (totals[0].key_name.as_str(), totals[0].user_name.as_str()),
        ("used", "ann")
    );
    assert_eq!(Some(&totals[1].key), idle.key.as_ref());
    assert_eq!((totals[1].allowed, totals[1].last_used_at), (0, None));
}

#[tokio::test]
async fn rates_follow_each_key_second_by_second() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    for _ in 0..10 {
        fixture.record(&key, Outcome::Allowed);
    }
    fixture.record(&key, Outcome::Denied);
    let seen = fixture.now();
    fixture.advance_secs(1);
    let rates = fixture.accounts.usage().rates(fixture.now());
    assert_eq!(rates.len(), 1);
    let rate = &rates[0];
    assert_eq!((&rate.key, &rate.user), (&key.key, &ann.id));
    assert_eq!(
        (rate.current_per_s, rate.allowed, rate.denied, rate.failed),
        (11, 10, 1, 0)
    );
    assert_eq!((rate.avg_1m, rate.avg_5m), (11.0 / 60.0, 11.0 / 300.0));
    assert_eq!(rate.last_seen, seen);
    fixture.advance_secs(1);
    assert_eq!(
        fixture.accounts.usage().rates(fixture.now())[0].current_per_s,
        0
    );
}
