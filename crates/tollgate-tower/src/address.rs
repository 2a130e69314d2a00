//! Whose address a request comes from. Nobody is believed about it who is not listed.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use http::header::HeaderName;

pub use ipnet::IpNet;

/// `X-Forwarded-For`, in which each proxy adds the address that it was called from at the right.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Hops that are walked at most.
const HOPS_MAX: usize = 32;

/// The proxies that are believed about whom they forward for.
///
/// ```
/// use tollgate_tower::address::Proxies;
///
/// let proxies = Proxies::new(["10.0.0.0/8".parse()?]);
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.2".parse()?);
///
/// let by_proxy = proxies.origin("10.0.0.1".parse()?, &headers);
/// assert_eq!(by_proxy.client.to_string(), "192.0.2.7", "what stands left of it, anybody can have written");
/// let by_stranger = proxies.origin("192.0.2.9".parse()?, &headers);
/// assert_eq!(by_stranger.client.to_string(), "192.0.2.9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// Where a request comes from.
///
/// ```
/// use tollgate_tower::address::Proxies;
///
/// let proxies = Proxies::new(["10.0.0.0/8".parse()?]);
/// let direct = proxies.origin("192.0.2.9".parse()?, &http::HeaderMap::new());
/// assert_eq!(direct.client.to_string(), "192.0.2.9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's address; never an IPv4 address mapped into IPv6.
    pub client: IpAddr,
    /// Whether a proxy that is believed says that the client came by https.
    pub secure: bool,
    /// Whether the peer is a proxy that is believed.
    pub trusted_peer: bool,
}

impl Proxies {
    /// Those within `networks`. One address is a network of its own: `10.0.0.1/32`.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Proxies(networks.into_iter().collect())
    }

    /// The client behind `peer`: from the right, the first address of `X-Forwarded-For` that is no trusted proxy.
    pub fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> Origin {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Origin {
                client: peer,
                secure: false,
                trusted_peer: false,
            };
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
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
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// What is limited of an address: an IPv4 address as it is, of an IPv6 address the /64, since one client has all the
/// addresses in it.
///
/// ```
/// use tollgate_tower::address::network;
///
/// assert_eq!(network("2001:db8:0:1:aaaa::5".parse()?).to_string(), "2001:db8:0:1::");
/// assert_eq!(network("::ffff:192.0.2.1".parse()?).to_string(), "192.0.2.1");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let proxies = Proxies::new([
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
