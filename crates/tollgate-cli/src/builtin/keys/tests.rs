use std::sync::Arc;

use tollgate_accounts::{Credential, Identity};
use tollgate_rules::Builtin;

use super::super::testing::{FORM, JSON, Site, json as body, text};
use super::*;

async fn site() -> (Site, Arc<Identity>) {
    let site = Site::new("pages").await;
    let ann = site.log_in("ann").await;
    (site, ann)
}

async fn change(site: &Site, ann: &Arc<Identity>, input: &str) -> Result<Response<Bytes>, Refusal> {
    site.post(Builtin::Keys, (JSON, "*/*"), input, Some(ann))
        .await
}

async fn list(site: &Site, ann: &Arc<Identity>) -> Vec<Value> {
    let answer = body(&site.get(Builtin::Keys, Some(ann)).await.unwrap());
    answer["keys"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_key_is_made_listed_without_its_secret_and_revoked() {
    let (site, ann) = site().await;
    let made = change(
        &site,
        &ann,
        r#"{"action":"create","name":"laptop","quota":"2 per second"}"#,
    )
    .await
    .unwrap();
    assert_eq!(made.status(), 201);
    let (made, listed) = (body(&made), list(&site, &ann).await);
    let secret = made["secret"].as_str().unwrap();
    assert!(
        site.accounts
            .identify(&Credential::ApiKey(secret))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(listed[0]["id"], made["id"]);
    assert_eq!(
        (&listed[0]["state"], &listed[0]["quota"]),
        (&json!("active"), &json!("2 per second"))
    );
    assert!(!listed[0].to_string().contains(secret));

    let revoke = json!({ "action": "revoke", "id": made["id"] }).to_string();
    assert_eq!(change(&site, &ann, &revoke).await.unwrap().status(), 204);
    assert_eq!(list(&site, &ann).await[0]["state"], "revoked");
    let rotate = json!({ "action": "rotate", "id": made["id"] }).to_string();
    assert_eq!(
        change(&site, &ann, &rotate).await.unwrap_err().status(None),
        409
    );
}

#[tokio::test]
async fn a_rotated_key_is_good_for_its_grace() {
    let (site, ann) = site().await;
    let made = body(
        &change(&site, &ann, r#"{"action":"create","name":"laptop"}"#)
            .await
            .unwrap(),
    );
    let rotate = json!({ "action": "rotate", "id": made["id"], "grace_seconds": 60 }).to_string();
    let new = body(&change(&site, &ann, &rotate).await.unwrap());
    assert_eq!(new["name"], "laptop");
    let state = |listed: &[Value], id: &Value| {
        listed.iter().find(|key| key["id"] == *id).unwrap()["state"].clone()
    };
    assert_eq!(state(&list(&site, &ann).await, &made["id"]), "active");
    site.clock.advance(Duration::from_secs(60));
    let listed = list(&site, &ann).await;
    assert_eq!(
        (state(&listed, &made["id"]), state(&listed, &new["id"])),
        (json!("expired"), json!("active"))
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_field() {
    let (site, ann) = site().await;
    for (input, status, said) in [
        (r#"{"action":"create","name":" "}"#, 422, "`name`"),
        (
            r#"{"action":"create","name":"a","quota":"many"}"#,
            422,
            "`quota`",
        ),
        (r#"{"action":"burn"}"#, 422, "`action`"),
        (
            r#"{"action":"rotate","id":"x","grace_seconds":1e9}"#,
            422,
            "`grace_seconds`",
        ),
        (r#"{"action":"revoke","id":"not-mine"}"#, 404, ""),
        ("{}", 422, "`action`"),
    ] {
        let refusal = change(&site, &ann, input).await.unwrap_err();
        assert_eq!(refusal.status(None), status, "{input}");
        assert!(
            refusal.detail().starts_with(said),
            "{input}: {}",
            refusal.detail()
        );
    }
    let nobody = site.get(Builtin::Keys, None).await;
    assert_eq!(nobody.unwrap_err().status(None), 401);
}

#[tokio::test]
async fn the_page_shows_a_secret_once_and_a_revoked_key_without_buttons() {
    let (site, ann) = site().await;
    let form = (FORM, "text/html");
    let made = site
        .post(Builtin::Keys, form, "action=create&name=laptop", Some(&ann))
        .await
        .unwrap();
    let secret = text(&made)
        .split("<code id=\"secret\">")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    assert!(
        site.accounts
            .identify(&Credential::ApiKey(secret))
            .await
            .unwrap()
            .is_some()
    );

    let id = list(&site, &ann).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let revoked = site
        .post(
            Builtin::Keys,
            form,
            &format!("action=revoke&id={id}"),
            Some(&ann),
        )
        .await
        .unwrap();
    assert_eq!(
        (
            revoked.status().as_u16(),
            revoked.headers()["location"].to_str().unwrap()
        ),
        (303, "/here")
    );
    let request = http::Request::get("/keys")
        .header("accept", "text/html")
        .body(Bytes::new())
        .unwrap();
    let page = site.send(Builtin::Keys, request, Some(&ann)).await.unwrap();
    assert!(text(&page).contains("revoked") && !text(&page).contains("value=\"rotate\""));
    assert!(!text(&page).contains(secret));

    let wrong = site
        .post(Builtin::Keys, form, "action=create&name=", Some(&ann))
        .await
        .unwrap();
    assert_eq!(wrong.status(), 422);
    assert!(text(&wrong).contains("Name must not be empty."));
}

#[tokio::test]
async fn a_key_with_scopes_neither_makes_nor_changes_one_that_may_do_more() {
    let (site, ann) = site().await;
    let key = async |scopes: Option<&str>| {
        let scopes = scopes.map(|scopes| Scopes::parse(scopes).unwrap());
        let made = site
            .accounts
            .create_scoped_key(&ann.user, "k", None, None, scopes.as_ref());
        made.await.unwrap()
    };
    let (wide, other) = (key(None).await, key(Some("a c")).await);
    let (narrow, equal) = (key(Some("a b")).await, key(Some("b")).await);
    let presented = Credential::ApiKey(narrow.secret.expose());
    let who = site.accounts.identify(&presented).await.unwrap().unwrap();
    let status = async |who: &Arc<Identity>, input: Value| match change(
        &site,
        who,
        &input.to_string(),
    )
    .await
    {
        Ok(response) => response.status().as_u16(),
        Err(refusal) => refusal.status(None).as_u16(),
    };
    for (scopes, expected) in [
        (json!(null), 422),
        (json!("a b c"), 422),
        (json!("*"), 422),
        (json!("b a"), 201),
    ] {
        let mut input = json!({ "action": "create", "name": "new", "scopes": scopes });
        input
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        assert_eq!(status(&who, input.clone()).await, expected, "{input}");
    }
    for action in ["rotate", "revoke"] {
        let input = |id: &KeyId| json!({ "action": action, "id": id.as_str() });
        for more in [&wide.id, &other.id] {
            assert_eq!(status(&who, input(more)).await, 403, "{action}");
        }
        let done = status(&who, input(&equal.id)).await;
        assert_eq!(done, if action == "rotate" { 201 } else { 204 });
        assert_eq!(status(&who, input(&"0".repeat(32).into())).await, 404);
    }
    let listed = list(&site, &ann).await;
    let live = |id: &KeyId| {
        let key = listed.iter().find(|key| key["id"] == id.as_str());
        key.unwrap()["state"] == "active"
    };
    assert!(live(&wide.id) && live(&other.id));
    let its_own = json!({ "action": "revoke", "id": narrow.id.as_str() });
    assert_eq!(status(&who, its_own).await, 204);
    let by_session = json!({ "action": "revoke", "id": wide.id.as_str() });
    assert_eq!(status(&ann, by_session).await, 204);
}

#[tokio::test]
async fn an_account_has_so_many_keys_made_and_what_was_not_made_does_not_count() {
    let (site, ann) = site().await;
    let create = r#"{"action":"create","name":"laptop"}"#;
    let made = body(&change(&site, &ann, create).await.unwrap());
    for _ in 1..100 {
        change(&site, &ann, create).await.unwrap();
    }
    for _ in 0..10 {
        let refusal = change(&site, &ann, create).await.unwrap_err();
        assert_eq!(refusal.status(None), 409, "as many as can be live");
    }
    let mut id = made["id"].clone();
    for _ in 0..100 {
        let rotate = json!({ "action": "rotate", "id": id, "grace_seconds": 0 }).to_string();
        id = body(&change(&site, &ann, &rotate).await.unwrap())["id"].clone();
    }
    let rotate = json!({ "action": "rotate", "id": id, "grace_seconds": 0 }).to_string();
    let refusal = change(&site, &ann, &rotate).await.unwrap_err();
    assert_eq!(refusal.violated(), ["accounts.keys-per-account.hour"]);
    site.clock.advance(Duration::from_secs(3600));
    assert!(change(&site, &ann, &rotate).await.is_ok());
}
