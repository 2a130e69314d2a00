//! Whose address a request comes from. Nobody is believed about it unless the rules list them.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::HeaderName;
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Hops that are walked at most.
const HOPS_MAX: usize = 32;
/// Peers that are warned about at most.
const WARNINGS_MAX: usize = 100;

/// The proxies that are believed.
pub(crate) struct Proxies {
    trusted: Vec<IpNet>,
    warned: Mutex<HashSet<IpAddr>>,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) client: IpAddr,
    /// Whether a proxy that is believed says that the client came by https.
    pub(crate) secure: bool,
    /// Whether the peer is a proxy that is believed.
    pub(crate) trusted_peer: bool,
}

impl Proxies {
    pub(crate) fn new(trusted: Vec<IpNet>) -> Self {
        Proxies {
            trusted,
            warned: Mutex::default(),
        }
    }

    /// The client behind `peer`: from the right, the first address of `X-Forwarded-For` that is no trusted proxy.
    pub(crate) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            if !headers.is_empty() && headers.contains_key(FORWARDED_FOR) {
                self.warn(peer);
            }
            return Origin {
                client: peer,
                secure: false,
                trusted_peer: false,
            };
        }
        let lines: Vec<&str> = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .map(|line| line.to_str().unwrap_or_default())
            .collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        let mut client = peer;
        for hop in hops.take(HOPS_MAX) {
            // What is no address ends the walk: nobody who is believed wrote what stands further left.
            let Ok(address) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        let proto = headers.get_all(FORWARDED_PROTO).iter().next_back();
        let secure = proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        Origin {
            client,
            secure,
            trusted_peer: true,
        }
    }

    /// Whether this is a proxy that is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted
            .iter()
            .any(|network| network.contains(&address))
    }

    fn warn(&self, peer: IpAddr) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < WARNINGS_MAX && warned.insert(peer) {
            tracing::warn!(%peer, "X-Forwarded-For is ignored: if this is your proxy, add trusted_proxies = [\"{peer}/{}\"] to [server]", if peer.is_ipv4() { 32 } else { 128 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies::new(vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ]);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        proxies
            .origin(peer.parse().unwrap(), &headers)
            .client
            .to_string()
    }

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        let cases: [(&str, &[&str], &str); 12] = [
            ("192.0.2.9", &["1.2.3.4"], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"], "1.2.3.4"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["1.2.3.4,"], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4:80"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4"),
            ("2001:db8::1", &["2001:DB9:0::5"], "2001:db9::5"),
        ];
        for (peer, lines, expected) in cases {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_long_chain_is_walked_only_so_far() {
        let chain = vec!["10.0.0.2"; 10_000].join(",");
        assert_eq!(
            client("10.0.0.1", &[&format!("1.2.3.4,{chain}")]),
            "10.0.0.2"
        );
    }
}
