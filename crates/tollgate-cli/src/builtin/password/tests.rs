use std::sync::Arc;
use std::time::Duration;

use http::Request;
use tollgate_accounts::{Credential, Identity};
use tollgate_rules::Builtin;

use super::super::testing::{FORM, JSON, PASSWORD, Site, json as body, text};
use super::*;

const RIGHT: &str = r#"{"current_password":"correct horse","new_password":"another horse"}"#;
const WRONG: &str = r#"{"current_password":"wrong horse","new_password":"another horse"}"#;
const RIGHT_FORM: &str = "current_password=correct+horse&new_password=another+horse";

async fn site() -> (Site, Arc<Identity>) {
    let site = Site::new("random-number").await;
    let ann = site.log_in("ann").await;
    (site, ann)
}

async fn change(site: &Site, ann: &Arc<Identity>, input: &str) -> Result<Response<Bytes>, Refusal> {
    let json = (JSON, "*/*");
    site.post(Builtin::Password, json, input, Some(ann)).await
}

#[tokio::test]
async fn a_program_gets_a_new_session_and_every_other_ends() {
    let (site, ann) = site().await;
    let changed = change(&site, &ann, RIGHT).await.unwrap();
    assert!(!ann.is_alive());
    let token = body(&changed)["token"].as_str().unwrap().to_owned();
    let fresh = site.accounts.identify(&Credential::Bearer(&token)).await;
    assert_eq!(fresh.unwrap().unwrap().user, ann.user);
    let cookie = changed.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("session="), "{cookie}");
    assert!(site.accounts.log_in("ann", PASSWORD).await.is_err());
    assert!(site.accounts.log_in("ann", "another horse").await.is_ok());
}

#[tokio::test]
async fn a_browser_comes_back_to_a_page_that_says_it_is_done() {
    let (site, ann) = site().await;
    let form = (FORM, "text/html");
    let changed = site
        .post(Builtin::Password, form, RIGHT_FORM, Some(&ann))
        .await;
    let changed = changed.unwrap();
    assert_eq!(changed.status(), StatusCode::SEE_OTHER);
    assert_eq!(changed.headers()["location"], "/here?changed");
    assert!(changed.headers().contains_key("set-cookie"));
    for (path, is_done) in [("/here", false), ("/here?changed", true)] {
        let page = Request::get(path).header("accept", "text/html");
        let page = site
            .send(
                Builtin::Password,
                page.body(Bytes::new()).unwrap(),
                Some(&ann),
            )
            .await
            .unwrap();
        assert_eq!(text(&page).contains("Your password is changed"), is_done);
        assert!(text(&page).contains("name=\"current_password\""));
    }
}

#[tokio::test]
async fn only_wrong_guesses_count_and_after_five_nothing_is_hashed_for_a_while() {
    let (site, ann) = site().await;
    let short = r#"{"current_password":"correct horse","new_password":"short"}"#;
    for _ in 0..10 {
        let refusal = change(&site, &ann, short).await.unwrap_err();
        assert_eq!(refusal.status(None), 422);
        assert!(refusal.detail().starts_with("`new_password`"));
    }
    for _ in 0..5 {
        let refusal = change(&site, &ann, WRONG).await.unwrap_err();
        assert_eq!(refusal.status(None), 422);
        assert_eq!(refusal.detail(), "`current_password` is wrong.");
    }
    let refusal = change(&site, &ann, RIGHT).await.unwrap_err();
    assert_eq!(refusal.violated(), ["accounts.password-per-account.15m"]);
    assert_eq!(refusal.retry_after(), Some(900));
    assert!(ann.is_alive());
    let bob = site.log_in("bob").await;
    assert!(
        change(&site, &bob, RIGHT).await.is_ok(),
        "each for themselves"
    );
    site.clock.advance(Duration::from_secs(900));
    assert!(change(&site, &ann, RIGHT).await.is_ok());
}

#[tokio::test]
async fn a_form_comes_back_with_what_was_wrong_and_without_passwords() {
    let (site, ann) = site().await;
    let form = (FORM, "text/html");
    let input = "current_password=wrong+horse&new_password=staple+battery";
    let page = site.post(Builtin::Password, form, input, Some(&ann)).await;
    let page = page.unwrap();
    assert_eq!(page.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text(&page).contains("Current password is wrong."));
    assert!(!text(&page).contains("wrong horse") && !text(&page).contains("staple"));
}

#[tokio::test]
async fn only_somebody_with_an_account_has_a_password() {
    let (site, _) = site().await;
    let guest = site.accounts.guest_token();
    let guest = Credential::Bearer(guest.token.expose());
    let guest = site.accounts.identify(&guest).await.unwrap();
    for nobody in [None, guest.as_ref()] {
        let json = (JSON, "*/*");
        let refused = site.post(Builtin::Password, json, RIGHT, nobody).await;
        assert_eq!(refused.unwrap_err().status(None), 401);
        let refused = site.get(Builtin::Password, nobody).await;
        assert_eq!(refused.unwrap_err().status(None), 401);
    }
}
