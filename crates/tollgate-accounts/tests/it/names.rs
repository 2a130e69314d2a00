//! Which names and ids are one, and in which order they stand: the same in every database.

use std::sync::Arc;

use tollgate_accounts::{
    Credential, KeyError, KeyId, LogInError, Outcome, SignUpError, UsageEvent,
};

use super::fixture::{Fixture, PASSWORD};

#[tokio::test]
async fn names_are_one_when_they_differ_in_case_alone() {
    let fixture = Fixture::new().await;
    let names = [
        "Zoe",
        "\u{c4}rger",
        "arger",
        "stra\u{df}e",
        "strasse",
        "ann",
        "\u{e1}nn",
        "\u{1f600}",
        "_",
    ];
    for name in names {
        fixture.accounts.sign_up(name, PASSWORD).await.unwrap();
    }
    for taken in ["ZOE", "\u{e4}RGER", "STRASSE", "\u{c1}NN"] {
        let again = fixture.accounts.sign_up(taken, PASSWORD).await;
        assert!(
            matches!(again, Err(SignUpError::Taken)),
            "{taken}: {again:?}"
        );
        assert!(fixture.accounts.log_in(taken, PASSWORD).await.is_ok());
    }
    let listed = fixture.accounts.list_users().await.unwrap();
    let listed: Vec<&str> = listed.iter().map(|user| user.name.as_str()).collect();
    let mut byte_by_byte = names;
    byte_by_byte.sort_by_key(|name| name.to_lowercase());
    assert_eq!(listed, byte_by_byte);
}

#[tokio::test]
async fn the_longest_name_finds_room_in_every_case() {
    let fixture = Fixture::new().await;
    for letter in ["\u{130}", "\u{1f600}"] {
        let name = letter.repeat(64);
        let user = fixture.accounts.sign_up(&name, PASSWORD).await.unwrap();
        let key = fixture.accounts.create_key(&user.id, &name, None, None);
        key.await.unwrap();
        assert_eq!(
            fixture.accounts.list_keys(&user.id).await.unwrap()[0].name,
            name
        );
    }
}

#[tokio::test]
async fn what_nobody_can_be_called_is_nobody() {
    let (fixture, ann) = Fixture::with_ann().await;
    for name in ["ann ", " ann", "ann\0", "an\0n", ""] {
        let log_in = fixture.accounts.log_in(name, PASSWORD).await;
        assert!(matches!(log_in, Err(LogInError::Wrong)), "{name:?}");
        assert_eq!(fixture.accounts.user_by_name(name).await.unwrap(), None);
    }
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    for id in [
        format!("{} ", key.id),
        key.id.as_str().to_uppercase(),
        "\0".repeat(32),
    ] {
        let revoked = fixture.accounts.revoke_key(None, &KeyId::from(id)).await;
        assert!(matches!(revoked, Err(KeyError::NoSuchKey)), "{revoked:?}");
    }
    let presented = Credential::ApiKey(key.secret.expose());
    assert!(fixture.identify(presented).await.is_some());
}

#[tokio::test]
async fn the_name_of_a_route_may_be_long_and_of_any_script() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let presented = Credential::ApiKey(key.secret.expose());
    let who = fixture.identify(presented).await.unwrap();
    for letter in ["x", "\u{1f600}"] {
        let route = &Arc::from(letter.repeat(5_000));
        let outcome = Outcome::Allowed;
        let event = UsageEvent::new(Some(&who), route, outcome);
        fixture.accounts.usage().record(&event, fixture.now());
    }
    fixture.accounts.usage().flush().await.unwrap();
    let totals = fixture.accounts.usage().key_totals().await.unwrap();
    assert_eq!(totals[0].counts.allowed, 2);
}

#[tokio::test]
async fn users_and_keys_are_called_by_their_names_however_many_are_asked_for() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = async |name: String| {
        let made = fixture.accounts.create_key(&ann.id, &name, None, None);
        made.await.unwrap().id
    };
    let mut keys = Vec::new();
    for number in 0..11 {
        keys.push(key(format!("key {number} \u{1f600}")).await);
    }
    keys.push(key(String::new()).await);
    let users = [ann.id.clone(), "ext-0".into(), "".into()];
    let asked = [keys.clone(), vec![KeyId::from("nobody's")]].concat();
    let labels = fixture.accounts.labels(&users, &asked).await.unwrap();
    assert_eq!(labels.len(), 1 + keys.len());
    let label = |id: &str| (&*labels[id].name, labels[id].owner.as_deref());
    assert_eq!(label(ann.id.as_str()), ("ann", None));
    assert_eq!(label(keys[0].as_str()), ("key 0 \u{1f600}", Some("ann")));
    assert_eq!(label(keys[11].as_str()), ("", Some("ann")));
    let revoked = fixture.accounts.revoke_key(None, &keys[3]).await;
    revoked.unwrap();
    let labels = fixture.accounts.labels(&[], &keys[3..4]).await.unwrap();
    assert_eq!(labels.len(), 1, "what was revoked keeps its name");
}
