//! The session cookie: over https under a name that no other site and no plain connection can set.

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderValue};
use tollgate_accounts::LogIn;
use tollgate_gateway::{SESSION_COOKIE, SESSION_COOKIE_SECURE};
use tollgate_rules::CookieSecure;

/// Whether this client gets cookies that travel over https only.
pub(super) fn is_secure(rule: CookieSecure, client_came_by_https: bool) -> bool {
    match rule {
        CookieSecure::Auto => client_came_by_https,
        CookieSecure::Always => true,
        CookieSecure::Never => false,
    }
}

/// The cookie's name.
pub(super) fn name(secure: bool) -> &'static str {
    if secure {
        SESSION_COOKIE_SECURE
    } else {
        SESSION_COOKIE
    }
}

/// Gives a client its session. One from before, over plain http, would be a second one beside it.
pub(super) fn set(response: &mut Response<Bytes>, login: &LogIn, secure: bool) {
    if secure {
        append(response, &cleared(SESSION_COOKIE, false));
    }
    let lifetime = login.session_expires_in.as_secs();
    append(
        response,
        &cookie(
            name(secure),
            login.session_secret.expose(),
            lifetime,
            secure,
        ),
    );
}

/// Takes the session from a client, under each name that it can have.
pub(super) fn clear(response: &mut Response<Bytes>, secure: bool) {
    append(response, &cleared(SESSION_COOKIE, false));
    if secure {
        append(response, &cleared(SESSION_COOKIE_SECURE, true));
    }
}

fn cleared(name: &str, secure: bool) -> String {
    cookie(name, "", 0, secure)
}

fn cookie(name: &str, value: &str, max_age_s: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_s}{secure}")
}

fn append(response: &mut Response<Bytes>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_other_sites_cannot_use_the_cookie() {
        assert_eq!(
            cookie(name(false), "abc", 86_400, false),
            "session=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=86400"
        );
    }

    #[test]
    fn over_https_the_cookie_is_bound_to_the_host() {
        assert_eq!(
            cookie(name(true), "abc", 60, true),
            "__Host-session=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure"
        );
        assert!(is_secure(CookieSecure::Auto, true));
        assert!(!is_secure(CookieSecure::Auto, false));
        assert!(is_secure(CookieSecure::Always, false));
        assert!(!is_secure(CookieSecure::Never, true));
    }

    #[test]
    fn clearing_leaves_no_session_under_either_name() {
        let mut response = Response::new(Bytes::new());
        clear(&mut response, true);
        let cookies: Vec<_> = response
            .headers()
            .get_all(header::SET_COOKIE)
            .iter()
            .collect();
        assert_eq!(cookies.len(), 2);
        for (cookie, name) in cookies.iter().zip([SESSION_COOKIE, SESSION_COOKIE_SECURE]) {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.starts_with(&format!("{name}=;")) && cookie.contains("Max-Age=0"),
                "{cookie}"
            );
        }
    }
}
