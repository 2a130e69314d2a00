//! Making an account: a page and its form, or one JSON call.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;
use tollgate_accounts::{SignUpError, User};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::form::{self, Fields};
use super::pages::{Form, SignupPage};
use super::{Builtins, answer, busy, unreachable};

impl Builtins {
    pub(super) fn signup_page(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        self.signup_form(call, StatusCode::OK, Form::default())
    }

    pub(super) async fn sign_up(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        let fields = Fields::of(&call.request)?;
        let made = self.make_account(call, &fields).await;
        if !form::is_from_page(&call.request) {
            let user = made?;
            let body = json!({ "id": user.id.as_str(), "username": user.name });
            return answer::json(StatusCode::CREATED, &body);
        }
        match made {
            Ok(_) => {
                let next = self.links.login.as_deref().or(self.links.home.as_deref());
                Ok(answer::see_other(next.unwrap_or("/")))
            }
            Err(refusal) => {
                let username = fields.text("username").unwrap_or_default().to_owned();
                let form = Form {
                    username,
                    ..Form::default()
                };
                form::again(refusal, form, |status, form| {
                    self.signup_form(call, status, form)
                })
            }
        }
    }

    /// Every attempt counts, so that nobody learns without end which names are taken.
    async fn make_account(&self, call: &BuiltinCall, fields: &Fields) -> Result<User, Refusal> {
        let attempt = self.protection.signup(call.caller.address);
        attempt.charge(&self.counters, self.now()).await?;
        let (username, password) = (fields.text("username")?, fields.text("password")?);
        let made = self.accounts.sign_up(username, password).await;
        made.map_err(|error| match error {
            SignUpError::Taken => Refusal::conflict("This username is taken."),
            SignUpError::Invalid(invalid) => {
                Refusal::unprocessable(label(invalid.field), &invalid.reason)
            }
            SignUpError::Busy => busy(),
            SignUpError::Unavailable(error) => unreachable(&error),
            _ => Refusal::internal(),
        })
    }

    fn signup_form(
        &self,
        call: &BuiltinCall,
        status: StatusCode,
        form: Form,
    ) -> Result<Response<Bytes>, Refusal> {
        let password_chars_min = self.rules.accounts.password_chars_min;
        let form = Form {
            password_chars_min,
            ..form
        };
        answer::page(
            status,
            &SignupPage {
                site: self.site(call),
                form,
            },
        )
    }
}

/// The field of the body that an account's field came from.
fn label(field: &'static str) -> &'static str {
    if field == "name" { "username" } else { field }
}

#[cfg(test)]
mod tests {
    use tollgate_rules::Builtin;

    use super::super::testing::{FORM, JSON, Site, json as body, text};
    use super::*;

    const ANN: &str = r#"{"username":"Ann","password":"correct horse"}"#;

    #[tokio::test]
    async fn an_account_is_made_once() {
        let site = Site::new("random-number").await;
        let made = site
            .post(Builtin::Signup, (JSON, "*/*"), ANN, None)
            .await
            .unwrap();
        assert_eq!(
            (made.status(), &body(&made)["username"]),
            (StatusCode::CREATED, &json!("Ann"))
        );
        let again = site
            .post(
                Builtin::Signup,
                (FORM, "*/*"),
                "username=ann&password=correct+horse",
                None,
            )
            .await;
        assert_eq!(again.unwrap_err().status(None), 409);
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_input_is_said_by_field() {
        let site = Site::new("random-number").await;
        for (input, field) in [
            (
                r#"{"username":"","password":"correct horse"}"#,
                "`username`",
            ),
            (r#"{"username":"ann","password":"short"}"#, "`password`"),
            (r#"{"username":"ann"}"#, "`password`"),
        ] {
            let refusal = site
                .post(Builtin::Signup, (JSON, "*/*"), input, None)
                .await
                .unwrap_err();
            assert_eq!(refusal.status(None), 422);
            assert!(refusal.detail().starts_with(field), "{}", refusal.detail());
        }
    }

    #[tokio::test]
    async fn a_form_leads_to_log_in_or_back_with_what_was_wrong_and_without_the_password() {
        let site = Site::new("random-number").await;
        let form = (FORM, "text/html");
        let made = site
            .post(
                Builtin::Signup,
                form,
                "username=ann&password=correct+horse",
                None,
            )
            .await
            .unwrap();
        assert_eq!(
            (made.status(), &made.headers()["location"]),
            (StatusCode::SEE_OTHER, &"/login".parse().unwrap())
        );
        let taken = site
            .post(
                Builtin::Signup,
                form,
                "username=ANN&password=staple+battery",
                None,
            )
            .await
            .unwrap();
        assert_eq!(taken.status(), 409);
        assert!(
            text(&taken).contains("This username is taken.")
                && text(&taken).contains("value=\"ANN\"")
        );
        assert!(!text(&taken).contains("staple"));
    }

    #[tokio::test]
    async fn an_address_that_has_tried_too_often_waits() {
        let site = Site::new("random-number").await;
        for _ in 0..30 {
            let short = site
                .post(
                    Builtin::Signup,
                    (JSON, "*/*"),
                    r#"{"username":"ann"}"#,
                    None,
                )
                .await;
            assert_eq!(short.unwrap_err().status(None), 422);
        }
        let refusal = site
            .post(Builtin::Signup, (JSON, "*/*"), ANN, None)
            .await
            .unwrap_err();
        assert_eq!(
            (refusal.status(None).as_u16(), refusal.retry_after()),
            (429, Some(3600))
        );
    }
}
