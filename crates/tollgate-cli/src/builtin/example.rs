//! A call that works as it stands, for whoever has just got a key.

use std::net::Ipv6Addr;

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
        (is_ordinary(host) && path.bytes().all(is_plain))
            .then(|| format!("curl -i -H 'X-API-Key: {key}' '{scheme}://{host}{path}'"))
    }
}

/// A name or an address, with or without a port. What comes with the request must not end the quotes of the shell, nor
/// be taken by curl for a pattern.
fn is_ordinary(host: &str) -> bool {
    let rest = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => port,
        Some(_) => return false,
        None => host,
    };
    let is_ordinary =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    rest.bytes().all(is_ordinary)
}

/// Neither ends the quotes of the shell nor is a pattern of curl.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\'' | b'\\' | b'[' | b']' | b'{' | b'}')
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use tollgate_rules::Builtin;

    use super::super::testing::{Site, text};

    async fn keys_page(host: &str) -> String {
        let site = Site::new("per-api-key").await;
        let ann = site.log_in("ann").await;
        let request = Request::post("/keys")
            .header("host", host)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from_static(b"action=create&name=laptop"));
        let page = site.send(Builtin::Keys, request.unwrap(), Some(&ann)).await;
        text(&page.unwrap()).to_owned()
    }

    #[tokio::test]
    async fn a_new_key_comes_with_a_call_that_works_as_it_stands() {
        let page = keys_page("api.example:8443").await;
        let (_, secret) = page.split_once("id=\"secret\">").unwrap();
        let (secret, _) = secret.split_once('<').unwrap();
        let line = format!(
            "curl -i -H &#39;X-API-Key: {secret}&#39; &#39;http://api.example:8443/limit&#39;"
        );
        assert!(page.contains(&line), "{page}");
    }

    #[test]
    fn a_host_is_in_a_call_if_curl_takes_it_for_itself() {
        for host in ["api.example", "127.0.0.1:80", "[::1]", "[fe80::1]:8443"] {
            assert!(super::is_ordinary(host), "{host}");
        }
        for host in [
            "a[1-9]",
            "[1-9]",
            "[::1",
            "a{b,c}",
            "a]",
            "[::1]/x",
            "a b",
            "u@a",
            "[::1%25x]",
        ] {
            assert!(!super::is_ordinary(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_host_that_would_end_the_quotes_is_in_no_call() {
        let page = keys_page("a';rm -rf ~;'").await;
        assert!(page.contains("id=\"secret\""));
        assert!(!page.contains("curl") && !page.contains("rm -rf"), "{page}");
    }
}
