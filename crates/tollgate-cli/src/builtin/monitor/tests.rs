use std::time::Duration;

use serde_json::Value;
use tollgate_accounts::{Credential, Outcome, UsageEvent};
use tollgate_rules::Builtin;

use super::super::testing::{Site, json};
use super::*;

#[tokio::test]
async fn keys_show_their_use_and_no_other_user_sees_them() {
    let site = Site::new("per-api-key").await;
    let (ann, bob) = (site.log_in("ann").await, site.log_in("bob").await);
    let quota = "3 per second".parse().unwrap();
    let busy = site
        .accounts
        .create_key(&ann.user, "busy", Some(&quota), None)
        .await
        .unwrap();
    let idle = site
        .accounts
        .create_key(&ann.user, "idle", None, None)
        .await
        .unwrap();
    let who = site
        .accounts
        .identify(&Credential::ApiKey(busy.secret.expose()))
        .await
        .unwrap()
        .unwrap();
    for outcome in [Outcome::Allowed, Outcome::Allowed, Outcome::Denied] {
        let route = "/limit".into();
        let event = UsageEvent::new(Some(&who), &route, outcome);
        site.accounts.usage().record(&event, site.builtins.now());
    }
    site.clock.advance(Duration::from_secs(1));

    let shown = json(&site.get(Builtin::Monitor, Some(&ann)).await.unwrap());
    assert_eq!(shown["as_of"], "2027-01-15T08:00:01Z");
    let key = |id: &KeyId| -> Value {
        let mut keys = shown["keys"].as_array().unwrap().iter();
        keys.find(|key| key["id"] == id.as_str()).unwrap().clone()
    };
    let busy = key(&busy.id);
    assert_eq!(
        (&busy["name"], &busy["user"]),
        (&"busy".into(), &"ann".into())
    );
    assert_eq!(
        (&busy["current_per_s"], &busy["avg_1m"], &busy["avg_5m"]),
        (&3.into(), &0.05.into(), &0.01.into())
    );
    assert_eq!(
        (&busy["allowed"], &busy["denied"], &busy["failed"]),
        (&2.into(), &1.into(), &0.into())
    );
    assert_eq!(
        (&busy["remaining"], &busy["last_seen"]),
        (&3.into(), &"2027-01-15T08:00:00Z".into())
    );
    let idle = key(&idle.id);
    assert_eq!(
        (&idle["allowed"], &idle["remaining"], &idle["last_seen"]),
        (&0.into(), &10.into(), &Value::Null)
    );

    let others = json(&site.get(Builtin::Monitor, Some(&bob)).await.unwrap());
    assert_eq!(others["keys"], Value::Array(Vec::new()));
    let query = Query::default();
    let all = site.builtins.keys_in_use(None, &[], &query).await.unwrap();
    assert_eq!(all.keys.len(), 2);
    assert_eq!(
        site.get(Builtin::Monitor, None)
            .await
            .unwrap_err()
            .status(None),
        401
    );
}

#[tokio::test]
async fn counts_are_those_of_the_whole_life_of_a_key() {
    let site = Site::new("per-api-key").await;
    let ann = site.log_in("ann").await;
    let key = site
        .accounts
        .create_key(&ann.user, "key", None, None)
        .await
        .unwrap();
    site.accounts.revoke_key(None, &key.id).await.unwrap();
    let keys = site.accounts.list_keys(&ann.user).await.unwrap();
    let counts = |allowed| UsageCounts {
        allowed,
        ..UsageCounts::default()
    };
    let rate = KeyRate {
        key: Some(key.id.clone()),
        user: ann.user.clone(),
        current_per_s: 0,
        avg_1m: 0.0,
        avg_5m: 0.0,
        counts: counts(7),
        last_seen: Micros::from_secs(1),
    };
    for (written, shown) in [(6, 7), (100, 100)] {
        let used = Use::of(&keys[0], Some(&counts(written)), Some(&rate));
        assert_eq!(used.counts.allowed, shown);
    }
    assert_eq!(
        site.builtins
            .remaining_of(&keys[0], &[], &Default::default(), Micros::from_secs(1))
            .await,
        Some(0)
    );
}
