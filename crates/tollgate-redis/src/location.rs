//! Where the store is, from the URL that an operator wrote.

use std::fmt;
use std::path::PathBuf;

/// The most nodes that a URL can name.
const NODES_MAX: usize = 64;
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What a URL says: where the servers are, how they are spoken to, and as whom.
///
/// ```
/// use tollgate_redis::Location;
///
/// let location: Location = "rediss://app:s3cret@counters.example:6380/2".parse()?;
/// assert_eq!(location.to_string(), "rediss://counters.example:6380/2");
/// # Ok::<(), tollgate_redis::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Location {
    pub(crate) kind: Kind,
    /// One at least; several only of a cluster, or of sentinels.
    pub(crate) nodes: Vec<Address>,
    pub(crate) is_tls: bool,
    /// PEM of the authorities that servers are believed by, instead of those that browsers believe.
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) db: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Single,
    Cluster,
    /// The sentinels know which server is the primary of this service.
    Sentinel(String),
}

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp(host, port) => write!(f, "{host}:{port}"),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Why a URL says no place. It shows nothing of the URL, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store's URL {reason}; expected {expected}")]
pub struct UrlError {
    reason: &'static str,
    expected: &'static str,
}

/// What a scheme stands for, and what its URLs look like.
struct Scheme {
    is_tls: bool,
    shape: Shape,
    expected: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Single,
    Cluster,
    Sentinel,
    Unix,
}

const ANY: &str = "redis://, rediss://, redis+cluster://, rediss+cluster://, redis+sentinel://, \
                   rediss+sentinel:// or redis+unix://";

impl Scheme {
    fn named(name: &str) -> Option<Self> {
        let single = "redis://[user:password@]host[:port][/db]";
        let cluster = "redis+cluster://[user:password@]host:port,host:port";
        let sentinel = "redis+sentinel://[user:password@]host:port,host:port/service[/db]";
        let (is_tls, shape, expected) = match name {
            "redis" | "valkey" => (false, Shape::Single, single),
            "rediss" | "valkeys" => (true, Shape::Single, single),
            "redis+cluster" => (false, Shape::Cluster, cluster),
            "rediss+cluster" => (true, Shape::Cluster, cluster),
            "redis+sentinel" => (false, Shape::Sentinel, sentinel),
            "rediss+sentinel" => (true, Shape::Sentinel, sentinel),
            "redis+unix" => (
                false,
                Shape::Unix,
                "redis+unix://[user:password@]/path/to/socket[?db=N]",
            ),
            _ => return None,
        };
        Some(Scheme {
            is_tls,
            shape,
            expected,
        })
    }
}

impl std::str::FromStr for Location {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError {
            reason: "has no scheme",
            expected: ANY,
        })?;
        let scheme = Scheme::named(&scheme.to_ascii_lowercase()).ok_or(UrlError {
            reason: "has a scheme that is not known",
            expected: ANY,
        })?;
        let expected = scheme.expected;
        read(rest, &scheme).map_err(|reason| UrlError { reason, expected })
    }
}

fn read(rest: &str, scheme: &Scheme) -> Result<Location, &'static str> {
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    let (user, password) = match credentials {
        Some(credentials) => user_and_password(credentials)?,
        None => (None, None),
    };
    let parts: Vec<&str> = path
        .split('/')
        .skip(1)
        .filter(|part| !part.is_empty())
        .collect();
    let (kind, nodes, db) = match scheme.shape {
        Shape::Unix if !hosts.is_empty() || parts.is_empty() => {
            return Err("names no absolute path of a socket");
        }
        Shape::Unix => (
            Kind::Single,
            vec![Address::Unix(decoded(path)?.into())],
            None,
        ),
        Shape::Single => match parts[..] {
            [] => (Kind::Single, addresses(hosts, PORT)?, None),
            [db] => (Kind::Single, addresses(hosts, PORT)?, Some(db)),
            _ => return Err("has more behind the host than a database's number"),
        },
        Shape::Cluster if !parts.is_empty() => {
            return Err("names a database, and a cluster has only database 0");
        }
        Shape::Cluster => (Kind::Cluster, addresses(hosts, PORT)?, None),
        Shape::Sentinel => {
            let (service, db) = match parts[..] {
                [service] => (service, None),
                [service, db] => (service, Some(db)),
                _ => return Err("does not name the service that the sentinels watch"),
            };
            let service = decoded(service)?;
            (
                Kind::Sentinel(service),
                addresses(hosts, SENTINEL_PORT)?,
                db,
            )
        }
    };
    if kind == Kind::Single && nodes.len() > 1 {
        return Err("names several servers that are no cluster");
    }
    let mut location = Location {
        kind,
        nodes,
        is_tls: scheme.is_tls,
        authorities: None,
        user,
        password,
        db: number(db.unwrap_or("0"))?,
    };
    for parameter in parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty())
    {
        match parameter.split_once('=') {
            Some(("ca", file)) if scheme.is_tls => {
                location.authorities = Some(decoded(file)?.into());
            }
            Some(("ca", _)) => return Err("has `ca`, which is for TLS alone"),
            Some(("db", db)) if scheme.shape == Shape::Unix => location.db = number(db)?,
            _ => return Err("has a parameter that is not known (known is `ca`, a file for TLS)"),
        }
    }
    Ok(location)
}

fn number(db: &str) -> Result<i64, &'static str> {
    let db: u16 = db.parse().map_err(|_| "has a database that is no number")?;
    Ok(i64::from(db))
}

type Credentials = (Option<String>, Option<Secret>);

fn user_and_password(credentials: &str) -> Result<Credentials, &'static str> {
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(Secret(decoded(password)?))),
        None => (credentials, None),
    };
    let user = decoded(user)?;
    if password.is_none() && !user.is_empty() {
        return Err("has a user without a password");
    }
    Ok(((!user.is_empty()).then_some(user), password))
}

fn addresses(hosts: &str, port: u16) -> Result<Vec<Address>, &'static str> {
    let nodes: Vec<Address> = hosts
        .split(',')
        .map(|host| address(host, port))
        .collect::<Result<_, _>>()?;
    if nodes.len() > NODES_MAX {
        return Err("names more than 64 servers");
    }
    Ok(nodes)
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn address(text: &str, default: u16) -> Result<Address, &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("has a `[` without a `]`")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("has no IPv6 address between the brackets");
            }
            match port.strip_prefix(':') {
                None if !port.is_empty() => {
                    return Err("has more behind the `]` of an address than `:` and a port");
                }
                port => (host, port),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(
            "names no host, or one with characters that hosts do not have (in passwords they are written %XX)",
        );
    }
    let port = match port {
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or("has a port that is no number from 1 to 65535")?,
        None => default,
    };
    Ok(Address::Tcp(host.to_owned(), port))
}

/// Without its percent signs.
fn decoded(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = match (first, tail) {
            (b'%', [high, low, behind @ ..]) => {
                rest = behind;
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (high, low) = digit(high)
                    .zip(digit(low))
                    .ok_or("has a `%` without two hexadecimal digits")?;
                (high * 16 + low) as u8
            }
            (b'%', _) => return Err("has a `%` without two hexadecimal digits"),
            (byte, _) => *byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| "is no UTF-8 behind its percent signs")
}

impl fmt::Display for Location {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.is_tls { "s" } else { "" };
        if let [Address::Unix(path)] = &self.nodes[..] {
            write!(f, "redis+unix://{}", path.display())?;
            return match self.db {
                0 => Ok(()),
                db => write!(f, "?db={db}"),
            };
        }
        let kind = match self.kind {
            Kind::Single => "",
            Kind::Cluster => "+cluster",
            Kind::Sentinel(_) => "+sentinel",
        };
        let nodes: Vec<String> = self.nodes.iter().map(Address::to_string).collect();
        write!(f, "redis{tls}{kind}://{}", nodes.join(","))?;
        if let Kind::Sentinel(service) = &self.kind {
            write!(f, "/{service}")?;
        }
        match self.db {
            0 => Ok(()),
            db => write!(f, "/{db}"),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

#[cfg(test)]
mod tests;
