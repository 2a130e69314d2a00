//! The log of changes.

use std::time::Duration;

use tollgate_accounts::{Actor, AuditEntry, Credential, Role, Scope, TokenId};

use super::fixture::{Fixture, PASSWORD, connect};

async fn newest(fixture: &Fixture) -> AuditEntry {
    let log = fixture.accounts.audit_log(None, 1).await;
    log.expect("a log").pop().expect("an entry")
}

#[tokio::test]
async fn every_change_is_logged_with_who_made_it_and_what_was_before() {
    let (fixture, ann) = Fixture::with_ann().await;
    let accounts = fixture.accounts.acting_as(Actor::User(ann.id.clone()));
    let logged = async |action: &str, subject: &str, detail: &str| {
        let entry = newest(&fixture).await;
        let found = (&*entry.action, &*entry.subject, &*entry.detail);
        assert_eq!(found, (action, subject, detail));
        assert_eq!(entry.actor, ann.id.as_str(), "{action}");
        assert_eq!(entry.actor_name.as_deref(), Some("ann"));
        assert_eq!(entry.at, fixture.now());
    };
    let bob = accounts.create_user("bob", PASSWORD, Role::Admin).await;
    let bob = bob.unwrap().id;
    let user = format!("user:{bob}");
    logged("user-created", &user, "admin bob").await;
    accounts.set_role("ann", Role::Admin).await.unwrap();
    accounts.disable_user("bob").await.unwrap();
    logged("user-disabled", &user, "").await;
    accounts.enable_user("bob").await.unwrap();
    logged("user-enabled", &user, "").await;
    accounts
        .set_password("bob", "another password")
        .await
        .unwrap();
    logged("password-changed", &user, "").await;
    accounts.set_role("bob", Role::User).await.unwrap();
    logged("role-set", &user, "admin -> user").await;
    accounts.create_plan("pro").await.unwrap();
    logged("plan-created", "plan:pro", "").await;
    accounts.set_plan("bob", Some("pro")).await.unwrap();
    logged("plan-given", &user, "none -> pro").await;
    accounts.set_plan("bob", None).await.unwrap();
    logged("plan-given", &user, "pro -> none").await;
    let key = accounts.create_key(&bob, "", None, None).await.unwrap();
    let of_bob = format!("of {user}");
    logged("key-created", &format!("key:{}", key.id), &of_bob).await;
    let new = accounts
        .rotate_key(None, &key.id, Duration::ZERO)
        .await
        .unwrap();
    let rotated = format!("{of_bob}, now key:{}", new.id);
    logged("key-rotated", &format!("key:{}", key.id), &rotated).await;
    accounts.revoke_key(None, &new.id).await.unwrap();
    logged("key-revoked", &format!("key:{}", new.id), &of_bob).await;
    for (scope, subject) in [
        (Scope::Everybody, "everybody".to_owned()),
        (Scope::Plan("pro".to_owned()), "plan:pro".to_owned()),
        (Scope::User(bob), user),
        (Scope::Key(key.id.clone()), format!("key:{}", key.id)),
    ] {
        for (quotas, detail) in [
            ("1 per day", "per-user: none -> 1 per day"),
            ("2 per day", "per-user: 1 per day -> 2 per day"),
        ] {
            accounts
                .set_quotas(&scope, "per-user", quotas)
                .await
                .unwrap();
            logged("quotas-set", &subject, detail).await;
        }
        accounts.unset_quotas(&scope, "per-user").await.unwrap();
        logged("quotas-unset", &subject, "per-user: 2 per day -> none").await;
    }
    accounts.delete_plan("pro").await.unwrap();
    logged("plan-deleted", "plan:pro", "").await;
    accounts.log_reset("per-user", "every key").await.unwrap();
    logged("counters-reset", "limit:per-user", "every key").await;
}

#[tokio::test]
async fn the_command_line_is_local_and_whoever_signs_up_is_themselves() {
    let fixture = Fixture::new().await;
    fixture.accounts.sign_up("local", PASSWORD).await.unwrap();
    assert_eq!(newest(&fixture).await.actor, "local");
    let their_own = fixture.accounts.acting_as(Actor::Owner);
    let ann = their_own.sign_up("ann", PASSWORD).await.unwrap();
    assert_eq!(newest(&fixture).await.actor, ann.id.as_str());
    let key = their_own.create_key(&ann.id, "", None, None).await.unwrap();
    assert_eq!(newest(&fixture).await.actor, ann.id.as_str());
    their_own.revoke_key(Some(&ann.id), &key.id).await.unwrap();
    assert_eq!(newest(&fixture).await.actor, ann.id.as_str());
}

#[tokio::test]
async fn what_was_refused_is_not_logged() {
    let (fixture, ann) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    accounts.create_plan("pro").await.unwrap();
    let before = newest(&fixture).await;
    assert!(accounts.create_plan("pro").await.is_err());
    assert!(accounts.set_plan("ann", Some("gone")).await.is_err());
    assert!(accounts.sign_up("ann", PASSWORD).await.is_err());
    let user = Scope::User(ann.id);
    let too_many = accounts.set_quotas(&user, "per-user", "1/s; 2/m; 3/h; 4/d");
    assert!(too_many.await.is_err());
    assert!(accounts.unset_quotas(&user, "per-user").await.is_err());
    assert_eq!(newest(&fixture).await, before);
}

#[tokio::test]
async fn the_log_is_read_in_pages_and_what_is_older_than_a_year_is_deleted() {
    let fixture = Fixture::new().await;
    for number in 0..5 {
        fixture
            .accounts
            .create_plan(&format!("p{number}"))
            .await
            .unwrap();
        fixture.advance_secs(100 * 86_400);
    }
    let page = async |before, entries| {
        let log = fixture.accounts.audit_log(before, entries).await.unwrap();
        let subject = |entry: &AuditEntry| entry.subject.clone();
        let last = log.last().map(|entry| entry.seq);
        (log.iter().map(subject).collect::<Vec<_>>(), last)
    };
    let (first, last) = page(None, 2).await;
    assert_eq!(first, ["plan:p4", "plan:p3"]);
    let (second, last) = page(last, 2).await;
    assert_eq!(second, ["plan:p2", "plan:p1"]);
    assert_eq!(page(last, usize::MAX).await.0, ["plan:p0"]);
    // The first two are 500 and 400 days old.
    fixture.accounts.tidy().await.unwrap();
    assert_eq!(page(None, 10).await.0, ["plan:p4", "plan:p3", "plan:p2"]);
}

#[tokio::test]
async fn ones_own_password_and_what_an_administrator_does_with_tokens_is_logged() {
    let (fixture, ann) = Fixture::with_ann().await;
    let user = format!("user:{}", ann.id);
    let logged = async || {
        let entry = newest(&fixture).await;
        (entry.actor, entry.action, entry.subject, entry.detail)
    };
    let entry = |actor: &str, action: &str, subject: &str, detail: &str| {
        let [actor, action, subject, detail] = [actor, action, subject, detail].map(str::to_owned);
        (actor, action, subject, detail)
    };
    let her_own = fixture.accounts.acting_as(Actor::Owner);
    let changed = her_own.change_password(&ann.id, PASSWORD, "another password");
    changed.await.unwrap();
    let expected = entry(ann.id.as_str(), "password-changed", &user, "");
    assert_eq!(logged().await, expected);
    let guest = fixture.accounts.guest_token();
    let guest = fixture.identify(Credential::Bearer(guest.token.expose()));
    her_own.end_token(&guest.await.unwrap()).await.unwrap();
    assert_eq!(logged().await, expected, "guests do not fill the log");
    let token = TokenId::parse("0123456789abcdef0123456789abcdef").unwrap();
    let accounts = &fixture.accounts;
    accounts.revoke_token(&token, fixture.now()).await.unwrap();
    let expected = entry("local", "token-revoked", &format!("token:{token}"), "");
    assert_eq!(logged().await, expected);
    accounts.rotate_shared_token_keys(true).await.unwrap();
    let expected = entry("local", "token-key-rotated", "token-key", "at once");
    assert_eq!(logged().await, expected);
}

#[tokio::test]
async fn each_of_many_changes_at_once_is_logged_with_what_the_one_before_it_left() {
    const PLANS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let (fixture, _) = Fixture::with_ann().await;
    for plan in PLANS {
        fixture.accounts.create_plan(plan).await.unwrap();
    }
    connect(&fixture.accounts).await;
    let changes = PLANS.into_iter().enumerate().map(|(number, plan)| {
        let accounts = fixture.accounts.clone();
        tokio::spawn(async move {
            accounts.set_plan("ann", Some(plan)).await.unwrap();
            let role = [Role::Admin, Role::User][number % 2];
            accounts.set_role("ann", role).await.unwrap();
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap();
    }
    let log = fixture.accounts.audit_log(None, 100).await.unwrap();
    for (action, mut now) in [("plan-given", "none"), ("role-set", "user")] {
        let details = log.iter().rev().filter(|entry| entry.action == action);
        let details: Vec<_> = details
            .map(|entry| entry.detail.split_once(" -> "))
            .collect();
        assert_eq!(details.len(), PLANS.len());
        for (old, new) in details.into_iter().flatten() {
            assert_eq!(old, now, "{action}");
            now = new;
        }
    }
}
