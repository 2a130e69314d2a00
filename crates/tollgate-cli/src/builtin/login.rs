//! Opening a session: a cookie for browsers, and a token for everybody else.

use bytes::Bytes;
use http::uri::Authority;
use http::{Response, StatusCode, Uri, header};
use tollgate_accounts::{LogIn, LogInError};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::held_sessions;
use tollgate_gateway::refusal::Refusal;

use super::form::{self, Fields};
use super::pages::{Form, LoginPage};
use super::{Builtins, answer, busy, cookie, unreachable};

impl Builtins {
    pub(super) fn login_page(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        self.login_form(call, StatusCode::OK, Form::default())
    }

    pub(super) async fn log_in(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let fields = Fields::of(&call.request)?;
        let from_page = form::is_from_page(&call.request);
        let login = match self.open_session(call, &fields).await {
            Ok(login) => login,
            Err(refusal) if from_page => {
                let username = fields.text("username").unwrap_or_default().to_owned();
                let form = Form {
                    username,
                    ..Form::default()
                };
                return form::again(refusal, form, |status, form| {
                    self.login_form(call, status, form)
                });
            }
            Err(refusal) => return Err(refusal),
        };
        let mut response = if from_page {
            let links = [&self.links.number, &self.links.console, &self.links.home];
            let usual = links.into_iter().flatten().next();
            let next = next(call.request.uri().query());
            answer::see_other(next.as_ref().or(usual).map_or("/", String::as_str))
        } else {
            answer::session(&login)?
        };
        cookie::set(&mut response, &login, self.sets_secure_cookies(call));
        Ok(response)
    }

    /// Charged before anything is hashed; given back unless the guess was wrong, so that only wrong guesses count.
    ///
    /// Charges wait for their turn to be hashed, so that right passwords that come together do not deny each other;
    /// where the limit is used up already, nobody waits.
    async fn open_session(&self, call: &BuiltinCall, fields: &Fields) -> Result<LogIn, Refusal> {
        let (username, password) = (fields.text("username")?, fields.text("password")?);
        let attempt = self.protection.login(username, call.caller.address);
        attempt.peek(&self.counters, self.now()).await?;
        let _turn = self.login_turns.take().await.ok_or_else(busy)?;
        let receipt = attempt.charge(&self.counters, self.now()).await?;
        let result = self
            .accounts
            .log_in_holding(username, password, &held_sessions(call.request.headers()))
            .await;
        if let Err(LogInError::Wrong) = result {
            return Err(Refusal::wrong_password());
        }
        attempt.refund(&self.counters, receipt, self.now()).await;
        result.map_err(|error| match error {
            LogInError::Busy => busy(),
            LogInError::Unavailable(error) => unreachable(&error),
            _ => Refusal::internal(),
        })
    }

    pub(super) fn sets_secure_cookies(&self, call: &BuiltinCall) -> bool {
        cookie::is_secure(self.rules.server.cookie_secure, call.caller.secure)
    }

    /// Whether the sign-up has led here: links from its page say nothing of where they were.
    fn has_signed_up(&self, call: &BuiltinCall) -> bool {
        let said = |name| call.request.headers().get(name)?.to_str().ok();
        let from: Option<Uri> = said(header::REFERER).and_then(|from| from.parse().ok());
        let host: Option<Authority> = said(header::HOST).and_then(|host| host.parse().ok());
        from.is_some_and(|from| {
            let is_here = host.is_some() && from.authority() == host.as_ref();
            is_here && Some(from.path()) == self.links.signup.as_deref()
        })
    }

    fn login_form(
        &self,
        call: &BuiltinCall,
        status: StatusCode,
        form: Form,
    ) -> Result<Response<Bytes>, Refusal> {
        answer::page(
            status,
            &LoginPage {
                site: self.site(call),
                welcome: form.error.is_none() && self.has_signed_up(call),
                form,
            },
        )
    }
}

/// Where the log-in page was come from: a path of this site, and never another's address.
fn next(query: Option<&str>) -> Option<String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query?).ok()?;
    let (_, path) = pairs.into_iter().find(|(name, _)| name == "next")?;
    let elsewhere = path.starts_with("//") || path.contains('\\');
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    (is_path && !elsewhere).then_some(path)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use tollgate_rules::Builtin;

    use super::super::testing::{FORM, JSON, PASSWORD, Site, json as body, text};

    const RIGHT: &str = "username=ann&password=correct+horse";
    const WRONG: &str = "username=Ann&password=wrong+horse";

    async fn site() -> Site {
        let site = Site::new("random-number").await;
        site.accounts.sign_up("ann", PASSWORD).await.unwrap();
        site
    }

    #[tokio::test]
    async fn a_program_gets_a_token_and_a_cookie() {
        let input = r#"{"username":"ann","password":"correct horse"}"#;
        let response = site()
            .await
            .post(Builtin::Login, (JSON, "*/*"), input, None)
            .await
            .unwrap();
        let answer = body(&response);
        assert_eq!(
            (answer["token_type"].as_str(), answer["expires_in"].as_u64()),
            (Some("Bearer"), Some(3600))
        );
        assert_eq!(answer["token"].as_str().unwrap().split('.').count(), 3);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(
            cookie.starts_with("session=") && cookie.ends_with("; Max-Age=86400"),
            "{cookie}"
        );
    }

    #[test]
    fn a_log_in_leads_back_to_a_path_of_this_site_and_nowhere_else() {
        let next = |query: &str| super::next(Some(query));
        assert_eq!(next("next=/console/live").as_deref(), Some("/console/live"));
        assert_eq!(next("next=%2Fa%2520b").as_deref(), Some("/a%20b"));
        for elsewhere in [
            "",
            "next=",
            "next=//elsewhere.example",
            "next=/%5Celsewhere.example",
            "next=https://elsewhere.example/",
            "next=elsewhere",
            "next=/a%0D%0Ab",
            "next=/%09/elsewhere.example",
        ] {
            assert_eq!(next(elsewhere), None, "{elsewhere}");
        }
    }

    #[tokio::test]
    async fn only_this_site_s_sign_up_leads_to_a_welcome() {
        let site = site().await;
        for (referer, is_welcome) in [
            ("http://api.example:8080/signup", true),
            ("http://API.example:8080/signup", true),
            ("http://elsewhere.example/signup", false),
            ("http://api.example/signup", false),
            ("http://api.example:8080/", false),
            ("/signup", false),
        ] {
            let request = Request::get("/login")
                .header("host", "api.example:8080")
                .header("referer", referer)
                .body(Bytes::new());
            let page = site.send(Builtin::Login, request.unwrap(), None).await;
            let page = page.unwrap();
            let is_there = text(&page).contains("Your account is made.");
            assert_eq!(is_there, is_welcome, "{referer}");
        }
    }

    #[tokio::test]
    async fn a_browser_goes_on_to_the_number() {
        let response = site()
            .await
            .post(Builtin::Login, (FORM, "text/html"), RIGHT, None)
            .await
            .unwrap();
        assert_eq!(response.status(), 303);
        assert_eq!(response.headers()["location"], "/call_api");
        assert!(response.headers().contains_key("set-cookie"));
    }

    #[tokio::test]
    async fn only_wrong_guesses_count_and_after_five_even_the_right_one_waits() {
        let site = site().await;
        for _ in 0..25 {
            assert!(
                site.post(Builtin::Login, (FORM, "*/*"), RIGHT, None)
                    .await
                    .is_ok()
            );
        }
        for _ in 0..5 {
            let refusal = site
                .post(Builtin::Login, (FORM, "*/*"), WRONG, None)
                .await
                .unwrap_err();
            assert_eq!(refusal.status(None), 401);
        }
        let refusal = site
            .post(Builtin::Login, (FORM, "*/*"), RIGHT, None)
            .await
            .unwrap_err();
        assert_eq!(
            (refusal.status(None).as_u16(), refusal.retry_after()),
            (429, Some(900))
        );
        assert_eq!(refusal.violated(), ["accounts.login-per-account.15m"]);
        site.clock.advance(std::time::Duration::from_secs(900));
        assert!(
            site.post(Builtin::Login, (FORM, "*/*"), RIGHT, None)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_browser_sees_its_form_again_with_the_name_and_the_wait() {
        let site = site().await;
        let mut statuses = Vec::new();
        for _ in 0..6 {
            let response = site
                .post(Builtin::Login, (FORM, "text/html"), WRONG, None)
                .await
                .unwrap();
            statuses.push(response.status().as_u16());
            assert!(
                text(&response).contains("value=\"Ann\"")
                    && !text(&response).contains("wrong horse")
            );
            assert!(response.headers().contains_key("content-security-policy"));
            if response.status() == 429 {
                assert_eq!(response.headers()["retry-after"], "900");
                assert!(text(&response).contains("data-wait=\"900\""));
            }
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    }
}
