//! A call that works as it stands, for whoever has just got a key.

use http::header;
use tollgate_gateway::builtin::BuiltinCall;

use super::Builtins;

/// Stands where a key goes.
pub(super) const YOUR_KEY: &str = "YOUR_KEY";

impl Builtins {
    /// A line for a shell that calls this gateway, by the name that the client calls it, with an API key; `None` where
    /// no route takes one.
    pub(super) fn example(&self, call: &BuiltinCall, key: &str) -> Option<String> {
        let path = self.links.call.as_deref()?;
        let host = call.request.headers().get(header::HOST)?.to_str().ok()?;
        let scheme = if call.caller.secure { "https" } else { "http" };
        let url = format!("{scheme}://{host}{path}");
        // What comes with the request must not end the quotes of the shell.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\'' | b'\\');
        url.bytes()
            .all(is_plain)
            .then(|| format!("curl -i -H 'X-API-Key: {key}' '{url}'"))
    }
}
