//! API keys: making, listing, presenting.

use std::time::Duration;

use tollgate::Quota;
use tollgate_accounts::{API_KEY_PREFIX, Credential, KeyError, Lookup, UserId, Via};

use super::fixture::{Fixture, PASSWORD};

#[tokio::test]
async fn a_new_key_is_known_as_its_owner_with_its_own_quota() {
    let (fixture, ann) = Fixture::with_ann().await;
    let quota: Quota = "10 per second".parse().unwrap();
    let key = fixture
        .accounts
        .create_key(&ann.id, "build server", Some(&quota), None)
        .await
        .unwrap();
    assert!(key.secret.expose().starts_with(API_KEY_PREFIX));
    let presented = Credential::ApiKey(key.secret.expose());
    let identity = fixture.identify(presented).await.unwrap();
    assert_eq!(
        (&identity.user, &identity.key, identity.via),
        (&ann.id, &Some(key.id), Via::ApiKey)
    );
    assert_eq!(identity.own.len(), 1);
    assert_eq!(identity.own[0].name(), "own.second");
    assert_eq!(identity.own[0].quota(), Some(quota));
    assert!(matches!(fixture.lookup(presented), Lookup::Known(_)));
}

#[tokio::test]
async fn lists_show_a_hint_and_never_the_key() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "one", None, None)
        .await
        .unwrap();
    let listed = fixture.accounts.list_keys(&ann.id).await.unwrap();
    assert_eq!(listed, fixture.accounts.list_all_keys().await.unwrap());
    let secret = key.secret.expose();
    assert_eq!(
        listed[0].hint,
        format!("tg_...{}", &secret[secret.len() - 4..])
    );
    assert_eq!(
        (listed[0].name.as_str(), listed[0].user_name.as_str()),
        ("one", "ann")
    );
    assert!(listed[0].is_live(fixture.now()));
    assert!(!format!("{listed:?} {key:?}").contains(secret));
}

#[tokio::test]
async fn the_database_holds_no_secret() {
    let (fixture, ann) = Fixture::with_ann().await;
    let key = fixture
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let log_in = fixture.log_in().await;
    let secrets = [
        key.secret.expose(),
        log_in.session_secret.expose(),
        log_in.token.token.expose(),
        PASSWORD,
    ];
    let rows = fixture.place.rows().await;
    assert!(rows.contains("ann") && rows.contains(log_in.session.as_str()));
    for secret in secrets {
        assert!(!rows.contains(secret), "{rows}");
    }
    fixture.accounts.close().await;
    for file in std::fs::read_dir(fixture.place.dir.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in secrets {
            let mut windows = bytes.windows(secret.len());
            assert!(!windows.any(|window| window == secret.as_bytes()));
        }
    }
}

#[tokio::test]
async fn garbage_is_turned_away_without_a_query() {
    let fixture = Fixture::new().await;
    fixture.accounts.close().await;
    let well_formed_elsewhere = {
        let (other, ann) = Fixture::with_ann().await;
        other
            .accounts
            .create_key(&ann.id, "", None, None)
            .await
            .unwrap()
            .secret
    };
    let mut one_off = well_formed_elsewhere.expose().to_owned();
    let last = one_off.pop().unwrap();
    one_off.push(if last == 'x' { 'y' } else { 'x' });
    let mebibyte = "x".repeat(1 << 20);
    for garbage in ["", "\0", "tg_", "tg_\u{e9}", &one_off, &mebibyte] {
        assert!(matches!(
            fixture.lookup(Credential::ApiKey(garbage)),
            Lookup::Unknown
        ));
    }
    let plausible = Credential::ApiKey(well_formed_elsewhere.expose());
    assert!(matches!(fixture.lookup(plausible), Lookup::Ask(_)));
}

#[tokio::test]
async fn an_unknown_key_is_turned_away_for_one_second_without_a_query() {
    let fixture = Fixture::new().await;
    let (other, ann) = Fixture::with_ann().await;
    let key = other
        .accounts
        .create_key(&ann.id, "", None, None)
        .await
        .unwrap();
    let unknown = Credential::ApiKey(key.secret.expose());
    assert!(fixture.identify(unknown).await.is_none());
    fixture.clock.advance(Duration::from_micros(999_999));
    assert!(matches!(fixture.lookup(unknown), Lookup::Unknown));
    fixture.clock.advance(Duration::from_micros(1));
    assert!(matches!(fixture.lookup(unknown), Lookup::Ask(_)));
}

#[tokio::test]
async fn a_key_for_nobody_or_from_the_past_is_refused() {
    let (fixture, ann) = Fixture::with_ann().await;
    let nobody = fixture
        .accounts
        .create_key(&UserId::from("nobody"), "", None, None)
        .await;
    assert!(matches!(nobody, Err(KeyError::NoSuchUser)));
    let past = fixture
        .accounts
        .create_key(&ann.id, "", None, Some(fixture.now()))
        .await;
    assert_eq!(
        past.unwrap_err().to_string(),
        "expires_at: must be in the future"
    );
    let name = fixture
        .accounts
        .create_key(&ann.id, "a\u{1b}[31m", None, None)
        .await;
    assert!(matches!(name, Err(KeyError::Invalid(_))));
}

#[tokio::test]
async fn beyond_what_a_list_holds_keys_are_counted_and_found_by_their_id() {
    const ROWS: usize = 10_000;
    let (fixture, ann) = Fixture::with_ann().await;
    let oldest = fixture.accounts.create_key(&ann.id, "first", None, None);
    let oldest = oldest.await.unwrap().id;
    let pool = fixture.place.pool().await;
    let created = fixture.now().0 + 1;
    for rows in (0..ROWS).collect::<Vec<_>>().chunks(1_000) {
        let row = |number: &usize| {
            format!(
                "('{number:032x}', '{}', 'k', '', '{number}', {created})",
                ann.id
            )
        };
        let rows: Vec<String> = rows.iter().map(row).collect();
        let insert = format!(
            "INSERT INTO api_keys (id, user_id, name, hint, secret_hash, created_at) VALUES {}",
            rows.join(", ")
        );
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .execute(&pool)
            .await
            .unwrap();
    }
    let accounts = &fixture.accounts;
    let listed = accounts.list_all_keys().await.unwrap();
    assert!(listed.len() == ROWS && listed.iter().all(|key| key.id != oldest));
    for user in [None, Some(&ann.id)] {
        assert_eq!(accounts.count_keys(user).await.unwrap(), ROWS as u64 + 1);
    }
    assert_eq!(accounts.count_keys(Some(&"0".into())).await.unwrap(), 0);
    let found = accounts.key(&oldest).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), &found.user), ("first", &ann.id));
    for missing in ["0".repeat(31), "f".repeat(32), "' --".to_owned()] {
        assert!(accounts.key(&missing.into()).await.unwrap().is_none());
    }
}
