//! Whose address a request comes from, and a warning when that may be a proxy which nobody listed.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use ipnet::IpNet;
use tollgate_tower::address::{self, FORWARDED_FOR};

pub(crate) use tollgate_tower::address::Origin;

/// Peers that are warned about at most.
const WARNINGS_MAX: usize = 100;

/// The proxies that are believed.
pub(crate) struct Proxies {
    listed: address::Proxies,
    warned: Mutex<HashSet<IpAddr>>,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Proxies {
            listed: address::Proxies::new(trusted),
            warned: Mutex::default(),
        }
    }

    /// The client behind `peer`.
    pub(crate) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let origin = self.listed.origin(peer, headers);
        if !origin.trusted_peer && !headers.is_empty() && headers.contains_key(FORWARDED_FOR) {
            self.warn(origin.client);
        }
        origin
    }

    fn warn(&self, peer: IpAddr) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < WARNINGS_MAX && warned.insert(peer) {
            tracing::warn!(%peer, "X-Forwarded-For is ignored: if this is your proxy, add trusted_proxies = [\"{peer}/{}\"] to [server]", if peer.is_ipv4() { 32 } else { 128 });
        }
    }
}
