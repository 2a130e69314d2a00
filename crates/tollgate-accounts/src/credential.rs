//! What a caller presents, and the shapes that are turned away unread.

use std::fmt;

use crate::api_key;
use crate::digest::Digest;

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The characters of 256 bits in base64url.
const SESSION_CHARS: usize = 43;

/// A credential as it came with a request.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// The value of the session cookie.
    Session(&'a str),
    /// What follows `Bearer ` in an `Authorization` field.
    Bearer(&'a str),
    /// The value of the API key field.
    ApiKey(&'a str),
}

impl Credential<'_> {
    /// `None` when it can be no credential of its kind, whatever the database holds.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let (text, well_formed) = match *self {
            Self::Session(text) => (text, is_session_secret(text)),
            Self::Bearer(text) => (text, is_token(text)),
            Self::ApiKey(text) => (text, api_key::is_well_formed(text)),
        };
        well_formed.then(|| Digest::of(text))
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_session_secret(text: &str) -> bool {
    text.len() == SESSION_CHARS && text.bytes().all(is_base64url)
}

fn is_token(text: &str) -> bool {
    text.len() <= TOKEN_BYTES_MAX
        && text.split('.').count() == 3
        && text.bytes().all(|byte| byte == b'.' || is_base64url(byte))
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Session(_) => "Session(..)",
            Self::Bearer(_) => "Bearer(..)",
            Self::ApiKey(_) => "ApiKey(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_can_be_no_credential_are_turned_away() {
        let long_token = format!("a.b.{}", "c".repeat(TOKEN_BYTES_MAX));
        let refused = [
            Credential::Session(""),
            Credential::Session("short"),
            Credential::Session("=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            Credential::Bearer(""),
            Credential::Bearer("a.b"),
            Credential::Bearer("a.b.c.d"),
            Credential::Bearer("a.b.c="),
            Credential::Bearer("a.b. c"),
            Credential::Bearer(&long_token),
            Credential::ApiKey("tg_nothing"),
        ];
        for credential in refused {
            assert!(credential.digest().is_none(), "{credential:?}");
        }
    }

    #[test]
    fn the_debug_form_shows_no_secret() {
        assert_eq!(format!("{:?}", Credential::ApiKey("tg_abc")), "ApiKey(..)");
    }
}
