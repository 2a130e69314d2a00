//! Who administers.

use tollgate_accounts::{Actor, Credential, Role, UserError};

use super::fixture::{Fixture, PASSWORD, identify};

#[tokio::test]
async fn a_role_holds_from_the_next_request_on_here_and_after_one_poll_elsewhere() {
    let (fixture, _) = Fixture::with_ann().await;
    let other = fixture.other_process().await;
    let log_in = fixture.log_in().await;
    let session = Credential::Session(log_in.session_secret.expose());
    for (role, is_administrator) in [(Role::Admin, true), (Role::User, false)] {
        fixture.identify(session).await.unwrap();
        identify(&other, session).await.unwrap();
        fixture.accounts.set_role("ann", role).await.unwrap();
        let here = fixture.identify(session).await.unwrap();
        assert_eq!(here.is_administrator(), is_administrator);
        other.poll_changes().await.unwrap();
        let there = identify(&other, session).await.unwrap();
        assert_eq!(there.is_administrator(), is_administrator);
    }
}

#[tokio::test]
async fn nobody_is_an_administrator_who_was_not_made_one() {
    let (fixture, ann) = Fixture::with_ann().await;
    assert_eq!(ann.role, Role::User);
    let root = fixture.accounts.create_user("root", PASSWORD, Role::Admin);
    assert_eq!(root.await.unwrap().role, Role::Admin);
    let pool = fixture.place.pool().await;
    let sql = "UPDATE users SET role = 'emperor' WHERE name = 'ann'";
    sqlx::query(sql).execute(&pool).await.unwrap();
    let users = fixture.accounts.list_users().await.unwrap();
    assert_eq!(users[0].role, Role::User, "a role that nobody knows");
}

#[tokio::test]
async fn the_last_administrator_stays_one_unless_the_machine_itself_says_otherwise() {
    let (fixture, ann) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    accounts.sign_up("bob", PASSWORD).await.unwrap();
    accounts.set_role("ann", Role::Admin).await.unwrap();
    let over_http = accounts.acting_as(Actor::User(ann.id.clone()));
    let refused = over_http.set_role("ann", Role::User).await;
    assert!(matches!(refused, Err(UserError::LastAdministrator)));
    let refused = over_http.disable_user("ann").await;
    assert!(matches!(refused, Err(UserError::LastAdministrator)));
    over_http.disable_user("bob").await.unwrap();
    over_http.set_role("bob", Role::Admin).await.unwrap();
    let refused = over_http.set_role("ann", Role::User).await;
    assert!(
        matches!(refused, Err(UserError::LastAdministrator)),
        "bob is disabled"
    );
    over_http.enable_user("bob").await.unwrap();
    over_http.set_role("ann", Role::User).await.unwrap();
    accounts.set_role("bob", Role::User).await.unwrap();
}
