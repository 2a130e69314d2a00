//! Counting what was used, and for how long it is kept.

use std::sync::Arc;

use sqlx::Row;
use tollgate::{ManualClock, Micros};
use tollgate_accounts::{
    Accounts, Asked, Credential, Identity, Outcome, Step, UsageCounts, UsageEvent, UsagePoint,
};
use tollgate_testkit::database::Engine;

use super::ENGINE;
use super::fixture::{Fixture, Place};

impl Fixture {
    pub(super) async fn new_key(&self, name: &str) -> Arc<Identity> {
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

    pub(super) fn record(&self, who: &Identity, outcome: Outcome) {
        let route = &Arc::from("GET /limit");
        let event = UsageEvent::new(Some(who), route, outcome);
        self.accounts.usage().record(&event, self.now());
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

/// A request of which everything is known.
pub(super) fn measured<'a>(
    who: Option<&'a Identity>,
    route: &'a Arc<str>,
    outcome: Outcome,
) -> UsageEvent<'a> {
    let (status, latency_us) = match outcome {
        Outcome::Allowed => (200, 1_000),
        Outcome::Denied => (429, 10),
        Outcome::Failed => (502, 2_000),
        Outcome::Unauthenticated => (401, 5),
    };
    UsageEvent {
        status,
        latency_us,
        bytes_in: 7,
        bytes_out: 100,
        denied_by: match outcome {
            Outcome::Denied => &["per-user.minute", "own.second"],
            _ => &[],
        },
        ..UsageEvent::new(who, route, outcome)
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
    let counts = &totals[0].counts;
    assert_eq!((counts.allowed, counts.denied, counts.failed), (1, 1, 0));
    assert_eq!(totals[0].last_used_at, Some(fixture.now()));
    assert_eq!(
        (totals[0].key_name.as_str(), totals[0].user_name.as_str()),
        ("used", "ann")
    );
    assert_eq!(Some(&totals[1].key), idle.key.as_ref());
    assert_eq!(
        (&totals[1].counts, totals[1].last_used_at),
        (&UsageCounts::default(), None)
    );
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
    let counts = &rate.counts;
    assert_eq!(
        (
            rate.current_per_s,
            counts.allowed,
            counts.denied,
            counts.failed
        ),
        (11, 10, 1, 0)
    );
    assert_eq!(
        fixture
            .accounts
            .usage()
            .rate_of(key.key.as_ref().unwrap(), fixture.now())
            .as_ref(),
        Some(rate)
    );
    assert_eq!((rate.avg_1m, rate.avg_5m), (11.0 / 60.0, 11.0 / 300.0));
    assert_eq!(rate.last_seen, seen);
    fixture.advance_secs(1);
    assert_eq!(
        fixture.accounts.usage().rates(fixture.now())[0].current_per_s,
        0
    );
}

#[tokio::test]
async fn requests_of_nobody_are_one_row_for_each_route_and_minute() {
    let (fixture, _) = Fixture::with_ann().await;
    let usage = fixture.accounts.usage();
    for route in [Arc::from("GET /a"), Arc::from("GET /b")] {
        for _ in 0..50 {
            usage.record(
                &measured(None, &route, Outcome::Unauthenticated),
                fixture.now(),
            );
        }
    }
    usage.flush().await.unwrap();
    assert_eq!(fixture.rows().await.len(), 2);
    let day = usage
        .series(&Asked::ByNobody, Step::Day, Micros(0), fixture.now())
        .await
        .unwrap();
    let counts = &day.values().next().unwrap().counts;
    assert_eq!(
        (day.len(), counts.unauthenticated, counts.answers),
        (1, 100, [0, 0, 100, 0])
    );
}

#[tokio::test]
async fn more_rows_than_one_statement_takes_are_all_written_and_added_to() {
    let (fixture, _) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    let usage = fixture.accounts.usage();
    // Names that differ only where they are cut are one row.
    let long = "x".repeat(600);
    let routes = (0..139).map(|number| format!("GET /{number}"));
    let routes: Vec<Arc<str>> = routes
        .chain([long.clone() + "1", long + "2"])
        .map(Arc::from)
        .collect();
    for _ in 0..2 {
        for route in &routes {
            usage.record(&measured(Some(&key), route, Outcome::Denied), fixture.now());
        }
        usage.flush().await.unwrap();
    }
    let rows = fixture.rows().await;
    assert_eq!(rows.len(), 140);
    let denied = rows.iter().map(|row| row.4).sum::<i64>();
    assert_eq!(denied, 2 * 141);
}

#[tokio::test]
async fn last_use_of_many_keys_is_written_for_each() {
    let (fixture, _) = Fixture::with_ann().await;
    let mut keys = Vec::new();
    for number in 0..10 {
        keys.push(fixture.new_key(&number.to_string()).await);
    }
    for key in &keys[..9] {
        fixture.record(key, Outcome::Allowed);
        fixture.advance_secs(1);
    }
    fixture.accounts.usage().flush().await.unwrap();
    for total in fixture.accounts.usage().key_totals().await.unwrap() {
        let place = keys
            .iter()
            .position(|key| key.key.as_ref() == Some(&total.key))
            .unwrap();
        let used = Micros::from_secs(1_000_000 + place as u64);
        assert_eq!(total.last_used_at, (place < 9).then_some(used));
    }
}

#[tokio::test]
async fn each_step_is_kept_as_long_as_it_is_to_be_and_the_others_are_left() {
    let (fixture, _) = Fixture::with_ann().await;
    let key = fixture.new_key("ci").await;
    let usage = fixture.accounts.usage();
    let route = Arc::from("GET /limit");
    let asked = Asked::WithKey(key.key.clone().unwrap());
    // More rows than one step of pruning takes, in one minute.
    for number in 0..1_100 {
        let route = Arc::from(number.to_string());
        usage.record(
            &measured(Some(&key), &route, Outcome::Allowed),
            fixture.now(),
        );
    }
    usage.record(
        &measured(Some(&key), &route, Outcome::Denied),
        fixture.now(),
    );
    usage.flush().await.unwrap();
    let kept = async || {
        let mut kept = Vec::new();
        for step in Step::ALL {
            let series = usage
                .series(&asked, step, Micros(0), fixture.now())
                .await
                .unwrap();
            let points = series
                .values()
                .map(|point| (point.counts.requests(), point.denied_by.len()));
            kept.push(points.collect::<Vec<_>>());
        }
        kept
    };
    let all = vec![(1_101, 2)];
    assert_eq!(kept().await, [all.clone(), all.clone(), all.clone()]);
    const DAY: u64 = 86_400;
    let mut gone = 0;
    for (days, left) in [(1, 3), (2, 2), (57, 2), (2, 1), (668, 1), (2, 0)] {
        fixture.advance_secs(days * DAY);
        gone += days;
        usage.prune(fixture.now()).await.unwrap();
        let points: Vec<bool> = kept().await.iter().map(|points| *points == all).collect();
        assert_eq!(points, [left > 2, left > 1, left > 0], "after {gone} days");
        let empty = kept()
            .await
            .iter()
            .filter(|points| points.is_empty())
            .count();
        assert_eq!(empty, 3 - left);
    }
}

#[tokio::test]
async fn usage_from_before_there_were_hours_and_days_is_in_them() {
    let place = Place::new();
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1_000_000)));
    let open = async || {
        Accounts::open(place.settings(), clock.clone())
            .await
            .unwrap()
    };
    open().await.close().await;
    let pool = place.pool().await;
    // As the tables were before this change, with three minutes in two hours of one day.
    let mut statements = vec![
        "DROP TABLE usage_hours",
        "DROP TABLE usage_days",
        "DROP TABLE usage_denials",
        "DROP TABLE usage_writers",
        "DROP TABLE token_keys",
        "DROP TABLE terms_changed",
        "ALTER TABLE api_keys DROP COLUMN counts_as",
    ];
    let indexes = match ENGINE {
        Some(Engine::MariaDb) => [
            "DROP INDEX usage_by_time ON \"usage\"",
            "DROP INDEX sessions_by_use ON sessions",
        ],
        _ => ["DROP INDEX usage_by_time", "DROP INDEX sessions_by_use"],
    };
    statements.extend(indexes);
    statements.extend(["DELETE FROM _sqlx_migrations WHERE version >= 4"]);
    for statement in statements {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    for column in [
        "unauthenticated",
        "answers_2xx",
        "answers_3xx",
        "answers_4xx",
        "answers_5xx",
        "latency_us",
        "latency_us_max",
        "bytes_in",
        "bytes_out",
    ] {
        let drop = format!("ALTER TABLE \"usage\" DROP COLUMN {column}");
        sqlx::query(sqlx::AssertSqlSafe(drop))
            .execute(&pool)
            .await
            .unwrap();
    }
    for second in [3_600, 3_660, 7_200] {
        let insert = format!(
            "INSERT INTO \"usage\" (key_id, user_id, route, bucket_start, allowed, denied, failed) VALUES ('', 'guest', 'r', {second}000000, 5, 2, 1)"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .execute(&pool)
            .await
            .unwrap();
    }
    let accounts = open().await;
    let points = async |step| -> Vec<(u64, u64, u64)> {
        let asked = Asked::Without("guest".into());
        let series = accounts
            .usage()
            .series(&asked, step, Micros(0), Micros::from_secs(86_400))
            .await
            .unwrap();
        let point = |(at, point): (&Micros, &UsagePoint)| {
            (at.as_secs(), point.counts.allowed, point.counts.requests())
        };
        series.iter().map(point).collect()
    };
    assert_eq!(
        points(Step::Minute).await,
        [(3_600, 5, 8), (3_660, 5, 8), (7_200, 5, 8)]
    );
    assert_eq!(points(Step::Hour).await, [(3_600, 10, 16), (7_200, 5, 8)]);
    assert_eq!(points(Step::Day).await, [(0, 15, 24)]);
}
