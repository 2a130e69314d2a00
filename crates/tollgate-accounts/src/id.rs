//! Names of users, sessions and keys: random, safe to log, of no use as a credential.

use std::fmt;
use std::sync::Arc;

use crate::digest::Digest;
use crate::random;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub(crate) fn fresh() -> Self {
                Self(random::hex_id().into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id! {
    /// A user: 32 hexadecimal digits for an account, `guest-` and 32 digits for the holder of a guest
    /// token, `ext-` and 32 digits for a user of another issuer.
    UserId
}

id! {
    /// A session; not the secret in the cookie.
    SessionId
}

id! {
    /// A token; 32 hexadecimal digits, of no use as a credential.
    TokenId
}

id! {
    /// An API key; not the key itself.
    KeyId
}

impl TokenId {
    /// What a token is known by: the `jti` of one of ours, a digest of another's.
    pub(crate) fn of(issuer: &str, jti: &str) -> Self {
        match Self::parse(jti) {
            Some(token) if issuer == "tollgate" => token,
            _ => Digest::of(&format!("{issuer}\0{jti}")).to_hex()[..32].into(),
        }
    }

    /// The id in a text; `None` for what no token is known by.
    pub fn parse(text: &str) -> Option<Self> {
        is_random(text).then(|| Self::from(text))
    }
}

/// What the ids of guests begin with.
pub(crate) const GUEST_PREFIX: &str = "guest-";

/// What the ids of users of other issuers begin with.
pub(crate) const FOREIGN_PREFIX: &str = "ext-";

impl UserId {
    /// The id in a text; `None` for what no user is known by, such as a name.
    pub fn parse(text: &str) -> Option<Self> {
        let kinds = [GUEST_PREFIX, FOREIGN_PREFIX];
        let digits = kinds.iter().find_map(|kind| text.strip_prefix(kind));
        is_random(digits.unwrap_or(text)).then(|| Self::from(text))
    }

    /// Whether it is an account's; behind the ids of guests and of users of other issuers, a prefix with 32 digits, there
    /// is none.
    pub fn is_account(&self) -> bool {
        let prefixes = [GUEST_PREFIX, FOREIGN_PREFIX].into_iter();
        let mut digits = prefixes.filter_map(|prefix| self.0.strip_prefix(prefix));
        !digits.any(is_random)
    }
}

fn is_random(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl KeyId {
    /// Whether it is one that a key could have. Others need not be looked for, and databases differ in what they make
    /// of blanks at the end and of a character 0.
    pub(crate) fn is_well_formed(&self) -> bool {
        self.0.len() == 32 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}
