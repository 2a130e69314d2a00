//! What a log-in ends, renews and bounds, and how a password is changed.

use sqlx::Row;
use tollgate_accounts::{
    Accounts, Credential, HashCost, Identity, LogIn, LogInError, Lookup, PasswordError,
    SESSIONS_MAX, SignUpError, UserId,
};

use super::fixture::{Fixture, PASSWORD, identify};

const NEW: &str = "another horse";

fn cookie(log_in: &LogIn) -> Credential<'_> {
    Credential::Session(log_in.session_secret.expose())
}

fn token(log_in: &LogIn) -> Credential<'_> {
    Credential::Bearer(log_in.token.token.expose())
}

#[tokio::test]
async fn a_log_in_ends_the_sessions_that_the_caller_holds_and_no_other() {
    let (fixture, _) = Fixture::with_ann().await;
    fixture.accounts.sign_up("bob", PASSWORD).await.unwrap();
    let (anns, other) = (fixture.log_in().await, fixture.log_in().await);
    let bobs = fixture.accounts.log_in("bob", PASSWORD).await.unwrap();
    for log_in in [&anns, &other, &bobs] {
        fixture.identify(cookie(log_in)).await.unwrap();
    }
    fixture.identify(token(&anns)).await.unwrap();
    let held = [
        anns.session_secret.expose(),
        bobs.session_secret.expose(),
        "nonsense",
    ];
    let wrong = fixture.accounts.log_in_holding("ann", "wrong", &held).await;
    assert!(matches!(wrong, Err(LogInError::Wrong)));
    assert!(matches!(fixture.lookup(cookie(&anns)), Lookup::Known(_)));

    let fresh = fixture.accounts.log_in_holding("ann", PASSWORD, &held);
    let fresh = fresh.await.unwrap();
    for ended in [cookie(&anns), token(&anns), cookie(&bobs)] {
        assert!(fixture.identify(ended).await.is_none());
    }
    for alive in [cookie(&other), cookie(&fresh)] {
        assert!(fixture.identify(alive).await.is_some());
    }
}

#[tokio::test]
async fn another_node_hears_of_a_session_that_a_log_in_ended() {
    let (fixture, _) = Fixture::with_ann().await;
    let other = fixture.other_process().await;
    let before = fixture.log_in().await;
    identify(&other, cookie(&before)).await.unwrap();
    let held = [before.session_secret.expose()];
    let fresh = fixture.accounts.log_in_holding("ann", PASSWORD, &held);
    fresh.await.unwrap();
    other.poll_changes().await.unwrap();
    assert!(identify(&other, cookie(&before)).await.is_none());
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_with_one_more_the_oldest_ends() {
    let (fixture, _) = Fixture::with_ann().await;
    fixture.accounts.sign_up("bob", PASSWORD).await.unwrap();
    let bobs = fixture.accounts.log_in("bob", PASSWORD).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS_MAX {
        sessions.push(fixture.log_in().await);
        fixture.advance_secs(1);
    }
    for log_in in &sessions[..2] {
        fixture.identify(cookie(log_in)).await.unwrap();
    }
    let newest = fixture.log_in().await;
    assert!(fixture.identify(cookie(&sessions[0])).await.is_none());
    for log_in in [&sessions[1], &sessions[SESSIONS_MAX - 1], &newest, &bobs] {
        assert!(fixture.identify(cookie(log_in)).await.is_some());
    }
}

async fn hash_of(fixture: &Fixture) -> String {
    let pool = fixture.place.pool().await;
    let row = sqlx::query("SELECT password_hash FROM users").fetch_one(&pool);
    row.await.expect("a row").get("password_hash")
}

#[tokio::test]
async fn a_log_in_hashes_anew_what_was_hashed_at_another_cost_and_only_then() {
    let (fixture, _) = Fixture::with_ann().await;
    let before = hash_of(&fixture).await;
    fixture.log_in().await;
    assert_eq!(hash_of(&fixture).await, before);
    let mut settings = fixture.place.settings();
    settings.cost = HashCost {
        memory_kib: 16,
        passes: 1,
        lanes: 1,
    };
    let dearer = Accounts::open(settings, fixture.clock.clone())
        .await
        .unwrap();
    let wrong = dearer.log_in("ann", "wrong horse").await;
    assert!(wrong.is_err());
    assert_eq!(hash_of(&fixture).await, before);
    let kept = fixture.log_in().await;
    fixture.identify(cookie(&kept)).await.unwrap();
    dearer.log_in("ann", PASSWORD).await.unwrap();
    let after = hash_of(&fixture).await;
    assert!(after.contains("$m=16,t=1,p=1$"), "{after}");
    fixture.accounts.poll_changes().await.unwrap();
    assert!(
        fixture.identify(cookie(&kept)).await.is_some(),
        "nothing has changed for people"
    );
}

#[tokio::test]
async fn a_changed_password_ends_every_session_but_the_new_one_and_keeps_the_keys() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture.accounts.create_key(&ann.id, "", None, None).await;
    let key = key.unwrap();
    let (first, second) = (fixture.log_in().await, fixture.log_in().await);
    let other = fixture.other_process().await;
    for credential in [cookie(&first), token(&first), cookie(&second)] {
        fixture.identify(credential).await.unwrap();
        identify(&other, credential).await.unwrap();
    }
    let fresh = fixture.accounts.change_password(&ann.id, PASSWORD, NEW);
    let fresh = fresh.await.unwrap();
    other.poll_changes().await.unwrap();
    for credential in [cookie(&first), token(&first), cookie(&second)] {
        assert!(fixture.identify(credential).await.is_none());
        assert!(identify(&other, credential).await.is_none());
    }
    for credential in [
        cookie(&fresh),
        token(&fresh),
        Credential::ApiKey(key.secret.expose()),
    ] {
        assert!(fixture.identify(credential).await.is_some());
    }
    assert!(fixture.accounts.log_in("ann", PASSWORD).await.is_err());
    assert!(fixture.accounts.log_in("ann", NEW).await.is_ok());
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_current_one_to_one_that_may_be_chosen() {
    let (fixture, ann) = Fixture::with_ann().await;
    let log_in = fixture.log_in().await;
    let change = async |current, new| {
        let changed = fixture.accounts.change_password(&ann.id, current, new);
        changed.await.unwrap_err()
    };
    assert!(matches!(
        change("wrong horse", NEW).await,
        PasswordError::Wrong
    ));
    assert!(matches!(
        change(PASSWORD, "short").await,
        PasswordError::Invalid(_)
    ));
    assert!(matches!(
        change(PASSWORD, PASSWORD).await,
        PasswordError::Invalid(_)
    ));
    assert!(fixture.identify(cookie(&log_in)).await.is_some());
    let nobody = UserId::from("nobody");
    let nobody = fixture
        .accounts
        .change_password(&nobody, PASSWORD, NEW)
        .await;
    assert!(matches!(nobody, Err(PasswordError::Wrong)));
    fixture.accounts.disable_user("ann").await.unwrap();
    assert!(matches!(change(PASSWORD, NEW).await, PasswordError::Wrong));
}

#[tokio::test]
async fn a_name_is_one_in_every_spelling_and_one_from_before_stays_its_owners() {
    let (fixture, ann) = Fixture::with_ann().await;
    let wide = "\u{ff21}nn";
    let taken = fixture.accounts.sign_up(wide, PASSWORD).await;
    assert!(matches!(taken, Err(SignUpError::Taken)), "{taken:?}");
    assert_eq!(
        fixture.accounts.log_in(wide, PASSWORD).await.unwrap().user,
        ann
    );
    // As a version before normalising has stored it.
    let pool = fixture.place.pool().await;
    for column in [
        "UPDATE users SET name_folded = '\u{fb01}'",
        "UPDATE users SET name = '\u{fb01}'",
    ] {
        sqlx::query(column).execute(&pool).await.unwrap();
    }
    let other = fixture.accounts.sign_up("fi", NEW).await.unwrap();
    let by_ligature = fixture.accounts.log_in("\u{fb01}", PASSWORD).await;
    assert_eq!(by_ligature.unwrap().user.id, ann.id);
    let plain = fixture.accounts.user_by_name("FI").await.unwrap();
    assert_eq!(plain.unwrap().id, other.id);
    let long = "\u{fdfa}".repeat(64);
    let long = fixture.accounts.sign_up(&long, PASSWORD).await;
    assert!(matches!(long, Err(SignUpError::Invalid(_))), "{long:?}");
}

/// Every way in which a user's tokens die, whichever way they were made: each names a session, and dies with it.
#[tokio::test]
async fn no_token_of_a_user_outlives_what_ends_all_of_them() {
    for way in ["password", "disable", "log out everywhere"] {
        let (fixture, ann) = Fixture::with_ann().await;
        let log_in = fixture.log_in().await;
        let by_session: std::sync::Arc<Identity> = fixture.identify(cookie(&log_in)).await.unwrap();
        let made = fixture.accounts.user_token(&by_session).unwrap();
        let made = Credential::Bearer(made.token.expose());
        let by_token = fixture.identify(made).await.unwrap();
        let again = fixture.accounts.user_token(&by_token).unwrap();
        let again = Credential::Bearer(again.token.expose());
        match way {
            "password" => fixture.accounts.set_password("ann", NEW).await.unwrap(),
            "disable" => fixture.accounts.disable_user("ann").await.unwrap(),
            _ => fixture.accounts.log_out_everywhere(&ann.id).await.unwrap(),
        }
        for credential in [token(&log_in), made, again] {
            assert!(fixture.identify(credential).await.is_none(), "{way}");
        }
        assert!(!by_token.is_alive(), "{way}");
    }
}
