//! What becomes of accounts while their server cannot be reached: at the start, later, and when it is silent.

use std::sync::Arc;
use std::time::Duration;

use tollgate::{ManualClock, Micros};
use tollgate_accounts::{
    Accounts, Credential, Lookup, OpenError, Outcome, Settings, SignUpError, UsageEvent,
};
use tollgate_testkit::database::Engine;
use tollgate_testkit::relay::Relay;

use super::ENGINE;
use super::fixture::{Fixture, PASSWORD, Place, connect, identify};
use super::server::wait_for_waiters;

/// A way to the server of a place, that can be cut.
fn way_to(place: &Place) -> (Relay, Settings) {
    let server = place.server.as_ref().expect("a server");
    let relay = Relay::new(server.address());
    let mut settings = place.settings();
    settings.url = server.url_at(relay.address());
    (relay, settings)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Micros::from_secs(1_000_000)))
}

/// Waits until `holds`, looking again and again.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let looked = tokio::time::timeout(Duration::from_secs(30), async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(looked.await.is_ok(), "waited in vain: {what}");
}

fn is_known(accounts: &Accounts, key: &str, clock: &Arc<ManualClock>) -> bool {
    let now = tollgate::Clock::now(&**clock);
    matches!(
        accounts.directory().lookup(&Credential::ApiKey(key), now),
        Lookup::Known(_)
    )
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_waited_for_and_found_without_a_restart() {
    let place = Place::new();
    let (relay, settings) = way_to(&place);
    relay.cut();
    let clock = clock();
    let opened = Accounts::open_or_wait(settings, clock.clone()).await;
    let accounts = opened.unwrap();
    clock.advance(Duration::from_secs(12));
    assert_eq!(accounts.away_for(), Some(Duration::from_secs(12)));
    let refused = accounts.sign_up("ann", PASSWORD).await;
    assert!(matches!(refused, Err(SignUpError::Unavailable(why)) if why.is_away()));
    let guest = accounts.guest_token();
    let guest = Credential::Bearer(guest.token.expose());
    assert!(
        identify(&accounts, guest).await.is_some(),
        "guests need no database"
    );
    assert!(accounts.poll_changes().await.unwrap_err().is_away());

    relay.heal();
    // Nobody gets to it before its tables are up to date and the place in its changes is known.
    let early = accounts.list_users().await;
    let early = early.unwrap_err();
    assert!(early.is_away() && early.is_announced(), "{early:?}");
    accounts.poll_changes().await.unwrap();
    assert_eq!(accounts.away_for(), None);
    assert_eq!(accounts.unread_for(), Duration::ZERO);
    let ann = accounts.sign_up("ann", PASSWORD).await.unwrap();
    assert_eq!(accounts.list_users().await.unwrap(), [ann]);
}

#[tokio::test]
async fn shared_keys_that_are_away_at_the_start_are_the_copy_in_the_file_until_the_server_is_there()
{
    let fixture = Fixture::new().await;
    let (relay, mut settings) = way_to(&fixture.place);
    settings.share_token_keys = true;
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let in_dir = |dir: &tempfile::TempDir| Settings {
        data_dir: dir.path().to_owned(),
        ..settings.clone()
    };
    let first = Accounts::open(in_dir(&dirs[0]), clock()).await.unwrap();
    let token = first.guest_token();
    let token = Credential::Bearer(token.token.expose());
    first.close().await;
    relay.cut();
    let again = Accounts::open_or_wait(in_dir(&dirs[0]), clock());
    assert!(identify(&again.await.unwrap(), token).await.is_some());
    // One that has never been there has keys of its own, and those of the others when it is.
    let new = Accounts::open_or_wait(in_dir(&dirs[1]), clock());
    let new = new.await.unwrap();
    assert!(identify(&new, token).await.is_none());
    relay.heal();
    new.poll_changes().await.unwrap();
    assert!(identify(&new, token).await.is_some());
}

#[tokio::test]
async fn whoever_does_not_wait_is_told_at_once_that_the_server_is_away() {
    let place = Place::new();
    let (relay, settings) = way_to(&place);
    relay.cut();
    let error = Accounts::open(settings, clock()).await.unwrap_err();
    assert!(error.is_away(), "{error:?}");
}

#[tokio::test]
async fn what_no_waiting_mends_ends_the_start() {
    let fixture = Fixture::new().await;
    for (from, to) in [("tollgate:", "nobody:"), ("/t_", "/no_such_")] {
        let mut settings = fixture.place.settings();
        settings.url = settings.url.replacen(from, to, 1);
        let opened = Accounts::open_or_wait(settings, clock()).await;
        let error = opened.unwrap_err();
        assert!(!error.is_away(), "{error:?}");
    }
    let newer = fixture.place.pool().await;
    let newer_tables = "UPDATE _sqlx_migrations SET version = version + 998";
    sqlx::query(newer_tables).execute(&newer).await.unwrap();
    let opened = Accounts::open_or_wait(fixture.place.settings(), clock()).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Migrate(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_silent_at_the_start_is_away_as_well() {
    let (fixture, _) = Fixture::with_ann().await;
    let (relay, settings) = way_to(&fixture.place);
    relay.freeze();
    let opened = Accounts::open_or_wait(settings, clock()).await;
    let accounts = opened.unwrap();
    assert!(accounts.away_for().is_some());
    relay.heal();
    accounts.poll_changes().await.unwrap();
    assert_eq!(accounts.list_users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn why_a_server_that_was_there_cannot_be_reached_any_more_is_told() {
    let place = Place::new();
    let (relay, settings) = way_to(&place);
    let accounts = Accounts::open(settings, clock()).await.unwrap();
    relay.cut();
    // Where there is no time left to ask why, that it took too long is the reason.
    let mut told = Vec::new();
    while !told
        .last()
        .is_some_and(|why: &String| why.contains("refused"))
    {
        let error = accounts.poll_changes().await.unwrap_err();
        assert!(error.is_away());
        told.push(format!("{error:?}"));
        assert!(told.len() < 10, "{told:?}");
    }
}

#[tokio::test]
async fn what_was_revoked_while_the_server_was_away_ends_with_the_first_reading() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(2).await;
    let (relay, settings) = way_to(&fixture.place);
    let accounts = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let [revoked, kept] = [&keys[0], &keys[1]].map(|key| key.secret.expose());
    for key in [revoked, kept] {
        assert!(identify(&accounts, Credential::ApiKey(key)).await.is_some());
    }
    relay.cut();
    assert!(accounts.poll_changes().await.unwrap_err().is_away());
    let other = fixture.other_process().await;
    other.revoke_key(None, &keys[0].id).await.unwrap();
    assert!(is_known(&accounts, revoked, &fixture.clock));
    relay.heal();
    accounts.poll_changes().await.unwrap();
    assert!(!is_known(&accounts, revoked, &fixture.clock));
    assert!(is_known(&accounts, kept, &fixture.clock));
}

#[tokio::test]
async fn a_server_that_took_over_without_the_newest_changes_makes_everybody_be_read_again() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let (relay, settings) = way_to(&fixture.place);
    let accounts = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let key = keys[0].secret.expose();
    identify(&accounts, Credential::ApiKey(key)).await.unwrap();
    relay.cut();
    accounts.poll_changes().await.unwrap_err();
    let pool = fixture.place.pool().await;
    let lost = "DELETE FROM changes WHERE kind = 'key-created'";
    sqlx::query(lost).execute(&pool).await.unwrap();
    relay.heal();
    accounts.poll_changes().await.unwrap();
    assert!(!is_known(&accounts, key, &fixture.clock));
    assert!(identify(&accounts, Credential::ApiKey(key)).await.is_some());
}

#[tokio::test]
async fn statements_on_their_way_to_a_server_that_falls_silent_end_and_their_connections_are_replaced()
 {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(8).await;
    let (relay, settings) = way_to(&fixture.place);
    let accounts = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let pool = fixture.place.pool().await;
    let mut elsewhere = pool.begin().await.unwrap();
    let lock = "SELECT id FROM changes_lock FOR UPDATE";
    sqlx::query(lock).execute(&mut *elsewhere).await.unwrap();
    connect(&accounts).await;
    let before = relay.carried();
    let waiting = keys.iter().map(|key| {
        let (accounts, id) = (accounts.clone(), key.id.clone());
        tokio::spawn(async move { accounts.revoke_key(None, &id).await })
    });
    let waiting: Vec<_> = waiting.collect();
    // Each has sent its statement when the server has them all waiting for the lock.
    wait_for_waiters(&pool, 8).await;
    assert!(relay.carried() > before);
    relay.freeze();
    elsewhere.rollback().await.unwrap();
    let limit = Duration::from_secs(14);
    for task in waiting {
        let ended = tokio::time::timeout(limit, task).await;
        ended.expect("an end").unwrap().unwrap_err();
    }
    // They are no connections any more and keep nobody out, though nobody has closed them on the other side.
    relay.heal_for_newcomers();
    accounts.poll_changes().await.unwrap();
    relay.heal();
    connect(&accounts).await;
    let all = keys.iter().map(|key| {
        let (accounts, id) = (accounts.clone(), key.id.clone());
        tokio::spawn(async move { accounts.revoke_key(None, &id).await })
    });
    for task in all.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_connection_whose_caller_has_gone_in_the_middle_of_a_statement_is_not_used_again() {
    let (fixture, ann) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    let pool = fixture.place.pool().await;
    let mut elsewhere = pool.begin().await.unwrap();
    let lock = "SELECT id FROM changes_lock FOR UPDATE";
    sqlx::query(lock).execute(&mut *elsewhere).await.unwrap();
    for _ in 0..20 {
        let gone = tokio::time::timeout(
            Duration::from_millis(20),
            accounts.create_key(&ann.id, "", None, None),
        );
        gone.await.expect_err("the lock is held");
    }
    elsewhere.rollback().await.unwrap();
    accounts.create_key(&ann.id, "", None, None).await.unwrap();
    assert_eq!(accounts.list_keys(&ann.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn usage_of_the_time_without_a_server_is_written_when_it_is_back_and_what_found_no_room_is_counted()
 {
    const REQUESTS: u64 = 70_000;
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let (relay, settings) = way_to(&fixture.place);
    let accounts = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let key = Credential::ApiKey(keys[0].secret.expose());
    let who = identify(&accounts, key).await.unwrap();
    relay.cut();
    accounts.poll_changes().await.unwrap_err();
    for request in 0..REQUESTS {
        let route = Arc::from(format!("GET /{request}"));
        let event = UsageEvent::new(Some(&who), &route, Outcome::Allowed);
        accounts.usage().record(&event, fixture.now());
    }
    assert!(accounts.usage().flush().await.unwrap_err().is_away());
    relay.heal();
    accounts.poll_changes().await.unwrap();
    accounts.usage().flush().await.unwrap();
    let dropped = accounts.usage().dropped();
    assert!(dropped > 0, "more than finds room");
    let totals = accounts.usage().key_totals().await.unwrap();
    assert_eq!(totals[0].counts.allowed + dropped, REQUESTS);
}

#[tokio::test]
async fn usage_counts_once_when_the_answer_to_its_commit_is_lost() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let (relay, settings) = way_to(&fixture.place);
    let accounts = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let key = Credential::ApiKey(keys[0].secret.expose());
    let who = identify(&accounts, key).await.unwrap();
    let record = || {
        let route = Arc::from("GET /limit");
        let event = UsageEvent::new(Some(&who), &route, Outcome::Allowed);
        accounts.usage().record(&event, fixture.now());
    };
    let written = async || {
        let totals = fixture.accounts.usage().key_totals().await.unwrap();
        totals.first().map_or(0, |total| total.counts.allowed)
    };
    // As it stands on the wire, so that nothing else is taken for it.
    let commit = match ENGINE {
        Some(Engine::MariaDb) => "\u{3}COMMIT",
        _ => "COMMIT\0",
    };
    // The first batch of a process has another way than those after it.
    for batch in 1..=3 {
        record();
        relay.mute_after(commit);
        let writing = tokio::spawn({
            let accounts = accounts.clone();
            async move { accounts.usage().flush().await }
        });
        until("it is written", async || written().await == 2 * batch - 1).await;
        match batch {
            1 => relay.cut(),
            _ => writing.abort(),
        }
        assert!(!matches!(writing.await, Ok(Ok(()))), "nobody heard of it");
        assert_eq!(accounts.usage().rows_waiting(), 1);
        record();
        relay.heal();
        until("the server is back", async || {
            accounts.poll_changes().await.is_ok() && accounts.usage().flush().await.is_ok()
        })
        .await;
        assert_eq!(written().await, 2 * batch);
        assert_eq!(accounts.usage().rows_waiting(), 0);
    }
}

#[tokio::test]
async fn who_is_known_costs_no_byte_on_the_way_to_the_server() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(1).await;
    let (relay, settings) = way_to(&fixture.place);
    let accounts = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let key = Credential::ApiKey(keys[0].secret.expose());
    let before = relay.carried();
    let who = identify(&accounts, key).await.unwrap();
    assert!(relay.carried() > before, "the first time it is asked");
    // What gives the connection back has done its work when another statement is through.
    accounts.list_users().await.unwrap();
    let settled = accounts.list_users().await;
    settled.unwrap();
    let (mut before, mut still) = (0, 0);
    while still < 50 {
        let carried = relay.carried();
        still = if carried == before { still + 1 } else { 0 };
        before = carried;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..1000 {
        fixture.advance_secs(1);
        assert!(identify(&accounts, key).await.is_some());
        let route = Arc::from("GET /limit");
        let event = UsageEvent::new(Some(&who), &route, Outcome::Allowed);
        accounts.usage().record(&event, fixture.now());
    }
    assert_eq!(relay.carried(), before);
}
