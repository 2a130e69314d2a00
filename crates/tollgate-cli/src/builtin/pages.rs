//! The pages, as the templates in `web/templates` know them.

use askama::Template;
use tollgate_gateway::page::Site;

/// What the sign-up and log-in forms show; never a password.
#[derive(Default)]
pub(super) struct Form {
    pub(super) error: Option<String>,
    pub(super) retry_after: Option<u64>,
    pub(super) username: String,
    pub(super) password_chars_min: usize,
}

#[derive(Template)]
#[template(path = "home.html")]
pub(super) struct HomePage<'a> {
    pub(super) site: Site<'a>,
}

#[derive(Template)]
#[template(path = "signup.html")]
pub(super) struct SignupPage<'a> {
    pub(super) site: Site<'a>,
    pub(super) form: Form,
}

#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage<'a> {
    pub(super) site: Site<'a>,
    /// The account has just been made.
    pub(super) welcome: bool,
    pub(super) form: Form,
}

#[derive(Template)]
#[template(path = "password.html")]
pub(super) struct PasswordPage<'a> {
    pub(super) site: Site<'a>,
    pub(super) form: Form,
    /// It has just been done.
    pub(super) changed: bool,
}

#[derive(Template)]
#[template(path = "keys.html")]
pub(super) struct KeysPage<'a> {
    pub(super) site: Site<'a>,
    pub(super) created: Option<FreshKey<'a>>,
    pub(super) error: Option<String>,
    pub(super) keys: Vec<KeyRow>,
}

/// A key at the one moment at which its secret is shown.
pub(super) struct FreshKey<'a> {
    pub(super) name: &'a str,
    pub(super) secret: &'a str,
    /// A call with it, for a shell.
    pub(super) example: Option<String>,
}

/// A key in the list.
pub(super) struct KeyRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) hint: String,
    pub(super) live: bool,
    pub(super) state: String,
    pub(super) created: String,
    pub(super) last_used: Option<String>,
    pub(super) scopes: Option<String>,
    pub(super) quota: Option<String>,
}

/// Interactive documentation of an OpenAPI document.
#[derive(Template)]
#[template(path = "docs.html")]
pub(crate) struct DocsPage<'a> {
    pub(crate) title: &'a str,
    /// Where style sheets and scripts are, without a slash at the end.
    pub(crate) assets: &'a str,
    /// Where the document is.
    pub(crate) openapi: &'a str,
}
