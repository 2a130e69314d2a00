//! Making users.

use tollgate_accounts::{SignUpError, UserError};

use super::fixture::{Fixture, PASSWORD, connect};

#[tokio::test]
async fn a_new_user_has_a_random_id_and_the_name_as_given() {
    let fixture = Fixture::new().await;
    let user = fixture.accounts.sign_up("Ann Lee", PASSWORD).await.unwrap();
    assert_eq!(user.name, "Ann Lee");
    assert_eq!(user.id.as_str().len(), 32);
    assert_eq!(user.created_at, fixture.now());
    assert_eq!(fixture.accounts.list_users().await.unwrap(), [user]);
}

#[tokio::test]
async fn a_name_is_taken_in_every_case() {
    let (fixture, _) = Fixture::with_ann().await;
    for name in ["ann", "ANN", "Ann"] {
        let again = fixture.accounts.sign_up(name, PASSWORD).await;
        assert!(
            matches!(again, Err(SignUpError::Taken)),
            "{name}: {again:?}"
        );
    }
    assert!(fixture.accounts.log_in("ANN", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn of_many_sign_ups_with_one_name_exactly_one_succeeds() {
    let fixture = Fixture::new().await;
    connect(&fixture.accounts).await;
    let all: Vec<_> = (0..16)
        .map(|_| {
            let accounts = fixture.accounts.clone();
            tokio::spawn(async move { accounts.sign_up("ann", PASSWORD).await })
        })
        .collect();
    let mut made = 0;
    for one in all {
        match one.await.unwrap() {
            Ok(_) => made += 1,
            Err(SignUpError::Taken) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_name_or_password_is_said() {
    let fixture = Fixture::new().await;
    let cases = [
        ("", PASSWORD, "name: must not be empty"),
        (" ann", PASSWORD, "name: must not begin or end with a blank"),
        (
            "a\nb",
            PASSWORD,
            "name: must not contain control characters",
        ),
        (
            "an\u{202e}n",
            PASSWORD,
            "name: must not contain invisible characters or marks of direction",
        ),
        ("ann", "short", "password: must have at least 8 characters"),
        (
            "ann",
            &"x".repeat(1025),
            "password: must have at most 1024 bytes",
        ),
    ];
    for (name, password, expected) in cases {
        let error = fixture.accounts.sign_up(name, password).await.unwrap_err();
        assert!(matches!(error, SignUpError::Invalid(_)));
        assert_eq!(error.to_string(), expected);
    }
    assert!(fixture.accounts.list_users().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_has_a_name_with_invisible_characters_from_before_can_still_log_in() {
    let (fixture, _) = Fixture::with_ann().await;
    let pool = fixture.place.pool().await;
    let renamed = "UPDATE users SET name = 'an\u{200b}n', name_folded = 'an\u{200b}n'";
    sqlx::query(renamed).execute(&pool).await.unwrap();
    pool.close().await;
    assert!(
        fixture
            .accounts
            .log_in("an\u{200b}n", PASSWORD)
            .await
            .is_ok()
    );
    assert!(fixture.accounts.log_in("ann", PASSWORD).await.is_err());
}

#[tokio::test]
async fn hostile_names_are_stored_as_they_are() {
    let fixture = Fixture::new().await;
    let name = "'; DROP TABLE users; --<b>=1+1";
    fixture.accounts.sign_up(name, PASSWORD).await.unwrap();
    assert_eq!(fixture.accounts.list_users().await.unwrap()[0].name, name);
}

#[tokio::test]
async fn changing_a_user_who_does_not_exist_says_so() {
    let fixture = Fixture::new().await;
    let nobody = |result| assert!(matches!(result, Err(UserError::NoSuchUser)));
    nobody(fixture.accounts.set_password("bob", PASSWORD).await);
    nobody(fixture.accounts.disable_user("bob").await);
    nobody(fixture.accounts.enable_user("bob").await);
}
