//! API keys: revoking, rotating, and how many there may be.

use std::time::Duration;

use tollgate::Quota;
use tollgate_accounts::{Credential, KeyError, KeyId, LIVE_KEYS_MAX};

use super::fixture::{Fixture, PASSWORD};

#[tokio::test]
async fn a_revoked_key_is_dead_at_once_and_revoking_twice_is_no_error() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let presented = Credential::ApiKey(key.secret.expose());
    fixture.identify(presented).await.unwrap();
    fixture
        .accounts
        .revoke_key(Some(&ann.id), &key.id)
        .await
        .unwrap();
    assert!(fixture.identify(presented).await.is_none());
    let first = fixture.accounts.list_keys(&ann.id).await.unwrap()[0].revoked_at;
    fixture.advance_secs(5);
    fixture.accounts.revoke_key(None, &key.id).await.unwrap();
    assert_eq!(
        fixture.accounts.list_keys(&ann.id).await.unwrap()[0].revoked_at,
        first
    );
}

#[tokio::test]
async fn another_users_key_is_no_key() {
    let (fixture, ann) = Fixture::with_ann().await;
    let bob = fixture.accounts.sign_up("bob", PASSWORD).await.unwrap();
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let revoked = fixture.accounts.revoke_key(Some(&bob.id), &key.id).await;
    assert!(matches!(revoked, Err(KeyError::NoSuchKey)));
    let rotated = fixture
        .accounts
        .rotate_key(Some(&bob.id), &key.id, Duration::ZERO)
        .await;
    assert!(matches!(rotated, Err(KeyError::NoSuchKey)));
    let missing = fixture
        .accounts
        .revoke_key(None, &KeyId::from("missing"))
        .await;
    assert!(matches!(missing, Err(KeyError::NoSuchKey)));
    assert!(
        fixture
            .identify(Credential::ApiKey(key.secret.expose()))
            .await
            .is_some()
    );
}

#[tokio::test]
async fn a_rotated_key_lives_through_its_grace_and_not_an_instant_longer() {
    let (fixture, ann) = Fixture::with_ann().await;
    let quota: Quota = "5 per minute".parse().unwrap();
    let old = fixture
        .accounts
        .create_key(&ann.id, "ci", Some(&quota), None)
        .await
        .unwrap();
    let presented = Credential::ApiKey(old.secret.expose());
    fixture.identify(presented).await.unwrap();
    let grace = Duration::from_secs(60);
    let new = fixture
        .accounts
        .rotate_key(Some(&ann.id), &old.id, grace)
        .await
        .unwrap();
    fixture.clock.advance(grace - Duration::from_micros(1));
    assert!(fixture.identify(presented).await.is_some());
    fixture.clock.advance(Duration::from_micros(1));
    assert!(fixture.identify(presented).await.is_none());
    let identity = fixture
        .identify(Credential::ApiKey(new.secret.expose()))
        .await
        .unwrap();
    assert_eq!(identity.own[0].quota(), Some(quota));
    let keys = fixture.accounts.list_keys(&ann.id).await.unwrap();
    let listed = keys.iter().find(|key| key.id == new.id).unwrap();
    assert_eq!(
        (listed.name.as_str(), &listed.rotated_from),
        ("ci", &Some(old.id.clone()))
    );
    let again = fixture
        .accounts
        .rotate_key(Some(&ann.id), &old.id, grace)
        .await;
    assert!(matches!(again, Err(KeyError::NotLive)));
}

#[tokio::test]
async fn rotating_never_prolongs_a_key() {
    let (fixture, ann) = Fixture::with_ann().await;
    let end = fixture.now() + Duration::from_secs(10);
    let old = fixture
        .accounts
        .create_key(&ann.id, "", None, Some(end))
        .await
        .unwrap();
    fixture
        .accounts
        .rotate_key(None, &old.id, Duration::from_secs(60))
        .await
        .unwrap();
    let keys = fixture.accounts.list_keys(&ann.id).await.unwrap();
    assert!(
        keys.iter().all(|key| key.expires_at == Some(end)),
        "{keys:?}"
    );
}

#[tokio::test]
async fn a_user_has_at_most_so_many_live_keys_and_can_still_rotate_and_replace() {
    let (fixture, ann) = Fixture::with_ann().await;
    let create = || fixture.accounts.create_key(&ann.id, "", None, None);
    let first = create().await.unwrap();
    for _ in 1..LIVE_KEYS_MAX {
        create().await.unwrap();
    }
    assert!(matches!(
        create().await,
        Err(KeyError::TooMany { max: LIVE_KEYS_MAX })
    ));
    let rotated = fixture
        .accounts
        .rotate_key(None, &first.id, Duration::from_secs(60))
        .await
        .unwrap();
    let chained = fixture
        .accounts
        .rotate_key(None, &rotated.id, Duration::from_secs(60))
        .await;
    assert!(
        matches!(chained, Err(KeyError::TooMany { .. })),
        "or grace would make any number of keys"
    );
    fixture
        .accounts
        .revoke_key(None, &rotated.id)
        .await
        .unwrap();
    fixture.accounts.revoke_key(None, &first.id).await.unwrap();
    create().await.unwrap();
}
