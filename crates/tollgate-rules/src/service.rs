//! The decision service: where it listens, and who may ask.

use std::fmt;
use std::net::SocketAddr;

/// Where the decision service listens, and who may ask. The default listens nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Where it speaks Redis's protocol.
    pub resp: Option<SocketAddr>,
    /// Where it speaks plain HTTP with JSON.
    pub http: Option<SocketAddr>,
    /// What clients show; without any, everybody who reaches an address may ask.
    pub tokens: Vec<String>,
    /// Whether everybody may ask on addresses that other machines reach.
    pub open: bool,
}

impl Service {
    /// The shortest token.
    pub const TOKEN_BYTES_MIN: usize = 16;
    /// The longest token.
    pub const TOKEN_BYTES_MAX: usize = 256;
    /// The most tokens.
    pub const TOKENS_MAX: usize = 16;

    /// Every address that it listens on.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.resp, self.http].into_iter().flatten()
    }

    /// Whether it listens anywhere.
    pub fn is_on(&self) -> bool {
        self.addresses().next().is_some()
    }

    /// The first address that other machines reach while nobody needs a token, and that is not said to be meant.
    pub fn unguarded(&self) -> Option<SocketAddr> {
        let guarded = self.open || !self.tokens.is_empty();
        let mut reached = self
            .addresses()
            .filter(|address| !address.ip().is_loopback());
        reached.find(|_| !guarded)
    }

    /// Complains about a token that is too easy to guess, or that a header field cannot carry.
    ///
    /// # Errors
    /// What is wrong with it; the token is not repeated.
    pub fn check_token(token: &str) -> Result<(), String> {
        let fits = (Self::TOKEN_BYTES_MIN..=Self::TOKEN_BYTES_MAX).contains(&token.len());
        match fits && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err(format!(
                "a token of the service has {} to {} printable ASCII characters without spaces",
                Self::TOKEN_BYTES_MIN,
                Self::TOKEN_BYTES_MAX
            )),
        }
    }
}

/// Without the tokens.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("resp", &self.resp)
            .field("http", &self.http)
            .field("tokens", &self.tokens.len())
            .field("open", &self.open)
            .finish()
    }
}
