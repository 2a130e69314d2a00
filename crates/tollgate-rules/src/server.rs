//! The listener of the gateway and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;

use crate::tls::Certificates;

/// The listener and its bounds.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// How it is encrypted; without it, it is not.
    pub tls: Option<Certificates>,
    /// Who is believed about `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpNet>,
    /// The largest request body.
    pub body_bytes_max: u64,
    /// The largest request line and header block.
    pub header_bytes_max: usize,
    /// Connections at one time.
    pub connections_max: usize,
    /// Connections of one address at one time, unless it is a trusted proxy.
    pub connections_per_address_max: usize,
    /// A client that does not complete its header block within this time is cut off.
    pub header_timeout: Duration,
    /// How long connecting to an upstream may take.
    pub connect_timeout: Duration,
    /// How long an upstream, or a client sending a body, may stay silent.
    pub read_timeout: Duration,
    /// How long requests in flight may take to finish at shutdown.
    pub drain_timeout: Duration,
    /// Whether cookies are marked `Secure`.
    pub cookie_secure: CookieSecure,
    /// Origins that may read answers across origins; `*` for every one, without credentials.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether every request is logged, and not only refusals and failures.
    pub access_log: bool,
    /// Data-plane threads.
    pub workers: usize,
}

/// Whether cookies are marked `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieSecure {
    /// When the client came by https, to this listener or to a trusted proxy that says so.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
