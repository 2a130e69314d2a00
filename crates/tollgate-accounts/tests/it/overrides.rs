//! Other quotas in the place of a limit's: for whom they hold, since when, and what keeps them from being set.

use std::sync::Arc;
use std::time::Duration;

use tollgate_accounts::{
    Accounts, Credential, Identity, KeyId, NewKey, OVERRIDES_MAX, OverrideError, Scope, UserId,
};

use super::fixture::{Fixture, PASSWORD, identify, in_force};

const LIMIT: &str = "per-user";

/// Ann on the plan `pro`, with a key.
async fn on_a_plan() -> (Fixture, UserId, NewKey) {
    let (fixture, ann) = Fixture::with_ann().await;
    let made = fixture.accounts.create_plan("pro").await;
    made.expect("a new plan");
    let given = fixture.accounts.set_plan("ann", Some("pro")).await;
    given.expect("a plan for ann");
    let key = fixture.accounts.create_key(&ann.id, "", None, None);
    let key = key.await.expect("a key");
    (fixture, ann.id, key)
}

async fn by_key(accounts: &Accounts, key: &NewKey) -> Arc<Identity> {
    let presented = Credential::ApiKey(key.secret.expose());
    identify(accounts, presented).await.expect("a live key")
}

/// What holds for the key's next request.
async fn holds(accounts: &Accounts, key: &NewKey) -> Option<(String, bool)> {
    let known = by_key(accounts, key).await;
    in_force(accounts, LIMIT, Some(&known))
}

fn scopes(user: &UserId, key: &NewKey) -> [(Scope, &'static str); 4] {
    [
        (Scope::Everybody, "1 per minute"),
        (Scope::Plan("pro".to_owned()), "2 per minute"),
        (Scope::User(user.clone()), "3 per minute"),
        (Scope::Key(key.id.clone()), "4 per minute"),
    ]
}

#[tokio::test]
async fn who_sets_quotas_is_told_those_of_the_same_scope_that_they_replace() {
    let (fixture, ann, key) = on_a_plan().await;
    let accounts = &fixture.accounts;
    for (scope, quotas) in scopes(&ann, &key) {
        let replaced = accounts.set_quotas(&scope, LIMIT, quotas).await.unwrap();
        assert_eq!(replaced, None, "{scope}");
        // Each is told what it has replaced, also of many at once.
        let [one, other] = ["8 per minute", "9 per minute"];
        let (by_one, by_other) = tokio::join!(
            accounts.set_quotas(&scope, LIMIT, one),
            accounts.set_quotas(&scope, LIMIT, other),
        );
        let (by_one, by_other) = (by_one.unwrap().unwrap(), by_other.unwrap().unwrap());
        let told = [by_one.as_str(), by_other.as_str()];
        assert!(told == [quotas, one] || told == [other, quotas], "{told:?}");
    }
}

#[tokio::test]
async fn the_most_special_quotas_hold_and_without_them_the_next_more_general() {
    let (fixture, ann, key) = on_a_plan().await;
    let accounts = &fixture.accounts;
    assert_eq!(holds(accounts, &key).await, None, "the rules' own");
    for (scope, quotas) in scopes(&ann, &key) {
        accounts.set_quotas(&scope, LIMIT, quotas).await.unwrap();
        let apart = matches!(scope, Scope::Key(_));
        let expected = Some((quotas.to_owned(), apart));
        assert_eq!(holds(accounts, &key).await, expected, "{scope}");
    }
    for (scope, quotas) in scopes(&ann, &key).into_iter().rev() {
        assert_eq!(holds(accounts, &key).await.unwrap().0, quotas);
        accounts.unset_quotas(&scope, LIMIT).await.unwrap();
    }
    assert_eq!(holds(accounts, &key).await, None);
}

#[tokio::test]
async fn changed_quotas_hold_here_at_once_and_in_another_process_after_one_poll() {
    let (fixture, ann, key) = on_a_plan().await;
    let other = fixture.other_process().await;
    for (scope, quotas) in scopes(&ann, &key) {
        let before = holds(&other, &key).await;
        fixture
            .accounts
            .set_quotas(&scope, LIMIT, quotas)
            .await
            .unwrap();
        assert_eq!(holds(&fixture.accounts, &key).await.unwrap().0, quotas);
        assert_eq!(holds(&other, &key).await, before, "not heard of yet");
        other.poll_changes().await.unwrap();
        assert_eq!(holds(&other, &key).await.unwrap().0, quotas, "{scope}");
    }
    fixture.accounts.set_plan("ann", None).await.unwrap();
    fixture
        .accounts
        .unset_quotas(&Scope::Key(key.id.clone()), LIMIT)
        .await
        .unwrap();
    fixture
        .accounts
        .unset_quotas(&Scope::User(ann), LIMIT)
        .await
        .unwrap();
    other.poll_changes().await.unwrap();
    for accounts in [&fixture.accounts, &other] {
        assert_eq!(holds(accounts, &key).await.unwrap().0, "1 per minute");
    }
}

#[tokio::test]
async fn a_process_that_starts_has_read_all_quotas_before_it_serves() {
    let (fixture, _, key) = on_a_plan().await;
    let pro = Scope::Plan("pro".to_owned());
    for (scope, limit) in [(&Scope::Everybody, "per-address"), (&pro, LIMIT)] {
        let set = fixture.accounts.set_quotas(scope, limit, "7 per hour");
        set.await.unwrap();
    }
    let started = fixture.other_process().await;
    let for_everybody = in_force(&started, "per-address", None);
    assert_eq!(for_everybody.unwrap().0, "7 per hour");
    assert_eq!(holds(&started, &key).await.unwrap().0, "7 per hour");
}

#[tokio::test]
async fn sessions_have_the_users_quotas_and_other_users_do_not() {
    let (fixture, ann, key) = on_a_plan().await;
    let accounts = &fixture.accounts;
    accounts.sign_up("bob", PASSWORD).await.unwrap();
    for (scope, quotas) in scopes(&ann, &key).into_iter().skip(1) {
        accounts.set_quotas(&scope, LIMIT, quotas).await.unwrap();
    }
    let log_in = fixture.log_in().await;
    let session = fixture.identify(Credential::Session(log_in.session_secret.expose()));
    let session = session.await.unwrap();
    assert_eq!(
        in_force(accounts, LIMIT, Some(&session)),
        Some(("3 per minute".to_owned(), false)),
        "the key's are the key's alone"
    );
    let bob = accounts.log_in("bob", PASSWORD).await.unwrap();
    let bob = fixture.identify(Credential::Bearer(bob.token.token.expose()));
    let bob = bob.await.unwrap();
    assert_eq!(in_force(accounts, LIMIT, Some(&bob)), None);
}

#[tokio::test]
async fn rows_that_cannot_be_used_leave_the_more_general_quotas_in_force() {
    let (fixture, ann, key) = on_a_plan().await;
    let everybody = fixture
        .accounts
        .set_quotas(&Scope::Everybody, LIMIT, "1 per minute");
    everybody.await.unwrap();
    let pool = fixture.place.pool().await;
    let rows = [
        ("everybody", "", "gone-limit", "1 per minute"),
        ("plan", "pro", LIMIT, "many per minute"),
        ("plan", "pro", "per-address", "unlimited"),
        ("user", ann.as_str(), LIMIT, ""),
        ("key", key.id.as_str(), LIMIT, "0 per minute"),
    ];
    for (scope, subject, limit, quotas) in rows {
        let sql = format!(
            "INSERT INTO overrides (scope, subject, limit_name, quotas, quota_count)
            VALUES ('{scope}', '{subject}', '{limit}', '{quotas}', 1)"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let started = fixture.other_process().await;
    assert_eq!(holds(&started, &key).await.unwrap().0, "1 per minute");
    let known = by_key(&started, &key).await;
    assert_eq!(in_force(&started, "per-address", Some(&known)), None);
    let listed = started.list_overrides(None).await.unwrap();
    let unusable = listed.iter().filter(|one| one.unusable.is_some());
    assert_eq!((listed.len(), unusable.count()), (6, 5));
}

#[tokio::test]
async fn quotas_that_cannot_be_or_are_nobodys_are_refused_and_change_nothing() {
    let (fixture, ann, key) = on_a_plan().await;
    let user = Scope::User(ann);
    let set = |scope: Scope, limit: &'static str, quotas: &'static str| {
        let accounts = fixture.accounts.clone();
        async move {
            accounts
                .set_quotas(&scope, limit, quotas)
                .await
                .unwrap_err()
        }
    };
    let refused = set(user.clone(), "unknown", "1 per day").await;
    assert!(matches!(refused, OverrideError::NoSuchLimit), "{refused}");
    let refused = set(user.clone(), "per-address", "1 per day").await;
    assert!(matches!(refused, OverrideError::NotByCaller), "{refused}");
    let refused = set(user.clone(), LIMIT, "5 per minut").await;
    assert!(
        refused.to_string().contains("did you mean `minute`?"),
        "{refused}"
    );
    let refused = set(user, LIMIT, "1/s; 2/m; 3/h; 4/d").await;
    assert!(refused.to_string().contains("too many"), "{refused}");
    for name in ["gone", "", "PRO", "pro ", "\u{e9}", &"x".repeat(300)] {
        let scope = Scope::Plan(name.to_owned());
        let refused = set(scope, LIMIT, "1 per day").await;
        assert!(
            matches!(refused, OverrideError::NoSuchPlan),
            "{name}: {refused}"
        );
    }
    for id in ["0123", "", &"0".repeat(32), "\u{e9}"] {
        let refused = set(Scope::Key(KeyId::from(id)), LIMIT, "1 per day").await;
        assert!(
            matches!(refused, OverrideError::NoSuchKey),
            "{id}: {refused}"
        );
    }
    let refused = set(Scope::User(UserId::from("guest-1")), LIMIT, "1 per day").await;
    assert!(matches!(refused, OverrideError::NoSuchUser), "{refused}");
    for limit in [LIMIT, "\u{e9}", "' OR 1=1"] {
        let unset = fixture
            .accounts
            .unset_quotas(&Scope::Everybody, limit)
            .await;
        assert!(matches!(unset, Err(OverrideError::NotSet)), "{limit}");
    }
    assert!(
        fixture
            .accounts
            .list_overrides(None)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(holds(&fixture.accounts, &key).await, None);
}

#[tokio::test]
async fn nobody_has_other_quotas_for_more_limits_than_there_may_be() {
    let fixture = Fixture::new().await;
    let set = async |number: usize, quotas: &str| {
        let limit = format!("per-{number}");
        let accounts = &fixture.accounts;
        accounts.set_quotas(&Scope::Everybody, &limit, quotas).await
    };
    for number in 0..OVERRIDES_MAX {
        set(number, "1 per day").await.unwrap();
    }
    let refused = set(OVERRIDES_MAX, "1 per day").await;
    assert!(matches!(refused, Err(OverrideError::TooMany { .. })));
    set(0, "2 per day").await.unwrap();
    assert_eq!(
        in_force(&fixture.accounts, "per-0", None).unwrap().0,
        "2 per day"
    );
}

#[tokio::test]
async fn a_rotated_key_hands_its_quotas_on() {
    let (fixture, _, key) = on_a_plan().await;
    let accounts = &fixture.accounts;
    let scope = Scope::Key(key.id.clone());
    accounts
        .set_quotas(&scope, LIMIT, "4 per minute")
        .await
        .unwrap();
    let grace = std::time::Duration::from_secs(60);
    let new = accounts.rotate_key(None, &key.id, grace).await.unwrap();
    for key in [&key, &new] {
        assert_eq!(holds(accounts, key).await.unwrap().0, "4 per minute");
    }
}

#[tokio::test]
async fn lists_of_keys_know_what_holds_for_each() {
    let (fixture, ann, key) = on_a_plan().await;
    let accounts = &fixture.accounts;
    let bob = accounts.sign_up("bob", PASSWORD).await.unwrap();
    let bobs = accounts.create_key(&bob.id, "", None, None).await.unwrap();
    let other = accounts.create_key(&ann, "", None, None).await.unwrap();
    for (scope, quotas) in scopes(&ann, &key).into_iter().skip(1) {
        if !matches!(scope, Scope::User(_)) {
            accounts.set_quotas(&scope, LIMIT, quotas).await.unwrap();
        }
    }
    let quotas = |terms: &tollgate_accounts::Terms| {
        let overridden = accounts.overridden(LIMIT, true, Some(terms))?;
        Some(overridden.policies[0].quota()?.to_string())
    };
    for user in [None, Some(&ann)] {
        let terms = accounts.terms_of_keys(user).await.unwrap();
        assert_eq!(quotas(&terms.of(&ann, &key.id)).unwrap(), "4 per minute");
        assert_eq!(quotas(&terms.of(&ann, &other.id)).unwrap(), "2 per minute");
        assert_eq!(quotas(&terms.of(&bob.id, &bobs.id)), None);
    }
    let terms = accounts.terms_of(&ann, Some(&key.id)).await.unwrap();
    assert_eq!(quotas(&terms).unwrap(), "4 per minute");
}

#[tokio::test]
async fn the_quotas_of_a_key_go_with_it_and_nobody_gathers_them_by_rotating() {
    const GRACE: Duration = Duration::from_secs(60);
    let (fixture, ann) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    let create = async || {
        accounts
            .create_key(&ann.id, "", None, None)
            .await
            .unwrap()
            .id
    };
    let (first, other) = (create().await, create().await);
    let mut key = first.clone();
    for id in [&key, &other] {
        let scope = Scope::Key(id.clone());
        accounts
            .set_quotas(&scope, "per-user", "9 per day")
            .await
            .unwrap();
    }
    let whose = async || {
        let overrides = accounts.list_overrides(None).await.unwrap();
        let mut whose: Vec<String> = overrides.iter().map(|one| one.scope.to_string()).collect();
        whose.sort();
        whose
    };
    let sorted = |ids: &[&KeyId]| {
        let mut scopes: Vec<String> = ids.iter().map(|id| format!("key:{id}")).collect();
        scopes.sort();
        scopes
    };
    for _ in 0..5 {
        key = accounts.rotate_key(None, &key, GRACE).await.unwrap().id;
        assert_eq!(whose().await, sorted(&[&first, &other]));
        fixture.advance_secs(60);
    }
    let last = accounts
        .rotate_key(None, &key, Duration::ZERO)
        .await
        .unwrap()
        .id;
    let scope = Scope::Key(last.clone());
    let set = accounts.set_quotas(&scope, "per-user", "7 per day").await;
    set.unwrap();
    assert_eq!(whose().await, sorted(&[&first, &other]), "one for all");
    accounts.revoke_key(None, &last).await.unwrap();
    assert_eq!(whose().await, sorted(&[&other]));
}
