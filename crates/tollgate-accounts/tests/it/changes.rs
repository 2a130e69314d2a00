//! What another process does on the same database takes effect here with the next poll.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::Row;
use tollgate::{Clock, Micros};
use tollgate_accounts::{Accounts, Credential, Lookup, Scope};

use super::fixture::{Fixture, identify};

#[tokio::test]
async fn a_key_revoked_by_another_process_is_dead_after_one_poll() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let presented = Credential::ApiKey(key.secret.expose());
    fixture.identify(presented).await.unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    fixture.identify(presented).await.unwrap();
    let command = fixture.other_process().await;
    command.revoke_key(None, &key.id).await.unwrap();
    assert!(
        matches!(fixture.lookup(presented), Lookup::Known(_)),
        "not heard of yet"
    );
    fixture.accounts.poll_changes().await.unwrap();
    assert!(fixture.identify(presented).await.is_none());
}

#[tokio::test]
async fn every_way_of_ending_a_session_elsewhere_is_heard_of() {
    let (fixture, ann) = Fixture::with_ann().await;
    let command = fixture.other_process().await;
    for way in ["log out", "log out everywhere", "password", "disable"] {
        let log_in = fixture.log_in().await;
        let session = Credential::Session(log_in.session_secret.expose());
        fixture.identify(session).await.unwrap();
        match way {
            "log out" => command.log_out(&log_in.session).await.unwrap(),
            "log out everywhere" => command.log_out_everywhere(&ann.id).await.unwrap(),
            "password" => command
                .set_password("ann", super::fixture::PASSWORD)
                .await
                .unwrap(),
            _ => command.disable_user("ann").await.unwrap(),
        }
        fixture.accounts.poll_changes().await.unwrap();
        assert!(fixture.identify(session).await.is_none(), "{way}");
    }
}

#[tokio::test]
async fn a_key_made_or_rotated_elsewhere_is_as_it_is_there() {
    let (fixture, ann) = Fixture::with_ann().await;
    let command = fixture.other_process().await;
    let old = command.create_key(&ann.id, "", None, None).await.unwrap();
    let presented = Credential::ApiKey(old.secret.expose());
    assert_eq!(fixture.identify(presented).await.unwrap().expires_at, None);
    command
        .rotate_key(None, &old.id, Duration::from_secs(60))
        .await
        .unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    let end = fixture.now() + Duration::from_secs(60);
    assert_eq!(
        fixture.identify(presented).await.unwrap().expires_at,
        Some(end)
    );
}

#[tokio::test]
async fn a_token_of_one_process_is_known_to_another() {
    let (fixture, ann) = Fixture::with_ann().await;
    let other = fixture.other_process().await;
    let log_in = fixture.log_in().await;
    let token = Credential::Bearer(log_in.token.token.expose());
    assert_eq!(identify(&other, token).await.unwrap().user, ann.id);
}

#[tokio::test]
async fn when_changes_cannot_be_read_for_five_minutes_nobody_is_believed_from_memory() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let presented = Credential::ApiKey(key.secret.expose());
    fixture.identify(presented).await.unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    fixture.accounts.close().await;
    fixture.advance_secs(300);
    assert!(fixture.accounts.poll_changes().await.is_err());
    assert!(matches!(fixture.lookup(presented), Lookup::Known(_)));
    fixture.advance_secs(1);
    assert!(fixture.accounts.poll_changes().await.is_err());
    assert!(matches!(fixture.lookup(presented), Lookup::Ask(_)));
}

#[tokio::test]
async fn old_changes_and_expired_sessions_are_deleted() {
    let (fixture, _) = Fixture::with_ann().await;
    fixture.log_in().await;
    let pool = fixture.place.pool().await;
    let rows = async || {
        let sql = "SELECT (SELECT COUNT(*) FROM changes) AS changes, (SELECT COUNT(*) FROM sessions) AS sessions";
        let row = sqlx::query(sql).fetch_one(&pool).await.unwrap();
        (row.get::<i64, _>("changes"), row.get::<i64, _>("sessions"))
    };
    fixture.accounts.tidy().await.unwrap();
    assert_eq!(rows().await, (2, 1));
    fixture.advance_secs(3601);
    fixture.accounts.tidy().await.unwrap();
    assert_eq!(rows().await, (0, 1));
    fixture.advance_secs(23 * 3600);
    fixture.accounts.tidy().await.unwrap();
    assert_eq!(rows().await, (0, 0));
}

#[tokio::test]
async fn a_change_of_an_unknown_kind_makes_everybody_be_read_again() {
    let (fixture, _) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let session = Credential::Session(log_in.session_secret.expose());
    fixture.identify(session).await.unwrap();
    let newer = fixture.place.pool().await;
    let sql = "INSERT INTO changes (at, kind, subject) VALUES (0, 'plan-changed', 'x')";
    sqlx::query(sql).execute(&newer).await.unwrap();
    fixture.accounts.poll_changes().await.unwrap();
    assert!(matches!(fixture.lookup(session), Lookup::Ask(_)));
    assert!(fixture.identify(session).await.is_some());
}

/// Accounts on the fixture's database that keep what they are told of changed quotas.
async fn told(fixture: &Fixture) -> (Accounts, Arc<Mutex<Vec<Micros>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut settings = fixture.place.settings();
    let keep = Arc::clone(&told);
    settings.on_terms_changed = Some(Arc::new(move |at| keep.lock().expect("whole").push(at)));
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let accounts = Accounts::open(settings, clock).await;
    (accounts.expect("accounts"), told)
}

#[tokio::test]
async fn all_processes_are_told_one_order_of_changed_quotas_whatever_their_clocks_say() {
    let (fixture, ann) = Fixture::with_ann().await;
    let ((one, by_one), (other, by_other)) = (told(&fixture).await, told(&fixture).await);
    let last = |told: &Mutex<Vec<Micros>>| told.lock().unwrap().last().copied();
    assert_eq!((last(&by_one), last(&by_other)), (None, None));
    // Nothing that changes no quotas.
    one.create_key(&ann.id, "", None, None).await.unwrap();
    one.create_plan("pro").await.unwrap();
    let first = last(&by_one).expect("at once");
    assert_eq!((first, last(&by_other)), (fixture.clock.now(), None));
    // The same reading of the clock is another instant.
    one.set_plan("ann", Some("pro")).await.unwrap();
    let second = last(&by_one).unwrap();
    assert!(second >= first + Duration::from_millis(1));
    // Whoever has not heard of these cannot say that all until its own change is in effect there.
    let scope = Scope::User(ann.id.clone());
    other
        .set_quotas(&scope, "per-user", "5 per minute")
        .await
        .unwrap();
    assert_eq!(last(&by_other), None);
    other.poll_changes().await.unwrap();
    one.poll_changes().await.unwrap();
    let third = last(&by_one).unwrap();
    assert!(third > second);
    assert_eq!(last(&by_other), Some(third));
    // Also who comes later, when the log of changes has been forgotten.
    let (late, by_late) = told(&fixture).await;
    assert_eq!(last(&by_late), Some(third));
    other.unset_quotas(&scope, "per-user").await.unwrap();
    late.poll_changes().await.unwrap();
    assert_eq!(last(&by_late), last(&by_other));
    assert!(last(&by_other) > Some(third));
    let rises = by_other.lock().unwrap();
    assert!(
        rises.is_sorted_by(|before, after| before < after),
        "{rises:?}"
    );
}

#[tokio::test]
async fn quotas_change_after_the_date_of_the_rules() {
    let fixture = Fixture::new().await;
    let mut settings = fixture.place.settings();
    settings.rules_at = fixture.clock.now() + Duration::from_secs(9);
    let told = Arc::new(Mutex::new(Micros(0)));
    let (keep, rules_at) = (Arc::clone(&told), settings.rules_at);
    settings.on_terms_changed = Some(Arc::new(move |at| *keep.lock().unwrap() = at));
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let accounts = Accounts::open(settings, clock).await.expect("accounts");
    accounts.create_plan("pro").await.unwrap();
    assert!(*told.lock().unwrap() > rules_at);
}

#[tokio::test]
async fn closing_is_no_outage_and_ends_following_and_keeping_house() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    let (following, keeping) = (accounts.clone(), accounts.clone());
    let following = tokio::spawn(async move { following.follow_changes().await });
    let keeping = tokio::spawn(async move { keeping.housekeep().await });
    accounts.poll_changes().await.unwrap();
    accounts.close().await;
    let both = async { (following.await.unwrap(), keeping.await.unwrap()) };
    let ended = tokio::time::timeout(Duration::from_secs(10), both).await;
    assert!(ended.is_ok(), "they go on after the end");
    assert_eq!(
        accounts.away_for(),
        None,
        "nobody says that it has gone away"
    );
}
