//! The decision service: where it listens, and who may ask.

use std::fmt;
use std::net::SocketAddr;

use crate::tls::Certificates;

/// Where the decision service listens, and who may ask. The default listens nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Where it speaks Redis's protocol.
    pub resp: Option<SocketAddr>,
    /// Where it speaks plain HTTP with JSON.
    pub http: Option<SocketAddr>,
    /// Where it speaks Envoy's rate-limit service over gRPC.
    pub grpc: Option<SocketAddr>,
    /// How it is encrypted; without it, it is not.
    pub tls: Option<Tls>,
    /// Whether answers over gRPC carry fields for the response to the client: `RateLimit` and its kin.
    pub no_fields: bool,
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
        [self.resp, self.http, self.grpc].into_iter().flatten()
    }

    /// Whether it listens anywhere.
    pub fn is_on(&self) -> bool {
        self.addresses().next().is_some()
    }

    /// The first address that other machines reach while nobody needs a token, and that is not said to be meant; behind
    /// the key that names it.
    pub(crate) fn unguarded(&self) -> Option<(&'static str, SocketAddr)> {
        let guarded = self.open || !self.tokens.is_empty();
        // Who shows no certificate of a client gets no further than the greeting.
        let certified = self
            .tls
            .as_ref()
            .filter(|tls| tls.certificates.client_ca.is_some());
        let listed = [
            ("resp", self.resp, certified.is_some_and(|tls| tls.resp)),
            ("http", self.http, certified.is_some_and(|tls| tls.http)),
            ("grpc", self.grpc, certified.is_some_and(|tls| tls.grpc)),
        ];
        let mut reached = listed
            .into_iter()
            .filter(|(.., certified)| !certified)
            .filter_map(|(key, address, _)| Some((key, address?)));
        reached.find(|(_, address)| !guarded && !address.ip().is_loopback())
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

/// How the service is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// By what.
    pub certificates: Certificates,
    /// Whether Redis's protocol is encrypted.
    pub resp: bool,
    /// Whether HTTP is encrypted.
    pub http: bool,
    /// Whether gRPC is encrypted.
    pub grpc: bool,
}

/// Without the tokens.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("resp", &self.resp)
            .field("http", &self.http)
            .field("grpc", &self.grpc)
            .field("tls", &self.tls)
            .field("no_fields", &self.no_fields)
            .field("tokens", &self.tokens.len())
            .field("open", &self.open)
            .finish()
    }
}
