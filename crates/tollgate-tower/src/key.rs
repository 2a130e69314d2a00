//! Ready-made keys: what a request is limited by. A closure does for any other.

use std::net::SocketAddr;

use http::header::{AsHeaderName, HeaderValue};
use http::request::Parts;

use crate::address::{Proxies, network};

/// The value of a header field. One that is empty, or comes more than once, counts as missing.
///
/// A client writes what it likes into a field, and a new value is a new key: take one that something in front of the
/// layer has checked.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::{RateLimitLayer, key};
///
/// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, key::header("x-api-key"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn header(
    name: impl AsHeaderName + Clone + Send + Sync + 'static,
) -> impl Fn(&Parts) -> Option<HeaderValue> + Send + Sync + 'static {
    move |request| {
        let mut values = request.headers.get_all(name.clone()).iter();
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then(|| value.clone())
    }
}

/// An extension of the request, such as the user whom a layer further out has found.
///
/// ```
/// use tollgate::{Limiter, Quota};
/// use tollgate_tower::{RateLimitLayer, key};
///
/// #[derive(Clone)]
/// struct UserId(String);
///
/// impl AsRef<[u8]> for UserId {
///     fn as_ref(&self) -> &[u8] {
///         self.0.as_bytes()
///     }
/// }
///
/// let layer = RateLimitLayer::new(Limiter::new(Quota::per_minute(5)?)?, key::extension::<UserId>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn extension<T: AsRef<[u8]> + Send + Sync + 'static>()
-> impl Fn(&Parts) -> Option<Box<[u8]>> + Send + Sync + 'static {
    |request| {
        let extension = request.extensions.get::<T>()?;
        Some(extension.as_ref().into())
    }
}

/// The client's address, behind proxies that are believed: `192.0.2.1`, and of IPv6 the /64, `2001:db8::`.
///
/// `peer` finds who called the server, where the server put it: in axum with `into_make_service_with_connect_info`,
/// in tonic always, and under plain hyper whoever accepts the connection adds it to each request.
///
/// ```
/// use std::net::SocketAddr;
/// use axum::extract::ConnectInfo;
/// use http::request::Parts;
/// use tollgate_tower::address::Proxies;
/// use tollgate_tower::key;
/// use tonic::transport::server::TcpConnectInfo;
///
/// let proxies = Proxies::new(["10.0.0.0/8".parse()?]);
/// let in_axum = key::client_address(proxies.clone(), |request| {
///     request.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0)
/// });
/// let in_tonic = key::client_address(proxies.clone(), |request| {
///     request.extensions.get::<TcpConnectInfo>()?.remote_addr()
/// });
/// let in_hyper = key::client_address(proxies, |request| request.extensions.get::<SocketAddr>().copied());
/// # let (mut request, ()) = http::Request::get("/").header("x-forwarded-for", "192.0.2.7").body(())?.into_parts();
/// # request.extensions.insert(SocketAddr::from(([10, 0, 0, 1], 80)));
/// # request.extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 80))));
/// # assert_eq!((in_axum(&request), in_hyper(&request)), (Some("192.0.2.7".to_owned()), Some("192.0.2.7".to_owned())));
/// # assert_eq!(in_tonic(&request), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn client_address(
    proxies: Proxies,
    peer: impl Fn(&Parts) -> Option<SocketAddr> + Send + Sync + 'static,
) -> impl Fn(&Parts) -> Option<String> + Send + Sync + 'static {
    move |request| {
        let origin = proxies.origin(peer(request)?.ip(), &request.headers);
        Some(network(origin.client).to_string())
    }
}
