//! Which route a request takes that is asked about, if the server behind the proxy takes it for the same one.

use std::borrow::Cow;

use http::header;
use http::request::Parts;
use http::{Method, Uri};
use tollgate_rules::{Action, Found, Route, RouteTable};

use crate::refusal::Refusal;

/// What a request that is asked about takes.
pub(crate) enum Taken<'t> {
    /// A route.
    Route(&'t Route),
    /// What a browser asks before a request of another origin, without credentials: nothing is charged.
    Preflight,
}

/// What the request that is meant takes. `normal` is its path in its one form.
pub(crate) fn taken<'t>(
    routes: &'t RouteTable,
    parts: &Parts,
    normal: Cow<'_, str>,
) -> Result<Taken<'t>, Refusal> {
    let found = routes.find(&parts.method, normal.clone());
    if let (Found::Options { .. }, Some(announced)) = (&found, announced(parts)) {
        // It passes where what it announces may go on to the credentials.
        let announced = routes.find(&announced, normal);
        return route(announced, &parts.uri).map(|_| Taken::Preflight);
    }
    route(found, &parts.uri).map(Taken::Route)
}

fn route<'t>(found: Found<'t, '_>, uri: &Uri) -> Result<&'t Route, Refusal> {
    match found {
        Found::Route { route, .. } if matches!(route.action, Action::ForwardAuth) => {
            Err(Refusal::not_found())
        }
        Found::Route { route, path, .. } => match path == uri.path() {
            true => Ok(route),
            false => Err(misspelled(&path)),
        },
        Found::MethodNotAllowed { allow } | Found::Options { allow } => {
            Err(Refusal::method_not_allowed(allow))
        }
        Found::NotFound => Err(Refusal::not_found()),
    }
}

/// The gateway would forward another spelling than the client's. A proxy forwards the client's, which the server behind
/// it may take for another path than the one whose limits would be charged.
fn misspelled(path: &str) -> Refusal {
    Refusal::bad_request(format!(
        "The path has to be spelled `{path}`: the proxy sends it on as the client wrote it."
    ))
}

/// The method of the request that a browser announces by a preflight.
fn announced(parts: &Parts) -> Option<Method> {
    let mut methods = parts
        .headers
        .get_all(header::ACCESS_CONTROL_REQUEST_METHOD)
        .iter();
    match (methods.next(), methods.next()) {
        (Some(method), None) if parts.headers.contains_key(header::ORIGIN) => {
            Method::from_bytes(method.as_bytes()).ok()
        }
        _ => None,
    }
}
