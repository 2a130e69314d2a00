//! Changing one's own password: a page and its form, or one JSON call. All sessions end, and a new one begins.

use bytes::Bytes;
use http::{Response, StatusCode};
use tollgate_accounts::{LogIn, PasswordError};
use tollgate_gateway::builtin::BuiltinCall;
use tollgate_gateway::refusal::Refusal;

use super::form::{self, Fields};
use super::pages::{Form, PasswordPage};
use super::{Builtins, account, answer, busy, cookie, unreachable};

/// What the page is asked with after a change, so that reloading it repeats nothing.
const CHANGED: &str = "changed";

impl Builtins {
    pub(super) fn password_page(&self, call: &BuiltinCall) -> Result<Response<Bytes>, Refusal> {
        account(call)?;
        self.password_form(call, StatusCode::OK, Form::default())
    }

    pub(super) async fn change_password(
        &self,
        call: &BuiltinCall,
    ) -> Result<Response<Bytes>, Refusal> {
        let fields = Fields::of(&call.request)?;
        let from_page = form::is_from_page(&call.request);
        let login = match self.replace_password(call, &fields).await {
            Err(refusal) if from_page => {
                return form::again(refusal, Form::default(), |status, form| {
                    self.password_form(call, status, form)
                });
            }
            changed => changed?,
        };
        let mut response = if from_page {
            let page = call.request.uri().path();
            answer::see_other(&format!("{page}?{CHANGED}"))
        } else {
            answer::session(&login)?
        };
        cookie::set(&mut response, &login, self.sets_secure_cookies(call));
        Ok(response)
    }

    /// Charged before anything is hashed, and given back unless the current password was wrong: whoever has got hold of
    /// a session must not find out the password by trying.
    async fn replace_password(
        &self,
        call: &BuiltinCall,
        fields: &Fields,
    ) -> Result<LogIn, Refusal> {
        let user = &account(call)?.user;
        let current = fields.text("current_password")?;
        let new = fields.text("new_password")?;
        let attempt = self.protection.password(user);
        attempt.peek(&self.counters, self.now()).await?;
        let _turn = self.login_turns.take().await.ok_or_else(busy)?;
        let receipt = attempt.charge(&self.counters, self.now()).await?;
        let changed = self.accounts.change_password(user, current, new).await;
        if let Err(PasswordError::Wrong) = changed {
            return Err(Refusal::unprocessable("current_password", "is wrong"));
        }
        attempt.refund(&self.counters, receipt, self.now()).await;
        changed.map_err(|error| match error {
            PasswordError::Invalid(invalid) => {
                Refusal::unprocessable("new_password", &invalid.reason)
            }
            PasswordError::Busy => busy(),
            PasswordError::Unavailable(error) => unreachable(&error),
            _ => Refusal::internal(),
        })
    }

    fn password_form(
        &self,
        call: &BuiltinCall,
        status: StatusCode,
        form: Form,
    ) -> Result<Response<Bytes>, Refusal> {
        let form = Form {
            password_chars_min: self.rules.accounts.password_chars_min,
            ..form
        };
        let page = PasswordPage {
            site: self.site(call),
            form,
            changed: call.request.uri().query() == Some(CHANGED),
        };
        answer::page(status, &page)
    }
}

#[cfg(test)]
mod tests;
