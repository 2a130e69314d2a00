//! What can happen to a database that is a server of its own.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AnyPool, AssertSqlSafe, Row};
use tollgate::{ManualClock, Micros};
use tollgate_accounts::{Accounts, Credential, KeyError, NewKey, OpenError, Outcome, UsageEvent};
use tollgate_testkit::database::{Engine, PASSWORD};

use super::ENGINE;
use super::fixture::{Fixture, Place, connect, identify};

/// What this database calls it.
fn said<'a>(postgres: &'a str, mariadb: &'a str) -> &'a str {
    match ENGINE {
        Some(Engine::Postgres) => postgres,
        _ => mariadb,
    }
}

async fn run(place: &Place, statement: &str) {
    let pool = place.pool().await;
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&pool)
        .await
        .expect("a statement");
    pool.close().await;
}

#[tokio::test]
async fn a_change_with_a_smaller_number_that_is_committed_later_is_not_missed() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(2).await;
    // Committing the first takes a while after its row has got its number.
    let slow = &keys[0].id;
    let trigger = said(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
            IF NEW.subject = ''KEY'' THEN PERFORM pg_sleep(2); END IF; RETURN NEW; END';
        CREATE TRIGGER slow AFTER INSERT ON changes FOR EACH ROW EXECUTE FUNCTION slow()",
        "CREATE TRIGGER slow AFTER INSERT ON changes FOR EACH ROW
            SET @slept = IF(NEW.subject = 'KEY', SLEEP(2), 0)",
    );
    run(&fixture.place, &trigger.replace("KEY", slow.as_str())).await;
    let [one, two] = [fixture.other_process().await, fixture.other_process().await];
    let revoke = |process: Accounts, key: &NewKey| {
        let id = key.id.clone();
        tokio::spawn(async move { process.revoke_key(None, &id).await.unwrap() })
    };
    let first = revoke(one, &keys[0]);
    let pool = fixture.place.pool().await;
    let sleeping = said(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep' AND db = DATABASE()",
    );
    let is_sleeping = async || {
        let row = sqlx::query(AssertSqlSafe(sleeping.to_owned()));
        row.fetch_one(&pool).await.unwrap().get::<i64, _>(0) > 0
    };
    while !is_sleeping().await {
        assert!(!first.is_finished(), "the slow change was too fast");
    }
    let second = revoke(two, &keys[1]);
    while !(first.is_finished() && second.is_finished()) {
        fixture.accounts.poll_changes().await.unwrap();
        tokio::task::yield_now().await;
    }
    fixture.accounts.poll_changes().await.unwrap();
    assert_eq!(fixture.believed(&keys), 0);
}

#[tokio::test]
async fn what_waits_for_a_lock_in_vain_is_unavailable_and_nothing_of_it_happened() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let pool = fixture.place.pool().await;
    let mut elsewhere = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM changes_lock FOR UPDATE")
        .execute(&mut *elsewhere)
        .await
        .unwrap();
    let refused = fixture.accounts.revoke_key(None, &keys[0].id).await;
    assert!(matches!(refused, Err(KeyError::Unavailable(_))));
    elsewhere.rollback().await.unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    assert_eq!(fixture.believed(&keys), 1);
    let revoked = fixture.accounts.revoke_key(None, &keys[0].id).await;
    revoked.unwrap();
    assert_eq!(fixture.believed(&keys), 0);
}

/// Waits until so many statements wait for the lock of changes.
pub(crate) async fn wait_for_waiters(pool: &AnyPool, expected: i64) {
    let waiting = said(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%changes_lock FOR UPDATE%'
            AND id <> CONNECTION_ID() AND db = DATABASE()",
    );
    let waiters = async || {
        let row = sqlx::query(AssertSqlSafe(waiting.to_owned())).fetch_one(pool);
        row.await.expect("a row").get::<i64, _>(0)
    };
    let all_wait = async {
        while waiters().await != expected {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(60);
    let waited = tokio::time::timeout(limit, all_wait).await;
    waited.expect("as many as were asked for wait");
}

#[tokio::test]
async fn changes_are_heard_while_every_connection_waits_for_a_lock_and_the_server_is_not_away() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(8).await;
    let pool = fixture.place.pool().await;
    let mut elsewhere = pool.begin().await.unwrap();
    let lock = "SELECT id FROM changes_lock FOR UPDATE";
    sqlx::query(lock).execute(&mut *elsewhere).await.unwrap();
    connect(&fixture.accounts).await;
    let waiting = keys.iter().map(|key| {
        let (accounts, id) = (fixture.accounts.clone(), key.id.clone());
        tokio::spawn(async move { accounts.revoke_key(None, &id).await })
    });
    let waiting: Vec<_> = waiting.collect();
    wait_for_waiters(&pool, 8).await;
    fixture.accounts.poll_changes().await.unwrap();
    assert_eq!(fixture.accounts.away_for(), None);
    for task in waiting {
        let Err(KeyError::Unavailable(error)) = task.await.unwrap() else {
            panic!("the lock was held");
        };
        assert!(!error.is_away() && !error.is_announced(), "{error:?}");
    }
    elsewhere.rollback().await.unwrap();
}

#[tokio::test]
async fn what_is_past_is_deleted_while_others_change_accounts() {
    let (fixture, _) = Fixture::with_ann().await;
    fixture.log_in().await;
    fixture.advance_secs(25 * 3600);
    let pool = fixture.place.pool().await;
    let mut elsewhere = pool.begin().await.unwrap();
    let lock = "SELECT id FROM changes_lock FOR UPDATE";
    sqlx::query(lock).execute(&mut *elsewhere).await.unwrap();
    fixture.accounts.tidy().await.unwrap();
    for table in ["sessions", "changes"] {
        let rows = format!("SELECT COUNT(*) FROM {table}");
        let row = sqlx::query(AssertSqlSafe(rows)).fetch_one(&pool);
        assert_eq!(row.await.unwrap().get::<i64, _>(0), 0, "{table}");
    }
    elsewhere.rollback().await.unwrap();
}

#[tokio::test]
async fn connections_that_the_server_has_closed_are_replaced() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let pool = fixture.place.pool().await;
    match ENGINE {
        Some(Engine::Postgres) => {
            let others = "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
            assert!(
                !sqlx::query(others)
                    .fetch_all(&pool)
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
        _ => {
            let others = "SELECT id FROM information_schema.processlist
                WHERE db = DATABASE() AND id <> CONNECTION_ID()";
            let others = sqlx::query(others).fetch_all(&pool).await.unwrap();
            assert!(!others.is_empty());
            for other in others {
                let kill = format!("KILL {}", other.get::<i64, _>(0));
                sqlx::raw_sql(AssertSqlSafe(kill))
                    .execute(&pool)
                    .await
                    .unwrap();
            }
        }
    }
    fixture.accounts.poll_changes().await.unwrap();
    let revoked = fixture.accounts.revoke_key(None, &keys[0].id).await;
    revoked.unwrap();
    let again = identify(
        &fixture.accounts,
        Credential::ApiKey(keys[0].secret.expose()),
    );
    assert!(again.await.is_none());
}

#[tokio::test]
async fn usage_that_stood_in_anothers_way_is_written_again_at_once() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let who = fixture
        .identify(Credential::ApiKey(keys[0].secret.expose()))
        .await
        .unwrap();
    // The first attempt is told that it was in a deadlock.
    let trigger = said(
        "CREATE SEQUENCE attempts;
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
            IF nextval(''attempts'') = 1 THEN RAISE SQLSTATE ''40P01''; END IF; RETURN NEW; END';
        CREATE TRIGGER fail BEFORE INSERT ON \"usage\" FOR EACH ROW EXECUTE FUNCTION fail()",
        "CREATE TABLE attempts (n INT) ENGINE = MyISAM;
        CREATE TRIGGER fail BEFORE INSERT ON \"usage\" FOR EACH ROW BEGIN
            INSERT INTO attempts VALUES (1);
            IF (SELECT COUNT(*) FROM attempts) = 1 THEN SIGNAL SQLSTATE '40001'; END IF;
        END",
    );
    run(&fixture.place, trigger).await;
    let route = Arc::from("GET /limit");
    let event = UsageEvent::new(Some(&who), &route, Outcome::Allowed);
    fixture.accounts.usage().record(&event, fixture.now());
    fixture.accounts.usage().flush().await.unwrap();
    let totals = fixture.accounts.usage().key_totals().await.unwrap();
    assert_eq!(totals[0].counts.allowed, 1);
}

#[tokio::test]
async fn once_the_tables_are_there_a_user_who_may_only_read_and_write_is_enough() {
    let (fixture, _) = Fixture::with_ann().await;
    let url = fixture.place.url();
    let name = url.rsplit('/').next().unwrap();
    let user = format!("u{}", &name[..20]);
    let make = said(
        "CREATE ROLE WHO LOGIN PASSWORD 'pw'; REVOKE CREATE ON SCHEMA public FROM public;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO WHO",
        "CREATE USER WHO@'127.0.0.1' IDENTIFIED BY 'pw';
        GRANT SELECT, INSERT, UPDATE, DELETE ON WHERE.* TO WHO@'127.0.0.1'",
    );
    let make = make.replace("WHO", &user).replace("WHERE", name);
    run(&fixture.place, &make).await;
    let mut settings = fixture.place.settings();
    let (scheme, rest) = url.split_once("://").unwrap();
    let (_, server) = rest.split_once('@').unwrap();
    settings.url = format!("{scheme}://{user}:pw@{server}");
    let clock = fixture.clock.clone();
    let accounts = Accounts::open(settings, clock).await.unwrap();
    accounts.sign_up("bob", "correct horse").await.unwrap();
    accounts.poll_changes().await.unwrap();
    accounts.close().await;
    let drop = said(
        "DROP OWNED BY WHO; DROP ROLE WHO",
        "DROP USER WHO@'127.0.0.1'",
    );
    let drop = drop.replace("WHO", &user);
    run(&fixture.place, &drop).await;
}

#[tokio::test]
async fn a_password_in_a_url_is_in_no_error_and_no_debug_form() {
    let place = Place::new();
    let right = place.settings();
    let spelled = right.url.split(':').nth(2).unwrap();
    let spelled = spelled.split('@').next().unwrap().to_owned();
    assert_ne!(spelled, PASSWORD, "it is percent-encoded");
    let clock = Arc::new(ManualClock::new(Micros::from_secs(1)));
    let cases = [
        ("tollgate:", "nobody:"),
        ("127.0.0.1:", "127.0.0.2:"),
        ("/t_", "/no_such_"),
        ("//", "/"),
    ];
    for (from, to) in cases {
        let mut settings = place.settings();
        settings.url = settings.url.replacen(from, to, 1);
        assert_ne!(settings.url, right.url);
        let shown = format!("{settings:?}");
        let error = Accounts::open(settings, clock.clone()).await.unwrap_err();
        let mut shown = format!("{shown} {error} {error:?}");
        let mut source = error.source();
        while let Some(error) = source {
            shown.push_str(&format!(" {error}"));
            source = error.source();
        }
        for secret in [PASSWORD, &spelled] {
            assert!(!shown.contains(secret), "{shown}");
        }
        if to != "/" {
            assert!(matches!(error, OpenError::Database(_)), "{error:?}");
        }
    }
}
