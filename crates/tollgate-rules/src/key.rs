//! What a limit is keyed by, and the key of one request.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, HeaderName, header};
use tollgate::key::CompositeKey;

/// The longest text of a network: eight times four digits, and how many bits.
const ADDRESS_BYTES_MAX: usize = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128".len();

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// The client's address; of IPv6 the first `ipv6_prefix` bits.
    ClientIp {
        /// How many bits of an IPv6 address count.
        ipv6_prefix: u8,
    },
    /// The user's id, or the subject of a guest's token.
    User,
    /// The API key's id, or that of the first of the keys that took each other's place.
    ApiKey,
    /// The value of a request header field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a query parameter.
    Query(String),
    /// What another issuer's token says under this name.
    Claim(String),
    /// The route.
    Route,
    /// Nothing: everybody shares one.
    Global,
}

/// What a limit is keyed by: one part, or several together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpec(pub(crate) Vec<KeyPart>);

/// What is known of the request that a key is made from.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The user's id, or the subject of a guest's token.
    pub user: Option<&'a str>,
    /// The user's name.
    pub user_name: Option<&'a str>,
    /// The API key's id.
    pub api_key: Option<&'a str>,
    /// What the token of another issuer says: names and values.
    pub claims: &'a [(Box<str>, Box<str>)],
    /// The request's header fields.
    pub headers: &'a HeaderMap,
    /// The request's query.
    pub query: Option<&'a str>,
    /// The route's name.
    pub route: &'a str,
}

impl KeySpec {
    /// By the client's address; of IPv6 the first 64 bits.
    pub fn client_ip() -> Self {
        KeySpec(vec![KeyPart::ClientIp { ipv6_prefix: 64 }])
    }

    /// The parts.
    pub fn parts(&self) -> &[KeyPart] {
        &self.0
    }

    /// The parts that people give a word for: all but `global`.
    pub fn worded_parts(&self) -> impl Iterator<Item = &KeyPart> + Clone {
        let parts = self.0.iter();
        parts.filter(|part| !matches!(part, KeyPart::Global))
    }

    /// The key of this request, or `None` when a part is missing from it.
    pub fn key_of(&self, subject: &Subject<'_>) -> Option<CompositeKey> {
        let mut key = CompositeKey::new();
        for part in &self.0 {
            match part {
                KeyPart::ClientIp { ipv6_prefix } => {
                    push_address(&mut key, subject.address, *ipv6_prefix)
                }
                KeyPart::User => key.push(subject.user?.as_bytes()),
                KeyPart::ApiKey => key.push(subject.api_key?.as_bytes()),
                KeyPart::Header(name) => key.push(present(
                    only(subject.headers.get_all(name).iter())?.as_bytes(),
                )?),
                KeyPart::Cookie(name) => key.push(present(cookie(subject.headers, name)?)?),
                KeyPart::Query(name) => key.push(present(query(subject.query?, name)?.as_bytes())?),
                KeyPart::Claim(name) => key.push(claim(subject.claims, name)?.as_bytes()),
                KeyPart::Route => key.push(subject.route.as_bytes()),
                KeyPart::Global => {}
            }
        }
        Some(key)
    }

    /// The key that a person means by these words, one for each part: an address, a user's id, a value.
    pub fn key_from_words(&self, words: &[&str]) -> Option<CompositeKey> {
        let mut key = CompositeKey::new();
        let mut words = words.iter();
        for part in self.worded_parts() {
            match part {
                KeyPart::ClientIp { ipv6_prefix } => {
                    push_address(&mut key, words.next()?.parse().ok()?, *ipv6_prefix)
                }
                _ => key.push(words.next()?.as_bytes()),
            }
        }
        words.next().is_none().then_some(key)
    }

    /// Whether the key tells users or API keys apart, so that one of them can have quotas that others do not have:
    /// otherwise two callers would count one key under two quotas.
    pub fn names_caller(&self) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, KeyPart::User | KeyPart::ApiKey))
    }
}

/// An empty value identifies nobody.
fn present(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

/// IPv4-mapped IPv6 is IPv4; of IPv6 the first bits count: `192.0.2.1`, `2001:db8::/64`. In text, since a shared store shows
/// keys.
fn push_address(key: &mut CompositeKey, address: IpAddr, ipv6_prefix: u8) {
    let mut text = [0; ADDRESS_BYTES_MAX];
    let mut rest = &mut text[..];
    // There is room for every address.
    let _ = match address.to_canonical() {
        IpAddr::V4(address) => write!(rest, "{address}"),
        IpAddr::V6(address) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(ipv6_prefix))
                .unwrap_or(0);
            let network = Ipv6Addr::from_bits(address.to_bits() & mask);
            match ipv6_prefix {
                128 => write!(rest, "{network}"),
                _ => write!(rest, "{network}/{ipv6_prefix}"),
            }
        }
    };
    let written = ADDRESS_BYTES_MAX - rest.len();
    key.push(&text[..written]);
}

/// The one value; a client that sends several does not choose among keys.
fn only<T>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn claim<'c>(claims: &'c [(Box<str>, Box<str>)], name: &str) -> Option<&'c str> {
    let (_, value) = claims.iter().find(|(known, _)| **known == *name)?;
    Some(value)
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .map(|line| line.as_bytes());
    let pairs = lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    only(pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")))
}

/// The value of a query parameter, decoded: every spelling of it is one key.
fn query<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    only(pairs.filter(|(key, _)| key == name).map(|(_, value)| value))
}

/// Its parts, as the rules file writes them.
impl fmt::Display for KeySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{part}")?;
        }
        Ok(())
    }
}

/// As the rules file writes it.
impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyPart::ClientIp { .. } => f.write_str("client-ip"),
            KeyPart::User => f.write_str("user"),
            KeyPart::ApiKey => f.write_str("api-key"),
            KeyPart::Header(name) => write!(f, "header:{name}"),
            KeyPart::Cookie(name) => write!(f, "cookie:{name}"),
            KeyPart::Query(name) => write!(f, "query:{name}"),
            KeyPart::Claim(name) => write!(f, "claim:{name}"),
            KeyPart::Route => f.write_str("route"),
            KeyPart::Global => f.write_str("global"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(spec: &[KeyPart], address: &str) -> CompositeKey {
        let headers = HeaderMap::new();
        let address = address.parse().unwrap();
        let subject = Subject {
            address,
            user: Some("u"),
            user_name: None,
            api_key: None,
            claims: &[],
            headers: &headers,
            query: Some("a=1&b="),
            route: "r",
        };
        KeySpec(spec.to_vec()).key_of(&subject).unwrap()
    }

    #[test]
    fn an_address_has_one_key_however_it_is_spelled_and_ipv6_counts_by_its_network() {
        let spec = [KeyPart::ClientIp { ipv6_prefix: 64 }];
        for same in [
            "::ffff:192.0.2.1",
            "::FFFF:c000:201",
            "0:0:0:0:0:ffff:192.0.2.1",
        ] {
            assert_eq!(key(&spec, same), key(&spec, "192.0.2.1"));
        }
        assert_eq!(
            key(&spec, "2001:db8::1"),
            key(&spec, "2001:DB8:0:0:ffff::2")
        );
        assert_ne!(key(&spec, "2001:db8::1"), key(&spec, "2001:db8:0:1::1"));
        let whole = [KeyPart::ClientIp { ipv6_prefix: 128 }];
        assert_ne!(key(&whole, "2001:db8::1"), key(&whole, "2001:db8::2"));
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let almost = [KeyPart::ClientIp { ipv6_prefix: 127 }];
        for (spec, address, text) in [
            (&spec, "::ffff:192.0.2.1", "192.0.2.1"),
            (&spec, "2001:db8::1", "2001:db8::/64"),
            (&whole, "2001:db8::1", "2001:db8::1"),
            (&whole, longest, longest),
            (
                &almost,
                longest,
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127",
            ),
        ] {
            let mut expected = CompositeKey::new();
            expected.push(text.as_bytes());
            assert_eq!(key(spec, address), expected);
        }
    }

    #[test]
    fn a_missing_or_empty_part_is_no_key() {
        let headers = HeaderMap::new();
        let subject = Subject {
            address: "192.0.2.1".parse().unwrap(),
            user: None,
            user_name: None,
            api_key: None,
            claims: &[],
            headers: &headers,
            query: Some("a=1&b="),
            route: "r",
        };
        let missing = [
            KeyPart::User,
            KeyPart::ApiKey,
            KeyPart::Header(header::HOST),
            KeyPart::Query("b".into()),
            KeyPart::Query("c".into()),
            KeyPart::Claim("tenant".into()),
        ];
        for part in missing {
            assert_eq!(
                KeySpec(vec![KeyPart::Route, part.clone()]).key_of(&subject),
                None,
                "{part:?}"
            );
        }
        assert!(
            KeySpec(vec![KeyPart::Query("a".into())])
                .key_of(&subject)
                .is_some()
        );
    }

    #[test]
    fn a_parameter_has_one_key_however_it_is_spelled_and_two_of_a_name_are_none() {
        let value = |text: &str| query(text, "t").map(Cow::into_owned);
        for same in ["t=a", "t=%61", "%74=a", "x=1&t=a"] {
            assert_eq!(value(same).as_deref(), Some("a"), "{same}");
        }
        assert_eq!(value("t=a&t=b"), None);
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; t=x".parse().unwrap());
        assert_eq!(cookie(&headers, "t"), Some(&b"x"[..]));
        headers.append(header::COOKIE, "t=y".parse().unwrap());
        assert_eq!(cookie(&headers, "t"), None);
    }
}
